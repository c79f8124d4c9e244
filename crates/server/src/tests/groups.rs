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

/// A witness that knows three systems, which have not reported.
async fn three() -> Witness {
    let witness = Witness::start().await;
    for name in ["nas1", "nas2", "nas3"] {
        witness.enrol(name).await;
    }
    witness
}

#[tokio::test]
async fn every_mode_is_made_and_says_who_is_at_the_centre() {
    let witness = three().await;
    let all = ["nas1", "nas2", "nas3"];
    let offices = json!({ "nas2": ["tank=backup/two"], "nas3": ["tank=backup/three"] });
    for (mode, change, source, hub) in [
        ("one_way", json!({}), json!("nas1"), "nas1"),
        ("one_way", json!({ "source_of_truth": null, "hub": "nas2" }), json!("nas2"), "nas2"),
        (
            "many_to_one",
            json!({ "source_of_truth": null, "hub": "nas1", "systems": all, "member_mappings": offices }),
            Value::Null,
            "nas1",
        ),
        ("chain", json!({ "source_of_truth": null, "systems": ["nas3", "nas1"] }), json!("nas3"), "nas3"),
        ("mesh", json!({ "source_of_truth": null, "systems": all }), Value::Null, "nas1"),
        (
            "local",
            json!({ "source_of_truth": null, "systems": ["nas2"], "mappings": ["tank=backup"] }),
            json!("nas2"),
            "nas2",
        ),
    ] {
        let mut body = definition(json!({ "mode": mode }));
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let group = witness.group(body).await;
        assert_eq!((&group["mode"], &group["source_of_truth_name"]), (&json!(mode), &source), "{group}");
        assert_eq!((&group["hub_name"], &group["directional"]), (&json!(hub), &json!(!source.is_null())));
        let path = format!("/api/v1/sync-groups/{}", group["id"].as_str().unwrap());
        let read = witness.call("GET", &path, Some(&witness.admin), None).await.fine();
        assert_eq!(read, group, "{mode} reads back as it was");
        witness.call("DELETE", &path, Some(&witness.admin), None).await.fine();
    }
}

#[rstest]
#[case::two_centres(json!({ "hub": "nas2" }), 422, "E_GROUP_INVALID", &[("/hub", "E_GROUP_INVALID")])]
#[case::one_of_many(
    json!({ "mode": "many_to_one" }), 422, "E_GROUP_INVALID", &[("/source_of_truth", "E_GROUP_INVALID")]
)]
#[case::no_target(
    json!({ "mode": "many_to_one", "source_of_truth": null, "member_mappings": { "nas2": ["tank=b"] } }),
    422, "E_FIELD_REQUIRED", &[("/hub", "E_FIELD_REQUIRED")]
)]
#[case::shared_place(
    json!({
        "mode": "many_to_one", "source_of_truth": null, "hub": "nas1", "systems": ["nas1", "nas2", "nas3"],
        "member_mappings": { "nas2": ["tank=backup"], "nas3": ["tank=backup/three"] },
    }),
    422, "E_MAPPING_COLLISION", &[("/member_mappings/nas3/0", "E_MAPPING_COLLISION")]
)]
#[case::no_place(
    json!({ "mode": "many_to_one", "source_of_truth": null, "hub": "nas1" }),
    422, "E_FIELD_REQUIRED", &[("/member_mappings", "E_FIELD_REQUIRED")]
)]
#[case::member_unknown(
    json!({ "member_mappings": { "nas9": ["tank=b"] } }), 404, "E_SYSTEM_NOT_FOUND",
    &[("/member_mappings/nas9", "E_SYSTEM_NOT_FOUND")]
)]
#[case::member_mapping(
    json!({ "member_mappings": { "nas2": ["tank=b", "tank"] } }), 422, "E_VALUE_INVALID",
    &[("/member_mappings/nas2/1", "E_VALUE_INVALID")]
)]
#[case::no_member(
    json!({ "member_mappings": { "nas3": ["tank=b"] } }), 422, "E_GROUP_INVALID",
    &[("/member_mappings/nas3", "E_GROUP_INVALID")]
)]
#[case::into_itself(
    json!({ "mode": "local", "systems": ["nas1"], "mappings": ["tank/media=tank/media/copy"] }), 422, "E_MAPPING_NESTED",
    &[("/mappings/0", "E_MAPPING_NESTED")]
)]
#[case::destroys_unasked(
    json!({ "on_divergence": "use_newest" }), 422, "E_GROUP_INVALID", &[("/on_divergence", "E_GROUP_INVALID")]
)]
#[case::deletes_all(
    json!({ "allow_destroy": true, "mirror_deletes": { "max_percent": 100 } }), 422, "E_POLICY_DELETES_ALL",
    &[("/mirror_deletes/max_percent", "E_POLICY_DELETES_ALL")]
)]
#[case::classic_mesh(
    json!({ "mode": "mesh", "source_of_truth": null, "profile": "classic" }), 422, "E_GROUP_INVALID",
    &[("/profile", "E_GROUP_INVALID")]
)]
#[case::mode(json!({ "mode": "ring" }), 422, "E_BODY_INVALID", &[("/mode", "E_VALUE_INVALID")])]
#[tokio::test]
async fn a_definition_that_does_not_fit_its_mode_is_refused(
    #[case] change: Value,
    #[case] status: u16,
    #[case] code: &str,
    #[case] fields: &[(&str, &str)],
) {
    let witness = three().await;
    let reply = witness.post("/sync-groups", definition(change)).await;
    assert_eq!(reply.refusal(), (status, code.to_owned()), "{}", reply.text);
    assert_eq!(reply.fields(), pairs(fields));
    assert_eq!(witness.get("/sync-groups").await.fine(), json!([]), "nothing is stored");
}

