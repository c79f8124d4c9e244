use std::collections::BTreeMap;

use zfs_sync_core::{
    guid::{Guid, Txg},
    inventory::{DatasetKind, Inventory, PartialReceive},
};
use zfs_sync_store::{InventorySizes, Report};

use super::{database::Database, make::*};

pub(crate) async fn a_complete_report_reads_back_as_it_was(database: &Database) {
    let store = &database.store;
    systems(store, 2).await;
    assert_eq!(store.inventory(system_id(1)).await.unwrap(), None);

    let mut volume = dataset("tank/vm 1", [u64::MAX, 1, u64::MAX / 2 + 1]);
    volume.properties.guid = Guid::new(u64::MAX);
    volume.properties.kind = DatasetKind::Volume;
    volume.properties.createtxg = Txg::new(u64::MAX - 1);
    volume.properties.written = u64::MAX;
    volume.properties.readonly = false;
    volume.properties.mounted = true;
    volume.properties.encrypted = true;
    volume.properties.origin = Some("tank/base@x".into());
    volume.properties.partial = Some(PartialReceive {
        to_guid: Guid::new(u64::MAX),
        from_guid: None,
        to_name: "a@b".into(),
        bytes: 5,
        raw: true,
    });
    volume.bookmarks = vec![bookmark(3), bookmark(2)];
    volume.bookmarks[0].guid = Guid::new(2);
    volume.snapshots[1].holds = 2;
    volume.sort();
    let datasets = [dataset("tank", []), volume.clone()];

    let outcome = store
        .apply_report(system_id(1), &complete(9, datasets.iter().map(whole).collect()), at(1))
        .await
        .unwrap();
    assert!(outcome.accepted && outcome.changed && !outcome.resync && outcome.need.is_empty(), "{outcome:?}");
    let expected =
        datasets.into_iter().map(|dataset| (dataset.name.clone(), dataset)).collect::<BTreeMap<_, _>>();
    let inventory = store.inventory(system_id(1)).await.unwrap();
    assert_eq!(inventory, Some(Inventory { datasets: expected, ..Inventory::empty(at(1)) }));
    let one = store.inventory_dataset(system_id(1), &volume.name).await.unwrap();
    assert_eq!(one, Some(volume.clone()));
    assert_eq!(store.inventory_dataset(system_id(2), &volume.name).await.unwrap(), None);
    let system = store.system(system_id(1)).await.unwrap().unwrap();
    assert_eq!((system.inventory_sequence, system.inventory_as_of), (Some(9), Some(at(1))));
    assert_eq!(system.last_seen, Some(at(1)), "a report is a sign of life");
}

pub(crate) async fn a_complete_report_removes_what_it_does_not_name(database: &Database) {
    let store = &database.store;
    systems(store, 2).await;
    let [kept, gone] = [dataset("tank/a", 1..4), dataset("tank/b", 4..9)];
    for system in [1, 2] {
        store
            .apply_report(system_id(system), &complete(1, vec![whole(&kept), whole(&gone)]), at(1))
            .await
            .unwrap();
    }
    let outcome =
        store.apply_report(system_id(1), &complete(2, vec![digest_of(&kept)]), at(2)).await.unwrap();
    assert!(outcome.accepted && outcome.changed && outcome.need.is_empty(), "{outcome:?}");
    let inventory = store.inventory(system_id(1)).await.unwrap().unwrap();
    assert_eq!(inventory.datasets.into_values().collect::<Vec<_>>(), [kept]);
    let other = store.inventory(system_id(2)).await.unwrap().unwrap();
    assert_eq!(other.datasets.len(), 2, "another system's datasets are its own");
}

pub(crate) async fn history_is_replaced_by_guid(database: &Database) {
    let store = &database.store;
    systems(store, 1).await;
    let mut before = dataset("tank", 1..6);
    before.bookmarks = vec![bookmark(1), bookmark(2)];
    store.apply_report(system_id(1), &complete(1, vec![whole(&before)]), at(1)).await.unwrap();

    let mut after = before.clone();
    after.snapshots.retain(|snapshot| snapshot.guid != Guid::new(2));
    after.snapshots[0].label = "renamed".parse().unwrap();
    // The old label now stands for another snapshot, as after destroying and taking it again.
    let mut taken_again = snapshot(77);
    taken_again.label = before.snapshots[2].label.clone();
    after.snapshots.retain(|snapshot| snapshot.guid != Guid::new(3));
    after.snapshots.push(taken_again);
    after.bookmarks = vec![bookmark(2), bookmark(4)];
    after.bookmarks[0].guid = Guid::new(5);
    after.sort();
    let outcome = store.apply_report(system_id(1), &delta(2, vec![whole(&after)]), at(2)).await.unwrap();
    assert!(outcome.changed);
    assert_eq!(store.inventory_dataset(system_id(1), &after.name).await.unwrap(), Some(after));
}

