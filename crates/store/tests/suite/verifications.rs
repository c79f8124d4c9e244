use std::{collections::BTreeMap, time::Duration};

use uuid::Uuid;
use zfs_sync_core::{
    guid::{Guid, Txg},
    health::PoolHealth,
    ids::VerificationId,
    inventory::DatasetKind,
    verify::{Answer, Inspected, Outcome, PROTOCOL, Question},
};
use zfs_sync_store::{
    Error, Exchanged, NewVerification, ScheduleRow, Side, SideWord, Store, VerificationRow, VerificationState,
};

use super::{database::Database, make::*};

fn id(number: u128) -> VerificationId {
    VerificationId::from_uuid(Uuid::from_u128(0x9000 + number))
}

fn new(number: u128) -> NewVerification {
    NewVerification {
        id: id(number),
        group: None,
        requested_by: "ops".to_owned(),
        deep: false,
        rate: Some(1 << 40),
        estimate: 7,
        left: (system_id(1), "tank/a@one".parse().unwrap()),
        right: (system_id(2), "backup/a@one".parse().unwrap()),
    }
}

fn inspected(guid: u64) -> Vec<Answer> {
    vec![Answer::Inspected(Box::new(Inspected {
        protocol: PROTOCOL,
        guid: Guid::new(guid),
        createtxg: Txg::new(1),
        creation: 1,
        kind: DatasetKind::Filesystem,
        earlier: vec![],
        pool: None,
        properties: BTreeMap::new(),
    }))]
}

fn word(row: &VerificationRow, side: Side, answers: Option<Vec<Answer>>) -> SideWord {
    SideWord { generation: row.generation, side, round: 1, answers, entries: 3, bytes: 1 << 40 }
}

async fn lease(store: &Store, system: u128, seconds: i64) -> Vec<(VerificationRow, Side)> {
    store.lease_verifications(system_id(system), 4, at(seconds), at(seconds + 15)).await.unwrap()
}

/// Both sides work on it.
async fn begun(store: &Store, number: u128, seconds: i64) -> VerificationRow {
    store.create_verification(&new(number), at(seconds)).await.unwrap();
    assert_eq!(lease(store, 1, seconds).await.len(), 1);
    lease(store, 2, seconds).await.pop().unwrap().0
}

pub(crate) async fn both_sides_answer_and_it_ends(database: &Database) {
    let store = &database.store;
    let row = begun(store, 1, 1).await;
    assert_eq!((row.state, row.rate), (VerificationState::Running, Some(1 << 40)));
    assert_eq!(lease(store, 1, 2).await, [], "each side is leased once");
    let left = word(&row, Side::Left, Some(inspected(5)));
    let exchanged = store.exchange_verification(row.id, &left, at(3), at(18)).await.unwrap();
    assert_eq!(exchanged, Exchanged::Asked { round: 1, questions: vec![Question::Inspect], moved: false });
    let read = store.verification(row.id).await.unwrap().unwrap();
    assert_eq!(read.left.answers, Some(inspected(5)));
    assert_eq!((read.left.entries, read.left.bytes, read.left.lease_until), (3, 1 << 40, Some(at(18))));
    let right = word(&row, Side::Right, Some(inspected(5)));
    let Exchanged::Over { row: ended, moved: true } =
        store.exchange_verification(row.id, &right, at(4), at(19)).await.unwrap()
    else {
        panic!("both have answered");
    };
    assert_eq!((ended.state, ended.finished_at), (VerificationState::Matched, Some(at(4))));
    assert_eq!(store.verification(row.id).await.unwrap().as_ref(), Some(&*ended));
    assert_eq!(store.verifications(10).await.unwrap(), [(*ended).clone()]);
    assert_eq!(ended.result.unwrap().outcome, Outcome::Matched);
    let again = store.exchange_verification(row.id, &left, at(5), at(20)).await.unwrap();
    assert!(matches!(again, Exchanged::Over { moved: false, .. }));
}

