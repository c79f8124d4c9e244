//! Until when an executor may still be at what it was leased.

use zfs_sync_core::plan::LAST_COMMAND;
use zfs_sync_store::{Outcome, Progress, Store, TransferRow, TransferState};

use super::{database::Database, make::*, transfers_leased::lease_one};

async fn row(store: &Store) -> TransferRow {
    store.transfer(transfer_id(1)).await.unwrap().unwrap()
}

/// Transfer 1, leased at second 1 until 61.
async fn leased(database: &Database) -> &Store {
    let store = &database.store;
    fleet(store).await;
    store.enqueue_transfer(&new_transfer(1), at(1)).await.unwrap();
    lease_one(store, 1).await;
    assert!(store.hand_out_transfer(transfer_id(1), 1, at(61)).await.unwrap());
    assert_eq!(row(store).await.over_at(), None, "it is under way");
    store
}

pub(crate) async fn what_an_executor_says_is_over_is_over(database: &Database) {
    let store = leased(database).await;
    let done = Outcome::Succeeded { bytes: 0, resumed_from: None };
    store.finish_transfer(transfer_id(1), 1, &done, at(9)).await.unwrap();
    assert_eq!(row(store).await.over_at(), Some(at(9)));
}

pub(crate) async fn a_lease_that_ends_is_not_over_yet(database: &Database) {
    let store = leased(database).await;
    store.renew_transfer(transfer_id(1), 1, &Progress::default(), at(30), at(90)).await.unwrap();
    assert_eq!(store.expire_leases(at(91)).await.unwrap().len(), 1);
    assert_eq!(row(store).await.over_at(), None, "it is queued again");
    assert!(store.supersede_transfer(transfer_id(1), "another one", at(92)).await.unwrap());
    assert_eq!(row(store).await.over_at(), Some(at(90) + LAST_COMMAND), "counted from the last renewal");

    // An agent that was started anew, and one that gave up: what it had begun last may go on.
    store.enqueue_transfer(&new_transfer(2), at(100)).await.unwrap();
    lease_one(store, 100).await;
    assert!(store.hand_out_transfer(transfer_id(2), 1, at(160)).await.unwrap());
    store.cancel_transfer(transfer_id(2), "somebody", at(101)).await.unwrap();
    let released = store.release_system_leases(system_id(2), at(102)).await.unwrap();
    assert_eq!(released[0].state, TransferState::Cancelled);
    assert_eq!(released[0].over_at(), Some(at(160) + LAST_COMMAND));
    store.enqueue_transfer(&new_transfer(3), at(200)).await.unwrap();
    lease_one(store, 200).await;
    assert!(store.hand_out_transfer(transfer_id(3), 1, at(260)).await.unwrap());
    let failed = Outcome::Failed { code: "E_TIMEOUT".into(), detail: String::new(), retry_at: None };
    store.finish_transfer(transfer_id(3), 1, &failed, at(201)).await.unwrap();
    let row = store.transfer(transfer_id(3)).await.unwrap().unwrap();
    assert_eq!(row.over_at(), Some(at(260) + LAST_COMMAND));
}

/// The agent was killed while its last command waited, and the next one finds that the step is not to be done any more.
pub(crate) async fn a_step_that_is_stale_says_nothing_of_an_earlier_lease(database: &Database) {
    let store = leased(database).await;
    store.expire_leases(at(61)).await.unwrap();
    lease_one(store, 62).await;
    assert!(store.hand_out_transfer(transfer_id(1), 2, at(122)).await.unwrap());
    let stale = Outcome::Stale { detail: "written to".into() };
    store.finish_transfer(transfer_id(1), 2, &stale, at(63)).await.unwrap();
    assert_eq!(row(store).await.over_at(), Some(at(122) + LAST_COMMAND));
    // The first lease of all knows everything that was done.
    store.enqueue_transfer(&new_transfer(2), at(70)).await.unwrap();
    lease_one(store, 70).await;
    assert!(store.hand_out_transfer(transfer_id(2), 1, at(130)).await.unwrap());
    store.finish_transfer(transfer_id(2), 1, &stale, at(71)).await.unwrap();
    assert_eq!(store.transfer(transfer_id(2)).await.unwrap().unwrap().over_at(), Some(at(71)));
}

pub(crate) async fn what_was_never_begun_is_over_when_it_ends(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    store.enqueue_transfer(&new_transfer(1), at(1)).await.unwrap();
    assert_eq!(row(store).await.over_at(), None);
    assert!(!store.hand_out_transfer(transfer_id(1), 0, at(60)).await.unwrap(), "it is not leased");
    store.cancel_transfer(transfer_id(1), "somebody", at(5)).await.unwrap();
    assert_eq!((row(store).await.over_at(), row(store).await.acts_until), (Some(at(5)), None));
}

pub(crate) async fn what_is_withheld_ends_what_was_handed_out_before_no_earlier(database: &Database) {
    let store = leased(database).await;
    store.expire_leases(at(61)).await.unwrap();
    lease_one(store, 62).await;
    assert!(!store.hand_out_transfer(transfer_id(1), 1, at(122)).await.unwrap(), "of an older lease");
    let withheld = Outcome::Withheld { detail: "not wanted".into() };
    store.finish_transfer(transfer_id(1), 2, &withheld, at(62)).await.unwrap();
    let row = row(store).await;
    assert_eq!((row.state, row.over_at()), (TransferState::Stale, Some(at(61) + LAST_COMMAND)));
    // And what was never handed out has nothing that could be over.
    store.enqueue_transfer(&new_transfer(2), at(70)).await.unwrap();
    lease_one(store, 70).await;
    store.finish_transfer(transfer_id(2), 1, &withheld, at(71)).await.unwrap();
    assert_eq!(store.transfer(transfer_id(2)).await.unwrap().unwrap().acts_until, None);
}

pub(crate) async fn a_system_that_goes_leaves_what_others_are_at(database: &Database) {
    let store = leased(database).await;
    store.enqueue_transfer(&new_transfer(2), at(2)).await.unwrap();
    assert!(store.delete_group(group_id(1), at(3)).await.unwrap());
    assert!(store.delete_system(system_id(1)).await.unwrap());
    assert_eq!(row(store).await.state, TransferState::Leased);
    assert_eq!(store.expire_leases(at(62)).await.unwrap().len(), 1);
    assert_eq!(row(store).await.over_at(), Some(at(62).max(at(61) + LAST_COMMAND)));
}
