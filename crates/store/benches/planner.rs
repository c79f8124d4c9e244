//! What planning costs with the store in between, on SQLite and PostgreSQL.
//!
//! `cargo bench -p zfs-sync-store` asks two things of each. *A hub's question*: what is to be sent from a hub with 50 datasets of 200
//! snapshots to 4 targets, for which the service that this one replaces needed 6.7 s; the answer is compared with planning it anew. *One
//! change*: a report of one new snapshot, planned and stored, in a fleet ten times larger than the one before. Ends with 1 when a target is
//! missed; other absolute figures depend on the machine.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark says what it measured")]

#[path = "../tests/cluster/mod.rs"]
mod cluster;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use serde_json::json;
use uuid::Uuid;
use zfs_sync_core::{
    group::{GroupMode, OnDivergence, Profile, SyncGroup},
    guid::{Guid, Txg},
    ids::{GroupId, SystemId},
    inventory::{Dataset, DatasetKind, DatasetProperties, Inventory, Snapshot},
    name::DatasetName,
    plan::{self, Input, Plan, Report as Planned, SystemView},
    time::Timestamp,
};
use zfs_sync_store::{
    GroupSettings, NewSystem, Options, ReplicaFilter, ReplicaRow, Report, ReportedDataset, Store,
};

/// What the old service's measurement had (its own figures: 6.7 s).
const HUB: Shape = Shape { targets: 4, datasets: 50, snapshots: 200 };

#[derive(Clone, Copy)]
struct Shape {
    targets: u128,
    datasets: u64,
    snapshots: u64,
}

fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().expect("a time")
}

fn system(number: u128) -> SystemId {
    SystemId::from_uuid(Uuid::from_u128(number + 1))
}

fn name(pool: &str, number: u64) -> DatasetName {
    format!("{pool}/customers/{number:05}").parse().expect("a valid name")
}

fn dataset(pool: &str, family: u128, number: u64, snapshots: u64) -> Dataset {
    let family = u64::try_from(family).expect("small");
    let first = (family * 100_000 + number) * 1000;
    let snapshot = |index: u64| Snapshot {
        guid: Guid::new(first + index),
        createtxg: Txg::new(1000 + index),
        label: format!("auto-{index:05}").parse().expect("a label"),
        creation: 1_700_000_000 + i64::try_from(index).expect("small") * 3600,
        used: 1 << 20,
        referenced: 1 << 30,
        holds: 0,
    };
    Dataset {
        name: name(pool, number),
        properties: DatasetProperties {
            guid: Guid::new(first + 999),
            kind: DatasetKind::Filesystem,
            createtxg: Txg::new(1),
            written: 0,
            used: 1 << 30,
            referenced: 1 << 30,
            available: 1 << 40,
            readonly: true,
            mounted: false,
            encrypted: false,
            origin: None,
            partial: None,
        },
        snapshots: (1..=snapshots).map(snapshot).collect(),
        bookmarks: Vec::new(),
    }
}

fn reported(dataset: Dataset) -> ReportedDataset {
    let digest = dataset.history_digest();
    let Dataset { name, properties, snapshots, bookmarks } = dataset;
    ReportedDataset { name, properties, digest, history: Some((snapshots, bookmarks)) }
}

async fn report(store: &Store, system: SystemId, sequence: u64, base: Option<u64>, datasets: Vec<Dataset>) {
    let datasets = datasets.into_iter().map(reported).collect();
    let report = Report {
        sequence,
        base,
        datasets,
        removed: Vec::new(),
        retention: None,
        looked_at: None,
        without_guids: false,
    };
    let outcome = store.apply_report(system, &report, now()).await.expect("the report is stored");
    assert!(outcome.accepted, "the report is taken");
}

/// Everything of one system: its pool, the dataset above, and the datasets.
async fn report_all(store: &Store, system: SystemId, pool: &str, family: u128, shape: Shape, lacking: u64) {
    let mut datasets: Vec<Dataset> =
        (0..shape.datasets).map(|number| dataset(pool, family, number, shape.snapshots - lacking)).collect();
    for root in [pool.to_owned(), format!("{pool}/customers")] {
        let mut above = dataset(pool, family, 0, 0);
        above.name = root.parse().expect("a valid name");
        datasets.push(above);
    }
    report(store, system, 1, None, datasets).await;
}

async fn register(store: &Store, number: u128) {
    let new = NewSystem {
        id: system(number),
        hostname: format!("host{number}").parse().expect("a host name"),
        platform: "linux".into(),
        connectivity_status: "online".into(),
        ssh_hostname: None,
        ssh_user: None,
        ssh_port: 22,
        extra_metadata: json!({}),
    };
    store.create_system(&new, now()).await.expect("the system is stored");
}

/// A group from `hub` to the systems after it, which lack the newest snapshot.
async fn hub_and_targets(store: &Store, hub: u128, shape: Shape) -> SyncGroup {
    for number in hub..=hub + shape.targets {
        register(store, number).await;
    }
    let group = SyncGroup {
        id: GroupId::from_uuid(Uuid::from_u128(hub + 1)),
        name: format!("group {hub}"),
        enabled: true,
        mode: GroupMode::OneWay,
        hub: system(hub),
        members: (hub..=hub + shape.targets).map(system).collect(),
        include: vec!["tank/customers/*".parse().expect("a pattern")],
        exclude: vec![],
        mappings: vec!["tank=backup".parse().expect("a mapping")],
        member_mappings: BTreeMap::new(),
        auto: false,
        on_divergence: OnDivergence::Stop,
        allow_destroy: false,
        mirror_deletes: None,
        follow_renames: false,
        profile: Profile::Standard,
    };
    store.insert_group(&group, &GroupSettings::default(), now()).await.expect("the group is stored");
    report_all(store, system(hub), "tank", hub, shape, 0).await;
    for target in hub + 1..=hub + shape.targets {
        report_all(store, system(target), "backup", hub, shape, 1).await;
    }
    group
}