pub(crate) async fn a_lost_agent_begins_it_anew_until_it_has_failed(database: &Database) {
    let store = &database.store;
    let row = begun(store, 1, 1).await;
    let left = word(&row, Side::Left, Some(inspected(5)));
    store.exchange_verification(row.id, &left, at(10), at(25)).await.unwrap();
    assert_eq!(store.expire_verifications(2, at(15)).await.unwrap(), []);
    // The second side was silent; the first one's answer goes with it.
    let anew = store.expire_verifications(2, at(16)).await.unwrap().pop().unwrap();
    assert_eq!((anew.state, anew.generation, anew.attempts), (VerificationState::Queued, 2, 2));
    assert_eq!((&anew.left.answers, anew.left.lease_until), (&None, None));
    let late = store.exchange_verification(row.id, &left, at(17), at(30)).await.unwrap();
    assert_eq!(late, Exchanged::Lost);
    assert_eq!(lease(store, 2, 18).await.len(), 1);
    assert_eq!(store.release_verifications(system_id(1), 2, at(19)).await.unwrap(), []);
    let failed = store.release_verifications(system_id(2), 2, at(19)).await.unwrap().pop().unwrap();
    assert_eq!(failed.state, VerificationState::Failed);
    assert_eq!(failed.result.unwrap().code.as_deref(), Some("E_VERIFY_INTERRUPTED"));
}

pub(crate) async fn a_cancelled_verification_is_over(database: &Database) {
    let store = &database.store;
    assert_eq!(store.cancel_verification(id(1), at(1)).await.unwrap(), None);
    let row = begun(store, 1, 1).await;
    let cancelled = store.cancel_verification(row.id, at(2)).await.unwrap().unwrap();
    assert_eq!(cancelled.state, VerificationState::Cancelled);
    let told =
        store.exchange_verification(row.id, &word(&row, Side::Left, None), at(3), at(9)).await.unwrap();
    assert!(matches!(told, Exchanged::Over { moved: false, .. }));
    assert_eq!(store.cancel_verification(row.id, at(4)).await.unwrap(), Some(cancelled));
}

pub(crate) async fn a_schedule_belongs_to_its_group(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    let schedule =
        ScheduleRow { group: group_id(1), every: Duration::from_hours(168), budget: 50 << 30, rate: None };
    store.set_verification_schedule(&schedule, at(1)).await.unwrap();
    let schedule = ScheduleRow { rate: Some(1 << 20), ..schedule };
    store.set_verification_schedule(&schedule, at(2)).await.unwrap();
    assert_eq!(store.verification_schedules().await.unwrap(), std::slice::from_ref(&schedule));
    let strange = ScheduleRow { group: group_id(9), ..schedule };
    assert!(matches!(store.set_verification_schedule(&strange, at(3)).await, Err(Error::NotFound { .. })));
    let row = store
        .create_verification(&NewVerification { group: Some(group_id(1)), ..new(1) }, at(4))
        .await
        .unwrap();
    assert_eq!(row.estimate, 7);
    assert_eq!(
        store.scheduled_verifications(group_id(1), at(9)).await.unwrap(),
        std::slice::from_ref(&row),
        "it has not ended"
    );
    store.cancel_verification(row.id, at(5)).await.unwrap();
    assert_eq!(store.scheduled_verifications(group_id(1), at(9)).await.unwrap(), []);
    assert_eq!(store.scheduled_verifications(group_id(1), at(4)).await.unwrap().len(), 1);
    assert!(store.delete_verification_schedule(group_id(1)).await.unwrap());
    assert!(!store.delete_verification_schedule(group_id(1)).await.unwrap());
}

pub(crate) async fn proofs_are_the_newest_of_each_kind_and_stay(database: &Database) {
    let store = &database.store;
    for (number, seconds, right) in [(1, 1, 5), (2, 10, 5), (3, 20, 6)] {
        let row = begun(store, number, seconds).await;
        for (side, guid) in [(Side::Left, 5), (Side::Right, right)] {
            let word = word(&row, side, Some(inspected(guid)));
            store.exchange_verification(row.id, &word, at(seconds), at(seconds + 15)).await.unwrap();
        }
    }
    let proofs = store.proofs().await.unwrap();
    assert_eq!(proofs.len(), 1, "two different snapshots say nothing of each other");
    assert_eq!((proofs[0].system, proofs[0].at, proofs[0].deep), (system_id(2), at(10), false));
    assert_eq!((proofs[0].verification, proofs[0].matched), (id(2), true));
    assert_eq!(proofs[0].snapshot.to_string(), "backup/a@one");
    assert_eq!(store.prune_verifications(at(100)).await.unwrap(), 2);
    assert_eq!(store.proofs().await.unwrap(), proofs);
}

