//! Systems: registration, changes, signs of life.

use rstest::rstest;
use serde_json::{Value, json};

use crate::testing::{Witness, pairs};

#[tokio::test]
async fn both_addresses_register_and_the_key_is_shown_once() {
    let witness = Witness::start().await;
    for (path, name) in [("/systems", "nas1"), ("/systems/register", "nas2")] {
        let created = witness.post(path, json!({ "hostname": name, "platform": "linux" })).await;
        assert_eq!(created.status, 201);
        let created = created.fine();
        assert_eq!((&created["ssh_port"], &created["connectivity_status"]), (&json!(22), &json!("unknown")));
        let key = created["api_key"].as_str().unwrap();
        let path = format!("/api/v1/systems/{}", created["id"].as_str().unwrap());
        let read = witness.call("GET", &path, Some(key), None).await.fine();
        assert_eq!(read["api_key"], Value::Null);
    }
    let again = witness.post("/systems", json!({ "hostname": "nas1", "platform": "linux" })).await;
    assert_eq!(again.refusal(), (409, "E_SYSTEM_EXISTS".into()));
    let some = witness.get("/systems?skip=1&limit=1").await.fine();
    assert_eq!(some[0]["hostname"], "nas2");
    assert_eq!(witness.get("/systems?limit=-1").await.fine().as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn only_what_is_sent_changes_and_null_clears() {
    let witness = Witness::start().await;
    let nas1 = witness.enrol("nas1").await;
    let path = format!("/api/v1/systems/{}", nas1.id);
    let put = |body: Value| witness.call("PUT", &path, Some(&witness.admin), Some(body));
    let changed =
        put(json!({ "ssh_user": "repl", "ssh_port": 2222, "metadata": { "rack": 4 } })).await.fine();
    assert_eq!((&changed["ssh_user"], &changed["ssh_port"]), (&json!("repl"), &json!(2222)));
    assert_eq!(
        (&changed["ssh_hostname"], &changed["extra_metadata"]),
        (&json!("nas1"), &json!({ "rack": 4 }))
    );
    let cleared = put(json!({ "ssh_hostname": null, "ssh_user": null })).await.fine();
    assert_eq!((&cleared["ssh_hostname"], &cleared["ssh_user"]), (&Value::Null, &Value::Null));
    let wrong = put(json!({ "hostname": null, "ssh_user": "a;b" })).await;
    assert_eq!(wrong.fields(), pairs(&[("/hostname", "E_VALUE_INVALID"), ("/ssh_user", "E_HOST_INVALID")]));
    witness.enrol("nas2").await;
    assert_eq!(put(json!({ "hostname": "nas2" })).await.refusal(), (409, "E_SYSTEM_EXISTS".into()));
    let audit = format!("{:?}", witness.state.store.audit(100).await.unwrap());
    assert!(audit.contains("system.update"), "{audit}");
}

#[tokio::test]
async fn a_member_of_a_group_is_not_deleted() {
    let witness = Witness::start().await;
    let (nas1, _) = witness.pair(false).await;
    let path = format!("/api/v1/systems/{}", nas1.id);
    let delete = || witness.call("DELETE", &path, Some(&witness.admin), None);
    let reply = delete().await;
    assert_eq!(reply.refusal(), (409, "E_SYSTEM_IN_USE".into()));
    let groups = witness.get("/sync-groups").await.fine();
    let group = format!("/api/v1/sync-groups/{}", groups[0]["id"].as_str().unwrap());
    assert_eq!(witness.call("DELETE", &group, Some(&witness.admin), None).await.status, 204);
    assert_eq!(delete().await.status, 204);
    assert_eq!(delete().await.refusal(), (404, "E_SYSTEM_NOT_FOUND".into()));
    let hello = witness.agent(&nas1, "hello", crate::testing::hello()).await;
    assert_eq!(hello.refusal(), (401, "E_KEY_INVALID".into()), "its key went with it");
}

#[rstest]
#[case("POST")]
#[case("GET")]
#[tokio::test]
async fn a_heartbeat_needs_no_body(#[case] method: &str) {
    let witness = Witness::start().await;
    let created = witness
        .post("/systems", json!({ "hostname": "nas1", "platform": "linux", "extra_metadata": { "a": 1 } }));
    let created = created.await.fine();
    let id = created["id"].as_str().unwrap();
    let path = format!("/api/v1/systems/{id}/heartbeat");
    let reply = witness.call(method, &path, created["api_key"].as_str(), None).await.fine();
    assert_eq!(reply, json!({ "system_id": id, "last_seen": "2026-01-01T00:00:00Z", "status": "online" }));
    let system = witness.get(&format!("/systems/{id}")).await.fine();
    assert_eq!((&system["connectivity_status"], &system["health"]), (&json!("online"), &json!("healthy")));
    assert_eq!(system["extra_metadata"], json!({ "a": 1 }), "what was stored stays");
    witness.advance(301);
    let system = witness.get(&format!("/systems/{id}")).await.fine();
    assert_eq!((&system["connectivity_status"], &system["health"]), (&json!("offline"), &json!("offline")));
}

#[tokio::test]
async fn a_heartbeat_with_an_object_replaces_the_metadata() {
    let witness = Witness::start().await;
    let nas1 = witness.enrol("nas1").await;
    let metadata =
        async || witness.get(&format!("/systems/{}", nas1.id)).await.fine()["extra_metadata"].clone();
    witness.agent(&nas1, "heartbeat", json!({ "load": 1 })).await.fine();
    assert_eq!(metadata().await, json!({ "load": 1 }));
    witness.agent(&nas1, "heartbeat", json!({ "metadata": { "load": 2 } })).await.fine();
    assert_eq!(metadata().await, json!({ "load": 2 }));
    assert_eq!(witness.agent(&nas1, "heartbeat", json!([1])).await.status, 422);
    // As curl sends it without data: a type, no body.
    let path = format!("/api/v1/systems/{}/heartbeat", nas1.id);
    let request =
        http::Request::post(path).header("X-API-Key", &nas1.key).header("Content-Type", "application/json");
    assert_eq!(witness.send(request.body(axum::body::Body::empty()).unwrap()).await.status, 200);
}
