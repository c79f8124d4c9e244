//! Questions asked before something happens.

use serde_json::{Value, json};

use crate::testing::Witness;

#[tokio::test]
async fn the_loss_of_a_system_is_told_dataset_by_dataset() {
    let witness = Witness::start().await;
    let (nas1, nas2) = witness.pair(true).await;
    witness.report(&nas1, &[("tank", &[]), ("tank/media", &[1, 2]), ("tank/alone", &[5])]).await;
    witness.report(&nas2, &[("backup", &[]), ("backup/media", &[1])]).await;
    for system in ["nas1".to_owned(), nas1.id.to_string()] {
        let answer = witness.get(&format!("/whatif/system-lost/{system}")).await.fine();
        assert_eq!(answer["system_name"], "nas1");
        let loss = |dataset: &str| {
            let losses = answer["losses"].as_array().unwrap();
            losses.iter().find(|loss| loss["dataset"] == dataset).unwrap().clone()
        };
        assert_eq!(loss("tank/alone")["extent"], "everything");
        let media = loss("tank/media");
        assert_eq!((&media["extent"], &media["groups"]), (&json!("recent"), &json!(["prod"])));
        assert_eq!(media["promote"]["dataset"], "backup/media");
    }
    let unknown = witness.get("/whatif/system-lost/nas9").await;
    assert_eq!(unknown.refusal(), (404, "E_SYSTEM_NOT_FOUND".into()));
}

#[tokio::test]
async fn snapshots_are_judged_together_and_stay_where_they_are() {
    let witness = Witness::start().await;
    let (nas1, nas2) = witness.pair(true).await;
    witness.report(&nas1, &[("tank", &[]), ("tank/media", &[1, 2, 3])]).await;
    witness.report(&nas2, &[("backup", &[]), ("backup/media", &[1, 2])]).await;
    let ask = async |snapshots: Value| {
        let verdicts = witness.post("/whatif/destroy", json!({ "snapshots": snapshots })).await.fine();
        verdicts
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["answer"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(ask(json!(["nas1:tank/media@s1"])).await, ["safe"]);
    assert_eq!(
        ask(json!(["nas1:tank/media@s1", "nas2:backup/media@s1"])).await,
        ["loses_data", "loses_data"],
        "of two copies none is safe because the other is there"
    );
    assert_eq!(ask(json!(["nas1:tank/media@s2"])).await, ["breaks_replication"]);
    assert_eq!(ask(json!([format!("{}:tank/media@nothing", nas1.id)])).await, ["unknown"]);
    witness.plan().await;
    assert_eq!(witness.lease(&nas1).await.len(), 1, "replication goes on as if nobody had asked");
}

#[tokio::test]
async fn a_question_that_names_nothing_is_told_where() {
    let witness = Witness::start().await;
    witness.pair(true).await;
    let body =
        json!({ "snapshots": ["tank/media@s1", "nas9:tank/media@s1", "nas1:tank/media", "nas1:tank/..@s1"] });
    let reply = witness.post("/whatif/destroy", body).await;
    let codes: Vec<String> =
        reply.fields().into_iter().map(|(pointer, code)| format!("{pointer} {code}")).collect();
    assert_eq!(
        codes,
        [
            "/snapshots/0 E_SELECTOR_INVALID",
            "/snapshots/1 E_SYSTEM_NOT_FOUND",
            "/snapshots/2 E_NAME_INVALID",
            "/snapshots/3 E_NAME_INVALID",
        ]
    );
    let empty = witness.post("/whatif/destroy", json!({ "snapshots": [] })).await;
    assert_eq!(empty.refusal(), (422, "E_VALUE_RANGE".into()));
}
