use serde_json::json;
use zfs_sync_core::plan::ReplicaState;
use zfs_sync_store::{
    Error, GroupSettings, NewKey, NewSystem, ReplicaFilter, ReplicaRow, SystemChange, SystemSeen,
};

use super::{database::Database, make::*};

pub(crate) async fn hostnames_are_unique(database: &Database) {
    let store = &database.store;
    let created = store.create_system(&new_system(1), at(0)).await.unwrap();
    assert_eq!(store.system(system_id(1)).await.unwrap().unwrap(), created);
    assert_eq!(store.system_by_hostname("nas1").await.unwrap().unwrap(), created);
    assert_eq!(created.extra_metadata, json!({"rack": "B ü"}));
    assert_eq!((created.created_at, created.updated_at, created.last_seen), (at(0), at(0), None));

    let same_name = NewSystem { id: system_id(2), ..new_system(1) };
    let refused = store.create_system(&same_name, at(1)).await.unwrap_err();
    assert!(matches!(&refused, Error::Conflict { what } if what.contains("`nas1`")), "{refused:?}");
    let same_id = NewSystem { id: system_id(1), ..new_system(2) };
    assert!(matches!(store.create_system(&same_id, at(1)).await, Err(Error::Conflict { .. })));
    assert_eq!(store.systems(0, 10).await.unwrap(), [created]);

    store.create_system(&new_system(2), at(1)).await.unwrap();
    let change = SystemChange { hostname: Some("nas1".parse().unwrap()), ..SystemChange::default() };
    assert!(matches!(store.update_system(system_id(2), &change, at(2)).await, Err(Error::Conflict { .. })));
}

pub(crate) async fn systems_are_listed_by_name_in_pages(database: &Database) {
    let store = &database.store;
    for (number, hostname) in [(1, "b"), (2, "a-2"), (3, "B"), (4, "a.1"), (5, "a")] {
        let system = NewSystem { hostname: hostname.parse().unwrap(), ..new_system(number) };
        store.create_system(&system, at(0)).await.unwrap();
    }
    let page = async |skip, limit| -> Vec<String> {
        let rows = store.systems(skip, limit).await.unwrap();
        rows.iter().map(|system| system.hostname.to_string()).collect()
    };
    assert_eq!(page(0, u64::MAX).await, ["B", "a", "a-2", "a.1", "b"]);
    assert_eq!(page(1, 2).await, ["a", "a-2"]);
    assert_eq!(page(5, 2).await, [""; 0]);
}

pub(crate) async fn a_change_touches_only_what_it_names(database: &Database) {
    let store = &database.store;
    let before = store.create_system(&new_system(1), at(0)).await.unwrap();
    let change = SystemChange { ssh_user: Some(None), ssh_port: Some(65535), ..SystemChange::default() };
    let after = store.update_system(system_id(1), &change, at(9)).await.unwrap();
    let mut expected = before.clone();
    expected.ssh_user = None;
    expected.ssh_port = 65535;
    expected.updated_at = at(9);
    assert_eq!(after, expected);
    assert_eq!(store.system(system_id(1)).await.unwrap(), Some(expected));
    let unknown = store.update_system(system_id(2), &change, at(9)).await;
    assert!(matches!(unknown, Err(Error::NotFound { what: "system" })));
}

pub(crate) async fn a_sign_of_life_keeps_what_it_does_not_say(database: &Database) {
    let store = &database.store;
    store.create_system(&new_system(1), at(0)).await.unwrap();
    let seen = SystemSeen {
        agent_version: Some("0.1.0".into()),
        zfs_version: Some("2.3.2".into()),
        os: Some("Debian 13".into()),
        extra_metadata: None,
        clock_offset_ms: Some(-1500),
        inventory_interval_ms: Some(10_000),
    };
    assert!(store.touch_system(system_id(1), &seen, at(5)).await.unwrap());
    let little = SystemSeen { agent_version: Some("0.2.0".into()), ..SystemSeen::default() };
    assert!(store.touch_system(system_id(1), &little, at(6)).await.unwrap());
    let system = store.system(system_id(1)).await.unwrap().unwrap();
    assert_eq!(system.agent_version.as_deref(), Some("0.2.0"));
    assert_eq!(system.zfs_version.as_deref(), Some("2.3.2"));
    assert_eq!(system.os.as_deref(), Some("Debian 13"));
    assert_eq!((system.clock_offset_ms, system.inventory_interval_ms), (Some(-1500), Some(10_000)));
    assert_eq!((system.last_seen, system.connectivity_status.as_str()), (Some(at(6)), "online"));
    assert_eq!((system.extra_metadata, system.updated_at), (json!({"rack": "B ü"}), at(0)));
    assert!(!store.touch_system(system_id(2), &little, at(6)).await.unwrap());
}

