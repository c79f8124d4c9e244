use futures::future::join_all;
use zfs_sync_core::{group::Strategy, plan::Fingerprint};
use zfs_sync_store::{DecisionOutcome, DecisionRow, Error, PlanRow};

use super::{database::Database, make::*};

pub(crate) async fn a_plan_reads_back_as_it_was(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    let new = new_plan(1, "tank/a");
    let expected = PlanRow {
        id: plan_id(1),
        group: group_id(1),
        replica: new.replica.clone(),
        strategy: Strategy::UseNewest,
        proposal: new.proposal.clone(),
        fingerprint: Fingerprint("of 1".into()),
        created_at: at(1),
        created_by: "key:ops".into(),
        applied_at: None,
        applied_by: None,
    };
    assert_eq!(store.insert_plan(&new, at(1)).await.unwrap(), expected);
    assert_eq!(store.plan(plan_id(1)).await.unwrap(), Some(expected));
    assert_eq!(store.plan(plan_id(2)).await.unwrap(), None);
    let again = store.insert_plan(&new, at(2)).await;
    assert!(matches!(again, Err(Error::Conflict { .. })), "{again:?}");
    let mut strange = new_plan(3, "tank/a");
    strange.group = group_id(9);
    let refused = store.insert_plan(&strange, at(2)).await;
    assert!(matches!(refused, Err(Error::NotFound { .. })), "{refused:?}");
}

pub(crate) async fn a_plan_is_applied_once(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    let new = new_plan(1, "tank/a");
    store.insert_plan(&new, at(1)).await.unwrap();
    let expected = DecisionRow {
        plan: plan_id(1),
        group: group_id(1),
        decision: new.proposal.decision,
        created_at: at(2),
        created_by: "key:other".into(),
        finished_at: None,
        outcome: None,
    };
    assert_eq!(store.apply_plan(plan_id(1), "key:other", at(2)).await.unwrap(), expected);
    assert_eq!(store.decisions(group_id(1)).await.unwrap(), std::slice::from_ref(&expected));
    assert_eq!(store.decision(plan_id(1)).await.unwrap(), Some(expected));
    assert_eq!(store.decisions(group_id(2)).await.unwrap(), []);
    let plan = store.plan(plan_id(1)).await.unwrap().unwrap();
    assert_eq!((plan.applied_at, plan.applied_by.as_deref()), (Some(at(2)), Some("key:other")));

    let again = store.apply_plan(plan_id(1), "key:ops", at(3)).await;
    assert!(matches!(again, Err(Error::Conflict { .. })), "{again:?}");
    assert_eq!(store.plan(plan_id(1)).await.unwrap(), Some(plan));
    let unknown = store.apply_plan(plan_id(2), "key:ops", at(3)).await;
    assert!(matches!(unknown, Err(Error::NotFound { what: "plan" })), "{unknown:?}");
    assert!(store.delete_group(group_id(1), at(4)).await.unwrap());
    assert_eq!(store.decision(plan_id(1)).await.unwrap(), None);
}

pub(crate) async fn a_decision_replaces_the_one_before(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    for (number, dataset) in (1..).zip(["tank/a", "tank/b", "tank/a"]) {
        store.insert_plan(&new_plan(number, dataset), at(1)).await.unwrap();
    }
    store.apply_plan(plan_id(1), "key:ops", at(2)).await.unwrap();
    store.apply_plan(plan_id(2), "key:ops", at(3)).await.unwrap();
    store.apply_plan(plan_id(3), "key:ops", at(4)).await.unwrap();
    let standing: Vec<_> =
        store.decisions(group_id(1)).await.unwrap().into_iter().map(|row| row.plan).collect();
    assert_eq!(standing, [plan_id(3), plan_id(2)]);
    let first = store.decision(plan_id(1)).await.unwrap().unwrap();
    assert_eq!((first.finished_at, first.outcome), (Some(at(4)), Some(DecisionOutcome::Replaced)));
}

pub(crate) async fn plans_applied_at_once_leave_one_decision(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    for number in 1..=4 {
        store.insert_plan(&new_plan(number, "tank/a"), at(1)).await.unwrap();
    }
    let others = [
        database.another().await,
        database.another().await,
        database.another().await,
        database.another().await,
    ];
    // Each plan by two at once: one of them is too late.
    let calls =
        (0..8_usize).map(|call| others[call % 4].apply_plan(plan_id(1 + call as u128 / 2), "key:ops", at(2)));
    let answers = join_all(calls).await;
    let refused = answers.iter().filter(|answer| matches!(answer, Err(Error::Conflict { .. }))).count();
    assert_eq!((answers.iter().filter(|answer| answer.is_ok()).count(), refused), (4, 4), "{answers:?}");
    assert_eq!(store.decisions(group_id(1)).await.unwrap().len(), 1);
    assert_eq!(database.number("SELECT COUNT(*) FROM decisions WHERE outcome = 'replaced'").await, 3);
    for other in others {
        other.close().await;
    }
}

