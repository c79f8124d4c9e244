//! What holds for every fleet, said again without the code that is tested.

use std::fmt::Write as _;

use proptest::{collection::vec, option, prelude::*, sample};
use zfs_sync_core::{
    group::{GroupMode, SyncGroup},
    guid::{Guid, Txg},
    ids::SystemId,
    inventory::{Bookmark, Dataset, Inventory},
    name::SnapshotName,
    whatif::Answer,
};

use crate::fleet::{Fleet, System, dataset, noon, snapshot, system_id};

const NAMES: [&str; 3] = ["backup/a", "tank/a", "tank/b"];
const MODES: [&str; 5] = ["one_way", "many_to_one", "chain", "mesh", "local"];

/// Snapshots of a few GUIDs, mostly in one order, as replicas have them; else in any, so that histories meet, part and cross. Labels
/// say nothing.
fn any_dataset(name: &'static str) -> impl Strategy<Value = Dataset> {
    let some = |count| sample::subsequence((1..8_u64).collect::<Vec<_>>(), count);
    let guids = prop_oneof![3 => some(2..=6), 1 => some(0..=6).prop_shuffle()];
    let ages = vec(-5..500_i64, 8);
    let sizes = vec((0..50_u64, 0..500_u64, prop::bool::weighted(0.05)), 8);
    let marks = vec(1..8_u64, 0..5);
    (guids, ages, sizes, marks, prop::bool::weighted(0.2)).prop_map(
        move |(guids, ages, sizes, marks, written)| {
            let mut made = dataset(name);
            for (index, guid) in guids.into_iter().enumerate() {
                let order = 10 + index as u64;
                let mut taken = snapshot(&format!("s{index}"), guid, order, ages[index]);
                (taken.used, taken.referenced) = (sizes[index].0, sizes[index].1);
                taken.holds = u32::from(sizes[index].2);
                made.snapshots.push(taken);
            }
            for (index, guid) in marks.into_iter().enumerate() {
                let guid = Guid::new(guid);
                let createtxg = made.snapshot(guid).map_or(Txg::new(5), |taken| taken.createtxg);
                let label = format!("m{index}").parse().unwrap();
                made.bookmarks.push(Bookmark { guid, createtxg, label, creation: 0 });
            }
            made.properties.written = if written { 100 } else { 0 };
            made.sort();
            made
        },
    )
}

fn any_system() -> impl Strategy<Value = (Option<Inventory>, bool)> {
    let datasets = NAMES.map(|name| option::weighted(0.7, any_dataset(name)));
    let inventory = datasets.prop_map(|datasets| {
        let mut inventory = Inventory::empty(noon());
        inventory.datasets.extend(datasets.into_iter().flatten().map(|made| (made.name.clone(), made)));
        inventory
    });
    (option::weighted(0.95, inventory), prop::bool::weighted(0.9))
}

fn any_fleet() -> impl Strategy<Value = Fleet> {
    let group = (sample::select(&MODES[..]), sample::select(vec!["tank/**", "**", "tank/a"]), any::<bool>());
    ([any_system(), any_system(), any_system()], vec(group, 0..3)).prop_map(|(systems, groups)| {
        let mut script = "system x\nsystem y\nsystem z".to_owned();
        for (index, (mode, include, mapped)) in groups.into_iter().enumerate() {
            let members = if mode == "local" { "x" } else { "x,y,z" };
            let include = if include == "**" { "tank/b" } else { include };
            let mapping = if mapped || mode == "local" { "tank=backup" } else { "tank=tank" };
            write!(script, "\ngroup g{index} {mode} {members} {include} {mapping}").unwrap();
        }
        let mut fleet = Fleet::parse(&script);
        for (number, (mut inventory, fresh)) in (1..).zip(systems) {
            for (dataset, index) in inventory.iter_mut().flat_map(|it| it.datasets.values_mut()).zip(0..) {
                dataset.properties.guid = Guid::new(1000 * number as u64 + index);
            }
            let name = fleet.systems[&system_id(number)].name.clone();
            fleet.systems.insert(system_id(number), System { name, inventory, fresh });
        }
        fleet
    })
}

