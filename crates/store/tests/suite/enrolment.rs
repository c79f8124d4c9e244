use futures::future::join_all;
use zfs_sync_store::{EnrolError, Error, NewEnrolmentToken, NewSystem};

use super::{database::Database, make::*};

pub(crate) async fn a_token_admits_as_often_as_it_says(database: &Database) {
    let store = &database.store;
    let token = store.insert_enrolment_token(&new_token(1, 2), at(0)).await.unwrap();
    assert_eq!(store.enrolment_token_by_prefix("zt_1").await.unwrap(), Some(token.clone()));
    let first = store.enrol(token.id, &new_system(1), &new_key(1), at(1)).await.unwrap();
    assert_eq!(first.hostname.as_str(), "nas1");
    store.enrol(token.id, &new_system(2), &new_key(2), at(2)).await.unwrap();
    let third = store.enrol(token.id, &new_system(3), &new_key(3), at(3)).await;
    assert!(matches!(third, Err(EnrolError::Used)), "{third:?}");
    assert_eq!(store.enrolment_tokens().await.unwrap()[0].uses_left, 0);
    let key = store.key_by_prefix("zs_2").await.unwrap().unwrap();
    assert_eq!(key.system, Some(system_id(2)), "the key belongs to the new system");
}

pub(crate) async fn a_refused_enrolment_stores_nothing(database: &Database) {
    let store = &database.store;
    let token = store.insert_enrolment_token(&new_token(1, 5), at(0)).await.unwrap();
    let again = NewEnrolmentToken { id: new_token(2, 1).id, ..new_token(1, 1) };
    assert!(matches!(store.insert_enrolment_token(&again, at(0)).await, Err(Error::Conflict { .. })));
    store.enrol(token.id, &new_system(1), &new_key(1), at(1)).await.unwrap();

    let same_name = NewSystem { id: system_id(2), ..new_system(1) };
    let refused = store.enrol(token.id, &same_name, &new_key(2), at(2)).await;
    assert!(matches!(refused, Err(EnrolError::HostnameTaken { id }) if id == system_id(1)), "{refused:?}");
    let same_key = store.enrol(token.id, &new_system(2), &new_key(1), at(2)).await;
    assert!(matches!(same_key, Err(EnrolError::Store(Error::Conflict { .. }))), "{same_key:?}");
    let expired = store.enrol(token.id, &new_system(2), &new_key(2), at(3600)).await;
    assert!(matches!(expired, Err(EnrolError::Expired)), "{expired:?}");
    let unknown = store.enrol(new_token(9, 1).id, &new_system(2), &new_key(2), at(2)).await;
    assert!(matches!(unknown, Err(EnrolError::Unknown)), "{unknown:?}");
    assert!(store.revoke_enrolment_token(token.id, at(3)).await.unwrap());
    assert!(!store.revoke_enrolment_token(token.id, at(4)).await.unwrap());
    let revoked = store.enrol(token.id, &new_system(2), &new_key(2), at(5)).await;
    assert!(matches!(revoked, Err(EnrolError::Revoked)), "{revoked:?}");

    assert_eq!(store.systems(0, 10).await.unwrap().len(), 1);
    assert_eq!(store.keys().await.unwrap().len(), 1);
    assert_eq!(store.enrolment_token_by_prefix("zt_1").await.unwrap().unwrap().uses_left, 4);
}

pub(crate) async fn enrolments_at_once_never_exceed_the_uses(database: &Database) {
    let other = database.another().await;
    let token = database.store.insert_enrolment_token(&new_token(1, 3), at(0)).await.unwrap();
    let enrol = async |number: u8| {
        let store = if number.is_multiple_of(2) { &database.store } else { &other };
        store.enrol(token.id, &new_system(number.into()), &new_key(number), at(1)).await
    };
    let results = join_all((1..=8).map(enrol)).await;
    let refused = results.iter().filter(|result| matches!(result, Err(EnrolError::Used))).count();
    assert_eq!((results.iter().filter(|result| result.is_ok()).count(), refused), (3, 5), "{results:?}");
    assert_eq!(database.store.systems(0, 10).await.unwrap().len(), 3);
}
