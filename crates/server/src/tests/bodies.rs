//! Requests that are wrong as such: each is answered with a code and stores nothing.

use axum::body::Body;
use http::Request;
use rstest::rstest;
use serde_json::{Value, json};

use crate::testing::{Witness, dataset, pairs};

fn request(witness: &Witness, kind: Option<&str>, body: impl Into<Body>) -> Request<Body> {
    let mut request = Request::post("/api/v1/sync-groups").header("X-API-Key", &witness.admin);
    if let Some(kind) = kind {
        request = request.header("Content-Type", kind);
    }
    request.body(body.into()).unwrap()
}

#[rstest]
#[case::no_json(Some("application/json"), "{\"name\": ".to_owned(), 422, "E_BODY_INVALID")]
#[case::empty(Some("application/json"), String::new(), 422, "E_BODY_INVALID")]
#[case::other_type(Some("text/plain"), "{}".to_owned(), 415, "E_MEDIA_TYPE")]
#[case::form(Some("application/x-www-form-urlencoded"), "name=x".to_owned(), 415, "E_MEDIA_TYPE")]
#[case::no_type(None, "{}".to_owned(), 415, "E_MEDIA_TYPE")]
#[case::deep(Some("application/json"), "[".repeat(100_000), 422, "E_BODY_TOO_DEEP")]
#[case::large(Some("application/json"), format!("{{\"name\":\"{}\"}}", "x".repeat(1024 * 1024)), 413, "E_BODY_TOO_LARGE")]
#[case::array(Some("application/json; charset=utf-8"), "[]".to_owned(), 422, "E_BODY_INVALID")]
#[tokio::test]
async fn bad_bodies_are_refused(
    #[case] kind: Option<&str>,
    #[case] body: String,
    #[case] status: u16,
    #[case] code: &str,
) {
    let witness = Witness::start().await;
    let reply = witness.send(request(&witness, kind, body)).await;
    assert_eq!(reply.refusal(), (status, code.to_owned()), "{}", reply.text);
    assert_eq!(witness.get("/sync-groups").await.fine(), json!([]));
}

#[tokio::test]
async fn a_body_that_is_not_json_is_told_where() {
    let witness = Witness::start().await;
    let reply = witness.send(request(&witness, Some("application/json"), "{\"name\": \"x\",\n oops}")).await;
    assert!(reply.body()["detail"].as_str().unwrap().contains("line 2 column 2"), "{}", reply.text);
}

#[tokio::test]
async fn a_body_of_unknown_length_is_cut_off_too() {
    let witness = Witness::start().await;
    let chunks = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 64 * 1024]));
    let chunks = futures::StreamExt::take(chunks, 64);
    let reply = witness.send(request(&witness, Some("application/json"), Body::from_stream(chunks))).await;
    assert_eq!(reply.refusal(), (413, "E_BODY_TOO_LARGE".into()));
}

#[tokio::test]
async fn a_report_may_be_larger_than_other_bodies() {
    let witness = Witness::start().await;
    let nas1 = witness.enrol("nas1").await;
    let snapshots: Vec<u64> = (1..12_000).collect();
    let report = json!({ "sequence": 1, "base": null, "datasets": [dataset("tank", &snapshots)] });
    assert!(report.to_string().len() > 1024 * 1024);
    assert_eq!(witness.agent(&nas1, "inventory", report).await.fine()["accepted"], true);
}

#[rstest]
#[case("tank/$(reboot)")]
#[case("tank/..")]
#[case("tank/a'b")]
#[case("tank/ü")]
#[case("-tank")]
#[tokio::test]
async fn a_report_with_a_name_that_zfs_does_not_allow_stores_nothing(#[case] name: &str) {
    let witness = Witness::start().await;
    let nas1 = witness.enrol("nas1").await;
    let mut wrong = dataset("tank/x", &[1]);
    wrong["name"] = Value::from(name);
    let report = json!({ "sequence": 1, "base": null, "datasets": [dataset("tank", &[1]), wrong] });
    let reply = witness.agent(&nas1, "inventory", report).await;
    assert_eq!(reply.refusal(), (422, "E_NAME_INVALID".into()), "{}", reply.text);
    assert_eq!(reply.fields(), pairs(&[("/datasets/1/name", "E_NAME_INVALID")]));
    let system = witness.get(&format!("/systems/{}", nas1.id)).await.fine();
    assert_eq!((&system["datasets"], &system["inventory_as_of"]), (&json!(0), &Value::Null));
}

#[tokio::test]
async fn unknown_addresses_methods_and_identifiers_have_their_answers() {
    let witness = Witness::start().await;
    assert_eq!(witness.call("GET", "/nowhere", None, None).await.refusal(), (404, "E_NOT_FOUND".into()));
    assert_eq!(witness.get("/nowhere").await.refusal(), (404, "E_NOT_FOUND".into()));
    let patch = witness.call("PATCH", "/api/v1/systems", Some(&witness.admin), None).await;
    assert_eq!(patch.refusal(), (405, "E_METHOD_NOT_ALLOWED".into()));
    assert_eq!(patch.headers["allow"], "GET, POST");
    assert_eq!(witness.get("/systems/nas1").await.refusal(), (422, "E_VALUE_INVALID".into()));
    let id = uuid::Uuid::from_u128(7);
    assert_eq!(witness.get(&format!("/systems/{id}")).await.refusal(), (404, "E_SYSTEM_NOT_FOUND".into()));
    assert_eq!(witness.get(&format!("/sync-groups/{id}")).await.refusal(), (404, "E_GROUP_NOT_FOUND".into()));
    assert_eq!(
        witness.get(&format!("/transfers/{id}")).await.refusal(),
        (404, "E_TRANSFER_NOT_FOUND".into())
    );
    let query = witness.get("/transfers?limit=many").await;
    assert_eq!(query.refusal(), (422, "E_VALUE_INVALID".into()));
    assert_eq!(query.fields(), pairs(&[("?limit", "E_VALUE_INVALID")]));
    assert_eq!(witness.get("/why").await.fields(), pairs(&[("?replica", "E_VALUE_INVALID")]));
}

#[tokio::test]
async fn a_request_keeps_its_harmless_id_and_gets_another_for_a_harmful_one() {
    let witness = Witness::start().await;
    let sent = |id: &'static str| {
        Request::get("/api/v1/health").header("X-Request-Id", id).body(Body::empty()).unwrap()
    };
    assert_eq!(witness.send(sent("abc-1")).await.headers["x-request-id"], "abc-1");
    let replaced = witness.send(sent("a b\"; drop")).await;
    assert_eq!(replaced.headers["x-request-id"].len(), 36);
}

#[tokio::test]
async fn a_large_report_with_a_wrong_name_is_refused_without_being_read_twice() {
    let witness = Witness::start().await;
    let nas1 = witness.enrol("nas1").await;
    let snapshots: Vec<u64> = (1..12_000).collect();
    let mut wrong = dataset("tank/x", &snapshots);
    wrong["history"]["snapshots"][11_998]["label"] = Value::from("a'b");
    let report = json!({ "sequence": 1, "base": null, "datasets": [wrong] });
    assert!(report.to_string().len() > 1024 * 1024);
    let reply = witness.agent(&nas1, "inventory", report).await;
    assert_eq!(reply.refusal(), (422, "E_BODY_INVALID".into()), "{}", reply.text);
    let pointer = "/datasets/0/history/snapshots/11998/label";
    assert_eq!(reply.fields(), pairs(&[(pointer, "E_VALUE_INVALID")]));
}
