use std::collections::BTreeSet;

use zfs_sync_core::{
    ids::ConflictId,
    plan::{Conflict, ConflictKind, Reason, ReplicaState, Severity},
};
use zfs_sync_store::{
    ConflictChange, ConflictCount, ConflictFilter, ConflictRow, ConflictStanding, Error, ReplicaFilter,
    ReplicaRow, ReplicaTransition, Store,
};

use super::{database::Database, make::*, replicas::row};
use ConflictChange::{Changed, Opened, Resolved};

fn conflicting(name: &str, conflict: Conflict) -> ReplicaRow {
    let mut report = replica(name, ReplicaState::Diverged);
    report.reason = Some(Reason::Diverged);
    report.conflict = Some(conflict);
    ReplicaRow::new(group_id(1), report, at(0))
}

fn diverged(name: &str) -> ReplicaRow {
    conflicting(name, conflict(name, ConflictKind::Diverged, Severity::Medium, 0))
}

async fn store_all(store: &Store, rows: &[ReplicaRow], seconds: i64) -> Vec<ReplicaTransition> {
    store.store_replicas(group_id(1), None, rows, at(seconds)).await.unwrap()
}

fn told(transitions: &[ReplicaTransition]) -> Vec<(&str, ConflictChange)> {
    let all = transitions.iter();
    all.filter_map(|it| Some((it.dataset.as_str(), it.conflict.as_ref()?.change))).collect()
}

async fn all(store: &Store) -> Vec<ConflictRow> {
    let filter = ConflictFilter { standing: ConflictStanding::All, ..ConflictFilter::default() };
    store.conflicts(&filter).await.unwrap()
}

async fn open(store: &Store) -> Vec<ConflictRow> {
    store.conflicts(&ConflictFilter::default()).await.unwrap()
}

pub(crate) async fn a_conflict_opens_changes_and_is_resolved(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    let transitions = store_all(store, &[diverged("tank"), row("tank/a", ReplicaState::Behind)], 1).await;
    assert_eq!(told(&transitions), [("tank", Opened)]);
    let first = open(store).await.remove(0);
    assert_eq!(first.detail, conflict("tank", ConflictKind::Diverged, Severity::Medium, 0));
    assert_eq!((first.group, &first.replica), (group_id(1), &diverged("tank").key()));
    assert_eq!((first.kind, first.severity), (ConflictKind::Diverged, Severity::Medium));
    assert_eq!((first.since, first.updated_at, first.resolved_at), (at(1), at(1), None));
    assert_eq!(first.reason.as_deref(), Some("R_DIVERGED"));
    assert_eq!(store.conflict(first.id).await.unwrap(), Some(first.clone()));
    let opened = transitions.into_iter().find_map(|transition| transition.conflict).unwrap();
    assert_eq!((opened.id, opened.kind, opened.severity), (first.id, first.kind, first.severity));

    // More was written: the same conflict, nothing to tell.
    let more = conflict("tank", ConflictKind::Diverged, Severity::Medium, 4096);
    assert_eq!(
        store_all(store, &[conflicting("tank", more.clone()), row("tank/a", ReplicaState::Behind)], 2).await,
        []
    );
    let second = open(store).await.remove(0);
    assert_eq!(second, ConflictRow { detail: more, updated_at: at(2), ..first.clone() });

    let other = conflict("tank", ConflictKind::NoCommonBase, Severity::High, 0);
    let transitions = store_all(store, &[conflicting("tank", other.clone())], 3).await;
    assert_eq!(told(&transitions), [("tank", Changed)]);
    assert!(!transitions[0].state_changed() && transitions[1].state_changed(), "{transitions:?}");
    let third = open(store).await.remove(0);
    let expected = ConflictRow {
        kind: ConflictKind::NoCommonBase,
        severity: Severity::High,
        detail: other,
        updated_at: at(3),
        ..first.clone()
    };
    assert_eq!(third, expected);

    let transitions = store_all(store, &[row("tank", ReplicaState::Behind)], 4).await;
    assert_eq!(told(&transitions), [("tank", Resolved)]);
    assert_eq!(open(store).await, []);
    let over = ConflictRow { updated_at: at(4), resolved_at: Some(at(4)), ..expected };
    assert_eq!(all(store).await, std::slice::from_ref(&over), "what it was is kept");

    // The next one is another.
    store_all(store, &[diverged("tank")], 5).await;
    let again = open(store).await.remove(0);
    assert!(again.id != first.id && again.since == at(5), "{again:?}");
    assert_eq!(all(store).await, [again, over]);
}

