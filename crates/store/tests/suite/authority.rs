use uuid::Uuid;
use zfs_sync_store::{AuthorityRow, Listener};

use super::{database::Database, make::*, transfers_leased::lease_one};

pub(crate) async fn the_first_authority_stays(database: &Database) {
    let store = &database.store;
    assert_eq!(store.authority().await.unwrap(), None);
    let row = |byte: u8| AuthorityRow { certificate: vec![byte; 4], key: vec![byte + 1; 4] };
    let (one, other) = (row(1), row(9));
    let (one, other) = tokio::join!(store.keep_authority(&one, at(0)), store.keep_authority(&other, at(0)));
    let kept = store.authority().await.unwrap().unwrap();
    assert_eq!((one.unwrap(), other.unwrap()), (kept.clone(), kept.clone()), "both have the same");
    assert_eq!(store.keep_authority(&row(30), at(1)).await.unwrap(), kept);
    assert!(!format!("{kept:?}").contains(&format!("{}", kept.key[0])), "{kept:?}");
}

pub(crate) async fn a_listener_is_noted_and_forgotten(database: &Database) {
    let store = &database.store;
    store.create_system(&new_system(1), at(0)).await.unwrap();
    let listener = Listener { host: None, port: 8001, instance: Uuid::from_u128(5) };
    assert!(store.set_listener(system_id(1), Some(&listener)).await.unwrap());
    assert!(store.set_certificate_end(system_id(1), at(9)).await.unwrap());
    let row = store.system(system_id(1)).await.unwrap().unwrap();
    assert_eq!((row.listener, row.certificate_expires_at), (Some(listener), Some(at(9))));
    let named = Listener { host: Some("10.0.0.1".into()), port: 1, instance: Uuid::from_u128(6) };
    assert!(store.set_listener(system_id(1), Some(&named)).await.unwrap());
    assert_eq!(store.system(system_id(1)).await.unwrap().unwrap().listener, Some(named));
    assert!(store.set_listener(system_id(1), None).await.unwrap());
    assert_eq!(store.system(system_id(1)).await.unwrap().unwrap().listener, None);
    assert!(!store.set_listener(system_id(2), None).await.unwrap());
    assert!(!store.set_certificate_end(system_id(2), at(9)).await.unwrap());
}

pub(crate) async fn a_transport_belongs_to_its_lease(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    store.enqueue_transfer(&new_transfer(1), at(1)).await.unwrap();
    let leased = lease_one(store, 2).await;
    store.note_transport(leased.id, leased.generation, "ssh", Some("nobody listens")).await.unwrap();
    store.note_transport(leased.id, leased.generation + 1, "tls", None).await.unwrap();
    let row = store.transfer(leased.id).await.unwrap().unwrap();
    assert_eq!(row.transport.as_deref(), Some("ssh"), "a lease that is not the present one says nothing");
    assert_eq!(row.transport_note.as_deref(), Some("nobody listens"));
}
