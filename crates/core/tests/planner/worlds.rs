//! Random fleets: ones that fit the types and nothing more, and ones that grew from events as on real systems.

use std::collections::BTreeMap;

use proptest::{
    collection::vec, option, prelude::*, sample, strategy::ValueTree as _, test_runner::TestRunner,
};
use zfs_sync_core::{
    group::{GroupMode, MirrorDeletes, OnDivergence, Profile},
    guid::Guid,
    ids::{SystemId, TransferId},
    inventory::{Dataset, DatasetKind, Inventory, PartialReceive},
    plan::{Copies, Decision, MakeRoom, Place, Remembered, ReplicaKey, Running, Standing},
};

use crate::{
    events::Event,
    fleet::{Fleet, System, bookmark, dataset, guid_on, noon, partial, snapshot, system_id},
    model::{SOURCES, World},
};

const LABELS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
/// Names of sources and targets alike: every system may have any of them.
const NAMES: [&str; 12] = [
    "backup",
    "backup/t",
    "backup/t/a",
    "backup/t/a.aside-20260301T120000Z",
    "backup/t/a/b",
    "backup/t/a/b/deep",
    "backup/t/c",
    "tank",
    "tank/a",
    "tank/a/b",
    "tank/a/b/deep",
    "tank/c",
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
const POLICIES: [OnDivergence; 7] = [
    OnDivergence::Stop,
    OnDivergence::KeepBoth,
    OnDivergence::UseSourceOfTruth,
    OnDivergence::UseNewest,
    OnDivergence::UseLargest,
    OnDivergence::UseMajority,
    OnDivergence::RollbackTarget,
];

pub(crate) fn any_partial() -> impl Strategy<Value = Option<PartialReceive>> {
    let one = (1..9_u64, option::of(1..9_u64), any::<bool>(), sample::select(&NAMES[..]))
        .prop_map(|(to, from, raw, of)| PartialReceive { raw, ..partial(of, to, from) });
    option::weighted(0.3, one)
}

/// Anything that fits the types, also what ZFS would never show: names twice, several snapshots in one transaction group.
fn any_dataset(name: &'static str) -> impl Strategy<Value = Dataset> {
    let history = vec((1..6_u64, 1..9_u64, sample::select(&LABELS[..]), prop::bool::weighted(0.1)), 0..5);
    let marks = vec((1..6_u64, 1..9_u64, sample::select(&LABELS[..])), 0..3);
    let flags =
        (any::<bool>(), prop::bool::weighted(0.05), prop::bool::weighted(0.2), prop::bool::weighted(0.2));
    let origin = option::weighted(0.2, (sample::select(&NAMES[..]), sample::select(&LABELS[..])));
    (history, marks, any_partial(), flags, origin).prop_map(
        move |(history, marks, partial, flags, origin)| {
            let mut made = dataset(name);
            for (guid, txg, label, held) in history {
                let mut snapshot = snapshot(label, guid, txg);
                snapshot.holds = u32::from(held);
                snapshot.creation = i64::try_from(guid * 100_000).unwrap();
                made.snapshots.push(snapshot);
            }
            made.bookmarks = marks.into_iter().map(|(guid, txg, label)| bookmark(label, guid, txg)).collect();
            let (readonly, volume, encrypted, written) = flags;
            made.properties.partial = partial;
            made.properties.readonly = readonly;
            made.properties.encrypted = encrypted;
            made.properties.written = u64::from(written);
            made.properties.kind = if volume { DatasetKind::Volume } else { DatasetKind::Filesystem };
            made.properties.origin = origin.map(|(dataset, label)| format!("{dataset}@{label}"));
            made.sort();
            let mut seen = std::collections::BTreeSet::new();
            made.snapshots.retain(|snapshot| seen.insert(snapshot.guid));
            made
        },
    )
}

fn any_inventory() -> impl Strategy<Value = Inventory> {
    let each: Vec<_> = NAMES.iter().map(|name| option::weighted(0.5, any_dataset(name))).collect();
    (each, prop::bool::weighted(0.05)).prop_map(|(datasets, without_guids)| {
        let datasets =
            datasets.into_iter().flatten().map(|dataset| (dataset.name.clone(), dataset)).collect();
        Inventory { datasets, without_guids, ..Inventory::empty(noon()) }
    })
}

fn any_decision() -> impl Strategy<Value = Decision> {
    let how = sample::select(&[MakeRoom::SetAside, MakeRoom::RollBack, MakeRoom::RollBackOnly][..]);
    let targets = prop::collection::btree_set((1..4_usize).prop_map(system_id), 1..3);
    let losses = prop::collection::btree_set((1..6_u64).prop_map(Guid::new), 0..6);
    let losses = vec(((1..4_usize).prop_map(system_id), losses), 0..3);
    (1..4_usize, sample::select(&SOURCES[..]), 1..4_usize, how, targets, losses, any::<bool>()).prop_map(
        |(home, name, winner, how, targets, losing, discard)| {
            let moved = |target: &SystemId| {
                NAMES
                    .iter()
                    .map(|name| (*target, guid_on(*target, &name.parse().unwrap())))
                    .nth(usize::from(discard) + 2)
            };
            Decision {
                home: system_id(home),
                dataset: name.parse().unwrap(),
                winner: system_id(winner),
                how,
                may_move: targets.iter().filter_map(moved).collect(),
                may_discard: targets.iter().filter(|_| discard).map(|target| (*target, 1)).collect(),
                targets,
                may_destroy: losing.into_iter().collect(),
            }
        },
    )
}

fn any_memory() -> impl Strategy<Value = (ReplicaKey, Remembered)> {
    let common = option::of((1..6_u64).prop_map(Guid::new));
    (1..4_usize, sample::select(&SOURCES[..]), 1..4_usize, sample::select(&NAMES[..]), common).prop_map(
        |(home, name, target, source, common)| {
            let key = ReplicaKey {
                home: system_id(home),
                dataset: name.parse().unwrap(),
                target_system: system_id(target),
            };
            (
                key,
                Remembered {
                    source_guid: guid_on(system_id(home), &source.parse().unwrap()),
                    common,
                    replaced: false,
                    replaced_until: None,
                },
            )
        },
    )
}

const MODES: [GroupMode; 5] =
    [GroupMode::OneWay, GroupMode::ManyToOne, GroupMode::Chain, GroupMode::Mesh, GroupMode::Local];

/// Policies and modes of every kind, also ones that could not be stored.
fn any_group() -> impl Strategy<Value = Fleet> {
    let flags =
        (prop::bool::weighted(0.9), any::<bool>(), any::<bool>(), any::<bool>(), prop::bool::weighted(0.2));
    let mirror = option::of((1..99_u8).prop_map(|max_percent| MirrorDeletes { max_percent }));
    (
        sample::select(&MODES[..]),
        sample::select(&MAPPINGS[..]),
        sample::select(&INCLUDES[..]),
        sample::select(&POLICIES[..]),
        mirror,
        flags,
    )
        .prop_map(
            |(mode, mappings, include, policy, mirror, (enabled, auto, destroy, renames, classic))| {
                let mut fleet = Fleet::parse("system x\nsystem y\nsystem z\ngroup g source=x include=any");
                let group = &mut fleet.group;
                group.mode = mode;
                group.include = include.iter().map(|pattern| pattern.parse().unwrap()).collect();
                group.mappings = mappings.iter().map(|mapping| mapping.parse().unwrap()).collect();
                if mode == GroupMode::ManyToOne {
                    let own = |number: usize, to: &str| {
                        (system_id(number), vec![format!("tank={to}").parse().unwrap()])
                    };
                    group.member_mappings = BTreeMap::from([own(2, "backup/t"), own(3, "backup/u")]);
                }
                if mode == GroupMode::Local {
                    group.members = vec![system_id(1)];
                    group.mappings = vec!["tank=backup/t".parse().unwrap()];
                }
                (group.enabled, group.auto) = (enabled, auto);
                (group.on_divergence, group.allow_destroy) = (policy, destroy);
                (group.mirror_deletes, group.follow_renames) = (mirror.filter(|_| destroy), renames);
                if classic && mode == GroupMode::OneWay {
                    group.profile = Profile::Classic;
                }
                fleet
            },
        )
}

pub(crate) fn any_fleet() -> impl Strategy<Value = Fleet> {
    let system = |name: &'static str| {
        let parts = (option::weighted(0.95, any_inventory()), prop::bool::weighted(0.9));
        parts.prop_map(move |(inventory, fresh)| System { name: name.into(), inventory, fresh })
    };
    let running = (sample::select(&NAMES[..]), 1..4_usize, any::<bool>());
    let unreachable = (1..4_usize, 1..4_usize).prop_map(|(from, to)| (system_id(from), system_id(to)));
    let holders =
        ((1..6_u64).prop_map(Guid::new), prop::collection::btree_set((0..5_usize).prop_map(system_id), 1..3));
    (
        (system("nas1"), system("nas2"), system("nas3")),
        any_group(),
        vec(running, 0..3),
        vec(any_decision(), 0..3),
        vec(any_memory(), 0..5),
        vec(unreachable, 0..3),
        vec(holders, 0..3),
    )
        .prop_map(|((nas1, nas2, nas3), mut fleet, running, decisions, memory, unreachable, holders)| {
            fleet.systems = [nas1, nas2, nas3].into_iter().zip(1..).map(|(s, n)| (system_id(n), s)).collect();
            let run = |(target, system, renames): (&str, usize, bool)| Running {
                transfer: TransferId::from_uuid(uuid::Uuid::from_u128(5)),
                target_system: system_id(system),
                target: target.parse().unwrap(),
                renames,
                destroys: Vec::new(),
            };
            fleet.running = running.into_iter().map(run).collect();
            fleet.decisions = decisions;
            fleet.memory = memory.into_iter().collect();
            fleet.unreachable = unreachable.into_iter().collect();
            for (guid, systems) in holders {
                let copies: &mut Copies = fleet.holders.entry(guid).or_default();
                for system in systems {
                    copies.report(system);
                    copies.keep(Place { system, dataset: Guid::new(90) }, Standing::Stays);
                }
            }
            fleet.tell_apart();
            fleet
        })
}

