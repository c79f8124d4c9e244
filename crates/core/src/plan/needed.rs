//! What a plan of a few datasets has to look at: everything else may be left out of inventories.

use std::collections::{BTreeMap, BTreeSet};

use super::report::{Remembered, ReplicaKey};
use crate::{
    group::{GroupMode, SyncGroup},
    guid::Guid,
    ids::SystemId,
    inventory::Inventory,
    name::DatasetName,
};

/// What must be known of one system. Beyond it, one dataset of every pool, and everything below and beside what is named in `around`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needed {
    /// Datasets with their histories.
    pub histories: BTreeSet<DatasetName>,
    /// Datasets whose properties are enough, unless a partial receive waits in them and their history is empty.
    pub properties: BTreeSet<DatasetName>,
    /// Targets: the first dataset below each, every dataset that was set aside from it (with history), every clone of it.
    pub around: BTreeSet<DatasetName>,
}

/// What the plan of the logical datasets in `scope` needs, by system. Origins of clones are found in what comes back: ask again with
/// their names among `scope` when there are any.
pub fn needed(group: &SyncGroup, scope: &BTreeSet<DatasetName>) -> BTreeMap<SystemId, Needed> {
    let mut all: BTreeMap<SystemId, Needed> =
        group.members.iter().map(|member| (*member, Needed::default())).collect();
    let companions = companions(group, scope);
    for home in group.homes() {
        for dataset in scope.union(&companions) {
            let members: Vec<SystemId> = match group.mode {
                GroupMode::ManyToOne => vec![home, group.hub],
                _ => group.members.clone(),
            };
            for member in members {
                let Some(needed) = all.get_mut(&member) else { continue };
                if let Ok(name) = group.name_on(home, dataset, member) {
                    needed.properties.extend(ancestors(&name));
                    needed.histories.insert(name);
                }
                if let Ok(target) = group.target_name(home, dataset, member) {
                    needed.properties.extend(ancestors(&target));
                    needed.around.insert(target.clone());
                    // Others that would be received under the same name, and under the names above it.
                    let above = ancestors(&target);
                    let rivals = above
                        .iter()
                        .chain([&target])
                        .flat_map(|name| group.logical_names(home, name, member));
                    let rivals: Vec<DatasetName> = rivals.collect();
                    needed.histories.insert(target);
                    // In a mesh, wherever such a one exists it spreads from.
                    let homes =
                        if group.mode == GroupMode::Mesh { group.members.as_slice() } else { &[home] };
                    for other in homes {
                        let names = rivals.iter().filter_map(|rival| group.name_on(home, rival, *other).ok());
                        all.entry(*other).or_default().properties.extend(names);
                    }
                }
            }
        }
    }
    all
}

/// The logical datasets that the scope's datasets are clones of: a clone can not be judged without its origin. To be asked again with
/// the answer among the scope, until nothing is added.
pub fn origins_needed(
    group: &SyncGroup,
    inventories: &BTreeMap<SystemId, &Inventory>,
    scope: &BTreeSet<DatasetName>,
) -> BTreeSet<DatasetName> {
    let mut origins = BTreeSet::new();
    let companions = companions(group, scope);
    for home in group.homes() {
        for (member, inventory) in inventories {
            for dataset in scope.union(&companions) {
                let name = group.name_on(home, dataset, *member).ok();
                let properties =
                    name.and_then(|name| inventory.datasets.get(&name)).map(|dataset| &dataset.properties);
                let origin = properties.and_then(|properties| properties.origin.as_deref());
                let Some((origin, _)) = origin.and_then(|origin| origin.split_once('@')) else { continue };
                let Ok(origin) = origin.parse::<DatasetName>() else { continue };
                if *member == home {
                    // Also one that the group does not copy: after a promotion a new replica may begin with what was set aside.
                    origins.insert(origin);
                } else {
                    origins.extend(group.logical_names(home, &origin, *member));
                }
            }
        }
    }
    origins
}

/// The logical names that the scope's datasets had before they were renamed, as far as replicas are remembered under these: a replica of
/// the old name is renamed, not received again. `memory` has to contain what is remembered with the dataset GUIDs of the scope's datasets.
pub fn renames_needed(
    group: &SyncGroup,
    inventories: &BTreeMap<SystemId, &Inventory>,
    memory: &BTreeMap<ReplicaKey, Remembered>,
    scope: &BTreeSet<DatasetName>,
) -> BTreeSet<DatasetName> {
    let mut guids: BTreeSet<Guid> = BTreeSet::new();
    for home in group.homes() {
        for (member, inventory) in inventories {
            let names = scope.iter().filter_map(|dataset| group.name_on(home, dataset, *member).ok());
            let datasets = names.filter_map(|name| inventory.datasets.get(&name));
            guids.extend(datasets.map(|dataset| dataset.properties.guid));
        }
    }
    let known = memory.iter().filter(|(_, remembered)| guids.contains(&remembered.source_guid));
    known.map(|(key, _)| key.dataset.clone()).collect()
}

/// The logical datasets that are received above a dataset of the scope: where one of them is about to be moved, what lies below waits.
pub(super) fn companions(group: &SyncGroup, scope: &BTreeSet<DatasetName>) -> BTreeSet<DatasetName> {
    let mut companions = BTreeSet::new();
    for home in group.homes() {
        for (dataset, member) in
            scope.iter().flat_map(|dataset| group.members.iter().map(move |member| (dataset, member)))
        {
            let Ok(target) = group.target_name(home, dataset, *member) else { continue };
            let above = ancestors(&target);
            companions.extend(above.iter().flat_map(|name| group.logical_names(home, name, *member)));
        }
    }
    companions
}

fn ancestors(name: &DatasetName) -> Vec<DatasetName> {
    std::iter::successors(name.parent(), DatasetName::parent).collect()
}
