//! From reports to states and steps.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use zfs_sync_store::GroupSettings;

use crate::{
    background::Planner,
    testing::{Witness, dataset, dataset_of},
};

#[tokio::test]
async fn reports_wake_the_planner_which_queues_what_is_to_be_done() {
    let witness = Witness::start().await;
    let (nas1, _) = witness.pair(true).await;
    let mut planner = Planner::default();
    planner.pass(&witness.state).await.unwrap();
    assert_eq!(witness.replicas().await[0].1, "syncing");
    let leased = witness.lease(&nas1).await;
    assert_eq!(leased.len(), 1);
    witness.result(&nas1, &leased[0], json!({ "outcome": "stale", "detail": "moved" })).await.fine();
    assert!(!witness.state.wake.take_targets().is_empty(), "a result makes the planner look again");
    witness.report(&nas1, &[("tank", &[]), ("tank/media", &[1, 2])]).await;
    planner.pass(&witness.state).await.unwrap();
    assert_eq!(witness.lease(&nas1).await.len(), 1);
}

#[tokio::test]
async fn a_group_that_does_not_start_by_itself_waits_for_a_person() {
    let witness = Witness::start().await;
    let (nas1, _) = witness.pair(false).await;
    witness.plan().await;
    let expected = ("backup/media@nas2".into(), "never_seeded".into(), "R_MANUAL_MODE".into());
    assert_eq!(witness.replicas().await, [expected]);
    assert_eq!(witness.lease(&nas1).await, Vec::<Value>::new());

    let plan = witness.post("/sync/prod/plan", json!({})).await.fine();
    assert_eq!(plan["destroys"], json!([]));
    assert_eq!(
        plan["steps"][0]["commands"],
        json!([
            "zfs send -L -c -e tank/media@s1 | ssh nas2 'zfs receive -s -u -o readonly=on -o canmount=noauto -x mountpoint \
             -x sharenfs -x sharesmb -x quota -x refquota -x reservation -x refreservation backup/media'"
        ])
    );
    assert_eq!(witness.lease(&nas1).await, Vec::<Value>::new(), "planning starts nothing");

    let stale = witness.post("/sync/prod/execute", json!({ "fingerprint": "0" })).await;
    assert_eq!(stale.refusal(), (412, "E_PLAN_STALE".into()));
    let body = json!({ "fingerprint": plan["fingerprint"] });
    let executed = witness.post("/sync/prod/execute", body).await.fine();
    assert_eq!(executed["queued"].as_array().unwrap().len(), 1);
    assert_eq!(witness.replicas().await[0].1, "syncing");
    let again = witness.post("/sync/prod/execute", json!({})).await.fine();
    assert_eq!((&again["queued"], &again["already_running"]), (&json!([]), &json!(1)));
    assert_eq!(witness.lease(&nas1).await.len(), 1);
}

#[tokio::test]
async fn a_check_counts_and_starts_nothing() {
    let witness = Witness::start().await;
    let (nas1, nas2) = witness.pair(false).await;
    let check = witness.post("/sync/prod/check", json!({})).await.fine();
    assert_eq!((&check["in_sync"], &check["counts"]), (&json!(false), &json!({ "never_seeded": 1 })));
    assert_eq!(check["suppressed"], json!({ "R_MANUAL_MODE": 1 }));
    witness.report(&nas2, &[("backup", &[]), ("backup/media", &[1])]).await;
    let check = witness.post("/sync/prod/check", json!({})).await.fine();
    assert_eq!((&check["in_sync"], &check["counts"]), (&json!(true), &json!({ "in_sync": 1 })));
    assert_eq!(witness.lease(&nas1).await, Vec::<Value>::new());
    let unknown = witness.post("/sync/nothing/check", json!({})).await;
    assert_eq!(unknown.refusal(), (404, "E_GROUP_NOT_FOUND".into()));
}

