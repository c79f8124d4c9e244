use std::collections::BTreeSet;

use zfs_sync_core::plan::{Fact, Reason, ReplicaState};
use zfs_sync_store::{Error, ReplicaFilter, ReplicaRow, ReplicaTransition};

use super::{database::Database, make::*};

pub(crate) fn row(source: &str, state: ReplicaState) -> ReplicaRow {
    ReplicaRow::new(group_id(1), replica(source, state), at(0))
}

/// (source, old, new)
fn told(transitions: &[ReplicaTransition]) -> Vec<(&str, Option<ReplicaState>, Option<ReplicaState>)> {
    transitions.iter().map(|change| (change.source.as_str(), change.old, change.new)).collect()
}

pub(crate) async fn transitions_tell_what_came_changed_and_went(database: &Database) {
    use ReplicaState::{Behind, Diverged, InSync};
    let store = &database.store;
    fleet(store).await;
    let first = [row("tank/a", Behind), row("tank/b", Behind), row("tank/c", InSync)];
    let transitions = store.store_replicas(group_id(1), None, &first, at(1)).await.unwrap();
    let expected =
        [("tank/a", None, Some(Behind)), ("tank/b", None, Some(Behind)), ("tank/c", None, Some(InSync))];
    assert_eq!(told(&transitions), expected);

    let mut diverged = replica("tank/b", Diverged);
    diverged.reason = Some(Reason::Diverged);
    let second = [row("tank/a", Behind), ReplicaRow::new(group_id(1), diverged, at(0))];
    let transitions = store.store_replicas(group_id(1), None, &second, at(2)).await.unwrap();
    assert_eq!(
        told(&transitions),
        [("tank/b", Some(Behind), Some(Diverged)), ("tank/c", Some(InSync), None)]
    );
    assert_eq!(transitions[0].reason.as_deref(), Some("R_DIVERGED"));
    assert_eq!(transitions[0].target_system, system_id(2));
    let stored = store.replicas(&ReplicaFilter::default()).await.unwrap();
    assert_eq!(stored.len(), 2);
    assert_eq!(stored[1].reason.as_deref(), Some("R_DIVERGED"));
    assert_eq!((stored[1].newest_common_creation, stored[1].snapshot_lag), (Some(1_780_000_005), 3));
    assert_eq!(stored[1].report.reason, Some(Reason::Diverged));

    assert_eq!(store.store_replicas(group_id(1), None, &[], at(3)).await.unwrap().len(), 2);
    assert_eq!(store.replicas(&ReplicaFilter::default()).await.unwrap(), []);
    let unknown = store.store_replicas(group_id(9), None, &[], at(3)).await;
    assert!(matches!(unknown, Err(Error::NotFound { what: "sync group" })));
}

pub(crate) async fn since_stays_while_the_state_does(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    let stored = async |row: ReplicaRow, seconds| {
        let transitions = store.store_replicas(group_id(1), None, &[row], at(seconds)).await.unwrap().len();
        let row = store.replicas(&ReplicaFilter::default()).await.unwrap().remove(0);
        (transitions, row.since, row.snapshot_lag, row.report.next)
    };
    assert_eq!(stored(row("tank", ReplicaState::Behind), 1).await, (1, at(1), 3, "a sentence".into()));
    let mut moved = replica("tank", ReplicaState::Behind);
    moved.snapshot_lag = 4;
    moved.next = "another".into();
    moved.facts = vec![Fact { text: "nas2 lacks 4 snapshots".into(), as_of: Some(at(1)) }];
    let moved = ReplicaRow::new(group_id(1), moved, at(2));
    assert_eq!(stored(moved, 2).await, (0, at(1), 4, "another".into()));
    assert_eq!(stored(row("tank", ReplicaState::InSync), 3).await, (1, at(3), 3, "a sentence".into()));
}

pub(crate) async fn the_same_replicas_again_change_no_row(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    let rows: Vec<_> = (0..1500).map(|number| row(&format!("tank/{number}"), ReplicaState::InSync)).collect();
    let now = at(1).checked_add(std::time::Duration::from_nanos(1_234_567)).unwrap();
    assert_eq!(store.store_replicas(group_id(1), None, &rows, now).await.unwrap().len(), 1500);
    database.freeze(&["replicas"]).await;
    assert_eq!(store.store_replicas(group_id(1), None, &rows, at(2)).await.unwrap(), []);
    store.store_replicas(group_id(1), None, &rows[1..], at(3)).await.expect_err("the rows are frozen indeed");
    assert_eq!(store.replicas(&ReplicaFilter::default()).await.unwrap().len(), 1500);
}

pub(crate) async fn a_scope_leaves_all_others_alone(database: &Database) {
    use ReplicaState::{Behind, InSync};
    let store = &database.store;
    fleet(store).await;
    let rows: Vec<_> =
        ["tank", "tank/a", "tank/a/b", "tank/c", "tank/d"].map(|name| row(name, Behind)).into();
    store.store_replicas(group_id(1), None, &rows, at(1)).await.unwrap();
    for operation in ["INSERT", "UPDATE"] {
        database.forbid("replicas", operation, "NEW.dataset NOT IN ('tank/a', 'tank/c')").await;
    }
    database.forbid("replicas", "DELETE", "OLD.dataset NOT IN ('tank/a', 'tank/c')").await;

    // A row outside the scope is none that this is about: it is not stored, whatever it says.
    let scope =
        BTreeSet::from(["tank/a".parse().unwrap(), "tank/c".parse().unwrap(), "tank/e".parse().unwrap()]);
    let rows = [row("tank/a", InSync), row("tank/d", InSync)];
    let transitions = store.store_replicas(group_id(1), Some(&scope), &rows, at(2)).await.unwrap();
    assert_eq!(told(&transitions), [("tank/a", Some(Behind), Some(InSync)), ("tank/c", Some(Behind), None)]);
    let left = store.replicas(&ReplicaFilter::default()).await.unwrap();
    let left: Vec<_> = left.iter().map(|row| (row.dataset.as_str(), row.state)).collect();
    assert_eq!(left, [("tank", Behind), ("tank/a", InSync), ("tank/a/b", Behind), ("tank/d", Behind)]);
    let nothing = store.store_replicas(group_id(1), Some(&BTreeSet::new()), &[], at(3)).await.unwrap();
    assert_eq!(nothing, []);
}