pub(crate) async fn what_is_not_known_stays_open(database: &Database) {
    use ReplicaState::{Behind, InSync, Paused, Syncing, Unknown};
    let store = &database.store;
    fleet(store).await;
    store_all(store, &[diverged("tank")], 1).await;
    let first = open(store).await;
    database.freeze(&["conflicts"]).await;
    for (state, seconds) in [Unknown, Syncing, Paused].into_iter().zip(2..) {
        assert_eq!(told(&store_all(store, &[row("tank", state)], seconds).await), []);
    }
    assert_eq!(told(&store_all(store, &[diverged("tank")], 5).await), [], "it is still the same");
    assert_eq!(open(store).await, first);
    for state in [Behind, InSync] {
        let refused = store.store_replicas(group_id(1), None, &[row("tank", state)], at(6)).await;
        assert!(refused.is_err(), "{state} resolves it, and the rows are frozen");
    }
}

pub(crate) async fn a_conflict_goes_with_its_replica_and_its_group(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    let rows = ["tank/a", "tank/b", "tank/c"].map(diverged);
    store_all(store, &rows, 1).await;
    let scope = BTreeSet::from(["tank/a".parse().unwrap(), "tank/b".parse().unwrap()]);
    let transitions = store.store_replicas(group_id(1), Some(&scope), &rows[1..2], at(2)).await.unwrap();
    assert_eq!(told(&transitions), [("tank/a", Resolved)]);
    let names = |rows: Vec<ConflictRow>| -> BTreeSet<String> {
        rows.into_iter().map(|row| row.replica.dataset.to_string()).collect()
    };
    assert_eq!(names(open(store).await), BTreeSet::from(["tank/b".to_owned(), "tank/c".to_owned()]));
    assert_eq!(told(&store_all(store, &[], 3).await), [("tank/b", Resolved), ("tank/c", Resolved)]);
    assert_eq!((open(store).await.len(), all(store).await.len()), (0, 3));
    store_all(store, &rows, 4).await;
    assert!(store.delete_group(group_id(1), at(5)).await.unwrap());
    assert_eq!(all(store).await, []);
}

pub(crate) async fn an_ignored_conflict_that_gets_worse_is_heard_again(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    store_all(store, &[diverged("tank")], 1).await;
    let first = open(store).await.remove(0);
    let ignored =
        store.ignore_conflict(first.id, Some(at(900)), "key:ops", Some("it is a test")).await.unwrap();
    let expected = ConflictRow {
        ignored_until: Some(at(900)),
        ignored_by: Some("key:ops".into()),
        note: Some("it is a test".into()),
        ..first.clone()
    };
    assert_eq!(ignored, expected);
    assert_eq!(store.conflict(first.id).await.unwrap(), Some(expected));

    let milder = conflict("tank", ConflictKind::TargetModified, Severity::Low, 0);
    store_all(store, &[conflicting("tank", milder)], 2).await;
    assert_eq!(open(store).await[0].ignored_until, Some(at(900)));
    let worse = conflict("tank", ConflictKind::Diverged, Severity::High, 9);
    store_all(store, &[conflicting("tank", worse)], 3).await;
    let row = open(store).await.remove(0);
    assert_eq!((row.ignored_until, row.ignored_by, row.note), (None, None, None));

    store.ignore_conflict(first.id, Some(at(900)), "key:ops", None).await.unwrap();
    let heeded = store.ignore_conflict(first.id, None, "key:ops", Some("not any more")).await.unwrap();
    assert_eq!((heeded.ignored_until, heeded.ignored_by, heeded.note), (None, None, None));
    store_all(store, &[], 4).await;
    let late = store.ignore_conflict(first.id, Some(at(900)), "key:ops", None).await;
    assert!(matches!(late, Err(Error::Conflict { .. })), "{late:?}");
    let strange = ConflictId::from_uuid(system_id(1).as_uuid());
    let unknown = store.ignore_conflict(strange, None, "key:ops", None).await;
    assert!(matches!(unknown, Err(Error::NotFound { what: "conflict" })), "{unknown:?}");
    assert_eq!(store.conflict(strange).await.unwrap(), None);
}

