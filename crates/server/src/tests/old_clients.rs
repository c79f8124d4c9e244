//! What clients of the old service ask for.

use serde_json::{Value, json};

use crate::testing::Witness;

#[tokio::test]
async fn the_source_gets_commands_and_the_target_no_address() {
    let witness = Witness::start().await;
    let (nas1, nas2) = witness.pair(false).await;
    witness.report(&nas1, &[("tank", &[]), ("tank/media", &[1, 2, 3])]).await;
    witness.report(&nas2, &[("backup", &[]), ("backup/media", &[1])]).await;
    let ask = |host: &crate::testing::Host, query: &str| {
        let path = format!("/api/v1/sync/instructions/{}{query}", host.id);
        let key = host.key.clone();
        let witness = &witness;
        async move { witness.call("GET", &path, Some(&key), None).await.fine() }
    };
    let answer = ask(&nas1, "").await;
    let groups = witness.get("/sync-groups").await.fine();
    assert_eq!(
        answer,
        json!({
            "system_id": nas1.id,
            "timestamp": "2026-01-01T00:00:00Z",
            "datasets": [{
                "pool": "tank", "dataset": "tank/media", "target_pool": "backup", "target_dataset": "backup/media",
                "starting_snapshot": "s1", "ending_snapshot": "s3",
                "source_ssh_hostname": "nas1", "target_ssh_hostname": "nas2", "sync_group_id": groups[0]["id"],
                "commands": ["zfs send -c -I tank/media@s1 tank/media@s3 | ssh nas2 'zfs receive -s backup/media'"],
            }],
            "dataset_count": 1,
            "diagnostics": null,
        })
    );
    let answer = ask(&nas2, "").await;
    assert_eq!(
        (&answer["dataset_count"], &answer["datasets"][0]["target_ssh_hostname"]),
        (&json!(1), &Value::Null)
    );

    let answer = ask(&nas1, "?include_commands=true&include_diagnostics=true").await;
    assert_eq!((&answer["action_count"], &answer["sync_groups"]), (&json!(1), &json!([groups[0]["id"]])));
    assert_eq!(answer["actions"][0]["sync_command"], answer["datasets"][0]["commands"][0]);
    assert_eq!(
        (&answer["actions"][0]["action_type"], &answer["actions"][0]["is_incremental"]),
        (&json!("sync_snapshot"), &json!(true))
    );
    assert_eq!(answer["diagnostics"], json!([]));
    let answer = ask(&nas2, "?include_commands=true").await;
    assert_eq!((&answer["action_count"], &answer["actions"]), (&json!(0), &json!([])));
}

#[tokio::test]
async fn names_with_spaces_are_quoted_for_both_shells() {
    let witness = Witness::start().await;
    let (nas1, nas2) = (witness.enrol("nas1").await, witness.enrol("nas2").await);
    witness
        .group(json!({ "name": "g", "systems": ["nas1", "nas2"], "source_of_truth": "nas1", "datasets": ["tank/my films"] }))
        .await;
    witness.report(&nas1, &[("tank", &[]), ("tank/my films", &[1])]).await;
    witness.report(&nas2, &[("tank", &[])]).await;
    let path = format!("/api/v1/systems/{}", nas2.id);
    let change = json!({ "ssh_port": 2222, "ssh_user": "repl" });
    witness.call("PUT", &path, Some(&witness.admin), Some(change)).await.fine();
    let answer = witness.get(&format!("/sync/instructions/{}", nas1.id)).await.fine();
    let expected =
        r#"zfs send -c 'tank/my films@s1' | ssh -p 2222 repl@nas2 'zfs receive -s '"'"'tank/my films'"'"''"#;
    assert_eq!(answer["datasets"][0]["commands"], json!([expected]));
}

#[tokio::test]
async fn a_system_without_groups_gets_an_empty_answer_and_a_reason() {
    let witness = Witness::start().await;
    let id = uuid::Uuid::from_u128(7);
    let answer = witness.get(&format!("/sync/instructions/{id}?include_diagnostics=true")).await.fine();
    assert_eq!((&answer["datasets"], &answer["dataset_count"]), (&json!([]), &json!(0)));
    assert_eq!(answer["diagnostics"][0]["level"], "info");
}