fn plan_with(
    group: &SyncGroup,
    inventories: &BTreeMap<SystemId, Option<Inventory>>,
    scope: Option<&BTreeSet<DatasetName>>,
) -> (Plan, Planned) {
    let view = |inventory| SystemView { name: "host", inventory, fresh: true };
    let systems = inventories.iter().map(|(id, inventory)| (*id, view(inventory.as_ref()))).collect();
    plan::plan(&Input {
        group,
        systems: &systems,
        scope,
        running: &[],
        decisions: &[],
        memory: &BTreeMap::new(),
        unreachable: &BTreeSet::new(),
        holders: &BTreeMap::new(),
        now: now(),
    })
}

async fn plan_anew(store: &Store, group: &SyncGroup) -> Planned {
    let mut inventories = BTreeMap::new();
    for member in &group.members {
        inventories.insert(*member, store.inventory(*member).await.expect("the inventory is read"));
    }
    plan_with(group, &inventories, None).1
}

async fn keep(store: &Store, group: &SyncGroup, scope: Option<&BTreeSet<DatasetName>>, planned: Planned) {
    let rows: Vec<ReplicaRow> =
        planned.replicas.into_iter().map(|report| ReplicaRow::new(group.id, report, now())).collect();
    store.store_replicas(group.id, scope, &rows, now()).await.expect("the replicas are stored");
}

/// What the planner does about changed datasets.
async fn plan_changed(store: &Store, group: &SyncGroup) -> usize {
    let changed = store.changed_datasets(1000).await.expect("the changes are read");
    let scope: BTreeSet<DatasetName> = changed.iter().map(|change| change.name.clone()).collect();
    let mut inventories = BTreeMap::new();
    for (member, needed) in plan::needed(group, &scope) {
        let part = store.inventory_part(member, &needed, &[]).await.expect("the part is read");
        inventories.insert(member, part);
    }
    let (plan, planned) = plan_with(group, &inventories, Some(&scope));
    keep(store, group, Some(&scope), planned).await;
    store.forget_changed(&changed).await.expect("the changes are forgotten");
    plan.steps.len()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// The hub's question, answered from what is stored, and by planning anew.
async fn question(store: &Store) -> (Duration, Duration) {
    let group = hub_and_targets(store, 0, HUB).await;
    let start = Instant::now();
    let planned = plan_anew(store, &group).await;
    let anew = start.elapsed();
    keep(store, &group, None, planned).await;
    let mut times = Vec::new();
    for _ in 0..50 {
        let start = Instant::now();
        let filter =
            ReplicaFilter { group: Some(group.id), system: Some(group.hub), ..ReplicaFilter::default() };
        let rows = store.replicas(&filter).await.expect("the replicas are read");
        let steps = rows.iter().filter(|row| row.report.step.is_some()).count();
        times.push(start.elapsed());
        assert_eq!(steps, 200, "every replica is behind");
    }
    (median(times), anew)
}

/// One new snapshot in a fleet of so many pairs.
async fn one_change(store: &Store, first: u128, pairs: u128) -> Duration {
    let shape = Shape { targets: 1, datasets: 200, snapshots: 50 };
    let mut group = None;
    for pair in 0..pairs {
        let made = hub_and_targets(store, first + pair * 2, shape).await;
        let planned = plan_anew(store, &made).await;
        keep(store, &made, None, planned).await;
        group = Some(made);
    }
    let group = group.expect("there is a pair");
    let hub = group.hub.as_uuid().as_u128() - 1;
    let old = store.changed_datasets(u64::MAX).await.expect("the changes are read");
    store.forget_changed(&old).await.expect("the changes are forgotten");
    let mut times = Vec::new();
    for round in 0..40 {
        let changed = dataset("tank", hub, round, shape.snapshots + 1);
        let start = Instant::now();
        report(store, group.hub, round + 2, Some(round + 1), vec![changed]).await;
        let steps = plan_changed(store, &group).await;
        times.push(start.elapsed());
        assert_eq!(steps, 1, "one replica is behind by more than before");
    }
    median(times)
}

/// Measures one store; false when a target is missed.
async fn measure(what: &str, url: &str) -> bool {
    let store = Store::connect(url, &Options::default()).await.expect("the store opens");
    let (stored, anew) = question(&store).await;
    println!("{what}: a hub's question {stored:.1?} from what is stored, {anew:.1?} planned anew");
    let (small, large) = (one_change(&store, 1000, 2).await, one_change(&store, 2000, 20).await);
    println!(
        "{what}: one change reported, planned and stored {small:.1?} among 20000 snapshots more, {large:.1?} among 400000 more"
    );
    let mut met = true;
    if stored > Duration::from_millis(5) {
        eprintln!("FAILED: {what}: a hub's question takes more than 5 ms");
        met = false;
    }
    if large > small * 3 {
        eprintln!(
            "FAILED: {what}: one change costs more than three times as much in a fleet ten times larger"
        );
        met = false;
    }
    met
}

#[tokio::main]
async fn main() {
    let directory = tempfile::tempdir().expect("a directory");
    let sqlite = format!("sqlite:///{}", directory.path().join("bench.db").display());
    let mut met = measure("SQLite", &sqlite).await;
    cluster::with_database(async |url| met &= measure("PostgreSQL", &url).await).await;
    std::process::exit(i32::from(!met));
}
