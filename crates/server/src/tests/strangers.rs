//! Every operation refuses whoever has no business with it.

use std::collections::BTreeSet;

use serde_json::json;
use zfs_sync_api::v1::key::Role;

use crate::{
    auth::access::{ACCESS, Needs},
    openapi::{document, operations},
    testing::Witness,
};

/// What anybody may do, each for a reason that stands in the table.
const OPEN: [&str; 6] = [
    "GET /api/v1/health",
    "GET /api/v1/health/live",
    "GET /api/v1/health/ready",
    "POST /api/v1/enrol",
    "GET /api/v1/openapi.json",
    "GET /docs/codes/{code}",
];

/// Method and path of every operation in the description.
fn all() -> Vec<(&'static str, String)> {
    let mut document = document();
    let mut all = Vec::new();
    for (path, item) in &mut document.paths.paths {
        all.extend(operations(item).map(|(method, _)| (method, path.clone())));
    }
    assert!(all.len() > 40, "the description is empty: {all:?}");
    all
}

/// The path with something in place of its parameters.
fn filled(path: &str, id: &str) -> String {
    let segments = path.split('/').map(|segment| if segment.starts_with('{') { id } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

#[test]
fn the_table_names_exactly_the_operations() {
    let described: BTreeSet<String> =
        all().into_iter().map(|(method, path)| format!("{method} {path}")).collect();
    let table: BTreeSet<String> = ACCESS.iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    assert_eq!(described.difference(&table).collect::<Vec<_>>(), Vec::<&String>::new(), "not in the table");
    assert_eq!(
        table.difference(&described).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "not in the description"
    );
    assert_eq!(ACCESS.len(), table.len(), "named twice");
    let open: BTreeSet<String> = ACCESS
        .iter()
        .filter(|(_, _, needs)| *needs == Needs::Nothing)
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    assert_eq!(open, OPEN.into_iter().map(str::to_owned).collect());
}

#[tokio::test]
async fn without_a_key_or_with_a_wrong_one_nothing_is_answered() {
    let witness = Witness::start().await;
    let id = uuid::Uuid::from_u128(7).to_string();
    let unknown = format!("zsk_abcdefgh_{}", "A".repeat(43));
    let almost = {
        let mut key = witness.admin.clone();
        let last = if key.ends_with('A') { 'B' } else { 'A' };
        key.pop();
        key.push(last);
        key
    };
    for (method, path) in all() {
        if OPEN.contains(&format!("{method} {path}").as_str()) {
            continue;
        }
        let at = filled(&path, &id);
        let reply = witness.call(method, &at, None, Some(json!({}))).await;
        assert_eq!(reply.refusal(), (401, "E_AUTH_REQUIRED".into()), "{method} {path}");
        assert_eq!(reply.headers["www-authenticate"], "ApiKey");
        for wrong in [unknown.as_str(), almost.as_str(), "", "ü", "zsk_"] {
            let reply = witness.call(method, &at, Some(wrong), Some(json!({}))).await;
            assert_eq!(reply.refusal(), (401, "E_KEY_INVALID".into()), "{method} {path} with {wrong:?}");
        }
    }
}

#[tokio::test]
async fn another_systems_key_opens_nothing_of_a_system() {
    let witness = Witness::start().await;
    let (mine, other) = (witness.enrol("mine").await, witness.enrol("other").await);
    let mut tried = 0;
    for (method, path) in all() {
        if path.contains("{system_id}") {
            let at = filled(&path, &mine.id.to_string());
            let reply = witness.call(method, &at, Some(&other.key), Some(json!({}))).await;
            assert_eq!(reply.refusal(), (403, "E_FORBIDDEN".into()), "{method} {path}");
            tried += 1;
        }
    }
    assert!(tried >= 12, "only {tried} operations have a system in their path");
}

#[tokio::test]
async fn a_role_that_is_too_low_is_told_which_is_needed() {
    let witness = Witness::start().await;
    let viewer = witness.key("viewer", Role::Viewer).await;
    let operator = witness.key("operator", Role::Operator).await;
    let system = witness.enrol("nas1").await.key;
    let id = uuid::Uuid::from_u128(7).to_string();
    for (method, path, needs) in ACCESS {
        let Needs::Role(needed) = needs else { continue };
        let at = filled(path, &id);
        for (key, role) in [(&system, Role::System), (&viewer, Role::Viewer), (&operator, Role::Operator)] {
            if role < *needed {
                let reply = witness.call(method, &at, Some(key), Some(json!({}))).await;
                assert_eq!(reply.refusal(), (403, "E_FORBIDDEN".into()), "{method} {path} as {role:?}");
                assert!(reply.text.contains(needed.as_str()), "{}", reply.text);
            }
        }
    }
}

#[tokio::test]
async fn a_viewer_reads_and_changes_nothing() {
    let witness = Witness::start().await;
    let viewer = witness.key("viewer", Role::Viewer).await;
    let read = witness.call("GET", "/api/v1/systems", Some(&viewer), None).await;
    assert_eq!(read.status, 200);
    let bearer = http::Request::get("/api/v1/status").header("Authorization", format!("Bearer {viewer}"));
    assert_eq!(witness.send(bearer.body(axum::body::Body::empty()).unwrap()).await.status, 200);
}

#[tokio::test]
async fn a_session_reads_and_does_not_change() {
    let witness = Witness::start().await;
    let minted = crate::auth::secret::mint(crate::auth::secret::Kind::Session);
    let caller = crate::auth::authenticate_key(&witness.state, &witness.admin).await.unwrap();
    let until = witness.state.now() + std::time::Duration::from_mins(1);
    witness.state.store.insert_session(minted.hash, caller.key, until).await.unwrap();
    let cookie = format!("a=b; zfs_sync_session={}", minted.expose());
    let request = |method: &str, path: &str| {
        let request = http::Request::builder().method(method).uri(path).header("Cookie", &cookie);
        request.body(axum::body::Body::empty()).unwrap()
    };
    assert_eq!(witness.send(request("GET", "/api/v1/status")).await.status, 200);
    let change = witness.send(request("POST", "/api/v1/enrolment-tokens")).await;
    assert_eq!(change.refusal(), (401, "E_AUTH_REQUIRED".into()), "another site could have sent it");
    witness.advance(61);
    assert_eq!(witness.send(request("GET", "/api/v1/status")).await.status, 401);
}
