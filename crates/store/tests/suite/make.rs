//! Values that tests start from.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use uuid::Uuid;
use zfs_sync_core::{
    group::{GroupMode, OnDivergence, Profile, Strategy, SyncGroup},
    guid::{Guid, Txg},
    ids::{EnrolmentTokenId, GroupId, KeyId, PlanId, SystemId, TransferId},
    inventory::{Bookmark, Dataset, DatasetKind, DatasetProperties, Snapshot},
    plan::{
        Action, Casualty, Conflict, ConflictKind, ConflictSide, Decision, Fingerprint, MakeRoom, Offer, Plan,
        Point, Proposal, Receiver, ReplicaKey, ReplicaReport, ReplicaState, Send, Severity, Step,
    },
    time::Timestamp,
};
use zfs_sync_store::{
    GroupSettings, NewEnrolmentToken, NewKey, NewPlan, NewSystem, NewTransfer, Report, ReportedDataset,
    SecretHash, Store,
};

/// A moment some seconds after the beginning of every test.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_780_000_000 + seconds).unwrap()
}

pub(crate) fn system_id(number: u128) -> SystemId {
    SystemId::from_uuid(Uuid::from_u128(number))
}

pub(crate) fn group_id(number: u128) -> GroupId {
    GroupId::from_uuid(Uuid::from_u128(0x6000 + number))
}

pub(crate) fn transfer_id(number: u128) -> TransferId {
    TransferId::from_uuid(Uuid::from_u128(0x7000 + number))
}

pub(crate) fn new_system(number: u128) -> NewSystem {
    NewSystem {
        id: system_id(number),
        hostname: format!("nas{number}").parse().unwrap(),
        platform: "linux".into(),
        connectivity_status: "unknown".into(),
        ssh_hostname: Some("10.0.0.1".parse().unwrap()),
        ssh_user: Some("root".into()),
        ssh_port: 22,
        extra_metadata: json!({"rack": "B ü"}),
    }
}

/// Registers systems 1 to `count`.
pub(crate) async fn systems(store: &Store, count: u128) {
    for number in 1..=count {
        store.create_system(&new_system(number), at(0)).await.unwrap();
    }
}

pub(crate) fn hash(byte: u8) -> SecretHash {
    SecretHash([byte; 32])
}

pub(crate) fn new_key(number: u8) -> NewKey {
    NewKey {
        id: KeyId::from_uuid(Uuid::from_u128(0x8000 + u128::from(number))),
        name: format!("key {number}"),
        role: "operator".into(),
        system: None,
        prefix: format!("zs_{number}"),
        hash: hash(number),
        expires_at: None,
    }
}

pub(crate) fn new_token(number: u8, uses: u32) -> NewEnrolmentToken {
    NewEnrolmentToken {
        id: EnrolmentTokenId::from_uuid(Uuid::from_u128(0x9000 + u128::from(number))),
        prefix: format!("zt_{number}"),
        hash: hash(number),
        created_by: "key:ops".into(),
        expires_at: at(3600),
        uses,
    }
}

pub(crate) fn snapshot(guid: u64) -> Snapshot {
    Snapshot {
        guid: Guid::new(guid),
        createtxg: Txg::new(guid),
        label: format!("auto-{guid}").parse().unwrap(),
        creation: 1_780_000_000 + guid.cast_signed(),
        used: 10,
        referenced: 20,
        holds: 0,
    }
}

pub(crate) fn bookmark(guid: u64) -> Bookmark {
    Bookmark {
        guid: Guid::new(guid),
        createtxg: Txg::new(guid),
        label: format!("mark-{guid}").parse().unwrap(),
        creation: 1_780_000_000 + guid.cast_signed(),
    }
}

/// A file system with these snapshots.
pub(crate) fn dataset(name: &str, snapshots: impl IntoIterator<Item = u64>) -> Dataset {
    let properties = DatasetProperties {
        guid: Guid::new(7),
        kind: DatasetKind::Filesystem,
        createtxg: Txg::new(3),
        written: 0,
        used: 100,
        referenced: 50,
        available: 1000,
        readonly: true,
        mounted: false,
        encrypted: false,
        origin: None,
        partial: None,
    };
    let snapshots = snapshots.into_iter().map(snapshot).collect();
    Dataset { name: name.parse().unwrap(), properties, snapshots, bookmarks: vec![] }
}

/// As an agent reports a dataset in full.
pub(crate) fn whole(dataset: &Dataset) -> ReportedDataset {
    let history = Some((dataset.snapshots.clone(), dataset.bookmarks.clone()));
    ReportedDataset { history, ..digest_of(dataset) }
}

/// As an agent reports a dataset that it takes for known.
pub(crate) fn digest_of(dataset: &Dataset) -> ReportedDataset {
    ReportedDataset {
        name: dataset.name.clone(),
        properties: dataset.properties.clone(),
        digest: dataset.history_digest(),
        history: None,
    }
}

pub(crate) fn complete(sequence: u64, datasets: Vec<ReportedDataset>) -> Report {
    Report {
        sequence,
        base: None,
        datasets,
        removed: vec![],
        retention: None,
        looked_at: None,
        without_guids: false,
    }
}