pub(crate) fn any_event() -> impl Strategy<Value = Event> {
    let dataset = || 0..SOURCES.len();
    let index = || 0..9_usize;
    let system = || (1..4_usize).prop_map(system_id);
    // Most of what people do, they do on the hub.
    let home = || prop_oneof![3 => Just(system_id(1)), 1 => system()];
    let target = || (2..4_usize).prop_map(system_id);
    prop_oneof![
        3 => (home(), dataset()).prop_map(|(s, d)| Event::Create(s, d)),
        2 => (system(), dataset()).prop_map(|(s, d)| Event::DestroyDataset(s, d)),
        1 => (home(), dataset()).prop_map(|(s, d)| Event::RecreateAsVolume(s, d)),
        1 => (home(), dataset(), dataset()).prop_map(|(s, d, t)| Event::RenameDataset(s, d, t)),
        2 => (home(), dataset(), index(), dataset()).prop_map(|(s, d, i, t)| Event::Clone(s, d, i, t)),
        1 => (home(), dataset()).prop_map(|(s, d)| Event::Promote(s, d)),
        8 => (home(), dataset()).prop_map(|(s, d)| Event::Snapshot(s, d)),
        2 => (target(), dataset()).prop_map(|(s, d)| Event::Snapshot(s, d)),
        1 => (home(), dataset(), index()).prop_map(|(s, d, l)| Event::SnapshotNamed(s, d, l)),
        2 => (system(), dataset(), index()).prop_map(|(s, d, i)| Event::DestroySnapshot(s, d, i)),
        1 => (system(), dataset(), index()).prop_map(|(s, d, i)| Event::RenameSnapshot(s, d, i)),
        1 => (system(), dataset(), index()).prop_map(|(s, d, i)| Event::Hold(s, d, i)),
        2 => (home(), dataset(), index()).prop_map(|(s, d, i)| Event::Bookmark(s, d, i)),
        3 => (home(), dataset()).prop_map(|(s, d)| Event::BookmarkAndDestroy(s, d)),
        2 => (system(), dataset()).prop_map(|(s, d)| Event::Write(s, d)),
        1 => (system(), dataset(), index()).prop_map(|(s, d, i)| Event::Rollback(s, d, i)),
        8 => (target(), dataset(), index()).prop_map(|(s, d, i)| Event::CutReceive(s, d, i)),
        1 => (system(), any::<bool>()).prop_map(|(s, fresh)| Event::Silence(s, fresh)),
        1 => (system(), system()).prop_map(|(from, to)| Event::Unreachable(from, to)),
        6 => Just(Event::Steps),
    ]
}

