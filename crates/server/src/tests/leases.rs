//! The lease protocol, end to end over HTTP.

use std::time::Duration;

use serde_json::{Value, json};
use zfs_sync_store::TransferCaps;

use crate::{
    settings::Settings,
    testing::{Host, Reply, Witness, hello},
};

async fn progress(witness: &Witness, host: &Host, transfer: &Value, bytes: u64) -> Reply {
    let path = format!("/api/v1/transfers/{}/progress", transfer["id"].as_str().unwrap());
    let body = json!({
        "generation": transfer["generation"], "bytes": bytes, "total": 100, "rate": 5, "stage": "sending",
        "resumed_from": null,
    });
    witness.call("POST", &path, Some(&host.key), Some(body)).await
}

async fn put(witness: &Witness, host: &Host, body: Value) -> Reply {
    witness.call("PUT", &format!("/api/v1/systems/{}", host.id), Some(&witness.admin), Some(body)).await
}

async fn seeded(witness: &Witness) -> (Host, Host, Value) {
    let (nas1, nas2) = witness.pair(true).await;
    witness.plan().await;
    assert_eq!(witness.lease(&nas2).await, Vec::<Value>::new(), "the source pushes");
    let leased = witness.lease(&nas1).await;
    assert_eq!(leased.len(), 1);
    (nas1, nas2, leased[0].clone())
}

#[tokio::test]
async fn a_transfer_goes_from_plan_to_success() {
    let witness = Witness::start().await;
    let (nas1, nas2, transfer) = seeded(&witness).await;
    assert_eq!(
        (&transfer["generation"], &transfer["push"], &transfer["lease_ms"]),
        (&json!(1), &json!(true), &json!(15000))
    );
    assert_eq!(
        transfer["peer"],
        json!({ "hostname": "nas2", "ssh_hostname": "nas2", "ssh_user": null, "ssh_port": 22 })
    );
    assert_eq!(transfer["step"]["action"], "send");
    assert_eq!(progress(&witness, &nas1, &transfer, 40).await.fine()["cancel"], json!(false));
    let path = format!("/transfers/{}", transfer["id"].as_str().unwrap());
    let shown = witness.get(&path).await.fine();
    assert_eq!(
        (&shown["bytes"], &shown["total"], &shown["stage"]),
        (&json!(40), &json!(100), &json!("sending"))
    );
    assert_eq!(shown["summary"], "send tank/media@s1 in full, from nas1 to backup/media on nas2");

    witness.advance(1);
    let done = json!({ "outcome": "succeeded", "bytes": 100 });
    assert_eq!(witness.result(&nas1, &transfer, done.clone()).await.fine()["state"], "succeeded");
    assert_eq!(
        witness.result(&nas1, &transfer, done).await.fine()["state"],
        "succeeded",
        "saying it again is no error"
    );
    // Both sides are asked for a report at once.
    for host in [&nas1, &nas2] {
        let answer = witness.agent(host, "lease", json!({ "max": 1, "wait_ms": 0 })).await.fine();
        assert_eq!(answer, json!({ "transfers": [], "report_now": true, "now": witness.state.now() }));
    }
    // Until they have come the step is not planned again.
    witness.plan().await;
    assert_eq!(witness.replicas().await[0].1, "syncing");
    assert_eq!(witness.lease(&nas1).await, Vec::<Value>::new());
    witness.advance(1);
    witness.report(&nas2, &[("backup", &[]), ("backup/media", &[1])]).await;
    witness.report(&nas1, &[("tank", &[]), ("tank/media", &[1])]).await;
    witness.plan().await;
    let expected = ("backup/media@nas2".into(), "in_sync".into(), "R_NO_NEW_SNAPSHOT".into());
    assert_eq!(witness.replicas().await, [expected]);
}