#[tokio::test]
async fn a_group_without_any_replica_is_not_in_sync() {
    let witness = Witness::start().await;
    witness.pair(false).await;
    witness
        .group(json!({ "name": "empty", "systems": ["nas1", "nas2"], "source_of_truth": "nas1", "datasets": ["tank/none"] }))
        .await;
    let check = witness.post("/sync/empty/check", json!({})).await.fine();
    assert_eq!(check["in_sync"], false);
    assert_eq!(check["warnings"][0]["code"], "W_SELECTOR_EMPTY");
}

#[tokio::test]
async fn a_silent_system_makes_its_replicas_unknown() {
    let witness = Witness::start().await;
    let (nas1, nas2) = witness.pair(true).await;
    witness.report(&nas2, &[("backup", &[]), ("backup/media", &[1])]).await;
    let mut planner = Planner::default();
    planner.pass(&witness.state).await.unwrap();
    assert_eq!(witness.replicas().await[0].1, "in_sync");
    witness.advance(5);
    planner.pass(&witness.state).await.unwrap();
    assert_eq!(
        witness.replicas().await[0].1,
        "in_sync",
        "three report intervals, at least five seconds, are no silence"
    );
    witness.advance(1);
    planner.pass(&witness.state).await.unwrap();
    let expected = ("backup/media@nas2".into(), "unknown".into(), "R_AGENT_OFFLINE".into());
    assert_eq!(witness.replicas().await, [expected]);
    let status = witness.get("/status").await.fine();
    assert_eq!(
        (&status["replicas"], &status["systems"]),
        (&json!({ "unknown": 1 }), &json!({ "offline": 2 }))
    );
    assert_eq!(status["attention"][0]["target"], "backup/media");
    // They are heard of again.
    witness.report(&nas1, &[("tank", &[]), ("tank/media", &[1])]).await;
    witness.report(&nas2, &[("backup", &[]), ("backup/media", &[1])]).await;
    planner.pass(&witness.state).await.unwrap();
    assert_eq!(witness.replicas().await[0].1, "in_sync");
}

#[tokio::test]
async fn replicas_whose_source_pool_is_gone_stay_and_are_unknown() {
    let witness = Witness::start().await;
    let (nas1, nas2) = witness.pair(true).await;
    witness.report(&nas2, &[("backup", &[]), ("backup/media", &[1])]).await;
    witness.plan().await;
    assert_eq!(witness.replicas().await[0].1, "in_sync");
    witness.report(&nas1, &[("other", &[])]).await;
    witness.plan().await;
    let expected = [("backup/media@nas2".into(), "unknown".into(), "R_SOURCE_POOL_MISSING".into())];
    assert_eq!(witness.replicas().await, expected);
    witness.plan().await;
    assert_eq!(witness.replicas().await, expected, "however often it is planned");
    let status = witness.get("/status").await.fine();
    assert_eq!(status["attention"][0]["target"], "backup/media");

    witness.report(&nas1, &[("tank", &[]), ("tank/media", &[1])]).await;
    witness.plan().await;
    assert_eq!(witness.replicas().await[0].1, "in_sync");
    // Without the dataset the pool says that somebody took it away: the replica is what is left of it.
    witness.report(&nas1, &[("tank", &[])]).await;
    witness.plan().await;
    let orphaned = [("backup/media@nas2".into(), "diverged".into(), "R_ORPHANED".into())];
    assert_eq!(witness.replicas().await, orphaned);
    witness.report(&nas2, &[("backup", &[])]).await;
    witness.plan().await;
    assert_eq!(witness.replicas().await, [], "nothing is left to speak of");
}

