//! What planning costs: one changed dataset in fleets of growing size, and plans of whole fleets of growing size.
//!
//! `cargo bench -p zfs-sync-core` measures one change in fleets of 10 and 100 systems with 1000 datasets of 100 snapshots each, and whole plans
//! of 10 000 and 100 000 replicas of 10 snapshots. `ZFS_SYNC_BENCH_FULL=1` adds 1000 systems, which are a hundred million snapshots and take
//! about 12 GiB, and a whole plan of a million replicas, all of whose reports are kept until the end. Ends with 1 when a ratio misses its
//! target; absolute figures depend on the machine and are printed only.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark says what it measured")]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use zfs_sync_core::{
    group::{GroupMode, OnDivergence, Profile, SyncGroup},
    guid::{Guid, Txg},
    ids::{GroupId, SystemId},
    inventory::{Dataset, DatasetKind, DatasetProperties, Inventory, Snapshot},
    name::{DatasetName, Label},
    plan::{Input, Report, SystemView, check, plan},
    time::Timestamp,
};

const DATASETS: u64 = 1000;
/// Snapshots of a dataset, where one change is measured.
const SNAPSHOTS: u64 = 100;
/// Snapshots of a dataset, where a whole fleet is planned: a million replicas have to fit into memory beside their plans.
const FEW_SNAPSHOTS: u64 = 10;
/// Changes measured per fleet.
const ROUNDS: u64 = 400;
/// Larger fleets miss the caches of the processor: that is in the tolerance, growth with size is not.
const TOLERANCE: u32 = 3;

fn system(number: u64) -> SystemId {
    SystemId::from_uuid(uuid::Uuid::from_u128(u128::from(number) + 1))
}

fn name(pool: &str, number: u64) -> DatasetName {
    format!("{pool}/customers/{number:04}").parse().expect("a valid name")
}

fn dataset(pool: &str, owner: u64, number: u64, snapshots: u64, labels: &[Label]) -> Dataset {
    let first = (owner * DATASETS + number) * SNAPSHOTS * 2;
    let snapshot = |index: u64| Snapshot {
        guid: Guid::new(first + index + 1),
        createtxg: Txg::new(1000 + index),
        label: labels[usize::try_from(index).expect("small")].clone(),
        creation: 1_700_000_000 + i64::try_from(index).expect("small") * 3600,
        used: 1 << 20,
        referenced: 1 << 30,
        holds: 0,
    };
    Dataset {
        name: name(pool, number),
        properties: DatasetProperties {
            guid: Guid::new(first + SNAPSHOTS * 2 - 1),
            kind: DatasetKind::Filesystem,
            createtxg: Txg::new(1),
            written: 0,
            used: 1 << 30,
            referenced: 1 << 30,
            available: 1 << 40,
            readonly: pool == "backup",
            mounted: false,
            encrypted: false,
            origin: None,
            partial: None,
        },
        snapshots: (0..snapshots).map(snapshot).collect(),
        bookmarks: Vec::new(),
    }
}

/// Systems in pairs: every even one is copied to the next one, which lacks the newest snapshot of every tenth dataset.
struct Fleet {
    inventories: Vec<Inventory>,
    groups: Vec<SyncGroup>,
    now: Timestamp,
}

impl Fleet {
    fn new(systems: u64, snapshots: u64) -> Self {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().expect("a time");
        let labels: Vec<Label> =
            (0..snapshots).map(|index| format!("auto-{index:04}").parse().expect("a label")).collect();
        let inventories = (0..systems).map(|number| {
            let (pool, owner, target) =
                if number % 2 == 0 { ("tank", number, false) } else { ("backup", number - 1, true) };
            let mut inventory = Inventory::empty(now);
            let roots = [pool.to_owned(), format!("{pool}/customers")];
            for root in roots {
                let mut dataset = dataset(pool, owner, 0, 0, &labels);
                dataset.name = root.parse().expect("a valid name");
                inventory.datasets.insert(dataset.name.clone(), dataset);
            }
            for index in 0..DATASETS {
                let behind = u64::from(target && index % 10 == 0);
                let dataset = dataset(pool, owner, index, snapshots - behind, &labels);
                inventory.datasets.insert(dataset.name.clone(), dataset);
            }
            inventory
        });
        let groups = (0..systems / 2).map(|pair| SyncGroup {
            id: GroupId::from_uuid(uuid::Uuid::from_u128(u128::from(pair) + 1)),
            name: format!("pair-{pair}"),
            enabled: true,
            mode: GroupMode::OneWay,
            hub: system(pair * 2),
            members: vec![system(pair * 2), system(pair * 2 + 1)],
            include: vec!["tank/customers/*".parse().expect("a pattern")],
            exclude: vec![],
            mappings: vec!["tank=backup".parse().expect("a mapping")],
            member_mappings: BTreeMap::new(),
            auto: true,
            on_divergence: OnDivergence::Stop,
            allow_destroy: false,
            mirror_deletes: None,
            follow_renames: false,
            profile: Profile::Standard,
        });
        Self { inventories: inventories.collect(), groups: groups.collect(), now }
    }

