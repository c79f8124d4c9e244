use futures::future::join_all;
use serde_json::json;
use zfs_sync_store::{Error, NewAudit};

use super::{database::Database, make::*};

pub(crate) async fn events_are_numbered_without_gaps(database: &Database) {
    let other = database.another().await;
    assert_eq!(database.store.newest_event_id().await.unwrap(), 0);
    let append = async |number: u64| {
        let store = if number.is_multiple_of(2) { &database.store } else { &other };
        store.append_event("system.seen", &json!({"number": number}), at(1)).await.unwrap()
    };
    let mut numbers = join_all((1..=20).map(append)).await;
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
    assert_eq!(database.store.newest_event_id().await.unwrap(), 20);
    let page = database.store.events_since(15, 3).await.unwrap();
    assert_eq!(page.iter().map(|event| event.id).collect::<Vec<_>>(), [16, 17, 18]);
    assert_eq!((page[0].kind.as_str(), page[0].at), ("system.seen", at(1)));
    assert!(page[0].data["number"].is_u64());
    assert_eq!(database.store.events_since(u64::MAX, 3).await.unwrap(), []);
}

pub(crate) async fn pruned_events_keep_their_numbers(database: &Database) {
    let store = &database.store;
    for seconds in 1..=4 {
        store.append_event("tick", &json!({}), at(seconds)).await.unwrap();
    }
    assert_eq!(store.prune_events(at(3)).await.unwrap(), 2);
    let left: Vec<_> = store.events_since(0, 10).await.unwrap().iter().map(|event| event.id).collect();
    assert_eq!(left, [3, 4]);
    assert_eq!(store.prune_events(at(100)).await.unwrap(), 2);
    assert_eq!(store.newest_event_id().await.unwrap(), 4);
    assert_eq!(store.append_event("tick", &json!({}), at(5)).await.unwrap(), 5);
}

pub(crate) async fn the_audit_log_reads_newest_first(database: &Database) {
    let store = &database.store;
    let entry = |object: &str, request_id: Option<&str>| NewAudit {
        actor: "key:ops".into(),
        action: "group.create".into(),
        object: object.into(),
        detail: json!({"name": object}),
        request_id: request_id.map(str::to_owned),
        address: Some("127.0.0.1".into()),
    };
    let (first, second) = (entry("group:a", None), entry("group:b", Some("r-1")));
    assert_eq!(store.append_audit(&first, at(1)).await.unwrap(), 1);
    assert_eq!(store.append_audit(&second, at(2)).await.unwrap(), 2);
    let rows: Vec<_> =
        store.audit(10).await.unwrap().into_iter().map(|row| (row.id, row.at, row.entry)).collect();
    assert_eq!(rows, [(2, at(2), second.clone()), (1, at(1), first)]);
    assert_eq!(store.audit(1).await.unwrap()[0].entry, second);
}

pub(crate) async fn sync_states_are_replaced_by_subject(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    let set = async |dataset: &str, status: &str, error: Option<&str>, seconds| {
        store.set_sync_state(group_id(1), dataset, system_id(2), status, error, at(seconds)).await.unwrap()
    };
    let synced = set("tank/a", "in_sync", None, 1).await;
    assert_eq!((synced.last_sync, synced.last_check, synced.error_message), (Some(at(1)), Some(at(1)), None));
    let failed = set("tank/a", "error", Some("no route"), 2).await;
    assert_eq!((failed.id, failed.status.as_str()), (synced.id, "error"));
    assert_eq!((failed.last_sync, failed.last_check), (Some(at(1)), Some(at(2))));
    assert_eq!((failed.error_message.as_deref(), failed.created_at), (Some("no route"), at(1)));
    let other = set("", "out_of_sync", None, 3).await;
    assert_ne!(other.id, failed.id);
    assert_eq!((other.last_sync, other.dataset.as_str()), (None, ""));

    assert_eq!(store.sync_states(0, 10).await.unwrap(), [failed.clone(), other.clone()]);
    assert_eq!(store.sync_states(1, 1).await.unwrap(), std::slice::from_ref(&other));
    assert_eq!(store.sync_states_of(group_id(1)).await.unwrap(), [other, failed.clone()]);
    assert_eq!(store.sync_states_of(group_id(2)).await.unwrap(), []);
    assert_eq!(store.sync_state(failed.id).await.unwrap(), Some(failed));
    let stranger = store.set_sync_state(group_id(2), "tank", system_id(2), "error", None, at(4)).await;
    assert!(matches!(stranger, Err(Error::NotFound { .. })), "{stranger:?}");
}