#[tokio::test]
async fn states_are_set_in_both_forms_and_shown_with_those_of_the_planner() {
    let witness = Witness::start().await;
    let (nas1, nas2) = witness.pair(false).await;
    witness.plan().await;
    let groups = witness.get("/sync-groups").await.fine();
    let group = groups[0]["id"].as_str().unwrap();
    let states = witness.get(&format!("/sync/groups/{group}/states")).await.fine();
    assert_eq!((&states[0]["dataset"], &states[0]["status"]), (&json!("tank/media"), &json!("out_of_sync")));
    let found = witness.get(&format!("/sync/states/{}", states[0]["id"].as_str().unwrap())).await.fine();
    assert_eq!(found, states[0]);

    witness.advance(1);
    let query = format!(
        "/api/v1/sync/states?sync_group_id={group}&dataset=tank/media&system_id={}&status=completed",
        nas2.id
    );
    let set = witness.call("POST", &query, Some(&nas2.key), None).await;
    assert_eq!((set.status, &set.fine()["status"]), (201, &json!("in_sync")));
    let body = json!({ "sync_group_id": group, "dataset": "x", "system_id": nas2.id, "status": "failed", "error_message": "boo" });
    let set = witness.call("POST", "/api/v1/sync/states", Some(&nas2.key), Some(body.clone())).await.fine();
    assert_eq!((&set["status"], &set["error_message"]), (&json!("error"), &json!("boo")));
    let states = witness.get("/sync/states").await.fine();
    let shown: Vec<_> =
        states.as_array().unwrap().iter().map(|one| (&one["dataset"], &one["status"])).collect();
    // The planner knows better about tank/media than whoever says that it is in sync.
    assert_eq!(shown, [(&json!("tank/media"), &json!("out_of_sync")), (&json!("x"), &json!("error"))]);

    let foreign = witness.call("POST", "/api/v1/sync/states", Some(&nas1.key), Some(body)).await;
    assert_eq!(foreign.refusal(), (403, "E_FORBIDDEN".into()));
    let wrong = witness.post("/sync/states", json!({ "status": "fine" })).await;
    let pointers: Vec<_> = wrong.fields().into_iter().map(|(pointer, _)| pointer).collect();
    assert_eq!(pointers, ["/sync_group_id", "/system_id", "/dataset", "/status"]);
    let nobody = json!({ "sync_group_id": uuid::Uuid::from_u128(9), "dataset": "x", "system_id": nas2.id, "status": "error" });
    assert_eq!(witness.post("/sync/states", nobody).await.refusal(), (404, "E_GROUP_NOT_FOUND".into()));
    assert_eq!(witness.get(&format!("/sync/states/{}", uuid::Uuid::from_u128(9))).await.status, 404);
}

#[tokio::test]
async fn a_group_in_the_old_form_covers_everything_and_starts_nothing() {
    let witness = Witness::start().await;
    let (nas1, nas2) = (witness.enrol("nas1").await, witness.enrol("nas2").await);
    let group = witness
        .group(json!({ "name": "old", "directional": true, "hub_system_id": nas1.id, "system_ids": [nas1.id, nas2.id] }))
        .await;
    assert_eq!((&group["datasets"], &group["auto"]), (&json!(["**"]), &json!(false)));
    assert_eq!(group["profile"], "classic", "its clients get what they used to get");
    assert_eq!(
        (&group["hub_system_id"], &group["system_ids"]),
        (&json!(nas1.id), &json!([nas1.id, nas2.id]))
    );
}

#[tokio::test]
async fn health_is_what_old_scripts_expect() {
    let witness = Witness::start().await;
    let health = witness.call("GET", "/api/v1/health", None, None).await.fine();
    assert_eq!(
        (&health["status"], &health["service"], &health["database"]),
        (&json!("healthy"), &json!("zfs-sync"), &json!("connected"))
    );
    assert_eq!(
        witness.call("GET", "/api/v1/health/live", None, None).await.fine(),
        json!({ "status": "alive" })
    );
    let ready = || witness.call("GET", "/api/v1/health/ready", None, None);
    assert_eq!(ready().await.fine()["status"], "ready");
    witness.state.store.close().await;
    assert_eq!(ready().await.refusal(), (503, "E_DB_UNAVAILABLE".into()));
    let status = witness.call("GET", "/api/v1/status", Some(&witness.admin), None).await;
    assert_eq!(status.refusal(), (503, "E_DB_UNAVAILABLE".into()));
    assert!(!status.text.contains("sqlx") && !status.text.contains("sqlite"), "{}", status.text);
}

#[tokio::test]
async fn a_state_with_an_endless_message_is_refused() {
    let witness = Witness::start().await;
    let (_, nas2) = witness.pair(false).await;
    let groups = witness.get("/sync-groups").await.fine();
    let body = json!({
        "sync_group_id": groups[0]["id"], "dataset": "x", "system_id": nas2.id, "status": "failed",
        "error_message": "x".repeat(16 * 1024 + 1),
    });
    let reply = witness.call("POST", "/api/v1/sync/states", Some(&nas2.key), Some(body)).await;
    assert_eq!(reply.fields(), [("/error_message".to_owned(), "E_VALUE_INVALID".to_owned())]);
}

#[tokio::test]
async fn only_groups_in_the_old_form_are_classic_by_themselves() {
    let witness = Witness::start().await;
    let (nas1, nas2) = (witness.enrol("nas1").await, witness.enrol("nas2").await);
    let old = json!({ "directional": true, "hub_system_id": nas1.id, "system_ids": [nas1.id, nas2.id] });
    let profile = |name: &str, change: Value| {
        let mut body = old.clone();
        body["name"] = json!(name);
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let witness = &witness;
        async move {
            let group = witness.group(body).await;
            let path = format!("/api/v1/sync-groups/{}", group["id"].as_str().unwrap());
            witness.call("DELETE", &path, Some(&witness.admin), None).await;
            group["profile"].clone()
        }
    };
    assert_eq!(profile("a", json!({})).await, "classic");
    assert_eq!(profile("b", json!({ "profile": "standard" })).await, "standard");
    assert_eq!(profile("c", json!({ "datasets": ["tank/media"] })).await, "standard");
    assert_eq!(profile("d", json!({ "on_divergence": "manual" })).await, "classic");
}
