//! A plan of a few datasets is made from parts of inventories: it must be the plan that the whole inventories give.

use std::collections::{BTreeMap, BTreeSet};

use zfs_sync_core::{
    group::{GroupMode, MirrorDeletes, OnDivergence, SyncGroup},
    guid::Guid,
    ids::SystemId,
    inventory::{Dataset, Inventory, PartialReceive},
    name::DatasetName,
    plan::{Input, Plan, Report, SystemView, needed, origins_needed, plan},
};
use zfs_sync_store::Store;

use super::{database::Database, make::*};

/// Numbers that look random and are the same in every run (a linear congruential generator).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

const NAMES: [&str; 9] =
    ["tank", "tank/a", "tank/a-1", "tank/a/x", "tank/a/x/1", "tank/a.b", "tank/b", "tank/c", "tank2/d"];

/// What system 1 has, and what system 2 has of it: copies of all ages, and what strayed.
fn fleet_of(numbers: &mut Numbers) -> [Vec<Dataset>; 2] {
    let (mut sources, mut targets) = (Vec::new(), Vec::new());
    for (number, name) in (1_u64..).zip(NAMES) {
        let first = number * 100;
        let end = first + numbers.below(6);
        let mut source = dataset(name, first..end);
        source.properties.guid = Guid::new(number);
        source.properties.written = numbers.below(2);
        if numbers.percent(25) {
            source.bookmarks = vec![bookmark(first)];
            source.snapshots.retain(|snapshot| snapshot.guid != Guid::new(first));
        }
        if numbers.percent(15) && end > first {
            source.properties.origin = Some("tank/b@auto-700".into());
        }
        if numbers.percent(85) {
            sources.push(source);
        }
        let target_name = name.replacen("tank", "backup", 1);
        let mut target = dataset(&target_name, first..first + numbers.below(6));
        target.properties.guid = Guid::new(number + 50);
        target.properties.written = numbers.below(6) / 5;
        if numbers.percent(20) {
            target.snapshots.push(snapshot(first + 90));
        }
        if numbers.percent(15) {
            target.snapshots.clear();
            let to_guid = Guid::new(first);
            let to_name = format!("{name}@auto-{first}");
            target.properties.partial =
                Some(PartialReceive { to_guid, from_guid: None, to_name, bytes: 5, raw: false });
        }
        if numbers.percent(25) {
            let aside = format!("{target_name}.aside-20260101T000000Z");
            targets.push(dataset(&aside, first..first + numbers.below(6)));
        }
        if numbers.percent(25) {
            let mut clone = dataset(&format!("backup/clone-{number}"), []);
            clone.properties.origin = Some(format!("{target_name}@auto-{}", first + 90));
            targets.push(clone);
        }
        if numbers.percent(75) {
            targets.push(target);
        }
    }
    [sources, targets]
}

fn planned(
    group: &SyncGroup,
    inventories: &BTreeMap<SystemId, Inventory>,
    scope: &BTreeSet<DatasetName>,
) -> (Plan, Report) {
    let view = |inventory| SystemView { name: "nas", inventory: Some(inventory), fresh: true };
    let systems = inventories.iter().map(|(id, inventory)| (*id, view(inventory))).collect();
    let nothing = (&BTreeMap::new(), &BTreeSet::new(), &BTreeMap::new());
    let (memory, unreachable, holders) = nothing;
    let (running, decisions) = (&[], &[]);
    let scope = Some(scope);
    plan(&Input {
        group,
        systems: &systems,
        scope,
        running,
        decisions,
        memory,
        unreachable,
        holders,
        now: at(9),
    })
}

/// As whoever plans asks for them: with the datasets above, since one of them may be about to move, and again with the origins of
/// clones, until there are no more.
async fn parts(
    store: &Store,
    group: &SyncGroup,
    scope: &BTreeSet<DatasetName>,
) -> BTreeMap<SystemId, Inventory> {
    let above = |name: &DatasetName| std::iter::successors(Some(name.clone()), DatasetName::parent);
    let mut asked: BTreeSet<DatasetName> = scope.iter().flat_map(above).collect();
    loop {
        let mut parts = BTreeMap::new();
        for (system, needed) in needed(group, &asked) {
            parts.insert(system, store.inventory_part(system, &needed, &[]).await.unwrap().unwrap());
        }
        let references = parts.iter().map(|(system, part)| (*system, part)).collect();
        let origins = origins_needed(group, &references, &asked);
        if origins.is_subset(&asked) {
            return parts;
        }
        asked.extend(origins.iter().flat_map(above));
    }
}

pub(crate) async fn a_plan_of_parts_is_the_plan_of_the_whole(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    let mut steps = BTreeMap::new();
    for seed in 1..=18 {
        let mut numbers = Numbers(seed);
        let mut whole_ones = BTreeMap::new();
        for (system, datasets) in (1..).zip(fleet_of(&mut numbers)) {
            let report = complete(seed, datasets.iter().map(whole).collect());
            store.apply_report(system_id(system), &report, at(1)).await.unwrap();
            let inventory = store.inventory(system_id(system)).await.unwrap().unwrap();
            whole_ones.insert(system_id(system), inventory);
        }
        let policies = [OnDivergence::Stop, OnDivergence::KeepBoth, OnDivergence::UseSourceOfTruth];
        let modes = [(GroupMode::OneWay, 1), (GroupMode::ManyToOne, 2), (GroupMode::Mesh, 1)];
        let (mode, hub) = modes[usize::try_from(seed).unwrap() / 3 % 3];
        let group = SyncGroup {
            mode,
            hub: system_id(hub),
            include: vec!["tank/**".parse().unwrap(), "tank2/**".parse().unwrap()],
            exclude: vec![],
            mappings: vec!["tank=backup".parse().unwrap(), "tank2=backup2".parse().unwrap()],
            on_divergence: policies[usize::try_from(seed).unwrap() % 3],
            allow_destroy: true,
            mirror_deletes: Some(MirrorDeletes { max_percent: 50 }),
            ..group(1)
        };
        for name in NAMES {
            let scope = BTreeSet::from([name.parse().unwrap()]);
            let of_parts = planned(&group, &parts(store, &group, &scope).await, &scope);
            let of_whole = planned(&group, &whole_ones, &scope);
            assert_eq!(of_parts, of_whole, "seed {seed}, {name}");
            for replica in of_whole.1.replicas {
                *steps.entry((replica.state, replica.step.is_some())).or_insert(0) += 1;
            }
        }
    }
    assert!(steps.len() >= 4, "all kinds of replicas were looked at: {steps:?}");
}
