//! Who may compare, how both agents work on it, and what of it is shown to whom.

use serde_json::{Value, json};
use zfs_sync_api::v1::key::Role;

use crate::testing::{Host, Reply, Witness};

async fn reported() -> (Witness, Host, Host) {
    let witness = Witness::start().await;
    let (nas1, nas2) = witness.pair(false).await;
    witness.report(&nas2, &[("backup", &[]), ("backup/media", &[1])]).await;
    (witness, nas1, nas2)
}

fn asked() -> Value {
    json!({ "snapshot": "tank/media@s1", "between": ["nas1", "nas2"], "deep": true })
}

async fn task(witness: &Witness, host: &Host) -> Value {
    let body = json!({ "max": 0, "max_verifications": 4, "wait_ms": 0 });
    witness.agent(host, "lease", body).await.fine()["verifications"][0].clone()
}

async fn exchange(witness: &Witness, host: &Host, task: &Value, round: u32, answers: Value) -> Reply {
    let path = format!("/api/v1/verifications/{}/exchange", task["id"].as_str().unwrap());
    let body = json!({
        "generation": task["generation"], "side": task["side"], "round": round, "answers": answers,
        "entries": 2, "bytes": 3, "wait_ms": 0,
    });
    witness.call("POST", &path, Some(&host.key), Some(body)).await
}

fn inspected() -> Value {
    json!([{ "answer": "inspected", "protocol": 1, "guid": "1001", "createtxg": "1", "creation": 5,
        "kind": "filesystem", "earlier": [], "properties": {} }])
}

fn summary(digest: char) -> Value {
    let digest = digest.to_string().repeat(64);
    let root = json!({ "name": "", "kind": "directory", "content": digest });
    json!([{ "answer": "summary", "root": root, "entries": 2, "bytes": 3 }])
}

#[tokio::test]
async fn both_agents_answer_until_the_difference_is_named() {
    let (witness, nas1, nas2) = reported().await;
    let created = witness.post("/verifications", asked()).await.fine();
    assert_eq!((&created["state"], &created["requested_by"]), (&json!("queued"), &json!("key:root")));
    assert_eq!(created["right"]["snapshot"], "backup/media@s1", "found by its GUID");
    let (left, right) = (task(&witness, &nas1).await, task(&witness, &nas2).await);
    assert_eq!(
        (&left["side"], &right["side"], &right["snapshot"]),
        (&json!("left"), &json!("right"), &json!("backup/media@s1"))
    );
    assert_eq!(task(&witness, &nas1).await, Value::Null, "leased once");
    let first = exchange(&witness, &nas1, &left, 0, Value::Null).await.fine();
    assert_eq!(first, json!({ "over": false, "round": 1, "questions": [{ "ask": "inspect" }] }));
    exchange(&witness, &nas1, &left, 1, inspected()).await.fine();
    let second = exchange(&witness, &nas2, &right, 1, inspected()).await.fine();
    assert_eq!(second["questions"], json!([{ "ask": "digest", "access_lists": true }]));
    exchange(&witness, &nas1, &left, 2, summary('1')).await.fine();
    let third = exchange(&witness, &nas2, &right, 2, summary('2')).await.fine();
    assert_eq!(third["questions"], json!([{ "ask": "directory", "path": "", "prefix": [], "split": false }]));
    let only = json!([{ "answer": "entries", "entries": [{ "name": "secret", "kind": "file" }] }]);
    exchange(&witness, &nas1, &left, 3, only).await.fine();
    let last =
        exchange(&witness, &nas2, &right, 3, json!([{ "answer": "entries", "entries": [] }])).await.fine();
    assert_eq!(last["over"], true);
    assert_eq!(exchange(&witness, &nas1, &left, 3, Value::Null).await.fine()["over"], true);

    let path = format!("/verifications/{}", created["id"].as_str().unwrap());
    let shown = witness.get(&path).await.fine();
    assert_eq!(shown["state"], "differs");
    assert_eq!(shown["result"]["differences"], json!([{ "path": "secret", "what": "only_left" }]));
    // A viewer learns that something differs, and not what files are called.
    let viewer = witness.key("eve", Role::Viewer).await;
    let seen = witness.call("GET", &format!("/api/v1{path}"), Some(&viewer), None).await;
    assert!(!seen.text.contains("secret"), "{}", seen.text);
    assert_eq!((&seen.fine()["state"], &seen.body()["result"]["more"]), (&json!("differs"), &json!(1)));
}