pub(crate) fn start(mode: GroupMode) -> Fleet {
    let datasets = "tank
               tank/a a1:11:1 a2:12:2
               tank/a/b b1:21:1 b2:22:2
               tank/a/b/deep
               tank/c c1:31:1 c2:32:2";
    let mode = match mode {
        GroupMode::Chain => "chain",
        GroupMode::Mesh => "mesh",
        _ => "one_way",
    };
    Fleet::parse(&format!(
        "system nas1\n{datasets}\nsystem nas2\nbackup\ntank\nsystem nas3\nbackup\ntank
         group g {mode} source=nas1 include=any"
    ))
}

/// A fleet that grew from events, with this policy.
pub(crate) fn a_world_with(policies: &'static [OnDivergence]) -> impl Strategy<Value = World> {
    let mappings = sample::select(&[MAPPINGS[0], MAPPINGS[1], MAPPINGS[2], MAPPINGS[4]][..]);
    let modes = sample::select(&[GroupMode::OneWay, GroupMode::Chain, GroupMode::Mesh][..]);
    let flags = (any::<bool>(), option::weighted(0.3, 20..99_u8));
    (
        modes,
        mappings,
        sample::select(&INCLUDES[..4]),
        sample::select(policies),
        flags,
        vec(any_event(), 0..60),
    )
        .prop_map(|(mode, mappings, include, policy, (renames, mirror), events)| {
            let mut fleet = start(mode);
            let group = &mut fleet.group;
            group.include = include.iter().map(|pattern| pattern.parse().unwrap()).collect();
            group.mappings = mappings.iter().map(|mapping| mapping.parse().unwrap()).collect();
            group.on_divergence = policy;
            group.allow_destroy = policy != OnDivergence::Stop;
            group.follow_renames = renames;
            let mirror = mirror.filter(|_| group.allow_destroy && mode != GroupMode::Mesh);
            group.mirror_deletes = mirror.map(|max_percent| MirrorDeletes { max_percent });
            let mut world = World::new(fleet);
            for event in &events {
                world.happen(event);
            }
            world
        })
}

pub(crate) fn a_world() -> impl Strategy<Value = World> {
    a_world_with(&POLICIES)
}

/// `count` values, the same every time.
pub(crate) fn examples<T: std::fmt::Debug>(strategy: &impl Strategy<Value = T>, count: usize) -> Vec<T> {
    let mut runner = TestRunner::deterministic();
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}
