//! Groups: what is wrong with a definition is told field by field, and nothing of it is stored.

use rstest::rstest;
use serde_json::{Value, json};

use crate::testing::{Witness, pairs};

#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn definition(change: Value) -> Value {
    let mut body = json!({
        "name": "prod", "systems": ["nas1", "nas2"], "source_of_truth": "nas1", "datasets": ["tank/media/**"],
    });
    body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    body
}

#[rstest]
#[case::unknown_member(json!({ "systems": ["nas1", "nas9"] }), 404, "E_SYSTEM_NOT_FOUND", &[("/systems/1", "E_SYSTEM_NOT_FOUND")])]
#[case::hub_is_no_member(json!({ "source_of_truth": "nas3" }), 422, "E_GROUP_INVALID", &[("/source_of_truth", "E_GROUP_INVALID")])]
#[case::old_names(
    json!({ "systems": [], "system_ids": ["nas1", "nas2"], "source_of_truth": null, "hub_system_id": "nas3" }),
    422, "E_GROUP_INVALID", &[("/hub_system_id", "E_GROUP_INVALID")]
)]
#[case::collision(
    json!({ "mappings": ["tank/a=b/x", "tank/b=b/x"] }), 422, "E_MAPPING_COLLISION", &[("/mappings/1", "E_MAPPING_COLLISION")]
)]
#[case::no_mapping(json!({ "mappings": ["tank"] }), 422, "E_VALUE_INVALID", &[("/mappings/0", "E_VALUE_INVALID")])]
#[case::mapping_name(json!({ "mappings": ["tank=back$up"] }), 422, "E_NAME_INVALID", &[("/mappings/0", "E_NAME_INVALID")])]
#[case::shell(json!({ "datasets": ["tank", "tank/$(x)"] }), 422, "E_PATTERN_INVALID", &[("/datasets/1", "E_PATTERN_INVALID")])]
#[case::dots(json!({ "datasets": ["tank/../x"] }), 422, "E_PATTERN_INVALID", &[("/datasets/0", "E_PATTERN_INVALID")])]
#[case::unicode(json!({ "exclude": ["täнk"] }), 422, "E_PATTERN_INVALID", &[("/exclude/0", "E_PATTERN_INVALID")])]
#[case::nothing(json!({ "datasets": [] }), 422, "E_FIELD_REQUIRED", &[("/datasets", "E_FIELD_REQUIRED")])]
#[case::name(json!({ "name": "<b>" }), 422, "E_VALUE_INVALID", &[("/name", "E_VALUE_INVALID")])]
#[case::alone(json!({ "systems": ["nas1"] }), 422, "E_GROUP_INVALID", &[("/systems", "E_GROUP_INVALID")])]
#[case::twice(json!({ "systems": ["nas1", "nas2", "nas1"] }), 422, "E_GROUP_INVALID", &[("/systems/2", "E_GROUP_INVALID")])]
#[case::no_source(json!({ "source_of_truth": null }), 422, "E_FIELD_REQUIRED", &[("/source_of_truth", "E_FIELD_REQUIRED")])]
#[case::several(
    json!({ "datasets": ["a//b"], "systems": ["nas1", "x y"] }), 422, "E_GROUP_INVALID",
    &[("/systems/1", "E_SYSTEM_NOT_FOUND"), ("/datasets/0", "E_PATTERN_INVALID")]
)]
#[case::interval(json!({ "sync_interval_seconds": 0 }), 422, "E_VALUE_RANGE", &[("/sync_interval_seconds", "E_VALUE_RANGE")])]
#[tokio::test]
async fn a_wrong_definition_is_told_field_by_field(
    #[case] change: Value,
    #[case] status: u16,
    #[case] code: &str,
    #[case] fields: &[(&str, &str)],
) {
    let witness = Witness::start().await;
    for name in ["nas1", "nas2", "nas3"] {
        witness.enrol(name).await;
    }
    let reply = witness.post("/sync-groups", definition(change)).await;
    assert_eq!(reply.refusal(), (status, code.to_owned()), "{}", reply.text);
    assert_eq!(reply.fields(), pairs(fields));
    assert_eq!(witness.get("/sync-groups").await.fine(), json!([]), "nothing is stored");
}

