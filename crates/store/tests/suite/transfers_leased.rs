use std::collections::BTreeSet;

use futures::future::join_all;
use zfs_sync_core::flow::FlowReport;
use zfs_sync_store::{
    FinishOutcome, Outcome, Progress, RenewOutcome, Store, TransferCaps, TransferRow, TransferState,
};

use super::{database::Database, make::*};

const DONE: Outcome = Outcome::Succeeded { bytes: 7, resumed_from: None };

/// Leases the only due transfer of system 2 for a minute.
pub(crate) async fn lease_one(store: &Store, seconds: i64) -> TransferRow {
    let mut leased = store
        .lease_transfers(system_id(2), 10, &TransferCaps::NONE, at(seconds), at(seconds + 60))
        .await
        .unwrap();
    assert_eq!(leased.len(), 1, "{leased:?}");
    leased.remove(0)
}

fn finished(outcome: FinishOutcome) -> TransferRow {
    match outcome {
        FinishOutcome::Finished(transfer) => *transfer,
        FinishOutcome::Lost => panic!("the lease was lost"),
    }
}

pub(crate) async fn a_lease_is_renewed_and_finished(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    for (number, seconds) in [(3, 1), (1, 2), (2, 2)] {
        store.enqueue_transfer(&new_transfer(number), at(seconds)).await.unwrap();
    }
    assert_eq!(
        store.lease_transfers(system_id(1), 9, &TransferCaps::NONE, at(3), at(60)).await.unwrap(),
        [],
        "another executes them"
    );
    let leased = store.lease_transfers(system_id(2), 2, &TransferCaps::NONE, at(3), at(60)).await.unwrap();
    let ids: Vec<_> = leased.iter().map(|transfer| transfer.id).collect();
    assert_eq!(ids, [transfer_id(3), transfer_id(1)], "oldest first");
    let lease = &leased[0];
    assert_eq!((lease.state, lease.generation, lease.attempts), (TransferState::Leased, 1, 1));
    assert_eq!((lease.lease_until, lease.started_at), (Some(at(60)), Some(at(3))));

    let progress = Progress {
        bytes: 10,
        total: Some(90),
        rate: Some(5),
        stage: Some("send".into()),
        resumed_from: Some(2),
        flow: Some(FlowReport {
            idle_seconds: 61,
            waits_for: Some("target".into()),
            ..FlowReport::default()
        }),
    };
    let renewed = store.renew_transfer(lease.id, 1, &progress, at(30), at(90)).await.unwrap();
    assert_eq!(renewed, RenewOutcome::Renewed { cancel_requested: false });
    let little = Progress { bytes: 20, ..Progress::default() };
    store.renew_transfer(lease.id, 1, &little, at(40), at(100)).await.unwrap();
    let row = store.transfer(lease.id).await.unwrap().unwrap();
    assert_eq!((row.bytes, row.total, row.rate, row.resumed_from), (20, Some(90), None, Some(2)));
    assert_eq!((row.stage.as_deref(), row.lease_until), (Some("send"), Some(at(100))));
    assert_eq!(row.flow, progress.flow, "what is not said stays");
    assert_eq!(store.expire_leases(at(99)).await.unwrap().len(), 1, "only the one that was not renewed");

    let row = finished(store.finish_transfer(lease.id, 1, &DONE, at(50)).await.unwrap());
    assert_eq!((row.state, row.bytes, row.resumed_from), (TransferState::Succeeded, 7, Some(2)));
    assert_eq!((row.finished_at, row.lease_until), (Some(at(50)), None));
    assert_eq!(store.transfer(lease.id).await.unwrap(), Some(row));
}

pub(crate) async fn leasers_at_once_never_share_a_transfer(database: &Database) {
    let other = database.another().await;
    let store = &database.store;
    fleet(store).await;
    for number in 1..=40 {
        store.enqueue_transfer(&new_transfer(number), at(1)).await.unwrap();
    }
    let mut all = Vec::new();
    while all.len() < 40 {
        let lease = async |number: u32| {
            let store = if number.is_multiple_of(2) { store } else { &other };
            store.lease_transfers(system_id(2), 3, &TransferCaps::NONE, at(2), at(60)).await.unwrap()
        };
        let leased: Vec<_> = join_all((0..8).map(lease)).await.into_iter().flatten().collect();
        assert!(!leased.is_empty(), "someone always gets something while something is due");
        all.extend(leased);
    }
    let distinct: BTreeSet<_> = all.iter().map(|transfer| transfer.id).collect();
    assert_eq!((all.len(), distinct.len()), (40, 40));
    assert!(all.iter().all(|transfer| transfer.generation == 1));
    assert_eq!(store.lease_transfers(system_id(2), 3, &TransferCaps::NONE, at(2), at(60)).await.unwrap(), []);
}

