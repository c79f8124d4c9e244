//! Incremental planning: one dataset alone, with nothing known but what `needed` names, gives what a plan of everything gives for it.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use zfs_sync_core::{
    group::Profile,
    guid::Guid,
    ids::SystemId,
    inventory::{Dataset, Inventory},
    name::DatasetName,
    plan::{Needed, Remembered, ReplicaKey, ReplicaReport, Step, needed, origins_needed, renames_needed},
};

use crate::{
    fleet::Fleet,
    worlds::{a_world, any_fleet},
};

/// What a witness may leave out of a dataset of which only the properties are needed.
fn without_history(dataset: &Dataset) -> Dataset {
    let mut bare = dataset.clone();
    // An interrupted receive is told together with whether there is history.
    if bare.properties.partial.is_none() {
        bare.snapshots.clear();
    }
    bare.bookmarks.clear();
    bare
}

/// What the store answers: see [`Needed`].
fn part(inventory: &Inventory, needed: &Needed, guids: &BTreeSet<Guid>) -> Inventory {
    let Needed { histories, properties, around } = needed;
    let mut found: BTreeMap<DatasetName, Dataset> = BTreeMap::new();
    let mut pools = BTreeSet::new();
    for (name, dataset) in &inventory.datasets {
        let aside = around.iter().any(|target| name.as_str().starts_with(&format!("{target}.aside-")));
        let clone = dataset
            .properties
            .origin
            .as_ref()
            .is_some_and(|origin| around.iter().any(|target| origin.starts_with(&format!("{target}@"))));
        let first_below = around.iter().any(|target| {
            let mut all = inventory.datasets.keys();
            all.find(|below| *below != target && below.is_within(target)) == Some(name)
        });
        if histories.contains(name) || aside {
            found.insert(name.clone(), dataset.clone());
        } else if properties.contains(name)
            || around.contains(name)
            || clone
            || first_below
            || guids.contains(&dataset.properties.guid)
            || pools.insert(name.pool().to_owned())
        {
            found.insert(name.clone(), without_history(dataset));
        }
        pools.insert(name.pool().to_owned());
    }
    Inventory { datasets: found, ..inventory.clone() }
}

/// What is remembered of these datasets, and of others with the dataset GUIDs that these have now.
fn memory_of(
    fleet: &Fleet,
    scope: &BTreeSet<DatasetName>,
    inventories: &BTreeMap<SystemId, &Inventory>,
) -> BTreeMap<ReplicaKey, Remembered> {
    let guids: BTreeSet<Guid> = inventories
        .iter()
        .flat_map(|(member, inventory)| {
            let homes = fleet.group.homes().into_iter();
            let names = homes.flat_map(|home| {
                scope.iter().filter_map(move |dataset| fleet.group.name_on(home, dataset, *member).ok())
            });
            names.filter_map(|name| inventory.datasets.get(&name)).collect::<Vec<_>>()
        })
        .map(|dataset| dataset.properties.guid)
        .collect();
    let wanted = |(key, remembered): &(&ReplicaKey, &Remembered)| {
        scope.contains(&key.dataset) || guids.contains(&remembered.source_guid)
    };
    fleet.memory.iter().filter(wanted).map(|(key, remembered)| (key.clone(), remembered.clone())).collect()
}

/// The fleet as a witness would load it to plan this dataset alone; `None` where it plans the whole group, since a replica may be renamed and
/// everything below would go along.
fn restricted(fleet: &Fleet, dataset: &DatasetName) -> Option<Fleet> {
    let scope = BTreeSet::from([dataset.clone()]);
    let of_scope = fleet.memory.iter().filter(|(key, _)| scope.contains(&key.dataset));
    let guids: BTreeSet<Guid> = of_scope.map(|(_, remembered)| remembered.source_guid).collect();
    let mut wanted = scope.clone();
    loop {
        let mut restricted = fleet.clone();
        restricted.scope = Some(scope.clone());
        for (system, needed) in needed(&fleet.group, &wanted) {
            let inventory = fleet.systems.get(&system).and_then(|system| system.inventory.as_ref());
            let inventory = inventory.map(|inventory| part(inventory, &needed, &guids));
            if let Some(system) = restricted.systems.get_mut(&system) {
                system.inventory = inventory;
            }
        }
        let inventories: BTreeMap<SystemId, &Inventory> = restricted
            .systems
            .iter()
            .filter_map(|(id, system)| Some((*id, system.inventory.as_ref()?)))
            .collect();
        let memory = memory_of(fleet, &scope, &inventories);
        let before = wanted.len();
        wanted.extend(origins_needed(&fleet.group, &inventories, &wanted));
        let renamed = renames_needed(&fleet.group, &inventories, &memory, &scope);
        if fleet.group.follow_renames && !renamed.is_subset(&wanted) {
            return None;
        }
        wanted.extend(renamed);
        if wanted.len() == before {
            restricted.memory = memory;
            return Some(restricted);
        }
    }
}

fn assert_each_alone_is_as_all(fleet: &Fleet) {
    // The classic profile looks for a dataset's path in every pool of the target: such groups are planned whole.
    if fleet.group.profile == Profile::Classic {
        return;
    }
    let (plan, report) = fleet.plan();
    let remembered = fleet.memory.keys().map(|key| &key.dataset);
    let datasets: BTreeSet<DatasetName> =
        report.replicas.iter().map(|replica| &replica.dataset).chain(remembered).cloned().collect();
    for dataset in datasets {
        let Some(alone) = restricted(fleet, &dataset) else { continue };
        let (alone, alone_report) = alone.plan();
        let expected: Vec<&ReplicaReport> =
            report.replicas.iter().filter(|replica| replica.dataset == dataset).collect();
        let found: Vec<&ReplicaReport> = alone_report.replicas.iter().collect();
        assert_eq!(found, expected, "{dataset}");
        let steps: Vec<&Step> = alone.steps.iter().collect();
        let planned: Vec<&Step> = plan
            .steps
            .iter()
            .filter(|step| expected.iter().any(|replica| replica.step.as_ref() == Some(step)))
            .collect();
        assert_eq!(steps, planned, "{dataset}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn each_dataset_alone_is_planned_as_among_all(fleet in any_fleet()) {
        assert_each_alone_is_as_all(&fleet);
    }

    #[test]
    fn so_it_is_in_worlds_that_grew(world in a_world()) {
        assert_each_alone_is_as_all(&world.fleet);
    }
}