#[tokio::test]
async fn names_of_three_hundred_characters_are_refused() {
    let witness = Witness::start().await;
    witness.enrol("nas1").await;
    witness.enrol("nas2").await;
    let long = "a".repeat(300);
    for (change, pointer) in [
        (json!({ "name": long }), "/name"),
        (json!({ "datasets": [long] }), "/datasets/0"),
        (json!({ "systems": ["nas1", long] }), "/systems/1"),
        (json!({ "mappings": [format!("tank={long}")] }), "/mappings/0"),
    ] {
        let reply = witness.post("/sync-groups", definition(change)).await;
        assert_eq!(reply.fields()[0].0, pointer, "{}", reply.text);
    }
}

#[tokio::test]
async fn a_pattern_that_matches_nothing_is_stored_with_a_warning() {
    let witness = Witness::start().await;
    let nas1 = witness.enrol("nas1").await;
    witness.enrol("nas2").await;
    witness.report(&nas1, &[("tank", &[]), ("tank/media", &[1]), ("tank/media/films", &[1])]).await;
    let codes = |group: &Value| {
        let warnings = group["warnings"].as_array().unwrap().clone();
        warnings.iter().map(|note| note["code"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let group = witness.group(definition(json!({ "datasets": ["tank/nothing/**"] }))).await;
    assert_eq!(codes(&group), ["W_SELECTOR_EMPTY"]);
    let group = witness.group(definition(json!({ "name": "two", "datasets": ["tank/media"] }))).await;
    assert_eq!(codes(&group), ["W_CHILDREN_NOT_SELECTED"]);
    assert!(group["warnings"][0]["detail"].as_str().unwrap().contains("`tank/media/**`"), "{group}");
    let group = witness.group(definition(json!({ "name": "three" }))).await;
    assert_eq!(codes(&group), Vec::<String>::new());
}

#[tokio::test]
async fn only_what_is_sent_changes_and_a_wrong_change_changes_nothing() {
    let witness = Witness::start().await;
    witness.enrol("nas1").await;
    witness.enrol("nas2").await;
    let group = witness.group(definition(json!({ "description": "films" }))).await;
    let path = format!("/api/v1/sync-groups/{}", group["id"].as_str().unwrap());
    let put = |body: Value| witness.call("PUT", &path, Some(&witness.admin), Some(body));
    let changed = put(json!({ "enabled": false, "auto": true })).await.fine();
    assert_eq!(
        (&changed["enabled"], &changed["auto"], &changed["description"]),
        (&json!(false), &json!(true), &json!("films"))
    );
    let wrong = put(json!({ "enabled": true, "datasets": ["tank/$x"] })).await;
    assert_eq!(wrong.fields(), pairs(&[("/datasets/0", "E_PATTERN_INVALID")]));
    let read = witness.call("GET", &path, Some(&witness.admin), None).await.fine();
    assert_eq!((&read["enabled"], &read["datasets"]), (&json!(false), &json!(["tank/media/**"])));
    let again = witness.post("/sync-groups", definition(json!({}))).await;
    assert_eq!(again.refusal(), (409, "E_GROUP_EXISTS".into()));
}

#[tokio::test]
async fn members_come_and_go() {
    let witness = Witness::start().await;
    let nas1 = witness.enrol("nas1").await;
    witness.enrol("nas2").await;
    let nas3 = witness.enrol("nas3").await;
    let group = witness.group(definition(json!({}))).await;
    let path = format!("/sync-groups/{}/systems", group["id"].as_str().unwrap());
    for _ in 0..2 {
        let grown = witness.post(&path, json!({ "system_id": nas3.id })).await.fine();
        assert_eq!(grown["systems"].as_array().unwrap().len(), 3, "adding twice adds once");
    }
    let unknown = witness.post(&path, json!({ "system_id": "nas9" })).await;
    assert_eq!(unknown.refusal(), (404, "E_SYSTEM_NOT_FOUND".into()));
    let remove = |id| {
        witness.call(
            "DELETE",
            Box::leak(format!("/api/v1{path}/{id}").into_boxed_str()),
            Some(&witness.admin),
            None,
        )
    };
    assert_eq!(remove(nas3.id).await.status, 204);
    assert_eq!(remove(nas3.id).await.status, 204);
    let source = remove(nas1.id).await;
    assert_eq!(source.status, 422, "the source of truth stays: {}", source.text);
}