pub(crate) async fn an_old_generation_is_refused(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    store.enqueue_transfer(&new_transfer(1), at(1)).await.unwrap();
    let old = lease_one(store, 2).await;
    assert_eq!(store.expire_leases(at(61)).await.unwrap(), []);
    let expired = store.expire_leases(at(62)).await.unwrap();
    assert_eq!((expired[0].state, expired[0].generation), (TransferState::Queued, 1));
    assert_eq!(store.finish_transfer(old.id, 1, &DONE, at(63)).await.unwrap(), FinishOutcome::Lost);

    let new = lease_one(store, 64).await;
    assert_eq!((new.id, new.generation, new.attempts), (old.id, 2, 2));
    assert_eq!(new.started_at, Some(at(2)));
    let renewed = store.renew_transfer(old.id, 1, &Progress::default(), at(65), at(999)).await.unwrap();
    assert_eq!(renewed, RenewOutcome::Lost);
    for outcome in [DONE, Outcome::Cancelled, Outcome::Stale { detail: String::new() }] {
        assert_eq!(store.finish_transfer(old.id, 1, &outcome, at(65)).await.unwrap(), FinishOutcome::Lost);
        assert_eq!(store.finish_transfer(old.id, 3, &outcome, at(65)).await.unwrap(), FinishOutcome::Lost);
    }
    assert_eq!(
        store.transfer(old.id).await.unwrap(),
        Some(new.clone()),
        "whoever lost the lease changes nothing"
    );
    finished(store.finish_transfer(new.id, 2, &DONE, at(66)).await.unwrap());
    let unknown = store.finish_transfer(transfer_id(9), 1, &DONE, at(66)).await.unwrap();
    assert_eq!(unknown, FinishOutcome::Lost);
}

pub(crate) async fn a_lease_that_nobody_took_back_goes_on(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    store.enqueue_transfer(&new_transfer(1), at(1)).await.unwrap();
    let lease = lease_one(store, 2).await;
    // The witness was away for an hour.
    let renewed = store.renew_transfer(lease.id, 1, &Progress::default(), at(3600), at(3660)).await.unwrap();
    assert_eq!(renewed, RenewOutcome::Renewed { cancel_requested: false });
    assert_eq!(store.expire_leases(at(3600)).await.unwrap(), []);
    finished(store.finish_transfer(lease.id, 1, &DONE, at(9999)).await.unwrap());
}

pub(crate) async fn failures_are_queued_again_until_parked(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    store.enqueue_transfer(&new_transfer(1), at(1)).await.unwrap();
    let lease = lease_one(store, 2).await;
    let failed = |retry_at| Outcome::Failed { code: "E_NETWORK".into(), detail: "reset".into(), retry_at };
    let row = finished(store.finish_transfer(lease.id, 1, &failed(Some(at(30))), at(3)).await.unwrap());
    assert_eq!((row.state, row.next_attempt_at, row.finished_at), (TransferState::Queued, at(30), None));
    assert_eq!((row.error_code.as_deref(), row.error_detail.as_deref()), (Some("E_NETWORK"), Some("reset")));
    assert_eq!(
        store.lease_transfers(system_id(2), 9, &TransferCaps::NONE, at(29), at(60)).await.unwrap(),
        []
    );
    assert_eq!(lease_one(store, 30).await.attempts, 2);
    let row = finished(store.finish_transfer(lease.id, 2, &failed(None), at(31)).await.unwrap());
    assert_eq!((row.state, row.finished_at), (TransferState::Failed, Some(at(31))));
    assert_eq!(
        store.lease_transfers(system_id(2), 9, &TransferCaps::NONE, at(9999), at(9999)).await.unwrap(),
        []
    );

    // A waiting one need not wait when a person asks; one that shall stop is not tried again.
    store.enqueue_transfer(&new_transfer(2), at(40)).await.unwrap();
    let lease = lease_one(store, 41).await;
    store.finish_transfer(lease.id, 1, &failed(Some(at(9999))), at(42)).await.unwrap();
    store.retry_transfer(lease.id, at(43)).await.unwrap();
    assert_eq!(lease_one(store, 43).await.generation, 2);
    store.cancel_transfer(lease.id, "ops", at(44)).await.unwrap();
    let row = finished(store.finish_transfer(lease.id, 2, &failed(Some(at(50))), at(45)).await.unwrap());
    assert_eq!((row.state, row.finished_at), (TransferState::Cancelled, Some(at(45))));
}

pub(crate) async fn saying_the_result_again_is_answered_the_same(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    store.enqueue_transfer(&new_transfer(1), at(1)).await.unwrap();
    let lease = lease_one(store, 2).await;
    let first = finished(store.finish_transfer(lease.id, 1, &DONE, at(3)).await.unwrap());
    let again = finished(store.finish_transfer(lease.id, 1, &DONE, at(4)).await.unwrap());
    assert_eq!(first, again);
    let otherwise = store.finish_transfer(lease.id, 1, &Outcome::Cancelled, at(5)).await.unwrap();
    assert_eq!(otherwise, FinishOutcome::Lost);
}

pub(crate) async fn a_restarted_agent_loses_its_leases_at_once(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    let mut of_other = new_transfer(3);
    of_other.executor = system_id(1);
    store.enqueue_transfer(&of_other, at(1)).await.unwrap();
    store.lease_transfers(system_id(1), 9, &TransferCaps::NONE, at(1), at(60)).await.unwrap();
    for number in [1, 2] {
        store.enqueue_transfer(&new_transfer(number), at(1)).await.unwrap();
    }
    store.lease_transfers(system_id(2), 9, &TransferCaps::NONE, at(2), at(60)).await.unwrap();
    store.cancel_transfer(transfer_id(2), "ops", at(3)).await.unwrap();
    let released = store.release_system_leases(system_id(2), at(4)).await.unwrap();
    let states: Vec<_> = released.iter().map(|transfer| (transfer.id, transfer.state)).collect();
    assert_eq!(states, [(transfer_id(1), TransferState::Queued), (transfer_id(2), TransferState::Cancelled)]);
    assert_eq!(store.transfer(transfer_id(3)).await.unwrap().unwrap().state, TransferState::Leased);
    assert_eq!(lease_one(store, 4).await.generation, 2);
}
