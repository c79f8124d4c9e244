//! What holds for every fleet.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{
    collection::vec, option, prelude::*, sample, strategy::ValueTree as _, test_runner::TestRunner,
};
use zfs_sync_core::{
    group::OnDivergence,
    guid::{Guid, Txg},
    ids::{SystemId, TransferId},
    inventory::{Dataset, DatasetKind, Inventory, PartialReceive},
    name::DatasetName,
    plan::{
        Action, Base, KeepBoth, Plan, Reason, ReplicaReport, ReplicaState, Report, Running, Send, Step,
        check, compare, plan,
    },
};

use crate::{
    fleet::{Fleet, System, bookmark, dataset, noon, partial, snapshot, system_id},
    model::{Event, SOURCES, World},
    oracle::{Kind, expected, kind_of},
};

const LABELS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const TARGETS: [&str; 9] = [
    "backup",
    "backup/t",
    "backup/t/a",
    "backup/t/a.aside-20260301T120000Z",
    "backup/t/a/b",
    "backup/t/a/b/deep",
    "backup/t/c",
    "tank",
    "tank/a",
];
const MAPPINGS: [&[&str]; 5] = [
    &["tank=backup/t"],
    &["tank=backup"],
    &[],
    &["tank/a=backup/t/c", "tank=backup/t"],
    &["tank=backup/t/a/b"],
];
const INCLUDES: [&[&str]; 5] =
    [&["tank/**"], &["tank/a/b/**"], &["tank/*"], &["tank/a", "tank/a/b/deep"], &["none"]];

fn any_partial() -> impl Strategy<Value = Option<PartialReceive>> {
    let one = (1..9_u64, option::of(1..9_u64), any::<bool>())
        .prop_map(|(to, from, raw)| PartialReceive { raw, ..partial(to, from) });
    option::weighted(0.3, one)
}

/// Anything that fits the types, also what ZFS would never show: GUIDs twice, several snapshots in one transaction group.
fn any_dataset(name: &'static str) -> impl Strategy<Value = Dataset> {
    let history = vec((1..6_u64, 1..9_u64, sample::select(&LABELS[..])), 0..5);
    let marks = vec((1..6_u64, 1..9_u64, sample::select(&LABELS[..])), 0..3);
    let flags =
        (any::<bool>(), prop::bool::weighted(0.05), prop::bool::weighted(0.2), prop::bool::weighted(0.2));
    (history, marks, any_partial(), flags).prop_map(move |(history, marks, partial, flags)| {
        let mut made = dataset(name);
        made.snapshots = history.into_iter().map(|(guid, txg, label)| snapshot(label, guid, txg)).collect();
        made.bookmarks = marks.into_iter().map(|(guid, txg, label)| bookmark(label, guid, txg)).collect();
        let (readonly, volume, encrypted, written) = flags;
        made.properties.partial = partial;
        made.properties.readonly = readonly;
        made.properties.encrypted = encrypted;
        made.properties.written = u64::from(written);
        made.properties.kind = if volume { DatasetKind::Volume } else { DatasetKind::Filesystem };
        made.sort();
        made
    })
}

fn any_inventory(names: &'static [&'static str]) -> impl Strategy<Value = Inventory> {
    let each: Vec<_> = names.iter().map(|name| option::weighted(0.6, any_dataset(name))).collect();
    each.prop_map(|datasets| {
        let datasets =
            datasets.into_iter().flatten().map(|dataset| (dataset.name.clone(), dataset)).collect();
        Inventory { as_of: noon(), datasets }
    })
}