#[tokio::test]
async fn what_waits_for_its_turn_says_so() {
    let transfer_caps = TransferCaps { per_link: 1, ..TransferCaps::NONE };
    let witness = Witness::with(Settings { transfer_caps, ..Settings::default() }).await;
    let (nas1, nas2) = (witness.enrol("nas1").await, witness.enrol("nas2").await);
    witness
        .group(json!({
            "name": "prod", "systems": ["nas1", "nas2"], "source_of_truth": "nas1",
            "datasets": ["tank/*"], "mappings": ["tank=backup"], "auto": true,
        }))
        .await;
    witness.report(&nas1, &[("tank", &[]), ("tank/a", &[1]), ("tank/b", &[1])]).await;
    witness.report(&nas2, &[("backup", &[])]).await;
    witness.plan().await;
    let leased = witness.agent(&nas1, "lease", json!({ "max": 8, "wait_ms": 0 })).await.fine();
    let leased = leased["transfers"].as_array().unwrap();
    assert_eq!(leased.len(), 1, "one at a time between the two: {leased:?}");
    let waiting = async || {
        let all = witness.get("/transfers?state=queued").await.fine();
        all.as_array().unwrap().iter().map(|one| one["stage"].clone()).collect::<Vec<_>>()
    };
    let why = "waits for its turn: 1 run between nas1 and nas2 (max_transfers_per_link)";
    assert_eq!(waiting().await, [json!(why)]);
    let done = json!({ "outcome": "succeeded", "bytes": 1 });
    witness.result(&nas1, &leased[0], done).await.fine();
    assert_eq!(waiting().await, [Value::Null], "its turn has come");
    assert_eq!(witness.lease(&nas1).await.len(), 1);
}

#[tokio::test]
async fn the_older_of_two_leases_counts_for_nothing() {
    let witness = Witness::start().await;
    let (nas1, _, old) = seeded(&witness).await;
    assert_eq!(witness.lease(&nas1).await, Vec::<Value>::new(), "leased once");
    witness.advance(16);
    let expired = witness.state.store.expire_leases(witness.state.now()).await.unwrap();
    assert_eq!(expired.len(), 1);
    let new = witness.lease(&nas1).await.remove(0);
    assert_eq!((&new["id"], &new["generation"]), (&old["id"], &json!(2)));
    assert_eq!(progress(&witness, &nas1, &old, 1).await.refusal(), (409, "E_LEASE_LOST".into()));
    for outcome in [json!({ "outcome": "succeeded" }), json!({ "outcome": "interrupted" })] {
        assert_eq!(witness.result(&nas1, &old, outcome).await.refusal(), (409, "E_LEASE_LOST".into()));
    }
    assert_eq!(progress(&witness, &nas1, &new, 1).await.status, 200);
    let failed = json!({ "outcome": "failed", "code": "E_SSH_UNREACHABLE", "detail": "no route", "retryable": true, "bytes": 7 });
    assert_eq!(witness.result(&nas1, &old, failed).await.refusal(), (409, "E_LEASE_LOST".into()));
    let shown = witness.get(&format!("/transfers/{}", new["id"].as_str().unwrap())).await.fine();
    assert_eq!(
        (&shown["state"], &shown["bytes"]),
        (&json!("leased"), &json!(1)),
        "the old lease changed nothing"
    );
    assert_eq!(witness.result(&nas1, &new, json!({ "outcome": "succeeded" })).await.status, 200);
}

#[tokio::test]
async fn a_restarted_agent_gives_its_leases_back() {
    let witness = Witness::start().await;
    let (nas1, _, old) = seeded(&witness).await;
    let answer = witness.agent(&nas1, "hello", hello()).await.fine();
    assert_eq!(answer, json!({ "released": 1, "now": witness.state.now() }));
    let new = witness.lease(&nas1).await.remove(0);
    assert_eq!(new["generation"], 2);
    let reply = witness.result(&nas1, &old, json!({ "outcome": "succeeded" })).await;
    assert_eq!(reply.refusal(), (409, "E_LEASE_LOST".into()));
}

#[tokio::test]
async fn another_system_can_not_speak_of_a_transfer() {
    let witness = Witness::start().await;
    let (nas1, nas2, transfer) = seeded(&witness).await;
    assert_eq!(progress(&witness, &nas2, &transfer, 1).await.refusal(), (403, "E_FORBIDDEN".into()));
    let reply = witness.result(&nas2, &transfer, json!({ "outcome": "succeeded" })).await;
    assert_eq!(reply.refusal(), (403, "E_FORBIDDEN".into()));
    let path = format!("/api/v1/transfers/{}", transfer["id"].as_str().unwrap());
    assert_eq!(witness.call("GET", &path, Some(&nas2.key), None).await.status, 403);
    assert_eq!(witness.call("GET", &path, Some(&nas1.key), None).await.status, 200);
    let by_admin =
        witness.call("POST", &format!("{path}/result"), Some(&witness.admin), Some(json!({}))).await;
    assert_eq!(by_admin.refusal(), (403, "E_FORBIDDEN".into()), "not even an administrator makes up results");
}