#[tokio::test]
async fn two_groups_do_not_take_turns_in_one_target() {
    let witness = Witness::start().await;
    let (nas1, _) = witness.pair(true).await;
    witness.report(&nas1, &[("tank", &[]), ("tank/media", &[1]), ("tank/films", &[7])]).await;
    witness.plan().await;
    witness
        .group(json!({
            "name": "second", "systems": ["nas1", "nas2"], "source_of_truth": "nas1", "datasets": ["tank/films"],
            "mappings": ["tank/films=backup/films"], "auto": true, "on_divergence": "keep_both",
        }))
        .await;
    // Creation refuses such a pair; what patterns can not tell is left to the planner.
    let row = witness.state.store.group_by_name("second").await.unwrap().unwrap();
    let mut group = row.group;
    group.mappings = vec!["tank/films=backup/media".parse().unwrap()];
    witness.state.store.update_group(&group, &GroupSettings::default(), witness.state.now()).await.unwrap();
    witness.plan().await;
    let mut reasons: Vec<_> = witness.replicas().await.into_iter().map(|replica| replica.2).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["R_MAPPING_COLLISION", "R_TRANSFER_RUNNING"]);
    let leased = witness.lease(&nas1).await;
    assert_eq!(leased.len(), 1, "{leased:?}");
    assert_eq!(leased[0]["step"]["source"], "tank/media", "the older group goes on");
}

#[tokio::test]
async fn only_what_has_changed_is_planned_again() {
    let witness = Witness::start().await;
    let (nas1, nas2) = (witness.enrol("nas1").await, witness.enrol("nas2").await);
    witness
        .group(json!({
            "name": "all", "systems": ["nas1", "nas2"], "source_of_truth": "nas1", "datasets": ["tank/**"],
            "exclude": ["tank"], "mappings": ["tank=backup"], "auto": false,
        }))
        .await;
    let both: [(&str, &[u64]); 3] = [("tank", &[]), ("tank/films", &[1]), ("tank/music", &[11])];
    witness.report(&nas1, &both).await;
    witness.report(&nas2, &[("backup", &[]), ("backup/films", &[1]), ("backup/music", &[11])]).await;
    let mut planner = Planner::default();
    planner.pass(&witness.state).await.unwrap();
    let group = witness.state.store.groups().await.unwrap().remove(0).group.id;
    let films = BTreeSet::from(["tank/films".parse().unwrap()]);
    // Somebody removes one row that the planner has stored; only planning that dataset brings it back.
    witness.state.store.store_replicas(group, Some(&films), &[], witness.state.now()).await.unwrap();
    let delta = async |name: &str, snapshots: &[u64]| {
        let row = witness.state.store.system(nas1.id).await.unwrap().unwrap();
        let base = row.inventory_sequence.unwrap();
        let delta = json!({ "sequence": base + 1, "base": base, "datasets": [dataset(name, snapshots)] });
        assert_eq!(witness.agent(&nas1, "inventory", delta).await.fine()["accepted"], true);
    };
    witness.advance(1);
    delta("tank/music", &[11, 12]).await;
    planner.pass(&witness.state).await.unwrap();
    let music = ("backup/music@nas2".into(), "behind".into(), "R_MANUAL_MODE".into());
    assert_eq!(witness.replicas().await, [music], "the other dataset was not looked at");
    delta("tank/films", &[1, 2]).await;
    planner.pass(&witness.state).await.unwrap();
    assert_eq!(witness.replicas().await.len(), 2);
    assert_eq!(witness.state.store.changed_datasets(10).await.unwrap(), [], "all changes are done with");
}

#[tokio::test]
async fn a_child_follows_when_its_parent_has_arrived() {
    let witness = Witness::start().await;
    let (nas1, nas2) = (witness.enrol("nas1").await, witness.enrol("nas2").await);
    witness
        .group(json!({
            "name": "tree", "systems": ["nas1", "nas2"], "source_of_truth": "nas1", "datasets": ["tank/media/**"],
            "mappings": ["tank=backup"], "auto": false,
        }))
        .await;
    witness.report(&nas1, &[("tank", &[]), ("tank/media", &[1]), ("tank/media/films", &[2])]).await;
    witness.report(&nas2, &[("backup", &[])]).await;
    let mut planner = Planner::default();
    planner.pass(&witness.state).await.unwrap();
    let reasons = async || witness.replicas().await.into_iter().map(|replica| replica.2).collect::<Vec<_>>();
    assert_eq!(reasons().await, ["R_MANUAL_MODE", "R_DEPENDS_ON_PARENT"]);
    let row = witness.state.store.system(nas2.id).await.unwrap().unwrap();
    let base = row.inventory_sequence.unwrap();
    let delta = json!({ "sequence": base + 1, "base": base, "datasets": [dataset("backup/media", &[1])] });
    witness.agent(&nas2, "inventory", delta).await.fine();
    planner.pass(&witness.state).await.unwrap();
    assert_eq!(reasons().await, ["R_NO_NEW_SNAPSHOT", "R_MANUAL_MODE"], "the child was looked at as well");
}

