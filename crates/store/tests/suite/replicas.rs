use zfs_sync_core::plan::{Fact, Reason, ReplicaState};
use zfs_sync_store::{Error, GroupSettings, ReplicaFilter, ReplicaRow, ReplicaTransition};

use super::{database::Database, make::*};

fn row(source: &str, state: ReplicaState) -> ReplicaRow {
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
    let transitions = store.store_replicas(group_id(1), &first, at(1)).await.unwrap();
    let expected =
        [("tank/a", None, Some(Behind)), ("tank/b", None, Some(Behind)), ("tank/c", None, Some(InSync))];
    assert_eq!(told(&transitions), expected);

    let mut diverged = replica("tank/b", Diverged);
    diverged.reason = Some(Reason::Diverged);
    let second = [row("tank/a", Behind), ReplicaRow::new(group_id(1), diverged, at(0))];
    let transitions = store.store_replicas(group_id(1), &second, at(2)).await.unwrap();
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

    assert_eq!(store.store_replicas(group_id(1), &[], at(3)).await.unwrap().len(), 2);
    assert_eq!(store.replicas(&ReplicaFilter::default()).await.unwrap(), []);
    let unknown = store.store_replicas(group_id(9), &[], at(3)).await;
    assert!(matches!(unknown, Err(Error::NotFound { what: "sync group" })));
}

pub(crate) async fn since_stays_while_the_state_does(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    let stored = async |row: ReplicaRow, seconds| {
        let transitions = store.store_replicas(group_id(1), &[row], at(seconds)).await.unwrap().len();
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
    assert_eq!(store.store_replicas(group_id(1), &rows, now).await.unwrap().len(), 1500);
    database.freeze(&["replicas"]).await;
    assert_eq!(store.store_replicas(group_id(1), &rows, at(2)).await.unwrap(), []);
    store.store_replicas(group_id(1), &rows[1..], at(3)).await.expect_err("the rows are frozen indeed");
    assert_eq!(store.replicas(&ReplicaFilter::default()).await.unwrap().len(), 1500);
}

pub(crate) async fn replicas_are_filtered_and_counted(database: &Database) {
    use ReplicaState::{Behind, InSync};
    let store = &database.store;
    fleet(store).await;
    store.create_system(&new_system(3), at(0)).await.unwrap();
    let mut other = group(2);
    other.members = vec![system_id(1), system_id(3)];
    store.insert_group(&other, &GroupSettings::default(), at(0)).await.unwrap();
    let rows = [row("tank/a", Behind), row("tank/b", InSync), row("tank/c", InSync)];
    store.store_replicas(group_id(1), &rows, at(1)).await.unwrap();
    let mut of_three = replica("tank/a", InSync);
    of_three.target_system = system_id(3);
    of_three.target = "backup/a".parse().unwrap();
    let of_three = ReplicaRow::new(group_id(2), of_three, at(1));
    store.store_replicas(group_id(2), &[of_three], at(1)).await.unwrap();

    let found = async |filter: ReplicaFilter| -> Vec<(String, u128)> {
        let rows = store.replicas(&filter).await.unwrap();
        rows.into_iter().map(|row| (row.source.to_string(), row.target_system.as_uuid().as_u128())).collect()
    };
    let expect =
        |rows: &[(&str, u128)]| rows.iter().map(|(name, id)| ((*name).to_owned(), *id)).collect::<Vec<_>>();
    let all = ReplicaFilter::default();
    let everything = [("tank/a", 2), ("tank/b", 2), ("tank/c", 2), ("tank/a", 3)];
    assert_eq!(found(all.clone()).await, expect(&everything));
    assert_eq!(found(ReplicaFilter { limit: Some(1), ..all.clone() }).await, expect(&everything[..1]));
    let of_group = ReplicaFilter { group: Some(group_id(2)), ..all.clone() };
    assert_eq!(found(of_group).await, expect(&everything[3..]));
    let of_system = ReplicaFilter { system: Some(system_id(3)), ..all.clone() };
    assert_eq!(found(of_system).await, expect(&everything[3..]));
    let of_source = ReplicaFilter { system: Some(system_id(1)), ..all.clone() };
    assert_eq!(found(of_source).await, expect(&everything));
    let of_dataset = ReplicaFilter { dataset: Some("backup/a".parse().unwrap()), ..all.clone() };
    assert_eq!(found(of_dataset).await, expect(&everything[3..]));
    let behind = ReplicaFilter { states: vec![Behind, ReplicaState::Diverged], ..all };
    assert_eq!(found(behind).await, expect(&everything[..1]));

    let counts = store.replica_counts(None).await.unwrap();
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), [(InSync, 3), (Behind, 1)]);
    let counts = store.replica_counts(Some(group_id(2))).await.unwrap();
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), [(InSync, 1)]);
}
