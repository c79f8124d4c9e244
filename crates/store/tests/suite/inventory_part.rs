use std::collections::{BTreeMap, BTreeSet};

use zfs_sync_core::{
    guid::Guid,
    inventory::{Dataset, Inventory, PartialReceive},
    name::DatasetName,
    plan::Needed,
    retention::Retention,
};
use zfs_sync_store::{Holders, Report, Store};

use super::{database::Database, make::*, retention::keeps};

fn names(names: &[&str]) -> BTreeSet<DatasetName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn around(targets: &[&str]) -> Needed {
    Needed { around: names(targets), ..Needed::default() }
}

/// Each with three snapshots and a GUID of its own, counted from 1.
fn datasets(names: &[&str]) -> Vec<Dataset> {
    let all = (1..).zip(names).map(|(number, name)| {
        let mut dataset = dataset(name, number * 10..number * 10 + 3);
        dataset.properties.guid = Guid::new(number);
        dataset.bookmarks = vec![bookmark(number)];
        dataset
    });
    all.collect()
}

async fn report(store: &Store, datasets: &[Dataset]) {
    store
        .apply_report(system_id(1), &complete(1, datasets.iter().map(whole).collect()), at(1))
        .await
        .unwrap();
}

async fn part(store: &Store, needed: &Needed, guids: &[u64]) -> Inventory {
    let guids: Vec<_> = guids.iter().copied().map(Guid::new).collect();
    store.inventory_part(system_id(1), needed, &guids).await.unwrap().unwrap()
}

/// Names, with an asterisk where the history came along.
fn told(inventory: &Inventory) -> Vec<String> {
    let all = inventory.datasets.values();
    all.map(|it| format!("{}{}", it.name, if it.snapshots.is_empty() { "" } else { "*" })).collect()
}

pub(crate) async fn a_part_is_what_the_whole_has_of_it(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    let needed = Needed {
        histories: names(&["tank/a", "tank/none"]),
        properties: names(&["tank", "tank/b", "tank/c", "tank/d", "tank/a"]),
        around: BTreeSet::new(),
    };
    assert_eq!(store.inventory_part(system_id(1), &needed, &[]).await.unwrap(), None, "it never reported");
    assert_eq!(
        store.inventory_part(system_id(9), &needed, &[]).await.unwrap(),
        None,
        "there is no such system"
    );

    let mut all = datasets(&["tank", "tank/a", "tank/b", "tank/c", "tank/d", "tank/e", "tank/f"]);
    let waiting = PartialReceive {
        to_guid: Guid::new(9),
        from_guid: None,
        to_name: "x@y".into(),
        bytes: 1,
        raw: false,
    };
    all[3].properties.partial = Some(waiting.clone());
    all[4].properties.partial = Some(waiting);
    all[4].snapshots.clear();
    let retention: BTreeMap<DatasetName, Retention> =
        ["tank/a", "tank/b", "tank/f"].map(|name| (name.parse().unwrap(), keeps(3))).into();
    let first = Report { retention: Some(retention), ..complete(1, all.iter().map(whole).collect()) };
    store.apply_report(system_id(1), &first, at(1)).await.unwrap();

    let part = part(store, &needed, &[6, 99]).await;
    let whole = store.inventory(system_id(1)).await.unwrap().unwrap();
    assert_eq!(told(&part), ["tank", "tank/a*", "tank/b", "tank/c*", "tank/d", "tank/e"]);
    assert_eq!(part.as_of, whole.as_of);
    for (name, dataset) in &part.datasets {
        let mut expected = whole.datasets[name].clone();
        if dataset.snapshots.is_empty() && name.as_str() != "tank/d" {
            expected.snapshots.clear();
            expected.bookmarks.clear();
        }
        assert_eq!(*dataset, expected);
    }
    let with_policy: Vec<_> = part.retention.keys().map(DatasetName::as_str).collect();
    assert_eq!(with_policy, ["tank/a", "tank/b"]);
    assert_eq!(part.retention[&all[1].name], whole.retention[&all[1].name]);
}

