use zfs_sync_core::{
    guid::Guid,
    inventory::{DatasetKind, PartialReceive},
};
use zfs_sync_store::{ChangedDataset, Error, Report, Store};

use super::{database::Database, make::*};

/// (name, structural), in the order of the queue.
async fn queue(store: &Store) -> Vec<(String, bool)> {
    let changes = store.changed_datasets(1000).await.unwrap();
    changes.into_iter().map(|change| (change.name.to_string(), change.structural)).collect()
}

async fn forget_all(store: &Store) {
    let changes = store.changed_datasets(1000).await.unwrap();
    assert_eq!(store.forget_changed(&changes).await.unwrap(), changes.len() as u64);
    assert_eq!(store.changed_datasets(1).await.unwrap(), []);
}

pub(crate) async fn reports_queue_what_they_change(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    let named = |names: &[(&str, bool)]| -> Vec<(String, bool)> {
        names.iter().map(|(name, structural)| ((*name).to_owned(), *structural)).collect()
    };
    let report = async |report: Report, seconds| {
        let outcome = store.apply_report(system_id(1), &report, at(seconds)).await.unwrap();
        assert!(outcome.accepted);
        let queue = queue(store).await;
        forget_all(store).await;
        (outcome.changed, queue)
    };
    let [mut a, mut b] = [dataset("tank/a", 1..4), dataset("tank/b", 1..4)];
    let first = complete(1, vec![whole(&a), whole(&b)]);
    assert_eq!(report(first, 1).await, (true, named(&[("tank/a", true), ("tank/b", true)])));
    assert_eq!(report(complete(2, vec![digest_of(&a), digest_of(&b)]), 2).await, (false, vec![]));

    // Sizes that move all the time are no change; that something was written at all is one.
    a.properties.used += 1;
    assert_eq!(report(delta(3, vec![digest_of(&a)]), 3).await, (false, vec![]));
    a.properties.written = 1;
    assert_eq!(report(delta(4, vec![digest_of(&a)]), 4).await, (true, named(&[("tank/a", false)])));
    b = dataset("tank/b", 1..5);
    assert_eq!(report(delta(5, vec![whole(&b)]), 5).await, (true, named(&[("tank/b", false)])));

    // A history that did not come changes nothing until it does.
    b = dataset("tank/b", 1..6);
    assert_eq!(report(delta(6, vec![digest_of(&b)]), 6).await, (false, vec![]));
    assert_eq!(report(delta(7, vec![whole(&b)]), 7).await, (true, named(&[("tank/b", false)])));

    b.properties.guid = Guid::new(8);
    assert_eq!(report(delta(8, vec![digest_of(&b)]), 8).await, (true, named(&[("tank/b", true)])));
    b.properties.kind = DatasetKind::Volume;
    assert_eq!(report(delta(9, vec![digest_of(&b)]), 9).await, (true, named(&[("tank/b", true)])));
    b.properties.origin = Some("tank/a@auto-1".into());
    assert_eq!(report(delta(10, vec![digest_of(&b)]), 10).await, (true, named(&[("tank/b", true)])));
    let partial = PartialReceive {
        to_guid: Guid::new(9),
        from_guid: None,
        to_name: "x@y".into(),
        bytes: 1,
        raw: false,
    };
    b.properties.partial = Some(partial);
    assert_eq!(report(delta(11, vec![digest_of(&b)]), 11).await, (true, named(&[("tank/b", true)])));

    let removal = Report { removed: vec![a.name.clone()], ..delta(12, vec![]) };
    assert_eq!(report(removal, 12).await, (true, named(&[("tank/a", true)])));
    assert_eq!(report(complete(13, vec![]), 13).await, (true, named(&[("tank/b", true)])));
}

pub(crate) async fn what_changes_again_is_not_forgotten(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    let [a, b] = [dataset("tank/a", 1..4), dataset("tank/b", 1..4)];
    let report = async |report: &Report, seconds| {
        assert!(store.apply_report(system_id(1), report, at(seconds)).await.unwrap().accepted);
    };
    report(&complete(1, vec![whole(&b)]), 1).await;
    report(&complete(2, vec![whole(&a), whole(&b)]), 2).await;
    let seen = store.changed_datasets(10).await.unwrap();
    let expected = [(&b, 1), (&a, 2)].map(|(dataset, revision)| ChangedDataset {
        system: system_id(1),
        name: dataset.name.clone(),
        revision,
        structural: true,
    });
    assert_eq!(seen, expected, "the oldest first");
    assert_eq!(store.changed_datasets(1).await.unwrap(), expected[..1]);

    report(&delta(3, vec![whole(&dataset("tank/b", 1..5))]), 3).await;
    assert_eq!(store.forget_changed(&seen).await.unwrap(), 1);
    let left = store.changed_datasets(10).await.unwrap();
    assert_eq!(
        left,
        [ChangedDataset { revision: 3, ..expected[0].clone() }],
        "it appeared and was not planned since"
    );

    // Revisions never come again: who is late forgets nothing that came after.
    assert_eq!(store.forget_changed(&left).await.unwrap(), 1);
    report(&delta(4, vec![whole(&b)]), 4).await;
    let again = store.changed_datasets(10).await.unwrap();
    assert_eq!(again, [ChangedDataset { revision: 4, structural: false, ..expected[0].clone() }]);
    for late in [&seen, &left] {
        assert_eq!(store.forget_changed(late).await.unwrap(), 0);
    }
    assert_eq!(store.changed_datasets(10).await.unwrap(), again);
    assert_eq!(store.forget_changed(&[]).await.unwrap(), 0);
}

pub(crate) async fn systems_without_groups_queue_nothing(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    store.create_system(&new_system(3), at(0)).await.unwrap();
    let report = complete(1, vec![whole(&dataset("tank", 1..4))]);
    for number in [1, 3] {
        assert!(store.apply_report(system_id(number), &report, at(1)).await.unwrap().changed);
    }
    let systems: Vec<_> = store.changed_datasets(10).await.unwrap().into_iter().map(|it| it.system).collect();
    assert_eq!(systems, [system_id(1)]);
    assert!(store.delete_group(group_id(1), at(2)).await.unwrap());
    assert!(store.delete_system(system_id(1)).await.unwrap());
    assert_eq!(store.changed_datasets(10).await.unwrap(), []);
}

pub(crate) async fn a_report_that_fails_queues_nothing(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    store.apply_report(system_id(1), &complete(1, vec![]), at(1)).await.unwrap();
    database.forbid("systems", "UPDATE", "NEW.inventory_sequence = 2").await;
    let report = delta(2, vec![whole(&dataset("tank", 1..4))]);
    let failed = store.apply_report(system_id(1), &report, at(2)).await;
    assert!(matches!(failed, Err(Error::Driver(_))), "{failed:?}");
    assert_eq!(store.changed_datasets(10).await.unwrap(), []);
    assert_eq!(store.inventory(system_id(1)).await.unwrap().unwrap().datasets.len(), 0);
    // Neither is a report stored whose changes can not be queued.
    database.forbid("changed_datasets", "INSERT", "TRUE").await;
    let failed =
        store.apply_report(system_id(1), &complete(3, vec![whole(&dataset("tank", 1..4))]), at(3)).await;
    assert!(matches!(failed, Err(Error::Driver(_))), "{failed:?}");
    assert_eq!(store.inventory(system_id(1)).await.unwrap().unwrap().datasets.len(), 0);
}