/// A witness with one verification that has found a difference; the path of its resource.
pub(crate) async fn differing(name: &str) -> (Witness, String) {
    let (witness, nas1, nas2) = reported().await;
    witness.plan().await;
    let created = witness.post("/verifications", asked()).await.fine();
    let (left, right) = (task(&witness, &nas1).await, task(&witness, &nas2).await);
    let only = json!([{ "answer": "entries", "entries": [{ "name": name, "kind": "file" }] }]);
    let none = json!([{ "answer": "entries", "entries": [] }]);
    let rounds = [(inspected(), inspected()), (summary('1'), summary('2')), (only, none)];
    for (round, (of_left, of_right)) in (1..).zip(rounds) {
        exchange(&witness, &nas1, &left, round, of_left).await.fine();
        exchange(&witness, &nas2, &right, round, of_right).await.fine();
    }
    (witness, format!("/verifications/{}", created["id"].as_str().unwrap()))
}

#[tokio::test]
async fn a_difference_is_the_word_on_its_replica_whichever_side_was_named_first() {
    let (witness, path) = differing("secret").await;
    let proofs = witness.get("/proofs").await.fine();
    assert_eq!(proofs.as_array().unwrap().len(), 1);
    assert_eq!((&proofs[0]["target"], &proofs[0]["matched"]), (&json!("backup/media"), &json!(false)));
    assert!(path.ends_with(proofs[0]["verification_id"].as_str().unwrap()));
    assert_eq!(witness.get("/status").await.fine()["proofs"], json!({ "differs": 1 }));
    let mut swapped = asked();
    swapped["between"] = json!(["nas2", "nas1"]);
    let created = witness.post("/verifications", swapped).await.fine();
    assert_eq!((&created["left"]["system"], &created["right"]["system"]), (&json!("nas1"), &json!("nas2")));
}

