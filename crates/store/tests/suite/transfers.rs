use zfs_sync_store::{
    Error, NewTransfer, Outcome, ParkedReplica, RenewOutcome, TransferCaps, TransferFilter, TransferState,
};

use super::{database::Database, make::*, transfers_leased::lease_one};

pub(crate) async fn a_target_has_one_unfinished_transfer(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    assert!(store.enqueue_transfer(&new_transfer(1), at(1)).await.unwrap());
    let same_target = NewTransfer { id: transfer_id(2), ..new_transfer(1) };
    assert!(!store.enqueue_transfer(&same_target, at(2)).await.unwrap());
    let leased = lease_one(store, 3).await;
    assert!(!store.enqueue_transfer(&same_target, at(4)).await.unwrap());
    assert_eq!(leased.step, new_transfer(1).step);
    assert_eq!((leased.total, leased.group), (Some(1 << 40), group_id(1)));
    let done = Outcome::Succeeded { bytes: 1, resumed_from: None };
    store.finish_transfer(leased.id, leased.generation, &done, at(5)).await.unwrap();
    assert!(store.enqueue_transfer(&same_target, at(6)).await.unwrap());
    let same_id = NewTransfer { id: transfer_id(2), ..new_transfer(3) };
    assert!(matches!(store.enqueue_transfer(&same_id, at(7)).await, Err(Error::Conflict { .. })));
}

pub(crate) async fn transfers_are_filtered_newest_first(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    store.create_system(&new_system(3), at(0)).await.unwrap();
    for (number, seconds) in [(1, 1), (2, 2), (3, 2)] {
        store.enqueue_transfer(&new_transfer(number), at(seconds)).await.unwrap();
    }
    let mut elsewhere = new_transfer(4);
    elsewhere.executor = system_id(3);
    store.enqueue_transfer(&elsewhere, at(3)).await.unwrap();
    store.cancel_transfer(transfer_id(2), "ops", at(4)).await.unwrap();
    let found = async |filter: TransferFilter| -> Vec<u128> {
        let rows = store.transfers(&filter).await.unwrap();
        rows.into_iter().map(|row| row.id.as_uuid().as_u128() - 0x7000).collect()
    };
    let all = TransferFilter::default();
    assert_eq!(found(all.clone()).await, [4, 3, 2, 1]);
    assert_eq!(found(TransferFilter { limit: Some(2), ..all.clone() }).await, [4, 3]);
    assert_eq!(found(TransferFilter { unfinished: Some(true), ..all.clone() }).await, [4, 3, 1]);
    assert_eq!(found(TransferFilter { unfinished: Some(false), ..all.clone() }).await, [2]);
    assert_eq!(found(TransferFilter { states: vec![TransferState::Cancelled], ..all.clone() }).await, [2]);
    let cancelled = store.transfer(transfer_id(2)).await.unwrap().unwrap().finished_at.unwrap();
    assert_eq!(found(TransferFilter { finished_since: Some(cancelled), ..all.clone() }).await, [2]);
    let later = cancelled + std::time::Duration::from_secs(1);
    assert_eq!(found(TransferFilter { finished_since: Some(later), ..all.clone() }).await, [0; 0]);
    assert_eq!(found(TransferFilter { system: Some(system_id(3)), ..all.clone() }).await, [4]);
    assert_eq!(found(TransferFilter { system: Some(system_id(1)), ..all.clone() }).await, [4, 3, 2, 1]);
    assert_eq!(found(TransferFilter { group: Some(group_id(2)), ..all }).await, [0; 0]);
    assert_eq!(store.unfinished_transfers(group_id(1)).await.unwrap().len(), 3);
}

pub(crate) async fn unfinished_transfers_are_counted_without_being_read(database: &Database) {
    use TransferState::{Leased, Queued};
    let store = &database.store;
    fleet(store).await;
    let counts = async || store.unfinished_transfer_counts().await.unwrap().into_iter().collect::<Vec<_>>();
    assert_eq!(counts().await, []);
    for number in 1..5 {
        store.enqueue_transfer(&new_transfer(number), at(1)).await.unwrap();
    }
    store.cancel_transfer(transfer_id(4), "ops", at(2)).await.unwrap();
    assert_eq!(counts().await, [(Queued, 3)]);
    store.lease_transfers(system_id(2), 2, &TransferCaps::NONE, at(3), at(60)).await.unwrap();
    // What can not be read is not looked at.
    let damage = "UPDATE transfers SET step = '?'";
    database.execute(damage, damage).await;
    assert_eq!(counts().await, [(Queued, 1), (Leased, 2)]);
    assert!(store.transfers(&TransferFilter::default()).await.is_err(), "the rows can not be read");
}

pub(crate) async fn a_queued_transfer_is_cancelled_at_once(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    assert_eq!(store.cancel_transfer(transfer_id(1), "ops", at(1)).await.unwrap(), None);
    store.enqueue_transfer(&new_transfer(1), at(1)).await.unwrap();
    let cancelled = store.cancel_transfer(transfer_id(1), "ops", at(2)).await.unwrap().unwrap();
    assert_eq!((cancelled.state, cancelled.finished_at), (TransferState::Cancelled, Some(at(2))));
    assert_eq!(cancelled.cancelled_by.as_deref(), Some("ops"));
    let again = store.cancel_transfer(transfer_id(1), "somebody else", at(3)).await.unwrap();
    assert_eq!(again, Some(cancelled));
    assert_eq!(store.lease_transfers(system_id(2), 9, &TransferCaps::NONE, at(4), at(60)).await.unwrap(), []);
}

