use futures::future::join_all;
use zfs_sync_store::{Error, Report, ReportOutcome};

use super::{database::Database, make::*};

pub(crate) async fn a_delta_needs_the_newest_sequence(database: &Database) {
    let store = &database.store;
    systems(store, 1).await;
    let tank = dataset("tank", 1..4);
    let resync = ReportOutcome { resync: true, ..ReportOutcome::default() };
    for first in [delta(1, vec![]), delta(1, vec![whole(&tank)])] {
        let outcome = store.apply_report(system_id(1), &first, at(1)).await.unwrap();
        assert_eq!(outcome, resync, "nothing is known to base a delta on");
    }
    store.apply_report(system_id(1), &complete(5, vec![whole(&tank)]), at(1)).await.unwrap();
    let gap = Report { removed: vec![tank.name.clone()], ..delta(7, vec![]) };
    for late in [delta(5, vec![]), delta(7, vec![]), gap] {
        assert_eq!(store.apply_report(system_id(1), &late, at(2)).await.unwrap(), resync);
    }
    let inventory = store.inventory(system_id(1)).await.unwrap().unwrap();
    assert_eq!((inventory.as_of, inventory.datasets.len()), (at(1), 1), "a refused report changes nothing");

    let removal =
        Report { removed: vec![tank.name.clone()], ..delta(6, vec![whole(&dataset("tank/b", 1..2))]) };
    let outcome = store.apply_report(system_id(1), &removal, at(3)).await.unwrap();
    assert!(outcome.accepted && outcome.changed);
    let inventory = store.inventory(system_id(1)).await.unwrap().unwrap();
    assert_eq!(inventory.datasets.into_keys().collect::<Vec<_>>(), ["tank/b".parse().unwrap()]);
    // An agent that lost its ledger starts anew.
    assert!(store.apply_report(system_id(1), &complete(1, vec![]), at(4)).await.unwrap().accepted);
    assert!(store.apply_report(system_id(1), &delta(2, vec![]), at(5)).await.unwrap().accepted);
}

pub(crate) async fn an_empty_delta_writes_one_row(database: &Database) {
    let store = &database.store;
    systems(store, 2).await;
    store.apply_report(system_id(1), &complete(1, vec![whole(&dataset("tank", 1..4))]), at(1)).await.unwrap();
    database.freeze(&["datasets", "snapshots", "bookmarks", "needed_histories"]).await;
    database.forbid("systems", "UPDATE", "OLD.hostname = 'nas2'").await;
    let outcome = store.apply_report(system_id(1), &delta(2, vec![]), at(2)).await.unwrap();
    assert_eq!(outcome, ReportOutcome { accepted: true, ..ReportOutcome::default() });
    let system = store.system(system_id(1)).await.unwrap().unwrap();
    assert_eq!((system.inventory_sequence, system.inventory_as_of), (Some(2), Some(at(2))));
    assert_eq!(system.last_seen, Some(at(2)));
}

pub(crate) async fn another_digest_without_history_is_needed_and_holds_back_the_age(database: &Database) {
    let store = &database.store;
    systems(store, 1).await;
    let [old, other] = [dataset("tank/a", 1..4), dataset("tank/b", 1..3)];
    store.apply_report(system_id(1), &complete(1, vec![whole(&old), whole(&other)]), at(1)).await.unwrap();

    let mut new = dataset("tank/a", 1..5);
    new.properties.written = 4096;
    let fresh = dataset("tank/c", 7..9);
    let need = vec![new.name.clone(), fresh.name.clone()];
    let report = delta(2, vec![digest_of(&new), digest_of(&other), digest_of(&fresh)]);
    let outcome = store.apply_report(system_id(1), &report, at(2)).await.unwrap();
    assert_eq!(outcome, ReportOutcome { accepted: true, need: need.clone(), ..ReportOutcome::default() });
    let inventory = store.inventory(system_id(1)).await.unwrap().unwrap();
    assert_eq!(inventory.as_of, at(1), "a mixed state is not fresh");
    assert_eq!(inventory.datasets[&old.name], old, "neither history nor properties are touched");
    assert_eq!(inventory.datasets.len(), 2);

    let outcome = store.apply_report(system_id(1), &delta(3, vec![]), at(3)).await.unwrap();
    assert_eq!(outcome.need, need, "it is asked for until it comes");
    let outcome = store.apply_report(system_id(1), &delta(4, vec![whole(&new)]), at(4)).await.unwrap();
    assert_eq!((outcome.need, outcome.changed), (vec![fresh.name.clone()], true));
    let inventory = store.inventory(system_id(1)).await.unwrap().unwrap();
    assert_eq!((inventory.as_of, &inventory.datasets[&new.name]), (at(1), &new));
    let outcome = store.apply_report(system_id(1), &delta(5, vec![whole(&fresh)]), at(5)).await.unwrap();
    assert_eq!(outcome.need, []);
    let inventory = store.inventory(system_id(1)).await.unwrap().unwrap();
    assert_eq!((inventory.as_of, inventory.datasets.len()), (at(5), 3));
}

pub(crate) async fn a_needed_dataset_that_goes_away_is_needed_no_more(database: &Database) {
    let store = &database.store;
    systems(store, 1).await;
    let tank = dataset("tank", 1..4);
    let needed = store.apply_report(system_id(1), &complete(1, vec![digest_of(&tank)]), at(1)).await.unwrap();
    assert_eq!(needed.need, std::slice::from_ref(&tank.name));
    assert_eq!(store.inventory(system_id(1)).await.unwrap(), None, "no complete report has come yet");
    let gone = Report { removed: vec![tank.name.clone()], ..delta(2, vec![]) };
    let outcome = store.apply_report(system_id(1), &gone, at(2)).await.unwrap();
    assert_eq!((outcome.need, outcome.changed), (vec![], true));
    assert_eq!(store.inventory(system_id(1)).await.unwrap().unwrap().as_of, at(2));

    store.apply_report(system_id(1), &delta(3, vec![digest_of(&tank)]), at(3)).await.unwrap();
    let outcome = store.apply_report(system_id(1), &complete(4, vec![]), at(4)).await.unwrap();
    assert_eq!((outcome.need, outcome.changed), (vec![], false));
    assert_eq!(store.inventory(system_id(1)).await.unwrap().unwrap().as_of, at(4));
}

pub(crate) async fn one_of_two_deltas_at_once_is_accepted(database: &Database) {
    let other = database.another().await;
    systems(&database.store, 1).await;
    database.store.apply_report(system_id(1), &complete(1, vec![]), at(1)).await.unwrap();
    let send = async |number: u64| {
        let store = if number.is_multiple_of(2) { &database.store } else { &other };
        let datasets = vec![whole(&dataset(&format!("tank/{number}"), 1..20))];
        store.apply_report(system_id(1), &delta(2, datasets), at(2)).await.unwrap()
    };
    let outcomes = join_all((1..=6).map(send)).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.accepted).count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|outcome| outcome.resync).count(), 5, "{outcomes:?}");
    assert_eq!(database.store.inventory(system_id(1)).await.unwrap().unwrap().datasets.len(), 1);
}

pub(crate) async fn reports_of_strangers_are_refused(database: &Database) {
    for report in [complete(1, vec![whole(&dataset("tank", 1..4))]), delta(1, vec![])] {
        let refused = database.store.apply_report(system_id(1), &report, at(1)).await;
        assert!(matches!(refused, Err(Error::NotFound { what: "system" })), "{refused:?}");
    }
    assert_eq!(database.number("SELECT COUNT(*) FROM datasets").await, 0);
}