fn any_fleet() -> impl Strategy<Value = Fleet> {
    let system = |name: &'static str, datasets| {
        let parts = (option::weighted(0.9, any_inventory(datasets)), prop::bool::weighted(0.9));
        parts.prop_map(move |(inventory, fresh)| System { name: name.into(), inventory, fresh })
    };
    let places = || (sample::select(&TARGETS[..]), 1..4_usize);
    (
        (system("nas1", &SOURCES), system("nas2", &TARGETS), system("nas3", &TARGETS)),
        sample::select(&MAPPINGS[..]),
        sample::select(&INCLUDES[..]),
        (prop::bool::weighted(0.9), any::<bool>(), any::<bool>()),
        (vec(places(), 0..3), vec(places(), 0..4)),
    )
        .prop_map(
            |((nas1, nas2, nas3), mappings, include, (enabled, auto, keep), (running, keep_both))| {
                let mut fleet = Fleet::parse("system x\nsystem y\nsystem z\ngroup g source=x include=any");
                fleet.systems =
                    [nas1, nas2, nas3].into_iter().zip(1..).map(|(s, n)| (system_id(n), s)).collect();
                fleet.group.include = include.iter().map(|pattern| pattern.parse().unwrap()).collect();
                fleet.group.mappings = mappings.iter().map(|mapping| mapping.parse().unwrap()).collect();
                fleet.group.enabled = enabled;
                fleet.group.auto = auto;
                fleet.group.on_divergence = if keep { OnDivergence::KeepBoth } else { OnDivergence::Stop };
                let transfer = TransferId::from_uuid(uuid::Uuid::from_u128(5));
                let run = |(target, system): (&str, usize)| Running {
                    transfer,
                    target_system: system_id(system),
                    target: target.parse().unwrap(),
                };
                fleet.running = running.into_iter().map(run).collect();
                let keep = |(target, system): (&str, usize)| KeepBoth {
                    system: system_id(system),
                    target: target.parse().unwrap(),
                };
                fleet.keep_both = keep_both.into_iter().map(keep).collect();
                fleet
            },
        )
}

/// Two histories as ZFS could show them: no GUID or name twice, a bookmark where its snapshot was.
fn histories() -> impl Strategy<Value = (Dataset, Option<Dataset>)> {
    let order = || Just((1..8_u64).collect::<Vec<_>>()).prop_shuffle();
    let labels = || Just(["a", "b", "c", "d", "e", "f", "g"].to_vec()).prop_shuffle();
    let chosen = || vec(prop::bool::weighted(0.4), 7);
    let flags = || (prop::bool::weighted(0.05), prop::bool::weighted(0.15), prop::bool::weighted(0.2));
    let source = (order(), labels(), chosen(), vec(prop::bool::weighted(0.2), 7), flags());
    let target = (order(), labels(), chosen(), (any_partial(), any::<bool>()), flags());
    let build = |name,
                 order: &[u64],
                 labels: &[&str],
                 chosen: &[bool],
                 marked: &[bool],
                 flags: (bool, bool, bool)| {
        let mut made = dataset(name);
        for (position, guid) in order.iter().enumerate() {
            let txg = 10 * (position as u64 + 1);
            let label = labels[usize::try_from(*guid).unwrap() - 1];
            if chosen[position] {
                made.snapshots.push(snapshot(label, *guid, txg));
            }
            if marked[position] {
                made.bookmarks.push(bookmark(label, *guid, txg));
            }
        }
        let (volume, written, encrypted) = flags;
        made.properties.kind = if volume { DatasetKind::Volume } else { DatasetKind::Filesystem };
        made.properties.written = u64::from(written) * 4096;
        made.properties.encrypted = encrypted;
        made
    };
    (source, option::weighted(0.95, target)).prop_map(
        move |((order, labels, chosen, marked, flags), target)| {
            let source = build("tank/x", &order, &labels, &chosen, &marked, flags);
            let target = target.map(|(order, labels, chosen, (partial, fits), flags)| {
                let mut made = build("backup/x", &order, &labels, &chosen, &[false; 7], flags);
                made.properties.partial = partial;
                if fits && let Some(partial) = &mut made.properties.partial {
                    partial.from_guid = made.snapshots.last().map(|head| head.guid);
                }
                made
            });
            (source, target)
        },
    )
}

