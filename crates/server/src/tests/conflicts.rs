//! Conflicts: seen, shown, left alone for a while, over.

use serde_json::{Value, json};

use crate::testing::{Host, Witness, dataset};

/// `nas2` has gone its own way: what both have is `s1`.
async fn diverged() -> (Witness, Host, Host) {
    let witness = Witness::start().await;
    let (nas1, nas2) = witness.pair(true).await;
    witness.report(&nas1, &[("tank", &[]), ("tank/media", &[1, 2])]).await;
    witness.report(&nas2, &[("backup", &[]), ("backup/media", &[1, 7])]).await;
    witness.plan().await;
    (witness, nas1, nas2)
}

async fn list(witness: &Witness, query: &str) -> Vec<Value> {
    witness.get(&format!("/conflicts{query}")).await.fine().as_array().unwrap().clone()
}

#[tokio::test]
async fn a_conflict_says_what_is_only_where_and_what_can_be_done() {
    let (witness, nas1, nas2) = diverged().await;
    let conflicts = list(&witness, "").await;
    assert_eq!(conflicts.len(), 1, "{conflicts:?}");
    let conflict = &conflicts[0];
    let text = |name: &str| conflict[name].as_str().unwrap();
    assert_eq!((text("kind"), text("severity"), text("state")), ("diverged", "high", "open"));
    assert_eq!((text("source"), text("source_system")), ("tank/media", "nas1"));
    assert_eq!((text("target"), text("target_system"), text("group")), ("backup/media", "nas2", "prod"));
    assert_eq!(conflict["suggested"], "keep_both");
    let head = |system: &str, dataset: &str, snapshot: &str| json!({ "system": system, "dataset": dataset, "snapshot": snapshot });
    assert_eq!(
        conflict["heads"],
        json!([head("nas1", "tank/media", "s2"), head("nas2", "backup/media", "s7")])
    );
    let only = |side: &str| conflict["report"][side]["only_here"][0]["label"].clone();
    assert_eq!((only("source"), only("target")), (json!("s2"), json!("s7")));
    assert_eq!(conflict["report"]["last_common"]["label"], "s1");
    assert_eq!(conflict["report"]["source"]["system"], json!(nas1.id));
    let path = format!("/conflicts/{}", text("id"));
    assert_eq!(witness.get(&path).await.fine(), *conflict);
    let why = witness.get("/why?replica=backup/media@nas2").await.fine();
    assert_eq!(why[0]["report"]["conflict"]["kind"], "diverged");
    assert!(!why[0]["report"]["rules"].as_array().unwrap().is_empty());

    // The replica follows again, and what was is kept.
    witness.report(&nas2, &[("backup", &[]), ("backup/media", &[1, 2])]).await;
    witness.plan().await;
    assert_eq!(list(&witness, "").await, Vec::<Value>::new());
    let over = list(&witness, "?state=resolved").await;
    assert_eq!((&over[0]["id"], &over[0]["state"]), (&conflict["id"], &json!("resolved")));
    assert!(over[0]["resolved_at"].is_string());
    for (what, body) in [("plan", json!({ "strategy": "keep_both" })), ("ignore", json!({ "until": null }))] {
        let late = witness.post(&format!("{path}/{what}"), body).await;
        assert_eq!(late.refusal(), (409, "E_CONFLICT_RESOLVED".into()), "{what}");
    }
}

#[tokio::test]
async fn a_mesh_conflict_names_every_head() {
    let witness = Witness::start().await;
    witness.split_mesh().await;
    let conflicts = list(&witness, "").await;
    assert_eq!(conflicts.len(), 2, "{conflicts:?}");
    for conflict in &conflicts {
        assert_eq!(conflict["kind"], "no_elected_source");
        let heads = conflict["heads"].as_array().unwrap();
        assert_eq!(heads[0]["system"], conflict["source_system"]);
        assert_eq!(heads[1]["system"], conflict["target_system"]);
        let mut named: Vec<(&Value, &Value)> =
            heads.iter().map(|head| (&head["system"], &head["snapshot"])).collect();
        named.sort_by_key(|(system, _)| system.as_str());
        let expected = [("nas1", "s7"), ("nas2", "s8"), ("nas3", "s9")];
        assert_eq!(named.len(), 3);
        for ((system, snapshot), (name, label)) in named.into_iter().zip(expected) {
            assert_eq!((system, snapshot), (&json!(name), &json!(label)));
        }
    }
}

#[tokio::test]
async fn lists_are_filtered() {
    let (witness, _, _) = diverged().await;
    for (query, expected) in [
        ("?kind=diverged&severity=high&sync_group=prod&system=nas2&dataset=backup/media", 1),
        ("?dataset=tank/media&system=nas1&limit=1", 1),
        ("?state=all", 1),
        ("?kind=orphaned", 0),
        ("?severity=low", 0),
        ("?state=resolved", 0),
        ("?state=ignored", 0),
        ("?dataset=tank/other", 0),
        ("?limit=0", 0),
    ] {
        assert_eq!(list(&witness, query).await.len(), expected, "{query}");
    }
    for (query, code) in [
        ("?kind=ill", "E_VALUE_INVALID"),
        ("?severity=worst", "E_VALUE_INVALID"),
        ("?state=closed", "E_VALUE_INVALID"),
        ("?sync_group=none", "E_GROUP_NOT_FOUND"),
        ("?system=none", "E_SYSTEM_NOT_FOUND"),
        ("?dataset=tank/..", "E_NAME_INVALID"),
        ("?limit=-1", "E_VALUE_INVALID"),
    ] {
        let reply = witness.get(&format!("/conflicts{query}")).await;
        assert_eq!(reply.refusal().1, code, "{query}");
        let name = query.split('=').next().unwrap();
        // The parser of queries names no field for a number that is none.
        assert!(reply.fields()[0].0 == name || name == "?limit", "{query}: {:?}", reply.fields());
    }
    let unknown = witness.get("/conflicts/01020304-0000-7000-8000-000000000000").await;
    assert_eq!(unknown.refusal(), (404, "E_CONFLICT_NOT_FOUND".into()));
}

