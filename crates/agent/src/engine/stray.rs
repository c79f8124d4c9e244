//! Step holds that are no longer on the dataset that they were placed on.
//!
//! `zfs promote` gives the snapshots of a dataset, with everything that holds them, to what was its clone; and after a rename another
//! dataset with the same snapshots may have the name, even between two commands that read it. Looking at the dataset does not find such a
//! hold, and one of ours that stays stands in the way of people for ever. What was written down before it was placed has the
//! snapshot's GUID, which none of this changes.

use std::collections::BTreeSet;

use zfs_sync_core::{guid::Guid, inventory::Snapshot, name::DatasetName};
use zfs_sync_zfs::{
    command::{Command, OwnTag, Scope},
    error::Error,
    inventory::{ensure_pools_answer, read_history},
};

use super::{HoldNote, Run, Side, failure::Failure, holds::tags};

/// What is known of holds that went astray.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strays {
    /// There are none, or none any more.
    None,
    /// Not everything could be read or released.
    Unknown,
}

/// Releases this replica's step holds that were written down, on whatever dataset of the host they are, but for those on snapshots
/// in `released`, which were just found and released.
///
/// Where all were, nothing is read. Only the tag of this replica's steps is ever released, so that neither a received copy of the same
/// snapshot nor somebody else's hold is touched. Not while step holds are wanted.
pub(super) async fn release_strays(run: &Run<'_>, released: &BTreeSet<Guid>) -> Strays {
    let tag = OwnTag::step(&run.protection);
    let is_stray = |note: &HoldNote| note.side == Side::Source && !released.contains(&note.guid);
    let strays: BTreeSet<Guid> =
        run.noted(tag.as_str()).into_iter().filter(is_stray).map(|note| note.guid).collect();
    if strays.is_empty() {
        return Strays::None;
    }
    match find_and_release(run, &tag, &strays).await {
        Ok(strays) => strays,
        Err(error) => {
            run.warn_failure(Failure::command(&format!("look for our holds {tag}"), &error));
            Strays::Unknown
        }
    }
}

async fn find_and_release(run: &Run<'_>, tag: &OwnTag, strays: &BTreeSet<Guid>) -> Result<Strays, Error> {
    let runner = run.sides.source;
    let history = read_history(runner, &Scope::Everything, run.sides.source_features).await?;
    // Afterwards, because a pool that does not answer is left out of the listing without a word.
    ensure_pools_answer(runner).await?;
    let mut found = Strays::None;
    for (dataset, (snapshots, _)) in &history {
        for snapshot in snapshots.iter().filter(|snapshot| strays.contains(&snapshot.guid)) {
            if snapshot.holds > 0 && release(run, tag, dataset, snapshot).await? == Strays::Unknown {
                found = Strays::Unknown;
            }
        }
    }
    Ok(found)
}

async fn release(
    run: &Run<'_>,
    tag: &OwnTag,
    dataset: &DatasetName,
    snapshot: &Snapshot,
) -> Result<Strays, Error> {
    let Ok(snapshot) = dataset.snapshot(&snapshot.label) else { return Ok(Strays::None) };
    let tags = tags(run, Side::Source, &snapshot).await?;
    // It was held a moment ago: it may have moved on once more.
    if tags.is_empty() {
        return Ok(Strays::Unknown);
    }
    if tags.iter().any(|held| held == tag.as_str()) {
        run.run(Side::Source, Command::Release { tag: tag.clone(), snapshot }).await?;
    }
    Ok(Strays::None)
}