fn any_event() -> impl Strategy<Value = Event> {
    let dataset = || 0..SOURCES.len();
    let system = || (1..4_usize).prop_map(system_id);
    let target = || (2..4_usize).prop_map(system_id);
    prop_oneof![
        3 => dataset().prop_map(Event::Create),
        2 => (target(), dataset()).prop_map(|(s, d)| Event::DestroyDataset(s, d)),
        1 => dataset().prop_map(Event::RecreateAsVolume),
        6 => dataset().prop_map(|d| Event::Snapshot(system_id(1), d)),
        2 => (target(), dataset()).prop_map(|(s, d)| Event::Snapshot(s, d)),
        1 => (dataset(), 0..2_usize).prop_map(|(d, l)| Event::SnapshotNamed(d, l)),
        2 => (system(), dataset(), 0..9_usize).prop_map(|(s, d, i)| Event::DestroySnapshot(s, d, i)),
        1 => (system(), dataset(), 0..9_usize).prop_map(|(s, d, i)| Event::RenameSnapshot(s, d, i)),
        2 => (dataset(), 0..9_usize).prop_map(|(d, i)| Event::Bookmark(d, i)),
        3 => dataset().prop_map(Event::BookmarkAndDestroy),
        2 => dataset().prop_map(Event::Write),
        1 => (system(), dataset(), 0..9_usize).prop_map(|(s, d, i)| Event::Rollback(s, d, i)),
        8 => (target(), dataset(), 0..9_usize).prop_map(|(s, d, i)| Event::CutReceive(s, d, i)),
        6 => Just(Event::Steps),
    ]
}

fn a_world() -> impl Strategy<Value = World> {
    let mappings = sample::select(&[MAPPINGS[0], MAPPINGS[1], MAPPINGS[2], MAPPINGS[4]][..]);
    (mappings, sample::select(&INCLUDES[..4]), vec(any_event(), 0..60)).prop_map(
        |(mappings, include, events)| {
            let mut fleet = Fleet::parse(
                "system nas1
               tank
               tank/a a1:11:1 a2:12:2
               tank/a/b b1:21:1 b2:22:2
               tank/a/b/deep
               tank/c c1:31:1 c2:32:2
             system nas2
               backup
               tank
             system nas3
               backup
               tank
             group g source=nas1 include=any keep-both",
            );
            fleet.group.include = include.iter().map(|pattern| pattern.parse().unwrap()).collect();
            fleet.group.mappings = mappings.iter().map(|mapping| mapping.parse().unwrap()).collect();
            let mut world = World::new(fleet);
            for event in &events {
                world.happen(event);
            }
            world
        },
    )
}

/// Does what plans say until they say nothing more.
fn settle(world: &mut World) -> Report {
    for _ in 0..40 {
        let (steps, report) = world.apply_plan();
        if steps == 0 {
            return report;
        }
    }
    panic!("there are still steps after 40 plans");
}

fn dataset_of<'a>(world: &'a World, system: SystemId, name: &DatasetName) -> Option<&'a Dataset> {
    world.fleet.systems[&system].inventory.as_ref().unwrap().datasets.get(name)
}

/// A replica at rest has what the source has, or a reason that this world can give.
fn assert_at_rest(world: &World, report: &Report, replica: &ReplicaReport) {
    let source = dataset_of(world, replica.source_system, &replica.source).unwrap();
    let target = dataset_of(world, replica.target_system, &replica.target);
    let above = report.replicas.iter().filter(|other| {
        other.target_system == replica.target_system
            && other.target != replica.target
            && replica.target.is_within(&other.target)
    });
    match replica.reason.expect("without a step there is a reason") {
        Reason::NoNewSnapshot => {
            assert_eq!(replica.state, ReplicaState::InSync);
            let head = target.unwrap().snapshots.last().unwrap().guid;
            let marks = source.bookmarks.iter().any(|mark| mark.guid == head);
            assert!(marks || source.snapshots.last().unwrap().guid == head, "{replica:?}");
        }
        Reason::SourceNoSnapshot => assert!(source.snapshots.is_empty()),
        Reason::DependsOnParent => {
            assert!(above.into_iter().any(|other| other.state != ReplicaState::InSync), "{replica:?}");
        }
        Reason::SetAsideHasChildren => {
            assert_eq!(replica.state, ReplicaState::Diverged);
            let names =
                world.fleet.systems[&replica.target_system].inventory.as_ref().unwrap().datasets.keys();
            assert!(names.into_iter().any(|name| *name != replica.target && name.is_within(&replica.target)));
        }
        // A volume stands where a parent should.
        Reason::KindMismatch if replica.state == ReplicaState::NeverSeeded => {}
        _ => assert_eq!(
            (replica.target.parent(), replica.state),
            (None, ReplicaState::Diverged),
            "{replica:?}"
        ),
    }
}