#[tokio::test]
async fn a_waiting_agent_is_answered_as_soon_as_there_is_work() {
    let witness = Witness::start().await;
    let (nas1, _) = witness.pair(true).await;
    let waiting = witness.agent(&nas1, "lease", json!({ "max": 1, "wait_ms": 30_000 }));
    // The first look of the other side is over when its sign of life is stored; planning comes after it or before it.
    let working = Box::pin(witness.plan());
    let waited = tokio::time::timeout(Duration::from_secs(20), async { tokio::join!(waiting, working).0 });
    let answer = waited.await.expect("answered long before the wait is over").fine();
    assert_eq!(answer["transfers"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_waiting_agent_is_let_go_when_the_witness_stops() {
    let witness = Witness::start().await;
    let (nas1, _) = witness.pair(false).await;
    let waiting = witness.agent(&nas1, "lease", json!({ "max": 1, "wait_ms": 30_000 }));
    let stopping = async { witness.state.shutdown.cancel() };
    let waited = tokio::time::timeout(Duration::from_secs(20), async { tokio::join!(waiting, stopping).0 });
    let answer = waited.await.expect("answered long before the wait is over").fine();
    assert_eq!(answer, json!({ "transfers": [], "report_now": false, "now": witness.state.now() }));
}

#[tokio::test]
async fn a_wish_for_a_report_does_not_make_a_waiting_agent_spin() {
    let witness = Witness::start().await;
    let (nas1, _) = witness.pair(false).await;
    witness.advance(1);
    witness.state.store.want_report(nas1.id, witness.state.now()).await.unwrap();
    let ask = || witness.agent(&nas1, "lease", json!({ "max": 1, "wait_ms": 30_000 }));
    assert_eq!(ask().await.fine()["report_now"], true);
    let began = tokio::time::Instant::now();
    assert_eq!(ask().await.fine()["report_now"], true);
    assert!(began.elapsed() >= Duration::from_millis(900), "repeated after a pause only");
}

#[tokio::test]
async fn what_is_asked_of_a_lease_has_limits() {
    let witness = Witness::start().await;
    let nas1 = witness.enrol("nas1").await;
    let reply = witness.agent(&nas1, "lease", json!({ "max": 1, "wait_ms": 30_001 })).await;
    assert_eq!(reply.refusal(), (422, "E_VALUE_RANGE".into()));
    let mut wrong = hello();
    wrong["report_interval_ms"] = json!(0);
    assert_eq!(witness.agent(&nas1, "hello", wrong).await.refusal(), (422, "E_VALUE_RANGE".into()));
}

#[tokio::test]
async fn a_failure_waits_and_counts_until_data_moves() {
    let witness = Witness::start().await;
    let (nas1, _, mut transfer) = seeded(&witness).await;
    let failed = |bytes: u64| json!({ "outcome": "failed", "code": "E_SSH_UNREACHABLE", "detail": "no route", "retryable": true, "bytes": bytes });
    let shown = witness.result(&nas1, &transfer, failed(0)).await.fine();
    assert_eq!((&shown["state"], &shown["attempts"]), (&json!("queued"), &json!(1)));
    assert_eq!(witness.lease(&nas1).await, Vec::<Value>::new(), "it waits");
    witness.plan().await;
    let expected = ("backup/media@nas2".into(), "never_seeded".into(), "R_BACKOFF".into());
    assert_eq!(witness.replicas().await, [expected], "and says so");
    witness.advance(3);
    transfer = witness.lease(&nas1).await.remove(0);
    let shown = witness.result(&nas1, &transfer, failed(0)).await.fine();
    assert_eq!(shown["attempts"], 2);
    witness.advance(13);
    transfer = witness.lease(&nas1).await.remove(0);
    let shown = witness.result(&nas1, &transfer, failed(5)).await.fine();
    assert_eq!(shown["attempts"], 0, "what moved counts as progress");
    witness.advance(3);
    assert_eq!(witness.lease(&nas1).await.len(), 1, "and the wait is the first again");
}

#[tokio::test]
async fn too_many_failures_park_a_transfer_until_a_person_retries() {
    let witness = Witness::start().await;
    let (nas1, nas2, mut transfer) = seeded(&witness).await;
    let full = json!({ "outcome": "failed", "code": "E_POOL_UNAVAILABLE", "detail": "suspended", "retryable": true, "bytes": 9 });
    let mut last = Value::Null;
    for attempt in 1..=9 {
        last = witness.result(&nas1, &transfer, full.clone()).await.fine();
        if attempt < 9 {
            assert_eq!(last["state"], "queued", "attempt {attempt}: {last}");
            witness.advance(1100);
            transfer = witness.lease(&nas1).await.remove(0);
        }
    }
    assert_eq!(
        (&last["state"], &last["error_code"]),
        (&json!("failed"), &json!("E_TRANSFER_RETRIES_EXHAUSTED"))
    );
    assert!(last["error_detail"].as_str().unwrap().contains("E_POOL_UNAVAILABLE"), "{last}");
    for (host, datasets) in [(&nas1, "tank/media"), (&nas2, "backup")] {
        witness.report(host, &[(datasets, if datasets == "backup" { &[] } else { &[1] })]).await;
    }
    witness.plan().await;
    assert_eq!(witness.replicas().await[0].2, "R_PARKED");
    assert_eq!(witness.lease(&nas1).await, Vec::<Value>::new());
    let path = format!("/transfers/{}/retry", transfer["id"].as_str().unwrap());
    assert_eq!(witness.post(&path, json!({})).await.fine()["state"], "queued");
    assert_eq!(witness.lease(&nas1).await.len(), 1);
}

#[tokio::test]
async fn what_can_not_succeed_is_parked_at_once_and_execute_starts_it_again() {
    let witness = Witness::start().await;
    let (nas1, _, transfer) = seeded(&witness).await;
    let failed = json!({ "outcome": "failed", "code": "E_ZFS_PERMISSION", "detail": "permission denied", "retryable": false });
    assert_eq!(witness.result(&nas1, &transfer, failed).await.fine()["state"], "failed");
    witness.plan().await;
    assert_eq!(witness.replicas().await[0].2, "R_PARKED");
    assert_eq!(witness.lease(&nas1).await, Vec::<Value>::new());
    let executed = witness.post("/sync/prod/execute", json!({})).await.fine();
    assert_eq!(executed["queued"].as_array().unwrap().len(), 1);
    assert_eq!(witness.lease(&nas1).await.len(), 1);
}

#[tokio::test]
async fn an_unknown_code_of_failure_is_refused() {
    let witness = Witness::start().await;
    let (nas1, _, transfer) = seeded(&witness).await;
    let failed = json!({ "outcome": "failed", "code": "E_MADE_UP", "detail": "x", "retryable": true });
    assert_eq!(witness.result(&nas1, &transfer, failed).await.refusal(), (404, "E_CODE_UNKNOWN".into()));
}

#[tokio::test]
async fn an_interrupted_transfer_is_queued_at_once() {
    let witness = Witness::start().await;
    let (nas1, _, transfer) = seeded(&witness).await;
    assert_eq!(
        witness.result(&nas1, &transfer, json!({ "outcome": "interrupted" })).await.fine()["state"],
        "queued"
    );
    assert_eq!(witness.lease(&nas1).await[0]["generation"], 2);
}

#[tokio::test]
async fn cancelling_stops_the_agent_and_holds_the_replica() {
    let witness = Witness::start().await;
    let (nas1, _, transfer) = seeded(&witness).await;
    let path = format!("/transfers/{}/cancel", transfer["id"].as_str().unwrap());
    assert_eq!(witness.post(&path, json!({})).await.fine()["cancel_requested"], true);
    assert_eq!(progress(&witness, &nas1, &transfer, 1).await.fine()["cancel"], json!(true));
    assert_eq!(
        witness.result(&nas1, &transfer, json!({ "outcome": "cancelled" })).await.fine()["state"],
        "cancelled"
    );
    assert_eq!(witness.post(&path, json!({})).await.refusal(), (409, "E_TRANSFER_FINISHED".into()));
    witness.plan().await;
    assert_eq!(witness.replicas().await[0].2, "R_PARKED");
    assert_eq!(witness.lease(&nas1).await, Vec::<Value>::new());
}

#[tokio::test]
async fn nothing_starts_for_a_group_that_was_disabled_meanwhile() {
    let witness = Witness::start().await;
    let (nas1, _) = witness.pair(true).await;
    witness.plan().await;
    let group = witness.get("/sync-groups").await.fine()[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/sync-groups/{group}");
    let enable =
        |enabled: bool| witness.call("PUT", &path, Some(&witness.admin), Some(json!({ "enabled": enabled })));
    enable(false).await.fine();
    assert_eq!(witness.lease(&nas1).await, Vec::<Value>::new());
    witness.plan().await;
    assert_eq!(witness.replicas().await[0].1, "paused");
    enable(true).await.fine();
    witness.plan().await;
    assert_eq!(witness.lease(&nas1).await.len(), 1, "it is planned anew, not parked");
}

#[tokio::test]
async fn the_target_pulls_where_only_the_source_has_an_address() {
    let witness = Witness::start().await;
    let (nas1, nas2) = witness.pair(true).await;
    let path = format!("/api/v1/systems/{}", nas2.id);
    let cleared = json!({ "ssh_hostname": null });
    witness.call("PUT", &path, Some(&witness.admin), Some(cleared.clone())).await.fine();
    witness.plan().await;
    assert_eq!(witness.lease(&nas1).await, Vec::<Value>::new());
    let leased = witness.lease(&nas2).await.remove(0);
    assert_eq!((&leased["push"], &leased["peer"]["hostname"]), (&json!(false), &json!("nas1")));
    witness.result(&nas2, &leased, json!({ "outcome": "stale", "detail": "x" })).await.fine();

    let path = format!("/api/v1/systems/{}", nas1.id);
    witness.call("PUT", &path, Some(&witness.admin), Some(cleared)).await.fine();
    witness.plan().await;
    let why = witness.get("/why?replica=backup/media@nas2").await.fine();
    assert_eq!((&why[0]["state"], &why[0]["reason"]), (&json!("never_seeded"), &json!("R_PARKED")));
    assert!(why[0]["report"]["next"].as_str().unwrap().contains("ssh_hostname"), "{why}");
    for host in [&nas1, &nas2] {
        assert_eq!(witness.lease(host).await, Vec::<Value>::new());
    }
}

#[tokio::test]
async fn a_quota_that_stays_reached_is_not_run_into_for_ever() {
    let witness = Witness::start().await;
    let (nas1, _, mut transfer) = seeded(&witness).await;
    let path = format!("/transfers/{}", transfer["id"].as_str().unwrap());
    for attempt in 1..=9 {
        let failed = json!({
            "outcome": "failed", "code": "E_RECV_QUOTA", "detail": "quota exceeded", "retryable": true, "bytes": 7,
        });
        witness.result(&nas1, &transfer, failed).await.fine();
        let shown = witness.get(&path).await.fine();
        if attempt == 9 {
            assert_eq!(
                (&shown["state"], &shown["error_code"]),
                (&json!("failed"), &json!("E_TRANSFER_RETRIES_EXHAUSTED"))
            );
            return;
        }
        assert_eq!((&shown["state"], &shown["attempts"]), (&json!("queued"), &json!(attempt)));
        witness.advance(1200);
        transfer = witness.lease(&nas1).await.remove(0);
    }
}

#[tokio::test]
async fn what_an_agent_says_of_its_stage_is_passed_on_short() {
    let witness = Witness::start().await;
    let (nas1, _, transfer) = seeded(&witness).await;
    let mut listener = witness.state.events.subscribe();
    let path = format!("/api/v1/transfers/{}/progress", transfer["id"].as_str().unwrap());
    let body = json!({
        "generation": transfer["generation"], "bytes": 1, "total": null, "rate": 5, "stage": "x".repeat(500_000),
        "resumed_from": null,
    });
    witness.call("POST", &path, Some(&nas1.key), Some(body)).await.fine();
    let told = loop {
        match listener.next().await.unwrap() {
            crate::events::Told::Passing(passing) => break passing,
            crate::events::Told::Rows => {}
        }
    };
    assert_eq!(told.data["stage"].as_str().unwrap().len(), 64);
}

#[tokio::test]
async fn attempts_that_begin_where_the_one_before_began_are_no_progress() {
    let witness = Witness::start().await;
    let (nas1, _, mut transfer) = seeded(&witness).await;
    let cut = |from: u64| json!({ "outcome": "failed", "code": "E_TRANSFER_INTERRUPTED", "detail": "cut", "retryable": true, "bytes": 9, "resumed_from": from });
    let mut attempts = Vec::new();
    for from in [100, 200, 200, 200, 300] {
        let after = witness.result(&nas1, &transfer, cut(from)).await.fine();
        attempts.push(after["attempts"].as_u64().unwrap());
        witness.advance(1100);
        transfer = witness.lease(&nas1).await.remove(0);
    }
    assert_eq!(attempts, [0, 0, 1, 2, 0]);
    // Nor are those of which nothing is ever kept.
    let witness = Witness::start().await;
    let (nas1, _, mut transfer) = seeded(&witness).await;
    let lost = json!({ "outcome": "failed", "code": "E_TRANSFER_INTERRUPTED", "detail": "cut", "retryable": true, "bytes": 9 });
    let mut attempts = Vec::new();
    for _ in 0..3 {
        let after = witness.result(&nas1, &transfer, lost.clone()).await.fine();
        attempts.push(after["attempts"].as_u64().unwrap());
        witness.advance(1100);
        transfer = witness.lease(&nas1).await.remove(0);
    }
    assert_eq!(attempts, [0, 1, 2]);
}

#[tokio::test]
async fn a_stream_that_is_damaged_twice_at_the_same_place_is_parked() {
    let witness = Witness::start().await;
    let (nas1, _, transfer) = seeded(&witness).await;
    let damaged = json!({ "outcome": "failed", "code": "E_STREAM_CORRUPT", "detail": "checksum mismatch", "retryable": true, "bytes": 9, "resumed_from": 100 });
    let first = witness.result(&nas1, &transfer, damaged.clone()).await.fine();
    assert_eq!(first["state"], "queued");
    witness.advance(60);
    let transfer = witness.lease(&nas1).await.remove(0);
    let second = witness.result(&nas1, &transfer, damaged).await.fine();
    assert_eq!((&second["state"], &second["error_code"]), (&json!("failed"), &json!("E_STREAM_CORRUPT")));
    assert!(second["error_detail"].as_str().unwrap().contains("same place"), "{second}");
}

#[tokio::test]
async fn limits_travel_with_the_lease_and_change_with_the_next_word_of_progress() {
    let witness = Witness::start().await;
    let (nas1, nas2, transfer) = seeded(&witness).await;
    let limits = transfer["flow"]["limits"].as_array().unwrap();
    assert_eq!(limits.len(), 3, "of the group and of both systems: {transfer}");
    assert!(limits.iter().all(|limit| limit["limit"] == "unlimited"), "{transfer}");
    let limit = json!({ "limit": "08:00-18:00 mon-fri 20MiB/s; 50M" });
    let system = put(&witness, &nas2, limit).await.fine();
    assert_eq!(system["limit"], "08:00-18:00 mon-fri 20MiB/s; 50MiB/s");
    let progress = json!({
        "generation": transfer["generation"], "bytes": 5, "total": 100, "rate": 1, "stage": "sending", "resumed_from": null,
        "flow": { "idle_seconds": 61, "waits_for": "target", "waits_percent": 90, "compression": "zstd 3" },
    });
    let path = format!("/transfers/{}/progress", transfer["id"].as_str().unwrap());
    let answer =
        witness.call("POST", &format!("/api/v1{path}"), Some(&nas1.key), Some(progress)).await.fine();
    let of = format!("system:{}", nas2.id);
    let told = answer["limits"].as_array().unwrap().iter().find(|limit| limit["of"] == of.as_str()).unwrap();
    assert_eq!(told["limit"], "08:00-18:00 mon-fri 20MiB/s; 50MiB/s");
    let shown = witness.get(&format!("/transfers/{}", transfer["id"].as_str().unwrap())).await.fine();
    assert_eq!((&shown["stalled"], &shown["flow"]["waits_for"]), (&json!(true), &json!("target")));
    let none = put(&witness, &nas2, json!({ "limit": null })).await.fine();
    assert_eq!(none["limit"], Value::Null);
    let wrong = put(&witness, &nas2, json!({ "limit": "quick" })).await;
    assert_eq!(wrong.status, 422);
}