pub(crate) fn delta(sequence: u64, datasets: Vec<ReportedDataset>) -> Report {
    Report {
        sequence,
        base: Some(sequence - 1),
        datasets,
        removed: vec![],
        retention: None,
        looked_at: None,
        without_guids: false,
    }
}

/// Group `number` of systems 1, the source of truth, and 2.
pub(crate) fn group(number: u128) -> SyncGroup {
    SyncGroup {
        id: group_id(number),
        name: format!("group {number}"),
        enabled: true,
        mode: GroupMode::OneWay,
        hub: system_id(1),
        members: vec![system_id(2), system_id(1)],
        include: vec!["tank/media/**".parse().unwrap()],
        exclude: vec!["tank/media/tmp".parse().unwrap()],
        mappings: vec!["tank=backup".parse().unwrap()],
        member_mappings: BTreeMap::new(),
        auto: true,
        on_divergence: OnDivergence::KeepBoth,
        allow_destroy: false,
        mirror_deletes: None,
        follow_renames: false,
        profile: Profile::Standard,
    }
}

/// Systems 1 and 2, and group 1 of both.
pub(crate) async fn fleet(store: &Store) {
    systems(store, 2).await;
    store.insert_group(&group(1), &GroupSettings::default(), at(0)).await.unwrap();
}

/// From system 1 to system 2.
pub(crate) fn step(source: &str, target: &str) -> Step {
    let target = target.parse().unwrap();
    Step {
        source_system: system_id(1),
        target_system: system_id(2),
        source: source.parse().unwrap(),
        kind: DatasetKind::Filesystem,
        source_guid: Guid::new(u64::MAX),
        receiver: Receiver::new(system_id(2), &target),
        target,
        action: Action::Send(Send {
            base: None,
            to: Point::from(&snapshot(u64::MAX - 5)),
            snapshots: 1,
            resume: false,
            discard_partial: None,
            raw: false,
            target_newest: None,
            create_parents: vec![],
            target_origin: None,
            properties: Vec::new(),
        }),
    }
}

/// Transfer `number` of group 1, into `backup/<number>` on system 2, which executes it.
pub(crate) fn new_transfer(number: u128) -> NewTransfer {
    NewTransfer {
        id: transfer_id(number),
        group: group_id(1),
        executor: system_id(2),
        step: step(&format!("tank/{number}"), &format!("backup/{number}")),
        estimated_bytes: Some(1 << 40),
    }
}

pub(crate) fn replica(source: &str, state: ReplicaState) -> ReplicaReport {
    ReplicaReport {
        home: system_id(1),
        dataset: source.parse().unwrap(),
        source_system: system_id(1),
        target_system: system_id(2),
        source: source.parse().unwrap(),
        target: source.parse().unwrap(),
        state,
        reason: None,
        warnings: vec![],
        facts: vec![],
        rules: vec![],
        next: "a sentence".into(),
        next_at: None,
        step: None,
        newest_common: Some(Point::from(&snapshot(5))),
        newest_source: None,
        snapshot_lag: 3,
        only_on_target: vec![],
        conflict: None,
        remembered: None,
    }
}

/// Of the dataset `name` on systems 1 and 2; the target has written this much.
pub(crate) fn conflict(name: &str, kind: ConflictKind, severity: Severity, written: u64) -> Conflict {
    let side = |system, written| ConflictSide {
        system: system_id(system),
        dataset: name.parse().unwrap(),
        head: Some(Casualty::from(&snapshot(u64::MAX - 1))),
        only_here: vec![Casualty::from(&snapshot(u64::MAX - 1))],
        only_here_count: 1,
        only_here_bytes: 10,
        written,
    };
    Conflict {
        kind,
        severity,
        source: side(1, 0),
        target: side(2, written),
        other_heads: Vec::new(),
        last_common: Some(Point::from(&snapshot(5))),
        bytes_at_stake: 10 + written,
        strategies: vec![Offer { strategy: Strategy::RollbackTarget, obstacle: Some("it is held".into()) }],
        suggested: Some(Strategy::KeepBoth),
    }
}

pub(crate) fn plan_id(number: u128) -> PlanId {
    PlanId::from_uuid(Uuid::from_u128(0xA000 + number))
}

/// Plan `number` of group 1: the replica of `dataset` on system 2 goes back.
pub(crate) fn new_plan(number: u128, dataset: &str) -> NewPlan {
    let replica =
        ReplicaKey { home: system_id(1), dataset: dataset.parse().unwrap(), target_system: system_id(2) };
    let decision = Decision {
        home: replica.home,
        dataset: replica.dataset.clone(),
        winner: system_id(1),
        how: MakeRoom::RollBack,
        targets: BTreeSet::from([system_id(2)]),
        may_destroy: BTreeMap::from([(system_id(2), BTreeSet::from([Guid::new(u64::MAX), Guid::new(3)]))]),
        may_discard: BTreeMap::from([(system_id(2), u64::MAX)]),
        may_move: BTreeMap::from([(system_id(2), Guid::new(7))]),
    };
    let fingerprint = Fingerprint(format!("of {number}"));
    let plan =
        Plan { group: group_id(1), steps: vec![step(dataset, dataset)], destroys: vec![], fingerprint };
    NewPlan {
        id: plan_id(number),
        group: group_id(1),
        replica,
        proposal: Proposal { strategy: Strategy::UseNewest, decision, plan },
        created_by: "key:ops".into(),
    }
}
