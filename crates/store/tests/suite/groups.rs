use std::collections::BTreeMap;

use serde_json::json;
use zfs_sync_core::{
    flow::{Compression, Transport},
    group::{GroupMode, MirrorDeletes, OnDivergence, Profile, SyncGroup},
    plan::ReplicaState,
};
use zfs_sync_store::{Error, GroupSettings, ReplicaFilter, ReplicaRow, TransferCaps, TransferState};

use super::{database::Database, make::*};

fn settings() -> GroupSettings {
    GroupSettings {
        description: Some("films".into()),
        extra_metadata: json!({"owner": "ops"}),
        sync_interval_seconds: 900,
        limit: Some("08:00-18:00 mon-fri 20MiB/s; 50MiB/s".parse().unwrap()),
        compression: Compression::Level(3),
        transport: Transport::Tls,
    }
}

pub(crate) async fn a_group_reads_back_as_it_was(database: &Database) {
    let store = &database.store;
    systems(store, 3).await;
    let row = store.insert_group(&group(1), &settings(), at(1)).await.unwrap();
    assert_eq!(row.group, group(1));
    assert_eq!((row.description.as_deref(), row.sync_interval_seconds), (Some("films"), 900));
    assert_eq!((&row.limit, row.compression), (&settings().limit, Compression::Level(3)));
    assert_eq!(row.transport, Transport::Tls);
    assert_eq!(row.extra_metadata, json!({"owner": "ops"}));
    assert_eq!((row.created_at, row.updated_at, row.revision), (at(1), at(1), 1));
    assert_eq!(store.group(group_id(1)).await.unwrap().as_ref(), Some(&row));
    assert_eq!(store.group_by_name("group 1").await.unwrap().as_ref(), Some(&row));
    assert_eq!(store.group_by_name("group").await.unwrap(), None);
    assert_eq!(store.group(group_id(2)).await.unwrap(), None);

    let of_three = SyncGroup {
        name: "a first".into(),
        mode: GroupMode::ManyToOne,
        hub: system_id(3),
        members: vec![system_id(3), system_id(1)],
        member_mappings: BTreeMap::from([(system_id(1), vec!["tank=backup/one".parse().unwrap()])]),
        on_divergence: OnDivergence::UseMajority,
        allow_destroy: true,
        mirror_deletes: Some(MirrorDeletes { max_percent: 20 }),
        follow_renames: true,
        profile: Profile::Classic,
        ..group(2)
    };
    let second = store.insert_group(&of_three, &settings(), at(2)).await.unwrap();
    assert_eq!(store.groups().await.unwrap(), [second.clone(), row.clone()]);
    assert_eq!(store.groups_of_system(system_id(1)).await.unwrap(), [second.clone(), row.clone()]);
    assert_eq!(store.groups_of_system(system_id(2)).await.unwrap(), [row]);
    assert_eq!(store.groups_of_system(system_id(3)).await.unwrap(), [second]);
}

pub(crate) async fn names_of_groups_are_unique(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    let same = SyncGroup { name: "group 1".into(), ..group(2) };
    let refused = store.insert_group(&same, &settings(), at(1)).await.unwrap_err();
    assert!(matches!(&refused, Error::Conflict { what } if what.contains("`group 1`")), "{refused:?}");
    store.insert_group(&group(2), &settings(), at(1)).await.unwrap();
    assert!(matches!(store.update_group(&same, &settings(), at(2)).await, Err(Error::Conflict { .. })));
    assert_eq!(store.group(group_id(2)).await.unwrap().unwrap().revision, 1);
}