pub(crate) async fn a_difference_takes_the_place_of_an_older_proof(database: &Database) {
    let store = &database.store;
    for (number, seconds, creation) in [(1, 1, 1), (2, 10, 2)] {
        let row = begun(store, number, seconds).await;
        for (side, creation) in [(Side::Left, 1), (Side::Right, creation)] {
            let mut answers = inspected(5);
            let Answer::Inspected(inspected) = &mut answers[0] else { panic!("it is one") };
            inspected.creation = creation;
            let word = word(&row, side, Some(answers));
            store.exchange_verification(row.id, &word, at(seconds), at(seconds + 15)).await.unwrap();
        }
    }
    let proofs = store.proofs().await.unwrap();
    assert_eq!((proofs.len(), proofs[0].matched, proofs[0].verification), (1, false, id(2)));
    assert_eq!(store.prune_verifications(at(100)).await.unwrap(), 1);
    assert_eq!(store.proofs().await.unwrap(), proofs);
}

pub(crate) async fn what_no_agent_comes_for_is_given_up_and_unproven(database: &Database) {
    let store = &database.store;
    let attended = begun(store, 1, 1).await;
    store.create_verification(&new(2), at(2)).await.unwrap();
    assert_eq!(lease(store, 1, 3).await.len(), 1);
    assert_eq!(store.give_up_verifications(at(2), at(9)).await.unwrap(), [], "it was begun at that moment");
    let given_up = store.give_up_verifications(at(3), at(9)).await.unwrap();
    let [row] = given_up.as_slice() else { panic!("{given_up:?}") };
    assert_eq!((row.id, row.state, row.finished_at), (id(2), VerificationState::Unproven, Some(at(9))));
    let result = row.result.clone().unwrap();
    assert_eq!(result.code.as_deref(), Some("E_VERIFY_NO_AGENT"));
    assert!(result.detail.unwrap().contains("backup/a@one"));
    assert_eq!(store.verification(attended.id).await.unwrap(), Some(attended));
    // What begins anew has its whole time again.
    store.expire_verifications(5, at(20)).await.unwrap();
    assert_eq!(store.give_up_verifications(at(20), at(21)).await.unwrap(), []);
    assert_eq!(store.give_up_verifications(at(21), at(22)).await.unwrap().len(), 1);
}

pub(crate) async fn a_schedule_has_one_verification_under_way(database: &Database) {
    let store = &database.store;
    let of_group = |number: u128| NewVerification { group: Some(group_id(1)), ..new(number) };
    store.create_verification(&of_group(1), at(1)).await.unwrap();
    let second = store.create_verification(&of_group(2), at(2)).await;
    assert!(matches!(second, Err(Error::Conflict { .. })), "another witness was first");
    store.create_verification(&new(3), at(3)).await.unwrap();
    store.cancel_verification(id(1), at(4)).await.unwrap();
    store.create_verification(&of_group(2), at(5)).await.unwrap();
}

pub(crate) async fn health_of_pools_is_replaced_as_a_whole(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    let pool = |name: &str, scrubbed| PoolHealth {
        name: name.to_owned(),
        state: "ONLINE".to_owned(),
        problem: None,
        scan: Some("scrub repaired 0B".to_owned()),
        scrubbed_at: scrubbed,
        scrub_errors: Some(0),
        errors: None,
    };
    store.set_pool_health(system_id(1), &[pool("tank", None), pool("old", None)], at(1)).await.unwrap();
    store.set_pool_health(system_id(1), &[pool("tank", Some(at(0)))], at(2)).await.unwrap();
    let found = store.pool_health().await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[&system_id(1)].pools, [pool("tank", Some(at(0)))]);
    assert_eq!(found[&system_id(1)].reported_at, at(2));
    let strange = store.set_pool_health(system_id(99), &[], at(3)).await;
    assert!(matches!(strange, Err(Error::NotFound { .. })));
}
