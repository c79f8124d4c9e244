//! Decisions that are taken back.

use serde_json::{Value, json};
use zfs_sync_api::v1::key::Role;
use zfs_sync_store::DecisionOutcome;

use crate::testing::{Host, Witness, dataset};

/// A group that starts nothing by itself; what both have is `s1`.
async fn diverged() -> (Witness, Host, Host) {
    let witness = Witness::start().await;
    let (nas1, nas2) = witness.pair(false).await;
    witness.report(&nas1, &[("tank", &[]), ("tank/media", &[1, 2])]).await;
    witness.report(&nas2, &[("backup", &[]), ("backup/media", &[1, 7])]).await;
    witness.plan().await;
    (witness, nas1, nas2)
}

async fn conflict(witness: &Witness) -> Value {
    witness.get("/conflicts").await.fine()[0].clone()
}

fn path_of(conflict: &Value) -> String {
    format!("/conflicts/{}", conflict["id"].as_str().unwrap())
}

/// Decides, and answers the plan and the first transfers.
async fn decide(witness: &Witness, conflict: &Value, strategy: &str) -> (Value, Value) {
    let plan = witness.post(&format!("{}/plan", path_of(conflict)), json!({ "strategy": strategy })).await;
    let plan = plan.fine();
    let path = format!("/plans/{}/apply", plan["id"].as_str().unwrap());
    let queued = witness.post(&path, json!({})).await.fine()["queued"].clone();
    (plan, queued)
}

async fn withdraw(witness: &Witness, conflict: &Value) -> Value {
    witness.post(&format!("{}/withdraw", path_of(conflict)), json!({})).await.fine()
}

#[tokio::test]
async fn what_was_decided_and_has_not_begun_never_begins() {
    let (witness, _, nas2) = diverged().await;
    let open = conflict(&witness).await;
    assert_eq!(open["decision"], Value::Null);
    let (plan, queued) = decide(&witness, &open, "rollback_target").await;
    let decided = witness.get(&path_of(&open)).await.fine()["decision"].clone();
    assert_eq!((&decided["plan_id"], &decided["decided_by"]), (&plan["id"], &json!("key:root")));
    assert_eq!((&decided["winner"], &decided["targets"]), (&json!("nas1"), &json!(["nas2"])));

    let answer = withdraw(&witness, &open).await;
    assert_eq!((&answer["dropped"], &answer["running"]), (&queued, &json!([])));
    assert_eq!((&answer["plan_id"], &answer["targets"]), (&plan["id"], &json!(["nas2"])));
    assert_eq!(witness.lease(&nas2).await, Vec::<Value>::new());
    witness.plan().await;
    assert_eq!(witness.lease(&nas2).await, Vec::<Value>::new(), "nor does a later plan begin it");

    // It waits for a decision as it did before.
    let again = conflict(&witness).await;
    assert_eq!((&again["id"], &again["decision"]), (&open["id"], &Value::Null));
    assert_eq!(again["report"]["strategies"], open["report"]["strategies"]);
    let shown = witness.get(&format!("/plans/{}", plan["id"].as_str().unwrap())).await.fine();
    assert_eq!((&shown["outcome"], &shown["applied_by"]), (&json!("withdrawn"), &json!("key:root")));
    let audit = witness.state.store.audit(1).await.unwrap().remove(0).entry;
    assert_eq!((audit.action.as_str(), audit.actor.as_str()), ("decision.withdraw", "key:root"));
    assert_eq!((&audit.detail["plan_id"], &audit.detail["dropped"]), (&plan["id"], &queued));
    let events = witness.state.store.events_since(0, 1000).await.unwrap();
    let event = events.iter().find(|row| row.kind == "decision_withdrawn").unwrap();
    assert_eq!((&event.data["conflict_id"], &event.data["systems"]), (&open["id"], &json!(["nas2"])));

    // And can be decided anew.
    let (_, queued) = decide(&witness, &open, "keep_both").await;
    assert_eq!(queued.as_array().unwrap().len(), 1);
    assert_eq!(witness.lease(&nas2).await[0]["step"]["action"], "set_aside");
}

