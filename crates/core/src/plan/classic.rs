//! The rules of the old service, for groups that ask for them: midnight snapshots, a window of 72 hours, the pool of what is there.
//!
//! What the old service did wrong is not repeated: bases are chosen by GUID, every dataset and every target is served, a target that has
//! history of its own is a conflict and not a command that must fail.

use std::borrow::Cow;

use crate::{
    group::Profile,
    inventory::{Bookmark, Dataset, Inventory, Snapshot},
    name::DatasetName,
};

/// Targets up to this far behind are called in sync.
pub(super) const WINDOW_SECONDS: i64 = 72 * 3600;

/// The end of names that the old service's snapshots of midnight have.
pub(super) const MIDNIGHT: &str = "-000000";

/// The newest snapshot that may be an end.
pub(super) fn end(source: &Dataset) -> Option<&Snapshot> {
    source.snapshots.iter().rev().find(|snapshot| is_midnight(snapshot))
}

/// The snapshots that a group with this profile sends: all, or those up to the newest midnight.
pub(super) fn sendable(profile: Profile, source: &Dataset) -> &[Snapshot] {
    match profile {
        Profile::Standard => &source.snapshots,
        Profile::Classic => {
            let last = source.snapshots.iter().rposition(is_midnight);
            &source.snapshots[..last.map_or(0, |last| last + 1)]
        }
    }
}

fn is_midnight(snapshot: &Snapshot) -> bool {
    snapshot.label.as_str().ends_with(MIDNIGHT)
}

/// The source without what is newer than its newest midnight snapshot. The target may have it all the same, so that stays known by its
/// bookmarks: here they are made of it.
pub(super) fn view(source: Cow<'_, Dataset>) -> Cow<'_, Dataset> {
    let last = end(&source).map(|snapshot| snapshot.createtxg);
    if source.newest().map(|newest| newest.createtxg) == last {
        return source;
    }
    let mut source = source.into_owned();
    let (kept, newer): (Vec<Snapshot>, Vec<Snapshot>) = source
        .snapshots
        .into_iter()
        .partition(|snapshot| last.is_some_and(|last| snapshot.createtxg <= last));
    source.snapshots = kept;
    source.bookmarks.extend(newer.iter().map(|snapshot| Bookmark {
        guid: snapshot.guid,
        createtxg: snapshot.createtxg,
        label: snapshot.label.clone(),
        creation: snapshot.creation,
    }));
    source.sort();
    Cow::Owned(source)
}

/// Where the old service looked: the dataset's path in whichever pool of the target has it, else in the source's pool.
pub(super) fn target_name(dataset: &DatasetName, target: Option<&Inventory>) -> DatasetName {
    let Some((_, path)) = dataset.as_str().split_once('/') else { return dataset.clone() };
    let Some(inventory) = target else { return dataset.clone() };
    if inventory.datasets.contains_key(dataset) {
        return dataset.clone();
    }
    let mut pools: Vec<&str> = inventory.datasets.keys().map(DatasetName::pool).collect();
    pools.dedup();
    let there = pools.into_iter().filter_map(|pool| format!("{pool}/{path}").parse::<DatasetName>().ok());
    there.into_iter().find(|name| inventory.datasets.contains_key(name)).unwrap_or_else(|| dataset.clone())
}