#[tokio::test]
async fn policies_are_changed_one_by_one_and_taken_away_with_null() {
    let witness = three().await;
    let group = witness.group(definition(json!({ "mappings": ["tank=backup"] }))).await;
    assert_eq!((&group["mirror_deletes"], &group["profile"]), (&Value::Null, &json!("standard")));
    let path = format!("/api/v1/sync-groups/{}", group["id"].as_str().unwrap());
    let put = async |body: Value| witness.call("PUT", &path, Some(&witness.admin), Some(body)).await;
    let changed = put(json!({
        "allow_destroy": true, "mirror_deletes": { "max_percent": 5 }, "on_divergence": "use_majority",
        "follow_renames": true, "member_mappings": { "nas2": ["tank=archive"] },
    }));
    let changed = changed.await.fine();
    assert_eq!(changed["mirror_deletes"], json!({ "max_percent": 5 }));
    assert_eq!(
        (&changed["on_divergence"], &changed["follow_renames"]),
        (&json!("use_majority"), &json!(true))
    );
    let nas2 = changed["systems"][1]["id"].as_str().unwrap();
    assert_eq!(changed["member_mappings"][nas2], json!([{ "from": "tank", "to": "archive" }]));
    assert_eq!(changed["mappings"], json!([{ "from": "tank", "to": "backup" }]), "what is not sent stays");
    let unsafe_now = put(json!({ "allow_destroy": false })).await;
    assert_eq!(unsafe_now.fields().len(), 2, "both policies need it: {}", unsafe_now.text);
    let kept = put(json!({ "description": "films" })).await.fine();
    assert_eq!(kept["mirror_deletes"], json!({ "max_percent": 5 }), "absent is not null");
    let off = json!({ "mirror_deletes": null, "on_divergence": "stop", "allow_destroy": false });
    assert_eq!(put(off).await.fine()["mirror_deletes"], Value::Null);
}

#[tokio::test]
async fn groups_that_do_not_go_together_are_refused_with_the_names_involved() {
    let witness = three().await;
    witness.group(definition(json!({ "mappings": ["tank=backup"] }))).await;
    let same_place = json!({
        "name": "second", "systems": ["nas3", "nas2"], "source_of_truth": "nas3", "mappings": ["tank=backup"],
    });
    let overlap = witness.post("/sync-groups", definition(same_place)).await;
    assert_eq!(overlap.refusal(), (422, "E_GROUP_OVERLAP".into()), "{}", overlap.text);
    assert!(
        overlap.text.contains("nas2 backup/media") && overlap.text.contains("group prod"),
        "{}",
        overlap.text
    );
    let back = json!({
        "name": "back", "systems": ["nas2", "nas1"], "source_of_truth": "nas2", "datasets": ["backup/media/**"],
        "mappings": ["backup=tank"],
    });
    let cycle = witness.post("/sync-groups", definition(back)).await;
    assert_eq!(cycle.refusal(), (422, "E_GROUP_CYCLE".into()), "{}", cycle.text);
    assert_eq!(witness.get("/sync-groups").await.fine().as_array().unwrap().len(), 1);
    // Nor do they come about by changing one that is there.
    let elsewhere = json!({
        "name": "third", "systems": ["nas3", "nas2"], "source_of_truth": "nas3", "mappings": ["tank=archive"],
    });
    let third = witness.group(definition(elsewhere)).await["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/sync-groups/{third}");
    let put = async |body: Value| witness.call("PUT", &path, Some(&witness.admin), Some(body)).await;
    let overlap = put(json!({ "mappings": ["tank=backup"] })).await;
    assert_eq!(overlap.refusal(), (422, "E_GROUP_OVERLAP".into()), "{}", overlap.text);
    assert!(overlap.text.contains("group prod"), "{}", overlap.text);
    let cycle = put(json!({
        "systems": ["nas2", "nas1"], "source_of_truth": "nas2", "datasets": ["backup/media/**"], "mappings": ["backup=tank"],
    }))
    .await;
    assert_eq!(cycle.refusal(), (422, "E_GROUP_CYCLE".into()), "{}", cycle.text);
    let all = put(json!({ "allow_destroy": true, "mirror_deletes": { "max_percent": 100 } })).await;
    assert_eq!(all.refusal(), (422, "E_POLICY_DELETES_ALL".into()), "{}", all.text);
    assert!(all.text.contains("group `third`"), "{}", all.text);
    witness.call("DELETE", &path, Some(&witness.admin), None).await;
    // The same group with another name is not in its own way.
    let group = witness.get("/sync-groups").await.fine()[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/sync-groups/{group}");
    witness.call("PUT", &path, Some(&witness.admin), Some(json!({ "name": "other" }))).await.fine();
}

#[tokio::test]
async fn a_group_in_the_form_of_the_old_service_flows_one_way() {
    let witness = three().await;
    let systems = witness.get("/systems").await.fine();
    let ids: Vec<&Value> = systems.as_array().unwrap().iter().map(|system| &system["id"]).collect();
    let body = json!({ "name": "old", "directional": true, "hub_system_id": ids[1], "system_ids": ids });
    let group = witness.group(body).await;
    assert_eq!((&group["mode"], &group["hub_system_id"]), (&json!("one_way"), ids[1]));
    assert_eq!((&group["datasets"], &group["directional"]), (&json!(["**"]), &json!(true)));
}
