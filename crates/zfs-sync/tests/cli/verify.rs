//! `verify` and `verification`: words that are wrong, and what is shown of what agents have found. Comparing itself is tested on real ZFS.

use serde_json::{Value, json};
use zfs_sync_core::verify::Answer;

use crate::{fleet::Fleet, program::Place};

#[test]
fn what_names_no_snapshot_is_refused_before_anything_is_run() {
    let place = Place::new();
    for (words, code, exit) in [
        (vec!["tank/media", "backup/media"], "E_NAME_INVALID", 2),
        (vec!["tank/media@$(reboot)", "backup/media"], "E_NAME_INVALID", 2),
        (vec!["tank/media@x", "root@-oProxyCommand=x:backup"], "E_HOST_INVALID", 2),
        (vec!["tank/media", "--between", "nas1,nas2"], "E_NAME_INVALID", 2),
        (vec!["tank/media@x", "--between", "nas1"], "E_VALUE_INVALID", 2),
    ] {
        let words: Vec<&str> = ["verify"].into_iter().chain(words).collect();
        place.run(&words).refused(exit, code);
    }
    place.run(&["verify", "tank/media@x"]).expect(2);
    place.run(&["verify", "tank/media@x", "backup/media", "--between", "nas1,nas2"]).expect(2);
    place.run(&["verification", "schedule", "--every", "7d"]).expect(2);
}

fn answers(value: Value) -> Vec<Answer> {
    serde_json::from_value(value).unwrap()
}

fn inspected() -> Vec<Answer> {
    let pool = json!({ "name": "tank", "state": "DEGRADED", "errors": "3 data errors, use '-v' for a list" });
    answers(json!([{ "answer": "inspected", "protocol": 1, "guid": "1001", "createtxg": "1", "creation": 5,
        "kind": "filesystem", "earlier": [], "pool": pool, "properties": {} }]))
}

fn summary(digest: char) -> Vec<Answer> {
    let root = json!({ "name": "", "kind": "directory", "content": digest.to_string().repeat(64) });
    answers(json!([{ "answer": "summary", "root": root, "entries": 2, "bytes": 3 }]))
}

#[test]
fn what_agents_have_found_is_shown_and_decides_the_exit_code() {
    let (fleet, nas1, nas2) = Fleet::diverged();
    let run = |words: &[&str]| fleet.place.run(words);
    assert!(run(&["verification", "list"]).expect(0).stderr.contains("no verifications"));
    assert!(run(&["verification", "proofs"]).expect(0).stderr.contains("nothing was proven yet"));
    let verify = ["verify", "tank/media@s1", "--between", "nas1,nas2", "--deep", "-o", "json"];
    let asked = run(&verify).expect(0).json();
    assert_eq!((&asked["schema"], &asked["item"]["state"]), (&json!("zfs-sync/v1/verify"), &json!("queued")));
    let id = asked["item"]["id"].as_str().unwrap();
    run(&["verify", "tank/media@s1", "--between", "nas1,nas2", "--wait=0s"]).refused(7, "E_WAIT_TIMEOUT");
    let second = run(&["verification", "list", "-o", "json"]).expect(0).json();
    run(&["verification", "cancel", second["items"][0]["id"].as_str().unwrap()]).expect(0);

    let file =
        |name: &str| answers(json!([{ "answer": "entries", "entries": [{ "name": name, "kind": "file" }] }]));
    let rounds = [
        [inspected(), inspected()],
        [summary('1'), summary('2')],
        [file("a\\x1b[2J"), answers(json!([{ "answer": "entries", "entries": [] }]))],
    ];
    fleet.verify([&nas1, &nas2], &rounds);
    let shown = run(&["verification", "show", &id[..id.len() - 1]]).expect(1).stdout;
    assert!(shown.contains(r"a\x1b[2J: only on nas1") && !shown.contains('\u{1b}'), "{shown}");
    assert!(shown.contains("nas2: tank DEGRADED, scrubbed never; 3 data errors"), "{shown}");
    run(&["verification", "cancel", id]).refused(5, "E_VERIFICATION_FINISHED");
    run(&["verification", "show", "zzz"]).refused(3, "E_VERIFICATION_NOT_FOUND");
    let proofs = run(&["verification", "proofs", "-o", "csv"]).expect(0).stdout;
    assert!(proofs.contains("nas2,backup/media,backup/media@s1,false,"), "{proofs}");
    let status = run(&["status"]).expect(0).stdout;
    assert!(status.contains("1 differs"), "{status}");
    let why = run(&["why", "backup/media@nas2"]).expect(0).stdout;
    assert!(why.contains("NOT THE SAME as its source") && why.contains(id), "{why}");

    let table =
        run(&["verification", "schedule", "prod", "--every", "7d", "--budget", "50GiB"]).expect(0).stdout;
    assert!(table.contains("prod") && table.contains("7 d") && table.contains("50"), "{table}");
    run(&["verification", "schedule", "prod"]).refused(2, "E_FIELD_REQUIRED");
    run(&["verification", "schedule", "prod", "--off"]).expect(0);
    assert!(run(&["verification", "schedule"]).expect(0).stderr.contains("no group proves anything"));
}