#[tokio::test]
async fn what_is_withdrawn_twice_or_was_never_decided_is_refused() {
    let (witness, _, _) = diverged().await;
    let open = conflict(&witness).await;
    let path = format!("{}/withdraw", path_of(&open));
    let refused = async || {
        let reply = witness.post(&path, json!({})).await;
        assert_eq!(reply.refusal(), (409, "E_NO_DECISION".into()));
        assert!(reply.body()["hint"].as_str().unwrap().contains("zfs-sync conflict show"), "{}", reply.text);
    };
    refused().await;
    decide(&witness, &open, "keep_both").await;
    let viewer = witness.key("reader", Role::Viewer).await;
    let reply = witness.call("POST", &format!("/api/v1{path}"), Some(&viewer), Some(json!({}))).await;
    assert_eq!(reply.refusal(), (403, "E_FORBIDDEN".into()));
    withdraw(&witness, &open).await;
    refused().await;
    let count = witness.state.store.audit(100).await.unwrap();
    assert_eq!(count.iter().filter(|row| row.entry.action == "decision.withdraw").count(), 1);
    let unknown = witness.post("/conflicts/01020304-0000-7000-8000-000000000000/withdraw", json!({})).await;
    assert_eq!(unknown.refusal(), (404, "E_CONFLICT_NOT_FOUND".into()));
}

/// Applies `keep_both`, has its first step begin, and withdraws it when asked to. Answers what is begun after that step.
async fn after_setting_aside(withdrawn: bool) -> (Witness, Host, Host, Value) {
    let (witness, nas1, nas2) = diverged().await;
    let open = conflict(&witness).await;
    let (_, queued) = decide(&witness, &open, "keep_both").await;
    let step = witness.lease(&nas2).await.remove(0);
    if withdrawn {
        let answer = withdraw(&witness, &open).await;
        assert_eq!((&answer["dropped"], &answer["running"]), (&json!([]), &queued));
        let transfer = witness.get(&format!("/transfers/{}", step["id"].as_str().unwrap())).await.fine();
        assert_eq!((&transfer["state"], &transfer["cancel_requested"]), (&json!("leased"), &json!(false)));
    }
    let ended = witness.result(&nas2, &step, json!({ "outcome": "succeeded" })).await.fine();
    assert_eq!(ended["state"], "succeeded", "a step that runs is not cut off");
    witness.advance(1);
    let aside = step["step"]["rename_to"].as_str().unwrap().to_owned();
    witness.report(&nas2, &[("backup", &[]), (&aside, &[1, 7])]).await;
    witness.report(&nas1, &[("tank", &[]), ("tank/media", &[1, 2])]).await;
    witness.plan().await;
    (witness, nas1, nas2, open)
}

#[tokio::test]
async fn a_step_that_runs_is_not_cut_off_and_none_follows_it() {
    let (witness, nas1, _, _) = after_setting_aside(false).await;
    assert_eq!(witness.lease(&nas1).await.len(), 1, "a decision that stands goes on");
    let (witness, nas1, _, _) = after_setting_aside(true).await;
    assert_eq!(witness.lease(&nas1).await, Vec::<Value>::new());
    let expected = ("backup/media@nas2".into(), "never_seeded".into(), "R_MANUAL_MODE".into());
    assert_eq!(witness.replicas().await, [expected], "from here on the group's own rules hold");
}

#[tokio::test]
async fn a_conflict_that_is_over_still_names_what_is_being_done_for_it() {
    let (witness, nas1, _, open) = after_setting_aside(false).await;
    let send = witness.lease(&nas1).await.remove(0);
    let failed =
        json!({ "outcome": "failed", "code": "E_SSH_UNREACHABLE", "detail": "no route", "retryable": true });
    witness.result(&nas1, &send, failed).await.fine();
    witness.plan().await;
    let over = witness.get(&path_of(&open)).await.fine();
    assert_eq!((&over["state"], &over["decision"]["winner"]), (&json!("resolved"), &json!("nas1")));
    let answer = withdraw(&witness, &open).await;
    assert_eq!(answer["dropped"], json!([send["id"]]), "it waits for its next attempt");
    witness.advance(3);
    assert_eq!(witness.lease(&nas1).await, Vec::<Value>::new());
    assert_eq!(witness.get(&path_of(&open)).await.fine()["decision"], Value::Null);
}