#[tokio::test]
async fn what_somebody_cancels_is_not_begun_again_by_its_schedule() {
    let (witness, ..) = reported().await;
    witness.plan().await;
    let groups = witness.get("/sync-groups").await.fine();
    let path = format!("/api/v1/sync-groups/{}/verification-schedule", groups[0]["id"].as_str().unwrap());
    let body = json!({ "every_ms": 604_800_000_u64, "budget_per_day": 1 << 30 });
    witness.call("PUT", &path, Some(&witness.admin), Some(body)).await.fine();
    crate::background::verifications::pass(&witness.state).await.unwrap();
    let made = witness.get("/verifications").await.fine();
    let cancel = format!("/verifications/{}/cancel", made[0]["id"].as_str().unwrap());
    witness.post(&cancel, json!({})).await.fine();
    crate::background::verifications::pass(&witness.state).await.unwrap();
    assert_eq!(witness.get("/verifications").await.fine().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_verification_for_which_no_agent_comes_within_a_day_is_unproven() {
    let (witness, nas1, _) = reported().await;
    let created = witness.post("/verifications", asked()).await.fine();
    let left = task(&witness, &nas1).await;
    exchange(&witness, &nas1, &left, 1, inspected()).await.fine();
    let shown = async || {
        crate::background::verifications::pass(&witness.state).await.unwrap();
        witness.get(&format!("/verifications/{}", created["id"].as_str().unwrap())).await.fine()
    };
    witness.advance(86_400);
    assert_eq!(shown().await["state"], "running");
    witness.advance(1);
    let given_up = shown().await;
    assert_eq!(given_up["state"], "unproven");
    assert_eq!(given_up["result"]["code"], "E_VERIFY_NO_AGENT");
    assert_eq!(exchange(&witness, &nas1, &left, 1, Value::Null).await.fine()["over"], true);
}

#[tokio::test]
async fn only_operators_start_and_only_the_own_side_is_answered() {
    let (witness, nas1, nas2) = reported().await;
    let viewer = witness.key("eve", Role::Viewer).await;
    for key in [&viewer, &nas1.key] {
        let refused = witness.call("POST", "/api/v1/verifications", Some(key), Some(asked())).await;
        assert_eq!(refused.refusal(), (403, "E_FORBIDDEN".to_owned()));
    }
    witness.post("/verifications", asked()).await.fine();
    let left = task(&witness, &nas1).await;
    let refused = exchange(&witness, &nas2, &left, 1, inspected()).await;
    assert_eq!(refused.refusal(), (403, "E_FORBIDDEN".to_owned()));
    let audit = witness.state.store.audit(10).await.unwrap();
    assert!(audit.iter().any(|entry| entry.entry.action == "verification.create"), "{audit:?}");
}

#[tokio::test]
async fn what_can_not_be_compared_is_refused_with_the_reason() {
    let (witness, ..) = reported().await;
    let with = |name: &str, value: Value| {
        let mut body = asked();
        body[name] = value;
        body
    };
    for (body, status, code) in [
        (with("between", json!(["nas1"])), 422, "E_VALUE_INVALID"),
        (with("between", json!(["nas1", "nas9"])), 404, "E_SYSTEM_NOT_FOUND"),
        (with("snapshot", json!("tank/media@s9")), 404, "E_DATASET_NOT_FOUND"),
        (with("dataset", json!("backup/other")), 404, "E_DATASET_NOT_FOUND"),
        (with("rate", json!(0)), 422, "E_VALUE_RANGE"),
    ] {
        let refused = witness.post("/verifications", body).await;
        assert_eq!(refused.refusal(), (status, code.to_owned()));
    }
    let missing = format!("/verifications/{}", uuid::Uuid::nil());
    assert_eq!(witness.get(&missing).await.refusal(), (404, "E_VERIFICATION_NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn a_restarted_agent_or_a_silent_one_begins_it_anew() {
    let (witness, nas1, nas2) = reported().await;
    let created = witness.post("/verifications", asked()).await.fine();
    let old = task(&witness, &nas1).await;
    witness.agent(&nas1, "hello", crate::testing::hello()).await.fine();
    let refused = exchange(&witness, &nas1, &old, 1, inspected()).await;
    assert_eq!(refused.refusal(), (409, "E_LEASE_LOST".to_owned()));
    let (left, _) = (task(&witness, &nas1).await, task(&witness, &nas2).await);
    assert_eq!(left["generation"], 2);
    witness.advance(16);
    let row = witness.state.store.expire_verifications(5, witness.state.now()).await.unwrap();
    assert_eq!(row.len(), 1);
    let cancel = format!("/verifications/{}/cancel", created["id"].as_str().unwrap());
    assert_eq!(witness.post(&cancel, json!({})).await.fine()["state"], "cancelled");
    assert_eq!(witness.post(&cancel, json!({})).await.refusal(), (409, "E_VERIFICATION_FINISHED".to_owned()));
}

#[tokio::test]
async fn a_schedule_compares_what_was_longest_not_proven_one_at_a_time() {
    let (witness, nas1, _) = reported().await;
    witness.plan().await;
    let groups = witness.get("/sync-groups").await.fine();
    let path = format!("/api/v1/sync-groups/{}/verification-schedule", groups[0]["id"].as_str().unwrap());
    let put = async |body: Value| witness.call("PUT", &path, Some(&witness.admin), Some(body)).await;
    let refused = put(json!({ "every_ms": 1, "budget_per_day": 1 })).await;
    assert_eq!(refused.refusal(), (422, "E_VALUE_RANGE".to_owned()));
    put(json!({ "every_ms": 604_800_000_u64, "budget_per_day": 1 << 30, "rate": 1000 })).await.fine();
    assert_eq!(witness.get("/verification-schedules").await.fine()[0]["rate"], 1000);
    for _ in 0..2 {
        crate::background::verifications::pass(&witness.state).await.unwrap();
    }
    let made = witness.get("/verifications").await.fine();
    assert_eq!(made.as_array().unwrap().len(), 1, "one at a time: {made}");
    assert_eq!((&made[0]["requested_by"], &made[0]["deep"]), (&json!("schedule"), &json!(true)));
    assert_eq!(made[0]["right"]["snapshot"], "backup/media@s1");
    assert_eq!(task(&witness, &nas1).await["rate"], 1000);
    // Whatever comes of it, it is not tried again before its time.
    let row = witness.state.store.verifications(1).await.unwrap().pop().unwrap();
    witness.advance(16);
    witness.state.store.expire_verifications(1, witness.state.now()).await.unwrap();
    crate::background::verifications::pass(&witness.state).await.unwrap();
    assert_eq!(witness.state.store.verifications(9).await.unwrap().len(), 1);
    witness.advance(604_800);
    witness.report(&nas1, &[("tank", &[]), ("tank/media", &[1])]).await;
    crate::background::verifications::pass(&witness.state).await.unwrap();
    assert_ne!(witness.state.store.verifications(1).await.unwrap().pop().unwrap().id, row.id);
    assert_eq!(witness.call("DELETE", &path, Some(&witness.admin), None).await.status, 204);
    assert_eq!(witness.get("/verification-schedules").await.fine(), json!([]));
}

#[tokio::test]
async fn pools_are_told_by_their_own_agent_and_shown_printable() {
    let (witness, nas1, nas2) = reported().await;
    let body = json!({ "pools": [{ "name": "tank", "state": "DEGRADED\u{1b}", "scrubbed_at": "2026-01-01T00:00:00Z", "scrub_errors": 2 }] });
    let path = format!("/api/v1/systems/{}/pools", nas1.id);
    let refused = witness.call("POST", &path, Some(&nas2.key), Some(body.clone())).await;
    assert_eq!(refused.refusal(), (403, "E_FORBIDDEN".to_owned()));
    witness.agent(&nas1, "pools", body).await.fine();
    let shown = witness.get("/pools").await.fine();
    assert_eq!((&shown[0]["system"], &shown[0]["pools"][0]["state"]), (&json!("nas1"), &json!("DEGRADED")));
    let many = json!({ "pools": vec![json!({ "name": "p", "state": "ONLINE" }); 1001] });
    assert_eq!(witness.agent(&nas1, "pools", many).await.refusal().1, "E_VALUE_RANGE");
}