pub(crate) async fn every_pool_is_seen(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    report(store, &[]).await;
    assert_eq!(told(&part(store, &Needed::default(), &[]).await), [""; 0]);

    // Pools whose names begin alike, with and without their roots; `-`, `.` and `:` come before and after `/`.
    let all = [
        "a/x", "a/y", "ab", "ab/c", "ab/c/d", "tank", "tank/a", "tank/b", "tank-2", "tank-2/a", "tank.3/b",
        "tank:4", "tank0/z", "tank00", "tank_5/q", "z/1", "z/2",
    ];
    report(store, &datasets(&all)).await;
    let whole = store.inventory(system_id(1)).await.unwrap().unwrap();
    let part = part(store, &Needed::default(), &[]).await;
    let pools = |inventory: &Inventory| -> BTreeSet<String> {
        inventory.datasets.keys().map(|name| name.pool().to_owned()).collect()
    };
    assert_eq!(pools(&part), pools(&whole));
    assert_eq!(part.datasets.len(), pools(&whole).len(), "{:?}", told(&part));
    assert!(told(&part).iter().all(|name| !name.ends_with('*')), "{:?}", told(&part));
}

pub(crate) async fn what_lies_around_a_target_is_found(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    let mut all = datasets(&[
        "backup",
        "backup/a",
        "backup/a-1",
        "backup/a.aside-20260101T000000Z",
        "backup/a.aside-20260101T000000Z-2",
        "backup/a.aside0",
        "backup/a/y",
        "backup/a/z",
        "backup/a0",
        "backup/b",
        "backup/clone",
        "backup/of-other",
        "backup/other",
    ]);
    all[10].properties.origin = Some("backup/a@auto-20".into());
    all[11].properties.origin = Some("backup/a-1@auto-30".into());
    report(store, &all).await;
    let expected = [
        "backup",
        "backup/a",
        "backup/a.aside-20260101T000000Z*",
        "backup/a.aside-20260101T000000Z-2*",
        "backup/a/y",
        "backup/clone",
    ];
    assert_eq!(told(&part(store, &around(&["backup/a"]), &[]).await), expected);
    assert_eq!(told(&part(store, &around(&["backup/b", "backup/none"]), &[]).await), ["backup", "backup/b"]);
    let both = told(&part(store, &around(&["backup/a", "backup/a-1"]), &[]).await);
    assert!(
        both.contains(&"backup/of-other".to_owned()) && both.contains(&"backup/a-1".to_owned()),
        "{both:?}"
    );
}

pub(crate) async fn a_part_costs_nothing_for_the_rest(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    report(store, &datasets(&["backup", "backup/a", "tank", "tank/a"])).await;
    let needed =
        Needed { histories: names(&["tank/a"]), properties: names(&["tank"]), around: names(&["backup/a"]) };
    let before = part(store, &needed, &[4]).await;
    // What can not be read is not looked at: a cell of another dataset does no harm.
    report(store, &datasets(&["backup", "backup/a", "tank", "tank/a", "tank/b", "tank/c"])).await;
    let damage = "UPDATE datasets SET digest = '', partial = '?' WHERE name IN ('tank/b', 'tank/c')";
    database.execute(damage, damage).await;
    assert_eq!(part(store, &needed, &[4]).await, before);
    assert!(store.inventory(system_id(1)).await.is_err(), "the whole can not be read");
}

pub(crate) async fn holders_are_found_by_guid(database: &Database) {
    let store = &database.store;
    systems(store, 3).await;
    let reports = [
        (1, dataset("tank/a", 1..4)),
        (2, dataset("tank/b", 3..6)),
        (3, dataset("tank/c", u64::MAX - 1..u64::MAX)),
    ];
    for (system, dataset) in &reports {
        let mut dataset = dataset.clone();
        dataset.properties.guid = Guid::new(40 + u64::try_from(*system).unwrap());
        let copy = Dataset { name: "tank/copy".parse().unwrap(), ..dataset.clone() };
        let report = complete(1, vec![whole(&dataset), whole(&copy)]);
        store.apply_report(system_id(*system), &report, at(1)).await.unwrap();
    }
    let asked = [1, 3, 5, 7, u64::MAX - 1].map(Guid::new);
    let on = |system: u128, letter: &str| {
        let names = [format!("tank/{letter}"), "tank/copy".to_owned()];
        (
            system_id(system),
            names
                .iter()
                .map(|name| (name.parse().unwrap(), Guid::new(40 + u64::try_from(system).unwrap())))
                .collect(),
        )
    };
    let expected = Holders::from([
        (Guid::new(1), BTreeMap::from([on(1, "a")])),
        (Guid::new(3), BTreeMap::from([on(1, "a"), on(2, "b")])),
        (Guid::new(5), BTreeMap::from([on(2, "b")])),
        (Guid::new(u64::MAX - 1), BTreeMap::from([on(3, "c")])),
    ]);
    assert_eq!(store.holders(&asked).await.unwrap(), expected);
    assert_eq!(store.holders(&[]).await.unwrap(), BTreeMap::new());
}