pub(crate) async fn the_same_report_again_changes_no_row(database: &Database) {
    let store = &database.store;
    systems(store, 1).await;
    let dataset_of = |number: u64| {
        let mut dataset = dataset(&format!("tank/{number}"), (0..50).map(|index| number * 100 + index));
        dataset.bookmarks = vec![bookmark(number * 100)];
        dataset
    };
    let datasets: Vec<_> = (0..200).map(dataset_of).collect();
    let whole_report = |sequence| complete(sequence, datasets.iter().map(whole).collect());
    store.apply_report(system_id(1), &whole_report(1), at(1)).await.unwrap();
    let sizes = store.inventory_sizes(system_id(1)).await.unwrap();
    assert_eq!(sizes, InventorySizes { datasets: 200, snapshots: 10_000 });

    let expected: BTreeMap<_, _> =
        datasets.iter().map(|dataset| (dataset.name.clone(), dataset.clone())).collect();

    database.freeze(&["datasets", "snapshots", "bookmarks", "needed_histories"]).await;
    let digests = complete(3, datasets.iter().map(digest_of).collect());
    for (report, seconds) in [(whole_report(2), 2), (digests, 3)] {
        let outcome = store.apply_report(system_id(1), &report, at(seconds)).await.unwrap();
        assert!(outcome.accepted && !outcome.changed && outcome.need.is_empty(), "{outcome:?}");
        let inventory = store.inventory(system_id(1)).await.unwrap().unwrap();
        assert_eq!(inventory.as_of, at(seconds), "only the age is new");
        assert_eq!(inventory.datasets, expected);
    }
    let mut moved = datasets.clone();
    moved[7].snapshots.pop();
    let report = complete(4, moved.iter().map(whole).collect());
    assert!(store.apply_report(system_id(1), &report, at(4)).await.is_err(), "the rows are frozen indeed");
}

pub(crate) async fn nothing_of_half_a_report_is_kept(database: &Database) {
    let store = &database.store;
    systems(store, 1).await;
    let before = dataset("tank/a", 1..4);
    store.apply_report(system_id(1), &complete(1, vec![whole(&before)]), at(1)).await.unwrap();
    // The failure comes with the third batch of rows.
    database.forbid("snapshots", "INSERT", "NEW.label = 'auto-2500'").await;
    let report = Report {
        removed: vec![before.name.clone()],
        ..delta(2, vec![whole(&dataset("tank/b", 1..3000)), digest_of(&dataset("tank/c", 1..2))])
    };
    store.apply_report(system_id(1), &report, at(2)).await.unwrap_err();
    let inventory = store.inventory(system_id(1)).await.unwrap().unwrap();
    assert_eq!(inventory.as_of, at(1));
    assert_eq!(inventory.datasets.into_values().collect::<Vec<_>>(), [before]);
    assert_eq!(store.system(system_id(1)).await.unwrap().unwrap().inventory_sequence, Some(1));
    assert_eq!(database.number("SELECT COUNT(*) FROM needed_histories").await, 0);
    assert_eq!(database.number("SELECT COUNT(*) FROM snapshots").await, 3);
}

pub(crate) async fn many_snapshots_go_at_once(database: &Database) {
    let store = &database.store;
    systems(store, 1).await;
    let [before, after, beside] =
        [dataset("tank/a", 1..12_000), dataset("tank/a", 11_990..12_010), dataset("tank/b", 1..4)];
    store
        .apply_report(system_id(1), &complete(1, vec![whole(&before), whole(&beside)]), at(1))
        .await
        .unwrap();
    assert_eq!(store.inventory_sizes(system_id(1)).await.unwrap().snapshots, 12_002);
    store.apply_report(system_id(1), &delta(2, vec![whole(&after)]), at(2)).await.unwrap();
    let inventory = store.inventory(system_id(1)).await.unwrap().unwrap();
    assert_eq!(inventory.datasets.into_values().collect::<Vec<_>>(), [after, beside]);
}

pub(crate) async fn inventories_are_counted_and_paged(database: &Database) {
    let store = &database.store;
    systems(store, 2).await;
    assert_eq!(store.inventory_sizes(system_id(1)).await.unwrap(), InventorySizes::default());
    let datasets = vec![whole(&dataset("tank/a", [1, 4])), whole(&dataset("tank/b", [2, 3]))];
    store.apply_report(system_id(1), &complete(1, datasets), at(1)).await.unwrap();
    store.apply_report(system_id(2), &complete(1, vec![whole(&dataset("tank", [9]))]), at(1)).await.unwrap();
    let sizes = store.inventory_sizes(system_id(1)).await.unwrap();
    assert_eq!(sizes, InventorySizes { datasets: 2, snapshots: 4 });
    let page = async |skip, limit| -> Vec<(String, u64)> {
        let rows = store.snapshots_of(system_id(1), skip, limit).await.unwrap();
        rows.into_iter().map(|row| (row.dataset.to_string(), row.snapshot.guid.get())).collect()
    };
    let [newest, second, third, oldest] = [("tank/a", 4), ("tank/b", 3), ("tank/b", 2), ("tank/a", 1)]
        .map(|(name, guid)| (name.to_owned(), guid));
    assert_eq!(page(0, u64::MAX).await, [newest, second.clone(), third.clone(), oldest]);
    assert_eq!(page(1, 2).await, [second, third]);
}
