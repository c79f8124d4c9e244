//! Plans that end conflicts: what they cost is said first, and what was said is what is done.

use serde_json::{Value, json};

use crate::testing::{Host, Witness, dataset};

/// A group that starts nothing by itself; `nas2` has `s1` in common with `nas1`, and these of its own.
async fn diverged(own: &[u64]) -> (Witness, Host, Host) {
    let witness = Witness::start().await;
    let (nas1, nas2) = witness.pair(false).await;
    witness.report(&nas1, &[("tank", &[]), ("tank/media", &[1, 2])]).await;
    report_target(&witness, &nas2, own, 0).await;
    witness.plan().await;
    (witness, nas1, nas2)
}

/// Snapshots of its own use a thousand bytes each.
async fn report_target(witness: &Witness, host: &Host, own: &[u64], written: u64) {
    let numbers: Vec<u64> = [1].iter().chain(own).copied().collect();
    let mut media = dataset("backup/media", &numbers);
    for snapshot in media["history"]["snapshots"].as_array_mut().unwrap() {
        snapshot["used"] = json!(1000);
    }
    media["properties"]["written"] = json!(written);
    let row = witness.state.store.system(host.id).await.unwrap().unwrap();
    let sequence = row.inventory_sequence.unwrap() + 1;
    let report = json!({ "sequence": sequence, "base": null, "datasets": [dataset("backup", &[]), media] });
    witness.agent(host, "inventory", report).await.fine();
}

async fn conflict(witness: &Witness) -> String {
    witness.get("/conflicts").await.fine()[0]["id"].as_str().unwrap().to_owned()
}

async fn propose(witness: &Witness, strategy: &str) -> Value {
    let path = format!("/conflicts/{}/plan", conflict(witness).await);
    let reply = witness.post(&path, json!({ "strategy": strategy })).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    reply.body()
}

fn apply_path(plan: &Value) -> String {
    format!("/plans/{}/apply", plan["id"].as_str().unwrap())
}

#[tokio::test]
async fn keeping_both_destroys_nothing_and_is_applied_once() {
    let (witness, _, nas2) = diverged(&[7]).await;
    let plan = propose(&witness, "keep_both").await;
    assert_eq!((&plan["destroys"], &plan["discards"]), (&json!([]), &json!([])));
    assert_eq!(
        plan["steps"][0]["commands"],
        json!(["zfs rename backup/media backup/media.aside-20260101T000000Z"])
    );
    assert_eq!(plan["keeps"][0]["dataset"], "tank/media");
    assert_eq!(plan["keeps"][1]["dataset"], "backup/media.aside-20260101T000000Z");
    assert_eq!((&plan["applied_at"], &plan["strategy"]), (&Value::Null, &json!("keep_both")));
    assert_eq!(
        witness.lease(&nas2).await,
        Vec::<Value>::new(),
        "a plan that was only looked at does nothing"
    );

    let applied = witness.post(&apply_path(&plan), json!({})).await.fine();
    assert_eq!(applied["queued"].as_array().unwrap().len(), 1);
    assert_eq!(applied["decision"]["how"], "set_aside");
    let again = witness.post(&apply_path(&plan), json!({})).await;
    assert_eq!(again.refusal(), (409, "E_PLAN_APPLIED".into()));
    let leased = witness.lease(&nas2).await;
    assert_eq!((leased.len(), &leased[0]["step"]["action"]), (1, &json!("set_aside")));
    let shown = witness.get(&format!("/plans/{}", plan["id"].as_str().unwrap())).await.fine();
    assert_eq!((&shown["applied_by"], &shown["fingerprint"]), (&json!("key:root"), &plan["fingerprint"]));
}

#[tokio::test]
async fn a_plan_to_roll_back_names_every_casualty() {
    let (witness, _, nas2) = diverged(&[7, 8]).await;
    let plan = propose(&witness, "rollback_target").await;
    let names: Vec<&Value> =
        plan["destroys"].as_array().unwrap().iter().map(|one| &one["snapshot"]).collect();
    assert_eq!(names, ["backup/media@s8", "backup/media@s7"]);
    let first = &plan["destroys"][0];
    assert_eq!((&first["system"], &first["used"]), (&json!("nas2"), &json!(1000)));
    assert_eq!(first["creation"], "2023-11-14T22:13:28Z");
    assert_eq!(
        plan["steps"][0]["commands"],
        json!(["zfs destroy backup/media@s8", "zfs destroy backup/media@s7", "zfs rollback backup/media@s1"])
    );
    witness.post(&apply_path(&plan), json!({})).await.fine();
    let leased = witness.lease(&nas2).await;
    assert_eq!(leased[0]["step"]["action"], "roll_back");
    let labels: Vec<&Value> =
        leased[0]["step"]["destroys"].as_array().unwrap().iter().map(|lost| &lost["label"]).collect();
    assert_eq!(labels, ["s8", "s7"], "what was shown is what is done");
    let audit = witness.state.store.audit(10).await.unwrap();
    let entry = &audit.iter().find(|row| row.entry.action == "plan.apply").unwrap().entry;
    assert_eq!(entry.actor, "key:root");
    assert_eq!(entry.detail["destroys"][1]["snapshot"], "backup/media@s7");
}