#[tokio::test]
async fn an_ignored_conflict_comes_back_when_its_time_is_up() {
    let (witness, _, _) = diverged().await;
    let conflict = list(&witness, "").await.remove(0);
    let path = format!("/conflicts/{}/ignore", conflict["id"].as_str().unwrap());
    let body = json!({ "until": "2026-01-01T01:00:00Z", "note": "moving house" });
    let ignored = witness.post(&path, body.clone()).await.fine();
    assert_eq!((&ignored["state"], &ignored["note"]), (&json!("ignored"), &json!("moving house")));
    assert_eq!(ignored["ignored_by"], "key:root");
    assert_eq!(list(&witness, "").await, Vec::<Value>::new());
    assert_eq!(list(&witness, "?limit=1").await, Vec::<Value>::new());
    assert_eq!(list(&witness, "?state=ignored").await.len(), 1);
    let audit = witness.state.store.audit(1).await.unwrap().remove(0).entry;
    assert_eq!((audit.action.as_str(), &audit.detail["note"]), ("conflict.ignore", &json!("moving house")));

    let heard = witness.post(&path, json!({ "until": null })).await.fine();
    assert_eq!((&heard["state"], &heard["note"]), (&json!("open"), &Value::Null));
    witness.post(&path, body.clone()).await.fine();
    witness.advance(3601);
    assert_eq!(list(&witness, "").await.len(), 1, "the hour is over");
    let late = witness.post(&path, body).await;
    assert_eq!(late.fields(), [("/until".to_owned(), "E_VALUE_RANGE".to_owned())]);
    let long =
        witness.post(&path, json!({ "until": "2027-01-01T00:00:00Z", "note": "x".repeat(2000) })).await;
    assert_eq!(long.fields()[0].0, "/note");
}

/// As [`Witness::report`], of one dataset whose history a test shapes.
async fn report_shaped(witness: &Witness, host: &Host, root: &str, shaped: Value) {
    let row = witness.state.store.system(host.id).await.unwrap().unwrap();
    let sequence = row.inventory_sequence.unwrap() + 1;
    let body = json!({ "sequence": sequence, "base": null, "datasets": [dataset(root, &[]), shaped] });
    witness.agent(host, "inventory", body).await.fine();
}

#[tokio::test]
async fn a_base_that_is_only_a_bookmark_has_the_name_of_the_replicas_snapshot() {
    let (witness, nas1, nas2) = diverged().await;
    assert_eq!(list(&witness, "").await[0]["common_is_bookmark"], false);
    let mut media = dataset("tank/media", &[2]);
    media["history"]["bookmarks"] =
        json!([{ "guid": "1001", "createtxg": "1", "label": "zfs-sync:0a:0b", "creation": 1_700_000_001 }]);
    report_shaped(&witness, &nas1, "tank", media).await;
    witness.plan().await;
    let listed = list(&witness, "").await.remove(0);
    let shown = witness.get(&format!("/conflicts/{}", listed["id"].as_str().unwrap())).await.fine();
    for conflict in [&listed, &shown] {
        assert_eq!(conflict["report"]["last_common"]["label"], "s1");
        assert_eq!(conflict["report"]["last_common"]["guid"], "1001");
        assert_eq!(conflict["common_is_bookmark"], true);
    }
    let why = witness.get("/why?replica=backup/media@nas2").await.fine();
    assert_eq!(why[0]["report"]["conflict"]["last_common"]["label"], "s1");
    // So many snapshots are newer that a conflict does not list the base.
    let many: Vec<u64> = std::iter::once(1).chain(100..250).collect();
    witness.report(&nas2, &[("backup", &[]), ("backup/media", &many)]).await;
    witness.plan().await;
    let listed = list(&witness, "").await.remove(0);
    assert_eq!(listed["report"]["target"]["only_here_count"], 151);
    assert_eq!(listed["report"]["last_common"]["label"], "s1");
    assert_eq!(listed["common_is_bookmark"], true);
    // With the snapshot on the source, it has the source's name for it.
    let mut media = dataset("tank/media", &[1, 2]);
    media["history"]["snapshots"][0]["label"] = json!("first");
    report_shaped(&witness, &nas1, "tank", media).await;
    witness.plan().await;
    let listed = list(&witness, "").await.remove(0);
    assert_eq!(listed["report"]["last_common"]["label"], "first");
    assert_eq!(listed["common_is_bookmark"], false);
}

#[tokio::test]
async fn what_nobody_knows_the_size_of_is_not_nothing() {
    let (witness, _, nas2) = diverged().await;
    let stake = async || list(&witness, "").await[0]["bytes_at_stake"].clone();
    assert_eq!(stake().await, Value::Null, "a snapshot of unknown size is there");
    let mut media = dataset("backup/media", &[1, 7]);
    media["history"]["snapshots"][1]["used"] = json!(4096);
    media["digest"] = json!("another");
    report_shaped(&witness, &nas2, "backup", media).await;
    witness.plan().await;
    assert_eq!(stake().await, 4096);
    let mut media = dataset("backup/media", &[1]);
    media["properties"]["written"] = json!(512);
    report_shaped(&witness, &nas2, "backup", media).await;
    witness.plan().await;
    assert_eq!(stake().await, 512);
}
