use std::collections::{BTreeMap, BTreeSet};

use zfs_sync_core::{
    guid::Guid,
    name::DatasetName,
    plan::{Reason, Remembered, ReplicaState},
};
use zfs_sync_store::{GroupSettings, ReplicaFilter, ReplicaRow, ReplicaSummary};

use super::{database::Database, make::*, replicas::row};

pub(crate) async fn replicas_are_filtered_and_counted(database: &Database) {
    use ReplicaState::{Behind, InSync};
    let store = &database.store;
    fleet(store).await;
    store.create_system(&new_system(3), at(0)).await.unwrap();
    let mut other = group(2);
    other.members = vec![system_id(1), system_id(3)];
    store.insert_group(&other, &GroupSettings::default(), at(0)).await.unwrap();
    let rows = [row("tank/a", Behind), row("tank/b", InSync), row("tank/c", InSync)];
    store.store_replicas(group_id(1), None, &rows, at(1)).await.unwrap();
    let mut of_three = replica("tank/a", InSync);
    of_three.target_system = system_id(3);
    of_three.target = "backup/a".parse().unwrap();
    let of_three = ReplicaRow::new(group_id(2), of_three, at(1));
    store.store_replicas(group_id(2), None, &[of_three], at(1)).await.unwrap();

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

pub(crate) async fn replicas_are_found_by_what_plans_ask_for(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    // Each has a reason and a source GUID of its own, and a target below `backup`.
    let reasons = [Reason::Diverged, Reason::DependsOnParent, Reason::Orphaned, Reason::Paused];
    let names = ["tank", "tank/a", "tank/a/b", "tank-old"];
    let rows = names.into_iter().zip(reasons).zip(1..).map(|((name, reason), number)| {
        let mut report = replica(name, ReplicaState::Behind);
        report.target = format!("backup/{name}").parse().unwrap();
        report.reason = Some(reason);
        let source_guid = Guid::new(u64::MAX - number);
        report.remembered =
            Some(Remembered { source_guid, common: None, replaced: false, replaced_until: None });
        ReplicaRow::new(group_id(1), report, at(1))
    });
    let rows: Vec<_> = rows.collect();
    store.store_replicas(group_id(1), None, &rows, at(1)).await.unwrap();
    let found = async |filter: ReplicaFilter| -> Vec<String> {
        let in_all: Vec<_> =
            store.replicas(&filter).await.unwrap().into_iter().map(|row| row.dataset.to_string()).collect();
        let limited = ReplicaFilter { limit: Some(9), group: Some(group_id(1)), ..filter };
        let limited = store.replicas(&limited).await.unwrap();
        assert_eq!(limited.into_iter().map(|row| row.dataset.to_string()).collect::<Vec<_>>(), in_all);
        in_all
    };
    let all = ReplicaFilter::default;
    let name = |text: &str| -> DatasetName { text.parse().unwrap() };
    let datasets = Some(BTreeSet::from([name("tank/a"), name("tank-old"), name("tank/x")]));
    assert_eq!(found(ReplicaFilter { datasets, ..all() }).await, ["tank-old", "tank/a"]);
    assert_eq!(found(ReplicaFilter { datasets: Some(BTreeSet::new()), ..all() }).await, [""; 0]);
    let reasons = vec!["R_DIVERGED".to_owned(), "R_ORPHANED".to_owned()];
    assert_eq!(found(ReplicaFilter { reasons, ..all() }).await, ["tank", "tank/a/b"]);
    let source_guids = vec![Guid::new(u64::MAX - 2), Guid::new(u64::MAX - 4), Guid::new(4)];
    assert_eq!(found(ReplicaFilter { source_guids, ..all() }).await, ["tank-old", "tank/a"]);
    let within = |top, system| ReplicaFilter {
        target_within: Some(name(top)),
        target_system: Some(system_id(system)),
        ..all()
    };
    assert_eq!(found(within("backup/tank", 2)).await, ["tank", "tank/a", "tank/a/b"]);
    assert_eq!(found(within("backup/tank/a", 2)).await, ["tank/a", "tank/a/b"]);
    assert_eq!(found(within("backup/tank", 1)).await, [""; 0], "system 1 receives nothing");
}

pub(crate) async fn pages_follow_each_other(database: &Database) {
    let store = &database.store;
    fleet(store).await;
    store.insert_group(&group(2), &GroupSettings::default(), at(0)).await.unwrap();
    let rows: Vec<_> = (0..5).map(|number| row(&format!("tank/{number}"), ReplicaState::InSync)).collect();
    store.store_replicas(group_id(2), None, &rows, at(1)).await.unwrap();
    store.store_replicas(group_id(1), None, &rows[..2], at(1)).await.unwrap();
    let pages = async |group, limit| {
        let mut filter = ReplicaFilter { group, limit: Some(limit), ..ReplicaFilter::default() };
        let mut seen = Vec::new();
        loop {
            let page = store.replicas(&filter).await.unwrap();
            assert!(page.len() <= usize::try_from(limit).unwrap());
            let Some(last) = page.last() else { return seen };
            filter.after = Some((last.group, last.key()));
            seen.extend(page);
        }
    };
    let everything = store.replicas(&ReplicaFilter::default()).await.unwrap();
    assert_eq!(everything.len(), 7);
    assert_eq!(pages(None, 3).await, everything);
    assert_eq!(pages(Some(group_id(2)), 2).await, everything[2..]);
    assert_eq!(pages(Some(group_id(1)), 1).await, everything[..2]);
}

pub(crate) async fn groups_are_summed_up(database: &Database) {
    use ReplicaState::{Behind, Diverged, InSync};
    let store = &database.store;
    fleet(store).await;
    assert_eq!(store.replica_summaries().await.unwrap(), BTreeMap::new());
    for number in 2..4 {
        store.insert_group(&group(number), &GroupSettings::default(), at(0)).await.unwrap();
    }
    let common = |name, state, reason, guid: Option<u64>| {
        let mut report = replica(name, state);
        report.reason = reason;
        report.newest_common = guid.map(|guid| (&snapshot(guid)).into());
        ReplicaRow::new(group_id(1), report, at(1))
    };
    let diverged = Some(Reason::Diverged);
    let rows = [
        common("a", InSync, Some(Reason::NoNewSnapshot), Some(7)),
        common("b", Behind, None, Some(3)),
        common("c", Diverged, diverged, None),
        common("d", Diverged, diverged, Some(9)),
    ];
    store.store_replicas(group_id(1), None, &rows, at(1)).await.unwrap();
    store.store_replicas(group_id(3), None, &rows[2..3], at(1)).await.unwrap();
    let of =
        |states: &[(ReplicaState, u64)], reasons: &[(&str, u64)], oldest_common_creation| ReplicaSummary {
            states: states.iter().copied().collect(),
            reasons: reasons.iter().map(|(reason, many)| ((*reason).to_owned(), *many)).collect(),
            oldest_common_creation,
        };
    let reasons = [("R_DIVERGED", 2), ("R_NO_NEW_SNAPSHOT", 1)];
    let first = of(&[(InSync, 1), (Behind, 1), (Diverged, 2)], &reasons, Some(snapshot(3).creation));
    let third = of(&[(Diverged, 1)], &[("R_DIVERGED", 1)], None);
    let expected = BTreeMap::from([(group_id(1), first), (group_id(3), third)]);
    assert_eq!(store.replica_summaries().await.unwrap(), expected);
}
