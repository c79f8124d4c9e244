//! Systems of old clients, whose snapshots have no GUIDs.

use serde_json::{Value, json};
use zfs_sync_api::v1::agent::ReportedDataset as Reported;
use zfs_sync_store::{Report, ReportedDataset};

use crate::{
    background::Planner,
    testing::{Host, Witness, dataset},
};

/// A complete report as the intake of old clients stores it: names and times are what they are, GUIDs are made up.
async fn report_by_name(witness: &Witness, host: &Host, datasets: &[(&str, &[u64])]) {
    let store = &witness.state.store;
    let row = store.system(host.id).await.unwrap().unwrap();
    let datasets = datasets.iter().map(|(name, snapshots)| {
        let mut body = dataset(name, snapshots);
        for snapshot in body["history"]["snapshots"].as_array_mut().unwrap() {
            let guid: u64 = snapshot["guid"].as_str().unwrap().parse().unwrap();
            snapshot["guid"] = json!((guid + 5000).to_string());
        }
        let Reported { name, properties, digest, history } = serde_json::from_value(body).unwrap();
        let history = history.map(|history| (history.snapshots, history.bookmarks));
        ReportedDataset { name, properties, digest, history }
    });
    let report = Report {
        sequence: row.inventory_sequence.map_or(1, |sequence| sequence + 1),
        base: None,
        datasets: datasets.collect(),
        removed: Vec::new(),
        retention: None,
        looked_at: None,
        without_guids: true,
    };
    assert!(store.apply_report(host.id, &report, witness.state.now()).await.unwrap().accepted);
    witness.state.wake.reported();
}

async fn replicas(witness: &Witness) -> Vec<Value> {
    witness.get("/replicas").await.fine()["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_replica_that_is_known_by_names_alone_says_so_and_starts_nothing() {
    let witness = Witness::start().await;
    let (nas1, nas2) = (witness.enrol("nas1").await, witness.enrol("nas2").await);
    witness
        .group(json!({
            "name": "prod", "systems": ["nas1", "nas2"], "source_of_truth": "nas1", "auto": true,
            "datasets": ["tank/media", "tank/new"], "mappings": ["tank=backup"],
        }))
        .await;
    witness.report(&nas1, &[("tank", &[]), ("tank/media", &[1, 2]), ("tank/new", &[1])]).await;
    report_by_name(&witness, &nas2, &[("backup", &[]), ("backup/media", &[1])]).await;
    let mut planner = Planner::default();
    planner.pass(&witness.state).await.unwrap();
    let found = replicas(&witness).await;
    assert_eq!(found.len(), 2, "{found:?}");
    for (replica, state) in found.iter().zip(["behind", "never_seeded"]) {
        assert_eq!((&replica["state"], &replica["reason"]), (&json!(state), &json!("R_NO_GUID")));
        let warnings = replica["report"]["warnings"].as_array().unwrap();
        assert!(warnings.contains(&json!("W_NO_GUID")), "{warnings:?}");
    }
    assert_eq!(witness.lease(&nas1).await, Vec::<Value>::new());
    let why = witness.get("/why?replica=backup/media@nas2").await.fine();
    assert_eq!(why[0]["reason"], "R_NO_GUID");

    // The same planner sees part of the group: what it reads then has no GUIDs either.
    witness.report(&nas1, &[("tank", &[]), ("tank/media", &[1, 2, 3]), ("tank/new", &[1])]).await;
    planner.pass(&witness.state).await.unwrap();
    assert_eq!(replicas(&witness).await[0]["reason"], "R_NO_GUID");
    assert_eq!(witness.lease(&nas1).await, Vec::<Value>::new());

    // The agent is installed there: everything is planned by GUID, also what the system has nothing of.
    witness.report(&nas2, &[("backup", &[]), ("backup/media", &[1])]).await;
    planner.pass(&witness.state).await.unwrap();
    for replica in replicas(&witness).await {
        assert_eq!(replica["state"], "syncing", "{replica}");
        assert!(!replica["report"]["warnings"].as_array().unwrap().contains(&json!("W_NO_GUID")));
    }
    assert_eq!(witness.lease(&nas1).await.len(), 2);
}

#[tokio::test]
async fn a_name_that_was_used_again_is_not_taken_for_the_same_snapshot() {
    let witness = Witness::start().await;
    let (nas1, nas2) = witness.pair(true).await;
    witness.report(&nas1, &[("tank", &[]), ("tank/media", &[1, 2])]).await;
    report_by_name(&witness, &nas2, &[("backup", &[]), ("backup/media", &[1, 7])]).await;
    witness.plan().await;
    let found = replicas(&witness).await.remove(0);
    assert_eq!(found["state"], "diverged", "{found}");
    assert!(found["report"]["warnings"].as_array().unwrap().contains(&json!("W_NO_GUID")));
    assert_eq!(witness.lease(&nas2).await, Vec::<Value>::new());
}
