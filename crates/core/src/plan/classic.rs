//! The rules of the old service, for groups that ask for them: midnight snapshots, a window of 72 hours, the pool of what is there.
//!
//! What the old service did wrong is not repeated: bases are chosen by GUID, every dataset and every target is served, a target that has
//! history of its own is a conflict and not a command that must fail.

use std::borrow::Cow;

use super::set_aside;
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

/// Where the old service looked: the dataset's path in whichever pool of the target has it, else in the source's pool. Where several have it,
/// it is the one with something of the source in it; what has nothing of it may be anybody's.
pub(super) fn target_name(
    dataset: &DatasetName,
    source: Option<&Dataset>,
    target: Option<&Inventory>,
) -> DatasetName {
    let Some(((_, path), inventory)) = dataset.as_str().split_once('/').zip(target) else {
        return dataset.clone();
    };
    let mut pools: Vec<&str> = inventory.datasets.keys().map(DatasetName::pool).collect();
    pools.dedup();
    let own = pools.iter().position(|pool| *pool == dataset.pool());
    if let Some(own) = own {
        pools[..=own].rotate_right(1);
    }
    let places = pools.into_iter().filter_map(|pool| format!("{pool}/{path}").parse::<DatasetName>().ok());
    let places: Vec<DatasetName> = places.collect();
    let related = |found: &Dataset| {
        let in_source = |guid| source.is_some_and(|source| source.place_of(guid).is_some());
        found.snapshots.iter().any(|snapshot| in_source(snapshot.guid))
    };
    let replica = places.iter().find(|name| inventory.datasets.get(*name).is_some_and(related));
    // What was set aside comes again where it was.
    let was_there = |name: &&DatasetName| set_aside::asides_of(inventory, name).any(related);
    let there = |name: &&DatasetName| inventory.datasets.contains_key(*name);
    let place = replica.or_else(|| places.iter().find(was_there)).or_else(|| places.iter().find(there));
    place.cloned().unwrap_or_else(|| dataset.clone())
}