#[tokio::test]
async fn an_unchanged_fleet_is_not_planned_again_until_its_time_comes() {
    let witness = Witness::start().await;
    let (nas1, nas2) = witness.pair(true).await;
    witness.report(&nas2, &[("backup", &[]), ("backup/media", &[1])]).await;
    let mut planner = Planner::default();
    planner.pass(&witness.state).await.unwrap();
    // Somebody removes what the planner has stored; only planning brings it back.
    let group = witness.state.store.groups().await.unwrap().remove(0).group.id;
    let forget =
        async || witness.state.store.store_replicas(group, None, &[], witness.state.now()).await.unwrap();
    forget().await;
    for _ in 0..3 {
        witness.advance(1);
        for (host, sequence) in [(&nas1, 1), (&nas2, 2)] {
            let row = witness.state.store.system(host.id).await.unwrap().unwrap();
            let base = row.inventory_sequence.unwrap();
            assert!(base >= sequence);
            let delta = json!({ "sequence": base + 1, "base": base, "datasets": [] });
            assert_eq!(witness.agent(host, "inventory", delta).await.fine()["accepted"], true);
        }
        planner.pass(&witness.state).await.unwrap();
        assert_eq!(witness.replicas().await, [], "nothing has changed");
    }
    witness.advance(300);
    planner.pass(&witness.state).await.unwrap();
    assert_eq!(witness.replicas().await.len(), 1);
}

#[tokio::test]
async fn a_diverged_replica_is_set_aside_only_when_a_person_says_so() {
    let witness = Witness::start().await;
    let (nas1, nas2) = witness.pair(true).await;
    witness.report(&nas1, &[("tank", &[]), ("tank/media", &[1, 2])]).await;
    witness.report(&nas2, &[("backup", &[]), ("backup/media", &[1, 7])]).await;
    witness.plan().await;
    let expected = ("backup/media@nas2".into(), "diverged".into(), "R_DIVERGED".into());
    assert_eq!(witness.replicas().await, [expected]);
    for (selector, code) in [
        ("backup/media", "E_SELECTOR_INVALID"),
        ("backup/media@nas9", "E_SYSTEM_NOT_FOUND"),
        ("backup/other@nas2", "E_REPLICA_NOT_FOUND"),
        ("back$up@nas2", "E_NAME_INVALID"),
    ] {
        let reply = witness.post("/sync/prod/execute", json!({ "keep_both": [selector] })).await;
        assert_eq!(reply.refusal().1, code);
        assert_eq!(reply.fields()[0].0, "/keep_both/0");
    }
    let nothing = witness.post("/sync/prod/execute", json!({})).await.fine();
    assert_eq!((&nothing["queued"], &nothing["suppressed"]), (&json!([]), &json!({ "R_DIVERGED": 1 })));
    let body = json!({ "keep_both": ["tank/media@nas2"] });
    let executed = witness.post("/sync/prod/execute", body).await.fine();
    assert_eq!(executed["queued"].as_array().unwrap().len(), 1);
    let leased = witness.lease(&nas2).await.remove(0);
    assert_eq!((&leased["step"]["action"], &leased["peer"]), (&json!("set_aside"), &Value::Null));
    assert_eq!(leased["step"]["rename_to"], "backup/media.aside-20260101T000000Z");
}