pub(crate) async fn members_must_exist_and_be_listed_once(database: &Database) {
    let store = &database.store;
    systems(store, 2).await;
    let strange = SyncGroup { members: vec![system_id(1), system_id(9)], ..group(1) };
    let refused = store.insert_group(&strange, &settings(), at(1)).await;
    assert!(matches!(refused, Err(Error::NotFound { what: "system" })), "{refused:?}");
    let strange = SyncGroup { hub: system_id(9), ..group(1) };
    let refused = store.insert_group(&strange, &settings(), at(1)).await;
    assert!(matches!(refused, Err(Error::NotFound { what: "system" })), "{refused:?}");
    let twice = SyncGroup { members: vec![system_id(1), system_id(1)], ..group(1) };
    let refused = store.insert_group(&twice, &settings(), at(1)).await;
    assert!(matches!(refused, Err(Error::Conflict { .. })), "{refused:?}");
    assert_eq!(store.groups().await.unwrap(), [], "nothing of a refused group is stored");
}

pub(crate) async fn an_update_raises_the_revision(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    store.create_system(&new_system(3), at(0)).await.unwrap();
    let changed = SyncGroup {
        name: "other".into(),
        enabled: false,
        auto: false,
        members: vec![system_id(3), system_id(1)],
        include: vec!["tank/**".parse().unwrap(), "fast".parse().unwrap()],
        exclude: vec![],
        mappings: vec![],
        member_mappings: BTreeMap::from([(system_id(3), vec![])]),
        allow_destroy: true,
        mirror_deletes: Some(MirrorDeletes { max_percent: 1 }),
        follow_renames: true,
        profile: Profile::Classic,
        ..group(1)
    };
    let row = store.update_group(&changed, &settings(), at(5)).await.unwrap();
    assert_eq!(row.group, changed);
    assert_eq!((row.revision, row.created_at, row.updated_at), (2, at(0), at(5)));
    assert_eq!(store.group(group_id(1)).await.unwrap(), Some(row));
    let unknown = store.update_group(&group(2), &settings(), at(5)).await;
    assert!(matches!(unknown, Err(Error::NotFound { what: "sync group" })));
}

pub(crate) async fn a_deleted_group_takes_its_queue_along(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    store.insert_group(&group(2), &settings(), at(0)).await.unwrap();
    let row = ReplicaRow::new(group_id(1), replica("tank", ReplicaState::Behind), at(1));
    store.store_replicas(group_id(1), None, std::slice::from_ref(&row), at(1)).await.unwrap();
    store.store_replicas(group_id(2), None, &[row], at(1)).await.unwrap();
    store.enqueue_transfer(&new_transfer(1), at(1)).await.unwrap();
    store.lease_transfers(system_id(2), 1, &TransferCaps::NONE, at(2), at(60)).await.unwrap();
    store.enqueue_transfer(&new_transfer(2), at(3)).await.unwrap();
    let mut of_other_group = new_transfer(3);
    of_other_group.group = group_id(2);
    store.enqueue_transfer(&of_other_group, at(3)).await.unwrap();

    assert!(store.delete_group(group_id(1), at(4)).await.unwrap());
    assert!(!store.delete_group(group_id(1), at(4)).await.unwrap());
    assert_eq!(store.group(group_id(1)).await.unwrap(), None);
    let state = async |number| {
        let transfer = store.transfer(transfer_id(number)).await.unwrap().unwrap();
        (transfer.state, transfer.cancel_requested, transfer.finished_at)
    };
    assert_eq!(state(1).await, (TransferState::Leased, true, None));
    assert_eq!(state(2).await, (TransferState::Cancelled, true, Some(at(4))));
    assert_eq!(state(3).await, (TransferState::Queued, false, None));
    let left = store.replicas(&ReplicaFilter::default()).await.unwrap();
    assert_eq!(left.iter().map(|replica| replica.group).collect::<Vec<_>>(), [group_id(2)]);
    let orphan = store.enqueue_transfer(&new_transfer(4), at(5)).await;
    assert!(matches!(orphan, Err(Error::NotFound { what: "sync group" })));
    let orphan = store.retry_transfer(transfer_id(2), at(5)).await;
    assert!(matches!(orphan, Err(Error::NotFound { what: "sync group" })));
}