/// `count` values, the same every time.
fn examples<T: std::fmt::Debug>(strategy: &impl Strategy<Value = T>, count: usize) -> Vec<T> {
    let mut runner = TestRunner::deterministic();
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

#[test]
fn the_oracle_is_asked_about_every_relation() {
    let asked: BTreeSet<Kind> = examples(&histories(), 3000)
        .iter()
        .map(|(source, target)| expected(source, target.as_ref()))
        .collect();
    assert_eq!(asked.len(), 11, "{asked:?}");
}

#[test]
fn the_worlds_need_every_kind_of_step() {
    let mut seen = BTreeSet::new();
    for mut world in examples(&a_world(), 200) {
        while let (plan, _) = world.fleet.plan()
            && !plan.steps.is_empty()
        {
            for step in &plan.steps {
                seen.insert(match &step.action {
                    Action::SetAside { .. } => "set aside",
                    Action::Send(Send { resume: true, base: None, .. }) => "resume a seed",
                    Action::Send(Send { resume: true, base: Some(_), .. }) => "resume",
                    Action::Send(Send { discard_partial: Some(_), base: None, .. }) => "discard and seed",
                    Action::Send(Send { discard_partial: Some(_), base: Some(_), .. }) => "discard",
                    Action::Send(Send { base: Some(Base::Bookmark(_)), .. }) => "from a bookmark",
                    Action::Send(Send { base: Some(Base::Snapshot(_)), snapshots: 1, .. }) => "one",
                    Action::Send(Send { base: Some(Base::Snapshot(_)), .. }) => "many",
                    Action::Send(Send { create_parents, .. }) if !create_parents.is_empty() => "parents",
                    Action::Send(_) => "seed",
                });
            }
            world.apply_plan();
        }
    }
    assert_eq!(seen.len(), 10, "{seen:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn plans_break_no_rule_whatever_is_reported(fleet in any_fleet()) {
        fleet.with_input(|input| {
            let (plan, report) = plan(input);
            prop_assert_eq!(check(&plan, input), vec![]);
            let planned: usize = report.replicas.iter().filter(|replica| replica.step.is_some()).count();
            prop_assert_eq!(plan.steps.len(), planned);
            Ok(())
        })?;
    }

    #[test]
    fn every_replica_has_one_report_and_a_step_or_a_reason(fleet in any_fleet()) {
        let (_, report) = fleet.plan();
        let source = fleet.systems[&fleet.group.source_of_truth].inventory.as_ref();
        let selected = source.map_or(0, |source| source.datasets.keys().filter(|name| fleet.group.selects(name)).count());
        prop_assert_eq!(report.selected as usize, selected);
        prop_assert_eq!(report.replicas.len(), 2 * selected);
        for replica in &report.replicas {
            let by_itself = replica.reason.is_none();
            prop_assert_eq!(by_itself, replica.step.is_some() && fleet.group.auto, "{:?}", replica);
            prop_assert_eq!(replica.step.is_some() && !by_itself, replica.reason == Some(Reason::ManualMode));
            prop_assert!(!replica.next.is_empty() && replica.next.ends_with('.'));
            prop_assert!(replica.facts.len() >= 2);
            let fresh = [replica.source_system, replica.target_system].iter().all(|system| fleet.systems[system].fresh);
            prop_assert!(fresh || replica.state != ReplicaState::InSync, "old reports are never green");
        }
    }

    #[test]
    fn the_same_fleet_gives_the_same_plan_at_any_time(fleet in any_fleet()) {
        let (plan, report) = fleet.plan();
        prop_assert_eq!((&plan, &report), (&fleet.plan().0, &fleet.plan().1));
        let mut later = fleet.clone();
        later.now = "2031-01-01T00:00:00Z".parse().unwrap();
        prop_assert_eq!(&later.plan().0.fingerprint, &plan.fingerprint);
        let aside = |step: &Step| matches!(step.action, Action::SetAside { .. });
        if !plan.steps.iter().any(aside) {
            prop_assert_eq!(later.plan(), (plan, report));
        }
    }

    #[test]
    fn plans_and_reports_survive_json(fleet in any_fleet()) {
        let (plan, report) = fleet.plan();
        let text = serde_json::to_string(&(&plan, &report)).unwrap();
        prop_assert_eq!(serde_json::from_str::<(Plan, Report)>(&text).unwrap(), (plan, report));
    }

    #[test]
    fn parents_come_before_children(fleet in any_fleet()) {
        let (plan, _) = fleet.plan();
        for (index, step) in plan.steps.iter().enumerate() {
            for later in &plan.steps[index + 1..] {
                prop_assert!(
                    later.target_system != step.target_system || !step.target.is_within(&later.target),
                    "{} before {}", step.target, later.target
                );
            }
        }
    }

    #[test]
    fn a_fingerprint_moves_with_every_history(fleet in any_fleet()) {
        let (plan, report) = fleet.plan();
        for replica in &report.replicas {
            for system in [replica.source_system, replica.target_system] {
                let name = if system == replica.source_system { &replica.source } else { &replica.target };
                let mut moved = fleet.clone();
                let inventory = moved.systems.get_mut(&system).unwrap().inventory.as_mut();
                let Some(dataset) = inventory.and_then(|inventory| inventory.datasets.get_mut(name)) else { continue };
                let mut newest = snapshot("new", 77, 99);
                newest.createtxg = Txg::new(99);
                dataset.snapshots.push(newest);
                prop_assert_ne!(&moved.plan().0.fingerprint, &plan.fingerprint);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn doing_what_plans_say_ends_in_step_or_with_a_reason(world in a_world()) {
        let mut world = world;
        let report = settle(&mut world);
        for replica in &report.replicas {
            assert_at_rest(&world, &report, replica);
        }
    }

    #[test]
    fn what_was_in_step_follows_the_next_snapshot(world in a_world()) {
        let mut world = world;
        let before = settle(&mut world);
        for number in 0..SOURCES.len() {
            world.happen(&Event::Snapshot(system_id(1), number));
        }
        let (plan, _) = world.fleet.plan();
        let in_sync = before.replicas.iter().filter(|replica| replica.state == ReplicaState::InSync);
        for replica in in_sync {
            let step = plan.steps.iter().find(|step| step.target == replica.target && step.target_system == replica.target_system);
            let Some(Action::Send(send)) = step.map(|step| &step.action) else { panic!("no step for {replica:?}") };
            prop_assert_eq!((send.snapshots, send.base.is_some()), (1, true));
        }
        let after = settle(&mut world);
        for replica in before.replicas.iter().filter(|replica| replica.state == ReplicaState::InSync) {
            let same = |other: &&ReplicaReport| (&other.target, other.target_system) == (&replica.target, replica.target_system);
            prop_assert_eq!(after.replicas.iter().find(same).unwrap().state, ReplicaState::InSync);
        }
    }

    #[test]
    fn nothing_that_was_received_is_ever_lost(world in a_world()) {
        let mut world = world;
        let held = |world: &World| -> BTreeMap<(SystemId, Guid), usize> {
            let mut held = BTreeMap::new();
            for (system, state) in world.fleet.systems.iter().filter(|(system, _)| **system != system_id(1)) {
                for dataset in state.inventory.as_ref().unwrap().datasets.values() {
                    for snapshot in &dataset.snapshots {
                        *held.entry((*system, snapshot.guid)).or_default() += 1;
                    }
                }
            }
            held
        };
        let before = held(&world);
        settle(&mut world);
        let after = held(&world);
        for (snapshot, copies) in before {
            prop_assert!(after.get(&snapshot).is_some_and(|now| *now >= copies), "{snapshot:?} is gone");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn comparing_agrees_with_the_oracle((source, target) in histories()) {
        let comparison = compare(&source, target.as_ref());
        prop_assert_eq!(kind_of(&comparison.relation), expected(&source, target.as_ref()));
    }
}