#[tokio::test]
async fn why_answers_for_both_names_and_says_what_is_missing() {
    let witness = Witness::start().await;
    let (_, nas2) = witness.pair(false).await;
    witness.plan().await;
    for replica in ["backup/media@nas2", "tank/media@nas2", &format!("tank/media@{}", nas2.id)] {
        let why = witness.get(&format!("/why?replica={replica}")).await.fine();
        assert_eq!(why[0]["target_system"], "nas2", "{replica}");
        assert!(!why[0]["report"]["facts"].as_array().unwrap().is_empty());
    }
    for (replica, status, code) in [
        ("nonsense", 400, "E_SELECTOR_INVALID"),
        ("tank/media@nas9", 404, "E_SYSTEM_NOT_FOUND"),
        ("tank/media@nas1", 404, "E_REPLICA_NOT_FOUND"),
        ("tank/..@nas2", 422, "E_NAME_INVALID"),
    ] {
        let reply = witness.get(&format!("/why?replica={replica}")).await;
        assert_eq!(reply.refusal(), (status, code.to_owned()));
    }
}

#[tokio::test]
async fn a_delta_on_an_unknown_report_is_answered_with_the_wish_for_everything() {
    let witness = Witness::start().await;
    let nas1 = witness.enrol("nas1").await;
    let delta = json!({ "sequence": 5, "base": 4, "datasets": [dataset("tank", &[1])] });
    let answer = witness.agent(&nas1, "inventory", delta).await.fine();
    assert_eq!((&answer["accepted"], &answer["resync"]), (&json!(false), &json!(true)));
    let mut bare = dataset("tank", &[1]);
    bare.as_object_mut().unwrap().remove("history");
    let answer =
        witness.agent(&nas1, "inventory", json!({ "sequence": 1, "base": null, "datasets": [bare] })).await;
    assert_eq!(answer.fine()["need"], json!(["tank"]));
}

