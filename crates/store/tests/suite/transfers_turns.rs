//! Whose turn it is where transfers meet.

use std::collections::BTreeSet;

use futures::future::join_all;
use zfs_sync_core::{ids::SystemId, plan::Step};
use zfs_sync_store::{
    Crowded, FinishOutcome, GroupSettings, NewTransfer, Outcome, Store, TransferCaps, TransferRow,
};

use super::{database::Database, make::*};

const DONE: Outcome = Outcome::Succeeded { bytes: 7, resumed_from: None };

/// From `source` to `target`, carried out by the source.
fn push(number: u128, source: (u128, &str), target: (u128, &str)) -> NewTransfer {
    let (from, into) = (format!("{}/{number}", source.1), format!("{}/{number}", target.1));
    let step =
        Step { source_system: system_id(source.0), target_system: system_id(target.0), ..step(&from, &into) };
    NewTransfer { executor: system_id(source.0), step, ..new_transfer(number) }
}

/// Four systems and a group.
async fn four(store: &Store) {
    systems(store, 4).await;
    store.insert_group(&group(1), &GroupSettings::default(), at(0)).await.unwrap();
}

async fn enqueue(store: &Store, all: impl IntoIterator<Item = NewTransfer>) {
    for (seconds, new) in (1..).zip(all) {
        assert!(store.enqueue_transfer(&new, at(seconds)).await.unwrap());
    }
}

async fn lease(store: &Store, executor: u128, caps: TransferCaps) -> Vec<TransferRow> {
    store.lease_transfers(system_id(executor), 64, &caps, at(1000), at(1060)).await.unwrap()
}

fn numbers(leased: &[TransferRow]) -> Vec<u128> {
    leased.iter().map(|row| row.id.as_uuid().as_u128() - transfer_id(0).as_uuid().as_u128()).collect()
}

async fn finish(store: &Store, row: &TransferRow) {
    let finished = store.finish_transfer(row.id, row.generation, &DONE, at(1010)).await.unwrap();
    assert!(matches!(finished, FinishOutcome::Finished(_)));
}

pub(crate) async fn a_system_takes_part_in_so_many_whoever_carries_them_out(database: &Database) {
    let store = &database.store;
    four(store).await;
    enqueue(store, [1, 2, 3].map(|source| push(source, (source, "tank"), (4, "backup")))).await;
    let caps = TransferCaps { per_system: 2, ..TransferCaps::NONE };
    let first = lease(store, 1, caps).await;
    assert_eq!((numbers(&first), numbers(&lease(store, 2, caps).await)), (vec![1], vec![2]));
    assert_eq!(lease(store, 3, caps).await, [], "the target has two already, from others");
    let turns = store.turns().await.unwrap();
    assert_eq!(turns.running(&Crowded::System(system_id(4))), 2);
    finish(store, &first[0]).await;
    assert_eq!(numbers(&lease(store, 3, caps).await), [3]);
}

pub(crate) async fn what_goes_elsewhere_does_not_wait_for_what_is_full(database: &Database) {
    let store = &database.store;
    four(store).await;
    // More than one page of them wait for the same pool, and were there before.
    let many = (1..=450).map(|number| push(number, (1, "tank"), (2, "backup")));
    let others = [push(901, (1, "tank"), (2, "fast")), push(902, (1, "tank"), (3, "backup"))];
    enqueue(store, many.chain(others)).await;
    let caps = TransferCaps { per_pool: 4, per_link: 3, ..TransferCaps::NONE };
    let leased = lease(store, 1, caps).await;
    // Three between 1 and 2, one to 3; then the pool that all come from is full.
    assert_eq!(numbers(&leased), [1, 2, 3, 902]);
    finish(store, &leased[3]).await;
    assert_eq!(lease(store, 1, caps).await, [], "nothing is left that goes to system 3");
    finish(store, &leased[0]).await;
    assert_eq!(numbers(&lease(store, 1, caps).await), [4], "the oldest of those that wait");
    let link = TransferCaps { per_link: 1, ..TransferCaps::NONE };
    assert_eq!(lease(store, 1, link).await, [], "a cap that was lowered lets nothing more begin");
}

pub(crate) async fn caps_hold_when_leases_are_asked_for_at_once(database: &Database) {
    let other = database.another().await;
    let store = &database.store;
    four(store).await;
    let all = (1..=60).map(|number| push(number, (number % 3 + 1, "tank"), (4, "backup")));
    enqueue(store, all).await;
    let caps = TransferCaps { per_system: 7, ..TransferCaps::NONE };
    for _ in 0..3 {
        let ask = async |number: u128| {
            let store = if number.is_multiple_of(2) { store } else { &other };
            store.lease_transfers(system_id(number % 3 + 1), 3, &caps, at(1000), at(1060)).await.unwrap()
        };
        let leased: Vec<TransferRow> = join_all((0..9).map(ask)).await.into_iter().flatten().collect();
        let targets: BTreeSet<SystemId> = leased.iter().map(|row| row.target_system).collect();
        assert_eq!((leased.len(), targets), (7, BTreeSet::from([system_id(4)])));
        for row in &leased {
            finish(store, row).await;
        }
    }
}
