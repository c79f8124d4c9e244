//! Finds holds and bookmarks that begin with our prefix.

use zfs_sync_core::{
    guid::{Guid, Txg},
    name::{BookmarkName, DatasetName, SnapshotName},
    plan::Protection,
    time::Timestamp,
};
use zfs_sync_zfs::{
    command::{Command, OwnBookmark, OwnTag, Scope},
    error::{Error, Kind as ErrorKind},
    features::Features,
    inventory::{ensure_pools_answer, read_history},
    parse,
    runner::Runner,
};

/// Snapshots asked about in one command: with names of 255 bytes still far below the shortest limit of a command line (128 KiB for one
/// argument, which is what a line over ssh is).
pub(crate) const BATCH: usize = 200;

/// What it is for, as its name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A hold on the source while a step runs, or while a partial receive waits.
    Step,
    /// The hold on the target's newest common snapshot.
    Base,
    /// The bookmark on the source of the newest common snapshot.
    Bookmark,
    /// It begins with our prefix, and this version makes nothing of that form.
    Other,
}

/// Where it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A hold.
    Hold {
        /// On what.
        snapshot: SnapshotName,
        /// Under which tag.
        tag: OwnTag,
    },
    /// A bookmark.
    Bookmark(OwnBookmark),
}

impl Place {
    /// The snapshot or bookmark.
    pub fn name(&self) -> String {
        match self {
            Self::Hold { snapshot, .. } => snapshot.to_string(),
            Self::Bookmark(bookmark) => bookmark.to_string(),
        }
    }

    /// The dataset.
    pub fn dataset(&self) -> &DatasetName {
        match self {
            Self::Hold { snapshot, .. } => snapshot.dataset(),
            Self::Bookmark(bookmark) => bookmark.name().dataset(),
        }
    }

    /// The hold's tag.
    pub const fn tag(&self) -> Option<&OwnTag> {
        match self {
            Self::Hold { tag, .. } => Some(tag),
            Self::Bookmark(_) => None,
        }
    }
}

/// Something of ours on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Where.
    pub place: Place,
    /// What for.
    pub kind: Kind,
    /// The snapshot's GUID; of a bookmark, that of the snapshot it was made from.
    pub guid: Guid,
    /// The snapshot's place in its dataset's order.
    pub createtxg: Txg,
    /// Since when; `None` for bookmarks and before OpenZFS 2.2, which says the time in its own time zone only.
    pub since: Option<Timestamp>,
    /// The receiver's digest in its name.
    pub receiver: Option<String>,
}

/// Everything of ours in `scope`, by dataset and age.
///
/// # Errors
/// When a listing fails, or a pool does not answer: what is on it would be missing from the answer.
pub async fn find(runner: &dyn Runner, features: &Features, scope: &Scope) -> Result<Vec<Holding>, Error> {
    let history = read_history(runner, scope, features).await?;
    // Afterwards, because the datasets of a pool that does not answer are left out of the listing without a word.
    ensure_pools_answer(runner).await?;
    let mut found = Vec::new();
    let mut held = Vec::new();
    for (dataset, (snapshots, bookmarks)) in &history {
        for snapshot in snapshots.iter().filter(|snapshot| snapshot.holds > 0) {
            if let Ok(name) = dataset.snapshot(&snapshot.label) {
                held.push((name, snapshot.guid, snapshot.createtxg));
            }
        }
        for bookmark in bookmarks {
            let Ok(name) = dataset.bookmark(&bookmark.label) else { continue };
            found.extend(of_bookmark(name, bookmark.guid, bookmark.createtxg));
        }
    }
    for batch in held.chunks(BATCH) {
        let names = batch.iter().map(|(name, ..)| name.clone()).collect();
        for hold in holds_of(runner, names, features.snapshots_changed).await? {
            let known = batch.iter().find(|(name, ..)| *name == hold.snapshot);
            found.extend(known.and_then(|(_, guid, txg)| of_hold(hold, *guid, *txg)));
        }
    }
    found.sort_by(|a, b| {
        let key = |holding: &Holding| (holding.place.dataset().clone(), holding.createtxg);
        key(a).cmp(&key(b)).then_with(|| a.place.cmp(&b.place))
    });
    Ok(found)
}

/// The holds of many snapshots. One that is gone meanwhile fails the whole command, so the rest is asked again in halves.
pub(crate) async fn holds_of(
    runner: &dyn Runner,
    snapshots: Vec<SnapshotName>,
    exact: bool,
) -> Result<Vec<parse::Hold>, Error> {
    let mut found = Vec::new();
    let mut parts = vec![snapshots];
    while let Some(snapshots) = parts.pop() {
        if snapshots.is_empty() {
            continue;
        }
        let command = Command::HoldsOf { snapshots: snapshots.clone(), exact };
        match runner.run(&command).await {
            Ok(output) => found.extend(
                parse::holds(&output.stdout)
                    .map_err(|what| Error::unparsable(runner.host(), &command, &what))?,
            ),
            Err(error) if error.kind == ErrorKind::NotFound => {
                let half = snapshots.len() / 2;
                if half > 0 {
                    parts.extend([snapshots[..half].to_vec(), snapshots[half..].to_vec()]);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn of_hold(hold: parse::Hold, guid: Guid, createtxg: Txg) -> Option<Holding> {
    let tag = OwnTag::new(hold.tag).ok()?;
    let rest = tag.as_str().strip_prefix(Protection::PREFIX)?;
    let (kind, receiver) = match rest.split(':').collect::<Vec<_>>().as_slice() {
        ["step", _, receiver] => (Kind::Step, Some((*receiver).to_owned())),
        ["base", _, receiver] => (Kind::Base, Some((*receiver).to_owned())),
        _ => (Kind::Other, None),
    };
    let since = hold.since.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    let place = Place::Hold { snapshot: hold.snapshot, tag };
    Some(Holding { place, kind, guid, createtxg, since, receiver })
}

fn of_bookmark(name: BookmarkName, guid: Guid, createtxg: Txg) -> Option<Holding> {
    let bookmark = OwnBookmark::new(name).ok()?;
    let rest = bookmark.name().label().as_str().strip_prefix(Protection::PREFIX)?;
    let (kind, receiver) = match rest.split(':').collect::<Vec<_>>().as_slice() {
        [of, receiver] if *of == format!("{:x}", guid.get()) => {
            (Kind::Bookmark, Some((*receiver).to_owned()))
        }
        _ => (Kind::Other, None),
    };
    Some(Holding { place: Place::Bookmark(bookmark), kind, guid, createtxg, since: None, receiver })
}