#[tokio::test]
async fn a_send_that_was_parked_does_not_keep_its_target_from_being_set_aside() {
    let witness = Witness::start().await;
    let (nas1, nas2) = witness.pair(true).await;
    witness.plan().await;
    let transfer = witness.lease(&nas1).await.remove(0);
    let failed =
        json!({ "outcome": "failed", "code": "E_RECV_TARGET_NEWER", "detail": "newer", "retryable": false });
    witness.result(&nas1, &transfer, failed).await.fine();
    witness.report(&nas2, &[("backup", &[]), ("backup/media", &[7])]).await;
    witness.plan().await;
    assert_eq!(witness.replicas().await[0].1, "diverged");
    let group = witness.get("/sync-groups").await.fine()[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/sync-groups/{group}");
    let policy = json!({ "on_divergence": "keep_both" });
    witness.call("PUT", &path, Some(&witness.admin), Some(policy)).await.fine();
    witness.plan().await;
    assert_eq!(witness.lease(&nas2).await[0]["step"]["action"], "set_aside");
}

#[tokio::test]
async fn a_target_that_falls_silent_after_its_transfer_is_unknown_and_not_on_its_way() {
    let witness = Witness::start().await;
    let (nas1, nas2) = witness.pair(true).await;
    witness.plan().await;
    let transfer = witness.lease(&nas1).await.remove(0);
    witness.advance(1);
    witness.result(&nas1, &transfer, json!({ "outcome": "succeeded", "bytes": 100 })).await.fine();
    witness.plan().await;
    assert_eq!(witness.replicas().await[0].1, "syncing", "its report is waited for");
    // It never comes: the agent there is gone, which the sender does not need.
    witness.advance(60);
    witness.report(&nas1, &[("tank", &[]), ("tank/media", &[1])]).await;
    witness.plan().await;
    let expected = ("backup/media@nas2".into(), "unknown".into(), "R_AGENT_OFFLINE".into());
    assert_eq!(witness.replicas().await, [expected]);
    assert_eq!(witness.lease(&nas1).await, Vec::<Value>::new(), "and nothing is sent again");
    witness.report(&nas2, &[("backup", &[]), ("backup/media", &[1])]).await;
    witness.plan().await;
    assert_eq!(witness.replicas().await[0].1, "in_sync");
}

#[tokio::test]
async fn a_step_that_is_found_outdated_again_and_again_waits() {
    let witness = Witness::start().await;
    let (nas1, nas2) = witness.pair(true).await;
    let mut planner = Planner::default();
    let mut leases = 0;
    for _ in 0..20 {
        planner.pass(&witness.state).await.unwrap();
        for transfer in witness.lease(&nas1).await {
            leases += 1;
            witness
                .result(&nas1, &transfer, json!({ "outcome": "stale", "detail": "the moon is full" }))
                .await;
        }
        // Both report, as they are asked to, that nothing is other than the plan takes it to be.
        witness.report(&nas1, &[("tank", &[]), ("tank/media", &[1])]).await;
        witness.report(&nas2, &[("backup", &[])]).await;
    }
    assert_eq!(leases, 3, "after three answers it waits");
    let (_, _, reason) = witness.replicas().await.remove(0);
    assert_eq!(reason, "R_BACKOFF");
    let replicas = witness.get("/replicas").await.fine()["items"].clone();
    assert!(replicas[0]["report"]["next"].as_str().unwrap().contains("the moon is full"));
    assert!(replicas[0]["report"]["next_at"].is_string());
    // Its time comes without anything being reported.
    witness.advance(2);
    planner.pass(&witness.state).await.unwrap();
    assert_eq!(witness.lease(&nas1).await.len(), 1);
}

#[tokio::test]
async fn a_renamed_source_is_recognised_when_only_it_is_looked_at() {
    let witness = Witness::start().await;
    let (nas1, nas2) = (witness.enrol("nas1").await, witness.enrol("nas2").await);
    witness
        .group(json!({
            "name": "all", "systems": ["nas1", "nas2"], "source_of_truth": "nas1", "datasets": ["tank/**"],
            "exclude": ["tank"], "mappings": ["tank=backup"], "auto": false,
        }))
        .await;
    witness.report(&nas1, &[("tank", &[]), ("tank/old", &[1, 2])]).await;
    witness.report(&nas2, &[("backup", &[]), ("backup/old", &[1, 2])]).await;
    let mut planner = Planner::default();
    planner.pass(&witness.state).await.unwrap();
    let row = witness.state.store.system(nas1.id).await.unwrap().unwrap();
    let base = row.inventory_sequence.unwrap();
    let mut renamed = dataset_of(&nas1, "tank/old", &[1, 2]);
    renamed["name"] = json!("tank/new");
    let delta = json!({ "sequence": base + 1, "base": base, "datasets": [renamed], "removed": ["tank/old"] });
    witness.agent(&nas1, "inventory", delta).await.fine();
    for _ in 0..3 {
        planner.pass(&witness.state).await.unwrap();
        let replicas = witness.replicas().await;
        assert!(
            replicas.iter().all(|replica| replica.2 == "R_SOURCE_RENAMED"),
            "nothing is sent again: {replicas:?}"
        );
        assert!(replicas.iter().any(|replica| replica.0 == "backup/new@nas2"), "{replicas:?}");
        witness.advance(1);
    }
}

#[tokio::test]
async fn a_policy_that_follows_the_newest_turns_the_group_around() {
    let witness = Witness::start().await;
    let (nas1, nas2) = (witness.enrol("nas1").await, witness.enrol("nas2").await);
    witness
        .group(json!({
            "name": "prod", "systems": ["nas1", "nas2"], "source_of_truth": "nas1", "datasets": ["tank/media"],
            "mappings": ["tank=backup"], "auto": true, "allow_destroy": true, "on_divergence": "use_newest",
        }))
        .await;
    witness.report(&nas1, &[("tank", &[]), ("tank/media", &[1])]).await;
    witness.report(&nas2, &[("backup", &[]), ("backup/media", &[1, 7])]).await;
    witness.plan().await;
    let begun = witness.lease(&nas2).await;
    assert_eq!((begun.len(), &begun[0]["step"]["target_system"]), (1, &json!(nas1.id)));
}