pub(crate) async fn conflicts_are_filtered_and_counted(database: &Database) {
    use ConflictKind::{Diverged, Orphaned};
    use Severity::{High, Low, Medium};
    let store = &database.store;
    fleet(store).await;
    let mut orphan = conflicting("tank/c", conflict("backup/c", Orphaned, Medium, 0));
    orphan.report.reason = Some(Reason::Orphaned);
    store_all(store, &[diverged("tank/a")], 1).await;
    let rows = [diverged("tank/a"), conflicting("tank/b", conflict("tank/b", Diverged, High, 1)), orphan];
    store_all(store, &rows[..2], 2).await;
    store_all(store, &rows, 3).await;
    store_all(store, &rows[1..], 4).await;

    let found = async |filter: ConflictFilter| -> Vec<String> {
        let rows = store.conflicts(&filter).await.unwrap();
        rows.into_iter().map(|row| row.replica.dataset.to_string()).collect()
    };
    let every = || ConflictFilter { standing: ConflictStanding::All, ..ConflictFilter::default() };
    assert_eq!(found(every()).await, ["tank/c", "tank/b", "tank/a"], "the newest first");
    assert_eq!(found(ConflictFilter { limit: Some(1), ..every() }).await, ["tank/c"]);
    assert_eq!(found(ConflictFilter::default()).await, ["tank/c", "tank/b"]);
    let resolved = ConflictFilter { standing: ConflictStanding::Resolved, ..every() };
    assert_eq!(found(resolved).await, ["tank/a"]);
    assert_eq!(found(ConflictFilter { group: Some(group_id(2)), ..every() }).await, [""; 0]);
    assert_eq!(found(ConflictFilter { group: Some(group_id(1)), ..every() }).await.len(), 3);
    assert_eq!(found(ConflictFilter { kinds: vec![Orphaned], ..every() }).await, ["tank/c"]);
    assert_eq!(found(ConflictFilter { severities: vec![High, Low], ..every() }).await, ["tank/b"]);
    assert_eq!(found(ConflictFilter { system: Some(system_id(1)), ..every() }).await.len(), 3);
    assert_eq!(found(ConflictFilter { system: Some(system_id(2)), ..every() }).await.len(), 3);
    assert_eq!(found(ConflictFilter { system: Some(system_id(3)), ..every() }).await, [""; 0]);
    for name in ["tank/c", "backup/c"] {
        assert_eq!(
            found(ConflictFilter { dataset: Some(name.parse().unwrap()), ..every() }).await,
            ["tank/c"]
        );
    }

    let of_b = store
        .conflicts(&ConflictFilter { kinds: vec![Diverged], ..ConflictFilter::default() })
        .await
        .unwrap();
    store.ignore_conflict(of_b[0].id, Some(at(100)), "key:ops", None).await.unwrap();
    let counts = async |group, seconds| -> Vec<_> {
        store.conflict_counts(group, at(seconds)).await.unwrap().into_iter().collect()
    };
    let (one, ignored) = (ConflictCount { open: 1, ignored: 0 }, ConflictCount { open: 1, ignored: 1 });
    assert_eq!(counts(None, 99).await, [((Diverged, High), ignored), ((Orphaned, Medium), one)]);
    assert_eq!(counts(Some(group_id(1)), 100).await, [((Diverged, High), one), ((Orphaned, Medium), one)]);
    assert_eq!(counts(Some(group_id(2)), 99).await, []);
}

pub(crate) async fn old_conflicts_are_forgotten(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    store_all(store, &["tank/a", "tank/b"].map(diverged), 1).await;
    store_all(store, &[diverged("tank/b")], 2).await;
    assert_eq!(store.prune_conflicts(at(2)).await.unwrap(), 0);
    assert_eq!(store.prune_conflicts(at(3)).await.unwrap(), 1);
    assert_eq!(all(store).await.len(), 1, "an open one is never forgotten");
}

pub(crate) async fn replicas_and_conflicts_change_together(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    store_all(store, &[row("tank/a", ReplicaState::InSync)], 1).await;
    let before = store.replicas(&ReplicaFilter::default()).await.unwrap();
    database.forbid("conflicts", "INSERT", "NEW.dataset = 'tank/b'").await;
    let failed = store.store_replicas(group_id(1), None, &["tank/a", "tank/b"].map(diverged), at(2)).await;
    assert!(matches!(failed, Err(Error::Driver(_))), "{failed:?}");
    assert_eq!(store.replicas(&ReplicaFilter::default()).await.unwrap(), before);
    assert_eq!(all(store).await, []);
}
