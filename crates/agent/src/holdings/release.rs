//! Releases holds and destroys bookmarks of ours, many in one command.

use std::collections::BTreeMap;

use zfs_sync_core::name::SnapshotName;
use zfs_sync_zfs::{
    command::{Command, OwnTag},
    error::{Error, Kind as ErrorKind},
    runner::Runner,
};

use super::{Holding, Place};

/// As many as [`find`](super::find()) asks about at once.
const BATCH: usize = 200;

/// What became of one holding.
#[derive(Clone, Debug)]
pub enum Released {
    /// It is gone.
    Gone,
    /// It is still there.
    Failed(Error),
}

/// Releases all of these. Each has its own result, in the order of `holdings`: one that fails keeps no other.
pub async fn release(runner: &dyn Runner, holdings: &[Holding]) -> Vec<Released> {
    let mut failed: BTreeMap<&Place, Error> = BTreeMap::new();
    let mut by_tag: BTreeMap<&OwnTag, Vec<(&Place, &SnapshotName)>> = BTreeMap::new();
    for holding in holdings {
        match &holding.place {
            Place::Hold { snapshot, tag } => {
                by_tag.entry(tag).or_default().push((&holding.place, snapshot));
            }
            Place::Bookmark(bookmark) => {
                let command = Command::DestroyBookmark { bookmark: bookmark.clone() };
                failed.extend(
                    remaining(runner.run(&command).await.map(drop)).map(|error| (&holding.place, error)),
                );
            }
        }
    }
    for (tag, holds) in by_tag {
        for batch in holds.chunks(BATCH) {
            for (place, error) in release_batch(runner, tag, batch).await {
                failed.insert(place, error);
            }
        }
    }
    let result =
        |holding: &Holding| failed.get(&holding.place).cloned().map_or(Released::Gone, Released::Failed);
    holdings.iter().map(result).collect()
}

/// Releases one tag from many snapshots; what fails is tried in halves, down to the one that fails.
async fn release_batch<'a>(
    runner: &dyn Runner,
    tag: &OwnTag,
    batch: &[(&'a Place, &SnapshotName)],
) -> Vec<(&'a Place, Error)> {
    let mut failed = Vec::new();
    let mut parts = vec![batch];
    while let Some(part) = parts.pop() {
        let snapshots = part.iter().map(|(_, snapshot)| (*snapshot).clone()).collect();
        let command = Command::ReleaseAll { tag: tag.clone(), snapshots };
        match runner.run(&command).await {
            Ok(_) => {}
            // Nothing will come through: not worth a command for each.
            Err(error) if part.len() == 1 || error.kind.is_transport() => {
                let error = remaining(Err(error));
                failed.extend(
                    error
                        .into_iter()
                        .flat_map(|error| part.iter().map(move |(place, _)| (*place, error.clone()))),
                );
            }
            // `zfs release` goes on after one that fails, so most of these are released and say so now.
            Err(_) => {
                let (first, second) = part.split_at(part.len() / 2);
                parts.extend([first, second]);
            }
        }
    }
    failed
}

/// What is not there any more is as wanted.
fn remaining(result: Result<(), Error>) -> Option<Error> {
    result.err().filter(|error| error.kind != ErrorKind::NotFound)
}
