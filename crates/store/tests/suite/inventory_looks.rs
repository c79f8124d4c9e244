//! Which moment an inventory shows, whenever its reports arrive.

use zfs_sync_core::time::Timestamp;
use zfs_sync_store::{Report, Store};

use super::{database::Database, make::*};

fn of_look(report: Report, seconds: i64) -> Report {
    Report { looked_at: Some(at(seconds)), ..report }
}

/// What system 1 shows after this report, which arrives at that moment.
async fn shows(store: &Store, report: &Report, seconds: i64) -> Option<Timestamp> {
    assert!(store.apply_report(system_id(1), report, at(seconds)).await.unwrap().accepted);
    let system = store.system(system_id(1)).await.unwrap().unwrap();
    assert!(system.inventory_as_of.is_some());
    system.inventory_looked_at
}

pub(crate) async fn a_report_shows_when_its_look_began_however_late_it_arrives(database: &Database) {
    let store = &database.store;
    systems(store, 1).await;
    let tank = dataset("tank", 1..4);
    assert_eq!(shows(store, &of_look(complete(1, vec![whole(&tank)]), 5), 9).await, Some(at(5)));
    assert_eq!(shows(store, &of_look(delta(2, vec![]), 12), 20).await, Some(at(12)), "nothing has changed");
    let report = of_look(delta(3, vec![whole(&dataset("tank", 1..5))]), 30);
    assert_eq!(shows(store, &report, 90).await, Some(at(30)));
    // It was sent before all of these, and comes last.
    assert_eq!(shows(store, &of_look(complete(1, vec![whole(&tank)]), 4), 100).await, Some(at(4)));
}

pub(crate) async fn what_a_report_does_not_say_is_not_made_up(database: &Database) {
    let store = &database.store;
    systems(store, 1).await;
    let tank = dataset("tank", 1..4);
    assert_eq!(shows(store, &complete(1, vec![whole(&tank)]), 9).await, None, "an earlier agent");
    assert_eq!(shows(store, &of_look(delta(2, vec![]), 12), 13).await, Some(at(12)));
    assert_eq!(shows(store, &delta(3, vec![]), 20).await, Some(at(12)), "more is to follow");
    assert_eq!(shows(store, &delta(4, vec![whole(&dataset("tank", 1..5))]), 21).await, Some(at(12)));
    assert_eq!(
        shows(store, &of_look(delta(5, vec![]), 31), 30).await,
        Some(at(12)),
        "nobody can have looked"
    );
    assert_eq!(shows(store, &complete(6, vec![whole(&tank)]), 40).await, None, "it may be as late as can be");
}

pub(crate) async fn what_is_needed_still_shows_no_later_moment(database: &Database) {
    let store = &database.store;
    systems(store, 1).await;
    let (tank, other) = (dataset("tank", 1..4), dataset("tank/b", 1..3));
    let first = of_look(complete(1, vec![whole(&tank), whole(&other)]), 1);
    assert_eq!(shows(store, &first, 1).await, Some(at(1)));
    let changed = dataset("tank", 2..4);
    let report = of_look(delta(2, vec![digest_of(&changed)]), 10);
    assert_eq!(shows(store, &report, 10).await, Some(at(1)), "snapshot 1 is in it still");
    assert_eq!(shows(store, &of_look(delta(3, vec![]), 11), 11).await, Some(at(1)));
    // A late one, which leaves what is needed from before.
    let late = of_look(complete(1, vec![digest_of(&changed), whole(&dataset("tank/b", 1..2))]), 0);
    assert_eq!(shows(store, &late, 12).await, Some(at(0)));
    let report = of_look(delta(2, vec![whole(&changed)]), 13);
    assert_eq!(shows(store, &report, 13).await, Some(at(13)));
}