#[tokio::test]
async fn a_decision_that_replaces_another_drops_what_only_that_one_asked_for() {
    let witness = Witness::start().await;
    let (nas1, nas2, nas3) =
        (witness.enrol("nas1").await, witness.enrol("nas2").await, witness.enrol("nas3").await);
    witness
        .group(json!({
            "name": "prod", "systems": ["nas1", "nas2", "nas3"], "source_of_truth": "nas1",
            "datasets": ["tank/media"], "mappings": ["tank=backup"],
        }))
        .await;
    witness.report(&nas1, &[("tank", &[]), ("tank/media", &[1, 2])]).await;
    witness.report(&nas2, &[("backup", &[]), ("backup/media", &[1, 7])]).await;
    witness.report(&nas3, &[("backup", &[]), ("backup/media", &[1, 8])]).await;
    witness.plan().await;
    let open = witness.get("/conflicts").await.fine().as_array().unwrap().clone();
    let of = |system: &str| open.iter().find(|conflict| conflict["target_system"] == system).unwrap();
    let (_, queued) = decide(&witness, of("nas2"), "rollback_target").await;
    decide(&witness, of("nas3"), "keep_both").await;
    let path = format!("/transfers/{}", queued[0].as_str().unwrap());
    let dropped = witness.get(&path).await.fine();
    let why = "another decision has taken the place of the one that asked for it";
    assert_eq!((&dropped["state"], &dropped["error_detail"]), (&json!("stale"), &json!(why)));
    assert_eq!(witness.lease(&nas2).await, Vec::<Value>::new());
    assert_eq!(witness.lease(&nas3).await[0]["step"]["action"], "set_aside");
}

#[tokio::test]
async fn what_is_left_in_the_queue_of_a_decision_that_has_ended_is_dropped_after_a_start() {
    let (witness, _, _) = diverged().await;
    let (plan, queued) = decide(&witness, &conflict(&witness).await, "rollback_target").await;
    // The process ended between the two halves of withdrawing.
    let id = plan["id"].as_str().unwrap().parse().unwrap();
    let now = witness.state.now();
    assert!(witness.state.store.finish_decision(id, DecisionOutcome::Withdrawn, now).await.unwrap());
    witness.plan().await;
    let dropped = witness.get(&format!("/transfers/{}", queued[0].as_str().unwrap())).await.fine();
    assert_eq!(dropped["state"], "stale");
    assert_eq!(witness.replicas().await[0].1, "diverged");
}

#[tokio::test]
async fn no_policy_stands_in_for_a_person_who_gave_up_what_was_written_where_people_work() {
    let witness = Witness::start().await;
    let (nas1, nas2) = (witness.enrol("nas1").await, witness.enrol("nas2").await);
    witness
        .group(json!({
            "name": "prod", "systems": ["nas1", "nas2"], "hub": "nas1", "mode": "mesh",
            "datasets": ["tank/media"], "mappings": ["tank=backup"],
            "allow_destroy": true, "on_divergence": "rollback_target",
        }))
        .await;
    witness.report(&nas1, &[("tank", &[]), ("tank/media", &[1, 2])]).await;
    let mut media = dataset("backup/media", &[1]);
    media["properties"]["written"] = json!(5000);
    let report = json!({ "sequence": 1, "base": null, "datasets": [dataset("backup", &[]), media] });
    witness.agent(&nas2, "inventory", report).await.fine();
    witness.plan().await;
    let (plan, _) = decide(&witness, &conflict(&witness).await, "rollback_target").await;
    let id = plan["id"].as_str().unwrap().parse().unwrap();
    let now = witness.state.now();
    assert!(witness.state.store.finish_decision(id, DecisionOutcome::Withdrawn, now).await.unwrap());
    assert_eq!(witness.lease(&nas2).await, Vec::<Value>::new());
}
