use std::collections::BTreeMap;

use zfs_sync_core::{
    name::DatasetName,
    retention::{Retention, Tool},
};
use zfs_sync_store::{Report, ReportOutcome};

use super::{database::Database, make::*};

pub(crate) fn keeps(hourly: u32) -> Retention {
    Retention {
        tool: Tool::Sanoid,
        autoprune: true,
        frequently: 0,
        hourly,
        daily: u32::MAX,
        weekly: 0,
        monthly: 6,
        yearly: 1,
        frequent_period: 5,
        prune_defer: 80,
    }
}

fn policies<const N: usize>(of: [(&str, u32); N]) -> BTreeMap<DatasetName, Retention> {
    of.into_iter().map(|(name, hourly)| (name.parse().unwrap(), keeps(hourly))).collect()
}

fn with<const N: usize>(report: Report, of: [(&str, u32); N]) -> Report {
    Report { retention: Some(policies(of)), ..report }
}

pub(crate) async fn policies_read_back_and_are_replaced_as_a_whole(database: &Database) {
    let store = &database.store;
    systems(store, 1).await;
    let tank = dataset("tank", 1..4);
    let report = with(complete(1, vec![whole(&tank)]), [("tank", 36), ("tank/a b", 1), ("tank/c", 2)]);
    assert!(store.apply_report(system_id(1), &report, at(1)).await.unwrap().changed);
    let inventory = store.inventory(system_id(1)).await.unwrap().unwrap();
    assert_eq!(inventory.retention, policies([("tank", 36), ("tank/a b", 1), ("tank/c", 2)]));
    let names: Vec<DatasetName> = ["tank/c", "tank", "usb"].map(|name| name.parse().unwrap()).into();
    let names: Vec<&DatasetName> = names.iter().collect();
    let some = store.retention_policies(system_id(1), Some(&names)).await.unwrap();
    assert_eq!(some, policies([("tank", 36), ("tank/c", 2)]));

    let outcome = store.apply_report(system_id(1), &delta(2, vec![]), at(2)).await.unwrap();
    assert!(!outcome.changed);
    assert_eq!(store.retention_policies(system_id(1), None).await.unwrap(), inventory.retention, "not sent");

    let other = with(delta(3, vec![]), [("tank", 35), ("tank/d", 2)]);
    let outcome = store.apply_report(system_id(1), &other, at(3)).await.unwrap();
    assert_eq!(outcome, ReportOutcome { accepted: true, changed: true, ..ReportOutcome::default() });
    let inventory = store.inventory(system_id(1)).await.unwrap().unwrap();
    assert_eq!((inventory.as_of, inventory.datasets.len()), (at(3), 1), "nothing else is touched");
    assert_eq!(inventory.retention, policies([("tank", 35), ("tank/d", 2)]));

    let late = with(delta(9, vec![]), [("tank", 1)]);
    assert!(store.apply_report(system_id(1), &late, at(4)).await.unwrap().resync);
    assert_eq!(store.retention_policies(system_id(1), None).await.unwrap(), inventory.retention);

    let outcome = store.apply_report(system_id(1), &with(delta(4, vec![]), []), at(4)).await.unwrap();
    assert!(outcome.changed);
    assert_eq!(store.retention_policies(system_id(1), None).await.unwrap(), BTreeMap::new());

    store.apply_report(system_id(1), &with(delta(5, vec![]), [("tank", 1)]), at(5)).await.unwrap();
    let outcome =
        store.apply_report(system_id(1), &complete(6, vec![digest_of(&tank)]), at(6)).await.unwrap();
    assert!(outcome.changed, "a complete report that says nothing of it knows nothing of it");
    assert_eq!(store.retention_policies(system_id(1), None).await.unwrap(), BTreeMap::new());
}

pub(crate) async fn policies_belong_to_their_system(database: &Database) {
    let store = &database.store;
    systems(store, 2).await;
    for (system, hourly) in [(1, 10), (2, 20)] {
        let report = with(complete(1, vec![]), [("tank", hourly)]);
        store.apply_report(system_id(system), &report, at(1)).await.unwrap();
    }
    store.apply_report(system_id(1), &with(delta(2, vec![]), []), at(2)).await.unwrap();
    let other = store.retention_policies(system_id(2), None).await.unwrap();
    assert_eq!(other, policies([("tank", 20)]));
    store.delete_system(system_id(2)).await.unwrap();
    assert_eq!(database.number("SELECT COUNT(*) FROM retention_policies").await, 0);
}

pub(crate) async fn the_same_policies_again_change_no_row(database: &Database) {
    let store = &database.store;
    systems(store, 1).await;
    // More than one statement takes.
    let many: BTreeMap<_, _> =
        (0..2500).map(|number| (format!("tank/{number}").parse().unwrap(), keeps(number))).collect();
    let report = |report: Report| Report { retention: Some(many.clone()), ..report };
    store.apply_report(system_id(1), &report(complete(1, vec![])), at(1)).await.unwrap();
    assert_eq!(store.retention_policies(system_id(1), None).await.unwrap(), many);
    database.freeze(&["retention_policies"]).await;
    for again in [report(complete(2, vec![])), report(delta(3, vec![]))] {
        let outcome = store.apply_report(system_id(1), &again, at(2)).await.unwrap();
        assert!(outcome.accepted && !outcome.changed, "{outcome:?}");
    }
    let different = with(delta(4, vec![]), [("tank", 1)]);
    assert!(store.apply_report(system_id(1), &different, at(3)).await.is_err(), "the rows are frozen indeed");
}

pub(crate) async fn a_changed_policy_is_planned_anew(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    let of = [("tank/a", 1), ("tank/b", 2), ("tank/c", 3)];
    let datasets = of.map(|(name, _)| whole(&dataset(name, [])));
    store.apply_report(system_id(1), &with(complete(1, datasets.into()), of), at(1)).await.unwrap();
    let queued = store.changed_datasets(10).await.unwrap();
    assert!(queued.iter().all(|change| change.structural), "they are new: {queued:?}");
    store.forget_changed(&queued).await.unwrap();

    let report = with(delta(2, vec![]), [("tank/a", 1), ("tank/b", 20)]);
    store.apply_report(system_id(1), &report, at(2)).await.unwrap();
    let queued = store.changed_datasets(10).await.unwrap();
    let queued: Vec<_> = queued.iter().map(|change| (change.name.as_str(), change.structural)).collect();
    assert_eq!(queued, [("tank/b", false), ("tank/c", false)]);
}