#[tokio::test]
async fn what_was_written_is_said_and_given_up_only_as_far_as_that() {
    let (witness, _, nas2) = diverged(&[]).await;
    report_target(&witness, &nas2, &[], 5000).await;
    witness.plan().await;
    let plan = propose(&witness, "use_source_of_truth").await;
    assert_eq!(plan["destroys"], json!([]));
    assert_eq!(plan["discards"], json!([{ "system": "nas2", "dataset": "backup/media", "bytes": 5000 }]));
    report_target(&witness, &nas2, &[], 6000).await;
    let stale = witness.post(&apply_path(&plan), json!({})).await;
    assert_eq!(stale.refusal(), (412, "E_PLAN_STALE".into()), "more was written meanwhile");
}

#[tokio::test]
async fn a_plan_is_stale_as_soon_as_the_world_has_moved() {
    let (witness, _, nas2) = diverged(&[7]).await;
    let plan = propose(&witness, "rollback_target").await;
    report_target(&witness, &nas2, &[7, 9], 0).await;
    let stale = witness.post(&apply_path(&plan), json!({})).await;
    assert_eq!(stale.refusal(), (412, "E_PLAN_STALE".into()));
    assert_eq!(witness.lease(&nas2).await, Vec::<Value>::new(), "nothing is done");
    let group = witness.state.store.groups().await.unwrap().remove(0).group.id;
    assert_eq!(witness.state.store.decisions(group).await.unwrap(), [], "nothing is decided");
    let shown = witness.get(&format!("/plans/{}", plan["id"].as_str().unwrap())).await.fine();
    assert_eq!(shown["applied_at"], Value::Null);
    // The conflict is over: there is nothing to apply a plan to.
    witness.report(&nas2, &[("backup", &[]), ("backup/media", &[1, 2])]).await;
    let over = witness.post(&apply_path(&plan), json!({})).await;
    assert_eq!(over.refusal(), (412, "E_PLAN_STALE".into()));
    // And another plan is made from what is there now.
    report_target(&witness, &nas2, &[7, 9], 0).await;
    witness.plan().await;
    let plan = propose(&witness, "rollback_target").await;
    assert_eq!(plan["destroys"].as_array().unwrap().len(), 2);
    witness.post(&apply_path(&plan), json!({})).await.fine();
}

#[tokio::test]
async fn a_plan_stands_while_the_same_would_be_done_to_the_same_effect() {
    for strategy in ["keep_both", "rollback_target"] {
        let (witness, nas1, _) = diverged(&[7]).await;
        let plan = propose(&witness, strategy).await;
        // Life goes on where it comes from, with that dataset and with others.
        witness.report(&nas1, &[("tank", &[]), ("tank/media", &[1, 2, 3]), ("tank/other", &[4])]).await;
        let applied = witness.post(&apply_path(&plan), json!({})).await.fine();
        assert_eq!(applied["queued"].as_array().unwrap().len(), 1, "{strategy}");
    }
    // What the target is to follow has become something else.
    let (witness, nas1, _) = diverged(&[7]).await;
    let plan = propose(&witness, "rollback_target").await;
    witness.report(&nas1, &[("tank", &[]), ("tank/media", &[1, 3])]).await;
    let stale = witness.post(&apply_path(&plan), json!({})).await;
    assert_eq!(stale.refusal(), (412, "E_PLAN_STALE".into()));
}

#[tokio::test]
async fn a_plan_is_stale_when_a_copy_is_gone_that_it_had_named() {
    let witness = Witness::start().await;
    let (nas1, nas2, nas3) =
        (witness.enrol("nas1").await, witness.enrol("nas2").await, witness.enrol("nas3").await);
    witness
        .group(json!({
            "name": "prod", "systems": ["nas1", "nas2", "nas3"], "source_of_truth": "nas1",
            "datasets": ["tank/media"], "mappings": ["tank=backup"], "auto": false,
        }))
        .await;
    witness.report(&nas1, &[("tank", &[]), ("tank/media", &[1, 2])]).await;
    for host in [&nas2, &nas3] {
        witness.report(host, &[("backup", &[]), ("backup/media", &[1, 7])]).await;
    }
    witness.plan().await;
    let conflicts = witness.get("/conflicts?system=nas2").await.fine();
    let path = format!("/conflicts/{}/plan", conflicts[0]["id"].as_str().unwrap());
    let plan = witness.post(&path, json!({ "strategy": "rollback_target" })).await.body();
    assert_eq!(plan["destroys"][0]["other_copies"], json!(["nas3"]), "{plan}");
    witness.report(&nas3, &[("backup", &[]), ("backup/media", &[1, 2])]).await;
    let stale = witness.post(&apply_path(&plan), json!({})).await;
    assert_eq!(stale.refusal(), (412, "E_PLAN_STALE".into()), "it is the last copy now");
}