pub(crate) async fn a_leased_transfer_is_asked_to_stop(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    for number in [1, 2] {
        store.enqueue_transfer(&new_transfer(number), at(1)).await.unwrap();
        let leased = lease_one(store, 2).await;
        let asked = store.cancel_transfer(leased.id, "ops", at(3)).await.unwrap().unwrap();
        assert_eq!((asked.state, asked.cancel_requested), (TransferState::Leased, true));
        let renewed = store
            .renew_transfer(leased.id, 1, &zfs_sync_store::Progress::default(), at(4), at(60))
            .await
            .unwrap();
        assert_eq!(renewed, RenewOutcome::Renewed { cancel_requested: true });
    }
    // One agent obeys, the other is never heard of again.
    store.finish_transfer(transfer_id(1), 1, &Outcome::Cancelled, at(5)).await.unwrap();
    let expired = store.expire_leases(at(60)).await.unwrap();
    assert_eq!(expired.len(), 1);
    for (number, seconds) in [(1, 5), (2, 60)] {
        let row = store.transfer(transfer_id(number)).await.unwrap().unwrap();
        assert_eq!((row.state, row.finished_at), (TransferState::Cancelled, Some(at(seconds))));
        assert_eq!(row.cancelled_by.as_deref(), Some("ops"));
    }
}

pub(crate) async fn a_parked_replica_stays_parked_until_retried(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    let parked = async || store.parked_replicas(group_id(1)).await.unwrap();
    let outcome = Outcome::Failed { code: "E_NO_SPACE".into(), detail: "full".into(), retry_at: None };
    store.enqueue_transfer(&new_transfer(1), at(1)).await.unwrap();
    assert_eq!(parked().await, []);
    let leased = lease_one(store, 2).await;
    store.finish_transfer(leased.id, 1, &outcome, at(3)).await.unwrap();
    let mut expected = vec![ParkedReplica {
        target_system: system_id(2),
        target: "backup/1".parse().unwrap(),
        transfer: transfer_id(1),
        step: new_transfer(1).step,
        code: Some("E_NO_SPACE".into()),
        finished_at: at(3),
    }];
    assert_eq!(parked().await, expected);
    store.enqueue_transfer(&new_transfer(2), at(3)).await.unwrap();
    store.cancel_transfer(transfer_id(2), "ops", at(4)).await.unwrap();
    expected.push(ParkedReplica {
        target: "backup/2".parse().unwrap(),
        transfer: transfer_id(2),
        step: new_transfer(2).step,
        code: None,
        finished_at: at(4),
        ..expected[0].clone()
    });
    assert_eq!(parked().await, expected);

    let retried = store.retry_transfer(transfer_id(1), at(9)).await.unwrap().unwrap();
    assert_eq!((retried.state, retried.attempts, retried.next_attempt_at), (TransferState::Queued, 0, at(9)));
    assert_eq!(retried.error_code.as_deref(), Some("E_NO_SPACE"), "the newest failure is not forgotten");
    assert_eq!(parked().await, expected[1..]);
    let leased = lease_one(store, 10).await;
    assert_eq!(leased.generation, 2);
    let done = Outcome::Succeeded { bytes: 1, resumed_from: None };
    store.finish_transfer(leased.id, 2, &done, at(11)).await.unwrap();
    assert_eq!(parked().await, expected[1..]);
    assert_eq!(store.transfer(leased.id).await.unwrap().unwrap().error_code, None);

    // A newer transfer that went another way parks it no more, although the old row still says cancelled.
    let newer = NewTransfer { id: transfer_id(3), ..new_transfer(2) };
    store.enqueue_transfer(&newer, at(12)).await.unwrap();
    assert_eq!(parked().await, []);
    let leased = lease_one(store, 13).await;
    store.finish_transfer(leased.id, 1, &Outcome::Stale { detail: "moved".into() }, at(14)).await.unwrap();
    assert_eq!(parked().await, []);
    assert_eq!(store.retry_transfer(transfer_id(9), at(15)).await.unwrap(), None);
}

pub(crate) async fn a_retry_yields_to_a_newer_transfer(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    store.enqueue_transfer(&new_transfer(1), at(1)).await.unwrap();
    store.cancel_transfer(transfer_id(1), "ops", at(2)).await.unwrap();
    let newer = NewTransfer { id: transfer_id(2), ..new_transfer(1) };
    store.enqueue_transfer(&newer, at(3)).await.unwrap();
    let refused = store.retry_transfer(transfer_id(1), at(4)).await.unwrap_err();
    assert!(matches!(&refused, Error::Conflict { what } if what.contains("`backup/1`")), "{refused:?}");
    let leased = lease_one(store, 5).await;
    let as_it_is = store.retry_transfer(leased.id, at(6)).await.unwrap().unwrap();
    assert_eq!(as_it_is, leased);
}