impl Fleet {
    fn all(&self) -> impl Iterator<Item = (SystemId, bool, &Dataset)> {
        self.systems.iter().flat_map(|(id, system)| {
            let inventory = system.inventory.iter();
            inventory.flat_map(|it| it.datasets.values()).map(|dataset| (*id, system.fresh, dataset))
        })
    }

    fn snapshots(&self) -> Vec<(SystemId, SnapshotName)> {
        let all = self.all();
        all.flat_map(|(id, _, dataset)| {
            dataset.snapshots.iter().map(move |taken| (id, dataset.name.snapshot(&taken.label).unwrap()))
        })
        .collect()
    }

    fn dataset(&self, system: SystemId, name: &str) -> Option<&Dataset> {
        self.systems[&system].inventory.as_ref()?.datasets.get(&name.parse().unwrap())
    }

    /// Source and target of everything that is copied, group by group, spelt out.
    fn copies(&self) -> Vec<[(SystemId, String); 2]> {
        let mut copies = Vec::new();
        for group in &self.groups {
            for logical in ["tank/a", "tank/b"] {
                if group.selects(&logical.parse().unwrap()) {
                    copies.extend(copies_of(group, logical));
                }
            }
        }
        copies
    }
}

fn copies_of(group: &SyncGroup, logical: &str) -> Vec<[(SystemId, String); 2]> {
    let [x, y, z] = [1, 2, 3].map(system_id);
    let mapped = group.mappings.iter().any(|mapping| mapping.to.as_str() == "backup");
    let away = if mapped { logical.replace("tank", "backup") } else { logical.to_owned() };
    let here = |system| (system, logical.to_owned());
    let there = |system| (system, away.clone());
    match group.mode {
        GroupMode::OneWay => vec![[here(x), there(y)], [here(x), there(z)]],
        GroupMode::ManyToOne => vec![[here(y), there(x)], [here(z), there(x)]],
        GroupMode::Chain => vec![[here(x), there(y)], [there(y), there(z)]],
        GroupMode::Local => vec![[here(x), there(x)]],
        GroupMode::Mesh => {
            let places = [here(x), there(y), there(z)];
            let pairs = [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)];
            pairs.map(|(from, to)| [places[from].clone(), places[to].clone()]).to_vec()
        }
    }
}

