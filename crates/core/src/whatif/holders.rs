//! Which datasets of the fleet hold a snapshot, by GUID.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::place::Known;
use crate::{
    guid::Guid,
    ids::SystemId,
    inventory::{Dataset, Snapshot},
    plan::SystemView,
};

/// A dataset that holds a snapshot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holder<'a> {
    pub(super) system: SystemId,
    pub(super) fresh: bool,
    pub(super) dataset: &'a Dataset,
    pub(super) snapshot: &'a Snapshot,
}

/// Everybody who is known to hold one of the wanted snapshots, in order of system and dataset.
pub(super) fn holders<'a>(
    systems: &BTreeMap<SystemId, SystemView<'a>>,
    wanted: &HashSet<Guid>,
) -> HashMap<Guid, Vec<Holder<'a>>> {
    let mut found: HashMap<Guid, Vec<Holder<'a>>> = HashMap::new();
    for id in systems.keys() {
        let known = Known::new(systems, *id);
        let (inventory, fresh) = (known.with_guids(), known.fresh);
        for dataset in inventory.into_iter().flat_map(|inventory| inventory.datasets.values()) {
            for snapshot in dataset.snapshots.iter().filter(|snapshot| wanted.contains(&snapshot.guid)) {
                let holder = Holder { system: *id, fresh, dataset, snapshot };
                found.entry(snapshot.guid).or_default().push(holder);
            }
        }
    }
    found
}
