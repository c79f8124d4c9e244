//! Reports of clients that know no GUIDs.

use std::collections::{BTreeMap, BTreeSet};

use zfs_sync_core::{guid::Guid, inventory::Inventory, plan::Needed};
use zfs_sync_store::{Report, ReportOutcome, Store};

use super::{database::Database, make::*};

fn without_guids(report: Report) -> Report {
    Report { without_guids: true, ..report }
}

async fn inventory(store: &Store) -> Option<Inventory> {
    store.inventory(system_id(1)).await.unwrap()
}

async fn apply(store: &Store, report: Report, seconds: i64) -> ReportOutcome {
    store.apply_report(system_id(1), &report, at(seconds)).await.unwrap()
}

pub(crate) async fn a_report_without_guids_reads_back_as_one(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    let tank = dataset("tank/media", 1..4);
    let outcome = apply(store, without_guids(complete(1, vec![whole(&tank)])), 1).await;
    assert_eq!(outcome, ReportOutcome { accepted: true, changed: true, ..ReportOutcome::default() });
    assert!(inventory(store).await.unwrap().without_guids);
    let needed = Needed { histories: BTreeSet::from(["tank/media".parse().unwrap()]), ..Needed::default() };
    let part = store.inventory_part(system_id(1), &needed, &[]).await.unwrap().unwrap();
    assert!(part.without_guids && part.datasets.len() == 1);

    // Deltas keep the kind, also those that say nothing.
    for report in [delta(2, vec![]), delta(3, vec![whole(&dataset("tank/media", 1..5))])] {
        assert!(apply(store, without_guids(report), 2).await.accepted);
        assert!(inventory(store).await.unwrap().without_guids);
    }
    // It is about this system alone.
    store.apply_report(system_id(2), &complete(1, vec![whole(&tank)]), at(1)).await.unwrap();
    assert!(!store.inventory(system_id(2)).await.unwrap().unwrap().without_guids);
}

pub(crate) async fn a_delta_is_of_the_kind_of_its_base(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    let (tank, more) = (dataset("tank/media", 1..4), dataset("tank/media", 1..5));
    let resync = ReportOutcome { resync: true, ..ReportOutcome::default() };
    apply(store, complete(1, vec![whole(&tank)]), 1).await;
    for report in [delta(2, vec![]), delta(2, vec![whole(&more)])] {
        assert_eq!(apply(store, without_guids(report), 2).await, resync);
    }
    let before = inventory(store).await.unwrap();
    assert!(!before.without_guids && before.as_of == at(1), "a refused report changes nothing");

    apply(store, without_guids(complete(2, vec![whole(&tank)])), 2).await;
    for report in [delta(3, vec![]), delta(3, vec![whole(&more)])] {
        assert_eq!(apply(store, report, 3).await, resync);
    }
    assert!(inventory(store).await.unwrap().without_guids);
}

pub(crate) async fn another_kind_is_planned_anew(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    let tank = dataset("tank/media", 1..4);
    apply(store, without_guids(complete(1, vec![whole(&tank)])), 1).await;
    let queued = store.changed_datasets(10).await.unwrap();
    store.forget_changed(&queued).await.unwrap();

    let outcome = apply(store, complete(2, vec![digest_of(&tank)]), 2).await;
    let expected =
        ReportOutcome { accepted: true, changed: true, kind_changed: true, ..ReportOutcome::default() };
    assert_eq!(outcome, expected, "the same datasets, of which something else is known");
    let queued = store.changed_datasets(10).await.unwrap();
    assert_eq!(queued.iter().map(|change| change.name.as_str()).collect::<Vec<_>>(), ["tank/media"]);
    assert!(!inventory(store).await.unwrap().without_guids);
    let same = apply(store, complete(3, vec![digest_of(&tank)]), 3).await;
    assert!(!same.changed && !same.kind_changed, "{same:?}");
}

pub(crate) async fn histories_of_both_kinds_are_never_mixed(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    let made_up = [dataset("tank/media", 1..4), dataset("tank/other", 1..2)];
    apply(store, without_guids(complete(1, made_up.iter().map(whole).collect())), 1).await;
    let real = dataset("tank/media", 101..104);
    let outcome = apply(store, complete(2, vec![digest_of(&real), whole(&made_up[1])]), 2).await;
    assert_eq!(outcome.need, std::slice::from_ref(&real.name));
    assert!(outcome.kind_changed);
    assert_eq!(inventory(store).await, None, "what is stored is made up, and must not be taken for real");
    assert_eq!(store.system(system_id(1)).await.unwrap().unwrap().inventory_as_of, None);
    assert_eq!(apply(store, delta(3, vec![]), 3).await.need, std::slice::from_ref(&real.name));
    assert_eq!(inventory(store).await, None);

    let outcome = apply(store, delta(4, vec![whole(&real)]), 4).await;
    assert!(outcome.changed && outcome.need.is_empty());
    let inventory = inventory(store).await.unwrap();
    assert_eq!((inventory.as_of, inventory.without_guids), (at(4), false));
    assert_eq!(inventory.datasets[&real.name].snapshots, real.snapshots);
}

pub(crate) async fn made_up_guids_are_nobodys_copies(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    let tank = dataset("tank/media", 1..4);
    store.apply_report(system_id(2), &complete(1, vec![whole(&tank)]), at(1)).await.unwrap();
    apply(store, without_guids(complete(1, vec![whole(&dataset("tank/media", 3..6))])), 1).await;
    let asked = [3, 5].map(Guid::new);
    let there = BTreeMap::from([(system_id(2), BTreeMap::from([(tank.name, tank.properties.guid)]))]);
    let expected = BTreeMap::from([(Guid::new(3), there)]);
    assert_eq!(store.holders(&asked).await.unwrap(), expected);
}
