//! Keys of people and systems.

use rstest::rstest;
use serde_json::{Value, json};

use crate::testing::Witness;

#[tokio::test]
async fn a_key_works_until_it_ends_or_is_revoked() {
    let witness = Witness::start().await;
    let body = json!({ "name": "ci", "role": "viewer", "expires_in_seconds": 60 });
    let created = witness.post("/keys", body).await;
    assert_eq!(created.status, 201);
    let created = created.fine();
    let key = created["api_key"].as_str().unwrap();
    let read = || witness.call("GET", "/api/v1/status", Some(key), None);
    assert_eq!(read().await.status, 200);
    witness.advance(61);
    assert_eq!(read().await.refusal(), (401, "E_KEY_INVALID".into()));

    let created = witness.post("/keys", json!({ "name": "ci", "role": "operator" })).await.fine();
    let (id, key) = (created["id"].as_str().unwrap(), created["api_key"].as_str().unwrap());
    assert_eq!(witness.call("GET", "/api/v1/status", Some(key), None).await.status, 200);
    let path = format!("/api/v1/keys/{id}");
    assert_eq!(witness.call("DELETE", &path, Some(&witness.admin), None).await.status, 204);
    assert_eq!(witness.call("GET", "/api/v1/status", Some(key), None).await.status, 401);
    assert_eq!(
        witness.call("DELETE", &path, Some(&witness.admin), None).await.refusal(),
        (404, "E_NOT_FOUND".into())
    );
}

#[tokio::test]
async fn secrets_are_shown_once_and_never_stored_or_listed() {
    let witness = Witness::start().await;
    let created = witness.post("/keys", json!({ "name": "ci", "role": "viewer" })).await.fine();
    let key = created["api_key"].as_str().unwrap().to_owned();
    let secret = &key[13..];
    let listed = witness.get("/keys").await.text;
    assert!(listed.contains(created["prefix"].as_str().unwrap()));
    assert!(!listed.contains(secret), "{listed}");
    let audit = format!("{:?}", witness.state.store.audit(100).await.unwrap());
    assert!(audit.contains("key.create"), "{audit}");
    assert!(!audit.contains(secret), "{audit}");
}

#[rstest]
#[case(json!({ "name": "x", "role": "system" }), "/role")]
#[case(json!({ "name": " ", "role": "viewer" }), "/name")]
#[case(json!({ "name": "x", "role": "viewer", "expires_in_seconds": 0 }), "/expires_in_seconds")]
#[case(json!({ "name": "x", "role": "viewer", "expires_in_seconds": u64::MAX }), "/expires_in_seconds")]
#[case(json!({ "name": "x", "role": "emperor" }), "/role")]
#[tokio::test]
async fn a_key_that_makes_no_sense_is_not_made(#[case] body: Value, #[case] pointer: &str) {
    let witness = Witness::start().await;
    let reply = witness.post("/keys", body).await;
    assert_eq!(reply.status, 422, "{}", reply.text);
    assert_eq!(reply.fields()[0].0, pointer);
    assert_eq!(witness.get("/keys").await.fine().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_last_administrator_can_not_lock_everybody_out() {
    let witness = Witness::start().await;
    let keys = witness.get("/keys").await.fine();
    let path = format!("/api/v1/keys/{}", keys[0]["id"].as_str().unwrap());
    let reply = witness.call("DELETE", &path, Some(&witness.admin), None).await;
    assert_eq!(reply.refusal(), (403, "E_FORBIDDEN".into()));
    assert_eq!(witness.get("/keys").await.status, 200);
}

#[tokio::test]
async fn a_system_rotates_its_own_key() {
    let witness = Witness::start().await;
    let nas1 = witness.enrol("nas1").await;
    let rotated = witness.agent(&nas1, "api-key/rotate", json!({})).await.fine();
    let path = format!("/api/v1/systems/{}/heartbeat", nas1.id);
    assert_eq!(witness.call("POST", &path, Some(&nas1.key), None).await.status, 401);
    let new = rotated["api_key"].as_str().unwrap();
    assert_eq!(witness.call("POST", &path, Some(new), None).await.status, 200);
    let key = format!("/api/v1/systems/{}/api-key", nas1.id);
    assert_eq!(witness.call("DELETE", &key, Some(new), None).await.status, 204);
    assert_eq!(witness.call("POST", &path, Some(new), None).await.status, 401);
    let again = witness.call("POST", &key, Some(&witness.admin), None).await.fine();
    assert_eq!(witness.call("POST", &path, again["api_key"].as_str(), None).await.status, 200);
}