    /// Plans a group, or some datasets of it. The whole fleet is there to be looked at, as the inventories are.
    fn plan(&self, pair: usize, scope: Option<&BTreeSet<DatasetName>>) -> Report {
        let names = ["source", "target"];
        let systems: BTreeMap<SystemId, SystemView<'_>> = (0..2)
            .map(|side: usize| {
                let index = pair * 2 + side;
                let inventory = Some(&self.inventories[index]);
                let view = SystemView { name: names[side], inventory, fresh: true };
                (system(u64::try_from(index).expect("small")), view)
            })
            .collect();
        let input = Input {
            group: &self.groups[pair],
            systems: &systems,
            scope,
            running: &[],
            decisions: &[],
            memory: &BTreeMap::new(),
            unreachable: &BTreeSet::new(),
            holders: &BTreeMap::new(),
            now: self.now,
        };
        let (plan, report) = plan(&input);
        assert!(check(&plan, &input).is_empty(), "the plan keeps the rules");
        report
    }

    /// The median time of planning one changed dataset, checks included.
    fn one_changed(&self) -> Duration {
        let pairs = u64::try_from(self.groups.len()).expect("small");
        let mut times: Vec<Duration> = (0..ROUNDS)
            .map(|round| {
                let pair = usize::try_from(round * 7919 % pairs).expect("small");
                let scope = BTreeSet::from([name("tank", round * 10 % DATASETS)]);
                let start = Instant::now();
                let report = self.plan(pair, Some(&scope));
                let time = start.elapsed();
                assert_eq!(report.replicas.len(), 1);
                assert!(report.replicas[0].step.is_some(), "the target is behind");
                time
            })
            .collect();
        times.sort();
        times[times.len() / 2]
    }

    /// Plans everything, and keeps all that comes of it.
    fn everything(&self) -> Whole {
        let before = resident();
        let start = Instant::now();
        let kept: Vec<Report> = (0..self.groups.len()).map(|pair| self.plan(pair, None)).collect();
        let time = start.elapsed();
        let replicas: usize = kept.iter().map(|report| report.replicas.len()).sum();
        let bytes = resident().saturating_sub(before);
        let replicas = u64::try_from(replicas).expect("small");
        Whole {
            replicas,
            time,
            each: time / u32::try_from(replicas).expect("a million"),
            bytes: bytes / replicas,
        }
    }
}

/// What the plan of a whole fleet costs.
struct Whole {
    replicas: u64,
    time: Duration,
    /// By replica.
    each: Duration,
    /// Memory by replica, beside the inventories.
    bytes: u64,
}

/// Bytes of memory that this process has in use (`/proc/self/statm`, resident pages of 4 KiB).
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

/// Whole plans; false when what a replica costs grows with the fleet.
fn whole_plans(systems: &[u64]) -> bool {
    println!("  replicas   snapshots  whole plan  per replica  memory per replica");
    let mut met = true;
    let mut first: Option<Duration> = None;
    for systems in systems {
        let fleet = Fleet::new(*systems, FEW_SNAPSHOTS);
        let Whole { replicas, time, each, bytes } = fleet.everything();
        assert_eq!(replicas, systems / 2 * DATASETS, "every dataset has a replica");
        let snapshots = systems * DATASETS * FEW_SNAPSHOTS;
        println!("{replicas:>10}  {snapshots:>10}  {time:>10.1?}  {each:>11.1?}  {bytes:>12} bytes");
        if each > *first.get_or_insert(each) * TOLERANCE {
            eprintln!(
                "FAILED: a replica of a whole plan costs more than {TOLERANCE} times what it costs in the smallest fleet"
            );
            met = false;
        }
    }
    met
}

/// One changed dataset; false when it costs too much, or more in a larger fleet.
fn changes(systems: &[u64]) -> bool {
    println!("   systems   snapshots  one changed dataset");
    let mut met = true;
    let mut first: Option<Duration> = None;
    for systems in systems {
        let one = Fleet::new(*systems, SNAPSHOTS).one_changed();
        println!("{systems:>10}  {:>10}  {one:>19.1?}", systems * DATASETS * SNAPSHOTS);
        if one > *first.get_or_insert(one) * TOLERANCE {
            eprintln!(
                "FAILED: one changed dataset costs more than {TOLERANCE} times what it costs in the smallest fleet"
            );
            met = false;
        }
        if one > Duration::from_millis(1) {
            eprintln!("FAILED: one changed dataset costs more than a millisecond");
            met = false;
        }
    }
    met
}

fn main() {
    let full = std::env::var_os("ZFS_SYNC_BENCH_FULL").is_some();
    // Whole plans first, the smallest before the larger ones: hardly any memory that was given back can be taken again unnoticed then.
    let (whole, one): (&[u64], &[u64]) =
        if full { (&[20, 200, 2000], &[10, 100, 1000]) } else { (&[20, 200], &[10, 100]) };
    let mut met = whole_plans(whole);
    met &= changes(one);
    std::process::exit(i32::from(!met));
}
