use zfs_sync_store::{Error, NewKey};

use super::{database::Database, make::*};

pub(crate) async fn keys_are_found_by_their_prefix(database: &Database) {
    let store = &database.store;
    systems(store, 1).await;
    let bound =
        NewKey { role: "system".into(), system: Some(system_id(1)), expires_at: Some(at(100)), ..new_key(1) };
    let key = store.insert_key(&bound, at(0)).await.unwrap();
    assert_eq!(key.hash, hash(1));
    assert_eq!((key.system, key.expires_at, key.last_used_at), (Some(system_id(1)), Some(at(100)), None));
    assert!(key.is_valid(at(99)) && !key.is_valid(at(100)));
    assert_eq!(store.key_by_prefix("zs_1").await.unwrap().as_ref(), Some(&key));
    assert_eq!(store.key_by_prefix("zs_").await.unwrap(), None);

    let same_prefix = NewKey { id: new_key(2).id, ..new_key(1) };
    assert!(matches!(store.insert_key(&same_prefix, at(1)).await, Err(Error::Conflict { .. })));
    let of_nobody = NewKey { system: Some(system_id(9)), ..new_key(2) };
    assert!(matches!(store.insert_key(&of_nobody, at(1)).await, Err(Error::NotFound { what: "system" })));
    assert_eq!(store.keys().await.unwrap(), [key]);
    assert_eq!(store.count_keys("system").await.unwrap(), 1);
    assert_eq!(store.count_keys("admin").await.unwrap(), 0);
}

pub(crate) async fn a_revoked_key_loses_its_sessions(database: &Database) {
    let store = &database.store;
    let key = store.insert_key(&new_key(1), at(0)).await.unwrap();
    store.insert_session(hash(50), key.id, at(1000)).await.unwrap();
    assert_eq!(store.session(hash(50), at(1)).await.unwrap(), Some(key.clone()));
    assert!(store.revoke_key(key.id, at(2)).await.unwrap());
    assert!(!store.revoke_key(key.id, at(3)).await.unwrap(), "it is revoked already");
    assert_eq!(store.session(hash(50), at(4)).await.unwrap(), None);
    let revoked = store.key_by_prefix("zs_1").await.unwrap().unwrap();
    assert_eq!(revoked.revoked_at, Some(at(2)));
    assert!(!revoked.is_valid(at(4)));
    assert_eq!(store.count_keys("operator").await.unwrap(), 0);
}

pub(crate) async fn the_last_use_is_noted_once_a_minute(database: &Database) {
    let store = &database.store;
    let key = store.insert_key(&new_key(1), at(0)).await.unwrap();
    let noted = async |seconds| {
        store.touch_key(key.id, at(seconds)).await.unwrap();
        store.key_by_prefix("zs_1").await.unwrap().unwrap().last_used_at.unwrap()
    };
    assert_eq!(noted(10).await, at(10));
    assert_eq!(noted(69).await, at(10));
    assert_eq!(noted(70).await, at(70));
}

pub(crate) async fn sessions_end_with_their_time(database: &Database) {
    let store = &database.store;
    let key = NewKey { expires_at: Some(at(50)), ..new_key(1) };
    let key = store.insert_key(&key, at(0)).await.unwrap();
    let lasting = store.insert_key(&new_key(2), at(0)).await.unwrap();
    store.insert_session(hash(50), key.id, at(100)).await.unwrap();
    store.insert_session(hash(51), lasting.id, at(100)).await.unwrap();
    store.insert_session(hash(52), lasting.id, at(200)).await.unwrap();
    let open = async |byte, seconds| store.session(hash(byte), at(seconds)).await.unwrap().is_some();
    assert!(open(50, 49).await && !open(50, 50).await, "it ends with its key");
    assert!(open(51, 99).await && !open(51, 100).await);
    assert_eq!(store.prune_sessions(at(100)).await.unwrap(), 2);
    assert!(open(52, 100).await);
    assert!(store.delete_session(hash(52)).await.unwrap());
    assert!(!store.delete_session(hash(52)).await.unwrap());
    assert!(!open(52, 100).await);
    let stranger = store.insert_session(hash(53), new_key(9).id, at(100)).await;
    assert!(matches!(stranger, Err(Error::NotFound { what: "key" })));
}