/// The newest snapshot of the target that the source has, and whether a bookmark on the source stands for it.
fn newest_common(source: &Dataset, target: &Dataset) -> Option<(Guid, bool)> {
    target.snapshots.iter().rev().find_map(|taken| {
        let marked = source.bookmarks.iter().any(|mark| mark.guid == taken.guid);
        (marked || source.snapshot(taken.guid).is_some()).then_some((taken.guid, marked))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn safe_is_never_said_of_what_is_needed(fleet in any_fleet()) {
        let copies = fleet.copies();
        for asked in fleet.snapshots() {
            let verdict = fleet.destroy(std::slice::from_ref(&asked)).remove(0);
            prop_assert!(!verdict.findings.is_empty());
            if !verdict.answer.is_safe() {
                continue;
            }
            let (system, name) = &asked;
            let guid = verdict.guid.unwrap();
            let own = fleet.dataset(*system, name.dataset().as_str()).unwrap();
            prop_assert_eq!(own.snapshot(guid).unwrap().holds, 0);
            let copy = fleet.all().any(|(id, fresh, dataset)| {
                fresh && (id, &dataset.name) != (*system, name.dataset()) && dataset.snapshot(guid).is_some()
            });
            prop_assert!(copy, "{name} is the only one");
            let here = (*system, name.dataset().to_string());
            for [source, target] in copies.iter().filter(|pair| pair.contains(&here)) {
                for (id, _) in [source, target] {
                    let other = &fleet.systems[id];
                    prop_assert!(other.fresh && other.inventory.is_some(), "{} may need {name}", other.name);
                }
                let source_dataset = fleet.dataset(source.0, &source.1);
                let target_dataset = fleet.dataset(target.0, &target.1);
                let both = source_dataset.zip(target_dataset);
                let common = both.and_then(|(source, target)| newest_common(source, target));
                let Some((common, marked)) = common else {
                    prop_assert!(*source != here, "{name} is waited for by {target:?}");
                    continue;
                };
                if common == guid {
                    prop_assert!(*source == here && marked, "{name} is the base");
                    prop_assert_eq!(verdict.answer, Answer::SafeWithBookmark);
                } else if *source == here && target_dataset.unwrap().snapshot(guid).is_none() {
                    let place = |guid| own.snapshots.iter().position(|taken| taken.guid == guid);
                    prop_assert!(
                        place(common).is_some_and(|common| place(guid).unwrap() < common),
                        "{name} is newer than what {target:?} has"
                    );
                }
            }
        }
    }

    #[test]
    fn all_at_once_is_never_safer_than_one_by_one(fleet in any_fleet(), take in vec(any::<bool>(), 60)) {
        let asked: Vec<_> = fleet.snapshots().into_iter().zip(take).filter(|(_, take)| *take).map(|(it, _)| it).collect();
        for (one, together) in asked.iter().zip(fleet.destroy(&asked)) {
            let alone = fleet.destroy(std::slice::from_ref(one)).remove(0);
            prop_assert!(together.answer >= alone.answer, "{} {:?} {:?}", one.1, alone, together);
            if together.answer.is_safe() {
                // Somebody keeps it.
                let guid = together.guid.unwrap();
                let kept = fleet.all().any(|(id, fresh, dataset)| {
                    fresh && dataset.snapshot(guid).is_some_and(|taken| {
                        !asked.contains(&(id, dataset.name.snapshot(&taken.label).unwrap()))
                    })
                });
                prop_assert!(kept, "nobody keeps {}", one.1);
            }
        }
    }

    #[test]
    fn the_best_survivor_is_the_newest_and_what_is_lost_is_nowhere_else(fleet in any_fleet()) {
        for name in ["x", "y", "z"] {
            let lost = fleet.named(name);
            let answer = fleet.lose(name);
            let reported = fleet.systems[&lost].inventory.as_ref().map_or(0, |inventory| inventory.datasets.len());
            prop_assert_eq!(answer.losses.len(), reported);
            for loss in answer.losses {
                let own = fleet.dataset(lost, loss.dataset.as_str()).unwrap();
                let elsewhere = |guid| fleet.all().any(|(id, _, dataset)| id != lost && dataset.snapshot(guid).is_some());
                let alone: Vec<_> = own.snapshots.iter().filter(|taken| !elsewhere(taken.guid)).collect();
                prop_assert_eq!(loss.snapshots_lost as usize, alone.len());
                let used: u64 = alone.iter().map(|taken| taken.used).sum();
                prop_assert!(loss.bytes_lost >= used + own.properties.written);
                let newest = own.snapshots.iter().rev().find(|taken| elsewhere(taken.guid));
                let best = loss.survivors.first();
                prop_assert_eq!(best.map(|best| best.newest.guid), newest.map(|newest| newest.guid));
                if let Some(best) = best {
                    prop_assert!(best.place.system != lost);
                    let there = fleet.dataset(best.place.system, best.place.dataset.as_str()).unwrap();
                    prop_assert!(there.snapshot(best.newest.guid).is_some());
                    prop_assert!(best.fresh || !loss.doubts.is_empty(), "an old report is a doubt");
                    prop_assert!(loss.minutes_lost.is_some());
                } else {
                    prop_assert_eq!(loss.minutes_lost, None);
                }
                prop_assert!(!loss.is_nothing() || alone.is_empty());
            }
        }
    }
}

#[test]
fn generated_fleets_have_safe_and_unsafe_snapshots() {
    use proptest::{strategy::ValueTree as _, test_runner::TestRunner};

    let mut runner = TestRunner::deterministic();
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..500 {
        let fleet = any_fleet().new_tree(&mut runner).unwrap().current();
        for asked in fleet.snapshots() {
            *seen.entry(fleet.destroy(&[asked]).remove(0).answer).or_insert(0) += 1;
        }
    }
    // Otherwise the properties above would say nothing.
    for answer in Answer::ALL {
        assert!(seen.get(&answer).is_some_and(|count| *count > 20), "{answer:?}: {seen:?}");
    }
}