pub(crate) async fn deleting_a_system_takes_its_belongings_along(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    systems(store, 0).await;
    store.create_system(&new_system(3), at(0)).await.unwrap();
    store.insert_key(&NewKey { system: Some(system_id(2)), ..new_key(1) }, at(0)).await.unwrap();
    store.insert_key(&NewKey { system: Some(system_id(3)), ..new_key(2) }, at(0)).await.unwrap();
    store.apply_report(system_id(2), &complete(1, vec![whole(&dataset("tank", 1..5))]), at(1)).await.unwrap();
    let row = ReplicaRow::new(group_id(1), replica("tank", ReplicaState::Behind), at(1));
    store.store_replicas(group_id(1), None, &[row], at(1)).await.unwrap();
    store.enqueue_transfer(&new_transfer(1), at(1)).await.unwrap();
    store.enqueue_transfer(&new_transfer(2), at(1)).await.unwrap();
    store.cancel_transfer(transfer_id(2), "ops", at(2)).await.unwrap();

    let mut without = group(1);
    without.members = vec![system_id(1), system_id(3)];
    store.update_group(&without, &GroupSettings::default(), at(3)).await.unwrap();
    assert!(store.delete_system(system_id(2)).await.unwrap());
    assert!(!store.delete_system(system_id(2)).await.unwrap());

    assert_eq!(store.system(system_id(2)).await.unwrap(), None);
    let keys: Vec<_> = store.keys().await.unwrap().into_iter().map(|key| key.prefix).collect();
    assert_eq!(keys, ["zs_2"]);
    assert_eq!(database.number("SELECT COUNT(*) FROM snapshots").await, 0);
    assert_eq!(store.replicas(&ReplicaFilter::default()).await.unwrap(), []);
    assert_eq!(store.transfer(transfer_id(1)).await.unwrap(), None);
    assert!(store.transfer(transfer_id(2)).await.unwrap().is_some(), "finished transfers are history");
}

pub(crate) async fn a_member_of_a_group_is_not_deleted(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    store.insert_group(&group(2), &GroupSettings::default(), at(0)).await.unwrap();
    for number in [1, 2] {
        let refused = store.delete_system(system_id(number)).await.unwrap_err();
        assert!(
            matches!(&refused, Error::Conflict { what } if what.contains("`group 1`, `group 2`")),
            "{refused:?}"
        );
        assert!(store.system(system_id(number)).await.unwrap().is_some());
    }
}

pub(crate) async fn a_wanted_report_is_answered_by_the_next_complete_one(database: &Database) {
    let store = &database.store;
    systems(store, 1).await;
    let wanted = async || store.report_wanted(system_id(1)).await.unwrap();
    assert!(!wanted().await);
    assert!(store.want_report(system_id(1), at(1)).await.unwrap());
    assert!(wanted().await, "it has never reported");
    store.apply_report(system_id(1), &complete(1, vec![]), at(2)).await.unwrap();
    assert!(!wanted().await);
    store.want_report(system_id(1), at(3)).await.unwrap();
    assert!(wanted().await);
    store
        .apply_report(system_id(1), &delta(2, vec![digest_of(&dataset("tank", 1..3))]), at(4))
        .await
        .unwrap();
    assert!(wanted().await, "that report lacks a history");
    store.apply_report(system_id(1), &delta(3, vec![whole(&dataset("tank", 1..3))]), at(5)).await.unwrap();
    assert!(!wanted().await);
    assert!(!store.want_report(system_id(9), at(6)).await.unwrap());
}

pub(crate) async fn a_damaged_cell_is_named(database: &Database) {
    let store = &database.store;
    systems(store, 2).await;
    let damage = "UPDATE systems SET extra_metadata = '{' WHERE hostname = 'nas2'";
    database.execute(damage, damage).await;
    assert!(store.system(system_id(1)).await.unwrap().is_some());
    let error = store.system(system_id(2)).await.unwrap_err();
    let Error::Inconsistency { table, column, row } = &error else { panic!("{error:?}") };
    assert_eq!((*table, *column, row.as_str()), ("systems", "extra_metadata", &*system_id(2).to_string()));
    assert!(!error.is_retryable());
}