pub(crate) async fn a_decision_ends_once(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    store.insert_plan(&new_plan(1, "tank/a"), at(1)).await.unwrap();
    assert!(!store.finish_decision(plan_id(1), DecisionOutcome::Withdrawn, at(1)).await.unwrap(), "none yet");
    store.apply_plan(plan_id(1), "key:ops", at(2)).await.unwrap();
    assert!(store.finish_decision(plan_id(1), DecisionOutcome::Fulfilled, at(3)).await.unwrap());
    assert!(!store.finish_decision(plan_id(1), DecisionOutcome::Withdrawn, at(4)).await.unwrap());
    let decision = store.decision(plan_id(1)).await.unwrap().unwrap();
    assert_eq!((decision.finished_at, decision.outcome), (Some(at(3)), Some(DecisionOutcome::Fulfilled)));
    assert_eq!(store.decisions(group_id(1)).await.unwrap(), []);
    for outcome in [DecisionOutcome::Fulfilled, DecisionOutcome::Replaced, DecisionOutcome::Withdrawn] {
        assert_eq!(DecisionOutcome::from_name(outcome.as_str()), Some(outcome));
    }
}

pub(crate) async fn a_decision_that_stands_can_be_narrowed(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    for number in [1, 2] {
        let dataset = format!("tank/{number}");
        store.insert_plan(&new_plan(number, &dataset), at(1)).await.unwrap();
    }
    let row = store.apply_plan(plan_id(1), "key:ops", at(2)).await.unwrap();
    let other = store.apply_plan(plan_id(2), "key:ops", at(2)).await.unwrap();
    let mut left = row.decision.clone();
    left.targets = std::collections::BTreeSet::from([system_id(7)]);
    left.may_move.clear();
    assert_ne!(left, row.decision);
    assert!(store.narrow_decision(plan_id(1), &left).await.unwrap());
    let narrowed = DecisionRow { decision: left, ..row.clone() };
    assert_eq!(store.decisions(group_id(1)).await.unwrap(), [narrowed.clone(), other]);
    assert!(store.finish_decision(plan_id(1), DecisionOutcome::Fulfilled, at(3)).await.unwrap());
    assert!(!store.narrow_decision(plan_id(1), &row.decision).await.unwrap(), "it has ended");
    assert!(!store.narrow_decision(plan_id(3), &row.decision).await.unwrap(), "there is none");
    assert_eq!(store.decision(plan_id(1)).await.unwrap().unwrap().decision, narrowed.decision);
}

pub(crate) async fn plans_that_nobody_applied_are_forgotten(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    for number in 1..=3 {
        store.insert_plan(&new_plan(number, "tank/a"), at(i64::try_from(number).unwrap())).await.unwrap();
    }
    store.apply_plan(plan_id(1), "key:ops", at(4)).await.unwrap();
    assert_eq!(store.prune_plans(at(3)).await.unwrap(), 1);
    assert!(store.plan(plan_id(1)).await.unwrap().is_some(), "it was applied");
    assert_eq!(store.plan(plan_id(2)).await.unwrap(), None);
    assert!(store.plan(plan_id(3)).await.unwrap().is_some(), "it is not old");
}

pub(crate) async fn half_an_application_is_none(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    for number in 1..=2 {
        store.insert_plan(&new_plan(number, "tank/a"), at(1)).await.unwrap();
    }
    store.apply_plan(plan_id(1), "key:ops", at(2)).await.unwrap();
    let (plan, standing) =
        (store.plan(plan_id(2)).await.unwrap(), store.decisions(group_id(1)).await.unwrap());
    database.forbid("decisions", "INSERT", "TRUE").await;
    let failed = store.apply_plan(plan_id(2), "key:ops", at(3)).await;
    assert!(matches!(failed, Err(Error::Driver(_))), "{failed:?}");
    assert_eq!(store.plan(plan_id(2)).await.unwrap(), plan, "it can be applied again");
    assert_eq!(store.decisions(group_id(1)).await.unwrap(), standing, "the earlier decision stands");
}