#[tokio::test]
async fn a_strategy_that_can_not_be_used_says_why() {
    let (witness, _, nas2) = diverged(&[7]).await;
    witness.report(&nas2, &[("backup", &[]), ("backup/media", &[7])]).await;
    witness.plan().await;
    let path = format!("/conflicts/{}/plan", conflict(&witness).await);
    let refused = witness.post(&path, json!({ "strategy": "rollback_target" })).await;
    assert_eq!(refused.refusal(), (409, "E_STRATEGY_REFUSED".into()));
    let wrong = witness.post(&path, json!({ "strategy": "pray" })).await;
    assert_eq!(wrong.refusal(), (422, "E_BODY_INVALID".into()));
    let unknown = witness.get("/plans/01020304-0000-7000-8000-000000000000").await;
    assert_eq!(unknown.refusal(), (404, "E_PLAN_NOT_FOUND".into()));
    let unknown = witness.post("/plans/01020304-0000-7000-8000-000000000000/apply", json!({})).await;
    assert_eq!(unknown.refusal(), (404, "E_PLAN_NOT_FOUND".into()));
}

#[tokio::test]
async fn keep_both_of_what_is_not_in_conflict_is_an_error_and_starts_nothing() {
    let witness = Witness::start().await;
    let (nas1, _) = witness.pair(false).await;
    witness.plan().await;
    for what in ["plan", "execute"] {
        let reply =
            witness.post(&format!("/sync/prod/{what}"), json!({ "keep_both": ["backup/media@nas2"] })).await;
        assert_eq!(reply.refusal(), (409, "E_NO_CONFLICT".into()));
        assert_eq!(reply.fields(), [("/keep_both/0".to_owned(), "E_NO_CONFLICT".to_owned())]);
    }
    assert_eq!(witness.lease(&nas1).await, Vec::<Value>::new());
}

#[tokio::test]
async fn two_replicas_of_one_dataset_are_decided_one_after_the_other() {
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
    for (host, own) in [(&nas2, 7), (&nas3, 8)] {
        witness.report(host, &[("backup", &[]), ("backup/media", &[1, own])]).await;
    }
    witness.plan().await;
    let both = json!({ "keep_both": ["tank/media@nas2", "tank/media@nas3"] });
    let planned = witness.post("/sync/prod/plan", both.clone()).await.fine();
    assert_eq!(planned["steps"].as_array().unwrap().len(), 2, "{planned}");
    let executed = witness.post("/sync/prod/execute", both).await.fine();
    assert_eq!((executed["queued"].as_array().unwrap().len(), &executed["already_running"]), (2, &json!(0)));
    for host in [&nas2, &nas3] {
        let leased = witness.lease(host).await;
        assert_eq!(
            (leased.len(), &leased[0]["step"]["action"]),
            (1, &json!("set_aside")),
            "the first is not forgotten"
        );
    }
}

#[tokio::test]
async fn a_plan_can_say_what_has_changed_since_the_last() {
    let witness = Witness::start().await;
    let (_, nas2) = witness.pair(false).await;
    let diff =
        async || witness.post("/sync/prod/plan", json!({ "diff": true })).await.fine()["changes"].clone();
    let first = diff().await;
    assert_eq!(first[0]["before"], Value::Null, "it was never planned");
    assert_eq!(first[0]["after"], json!({ "state": "never_seeded", "reason": "R_MANUAL_MODE" }));
    witness.plan().await;
    assert_eq!(diff().await, json!([]));
    witness.report(&nas2, &[("backup", &[]), ("backup/media", &[1])]).await;
    let changes = diff().await;
    assert_eq!(
        changes,
        json!([{
            "dataset": "tank/media", "target_system": "nas2", "target": "backup/media",
            "before": { "state": "never_seeded", "reason": "R_MANUAL_MODE" },
            "after": { "state": "in_sync", "reason": "R_NO_NEW_SNAPSHOT" },
        }])
    );
    assert_eq!(diff().await, changes, "asking changes nothing");
    let plain = witness.post("/sync/prod/plan", json!({})).await.fine();
    assert!(plain.get("changes").is_none());
}
