//! Conflicts from the command line: shown, decided, left alone.

use serde_json::{Value, json};

use zfs_sync_core::{
    guid::{Guid, Txg},
    inventory::Bookmark,
};

use crate::fleet::{Fleet, dataset};

const REPLICA: &str = "backup/media@nas2";

#[test]
fn a_conflict_is_found_by_its_replica_and_by_its_id() {
    let (fleet, _, _) = Fleet::diverged();
    let place = &fleet.place;
    let listed = place.run(&["conflict", "list", "-o", "json"]).expect(0).json();
    assert_eq!(listed["schema"], "zfs-sync/v1/conflict.list");
    let id = listed["items"][0]["id"].as_str().unwrap().to_owned();
    for name in [REPLICA, "tank/media@nas2", &id, &id[..8]] {
        let shown = place.run(&["conflict", "show", name, "-o", "json"]).expect(0).json();
        assert_eq!(shown["item"]["id"], id, "{name}");
    }
    let table =
        place.run(&["conflict", "list", "--kind", "diverged", "--sync-group", "prod"]).expect(0).stdout;
    assert!(table.starts_with("REPLICA ") && table.contains("backup/media@nas2"), "{table}");
    assert!(table.contains("nas1@s2, nas2@s8"), "both heads: {table}");
    assert!(table.contains("keep-both") && table.contains("4.00 KiB"), "{table}");
    let csv = place.run(&["conflict", "list", "-o", "csv"]).expect(0).stdout;
    assert!(csv.lines().nth(1).unwrap().contains(",diverged,high,open,"), "{csv}");
    let none = place.run(&["conflict", "list", "--severity", "low", "-o", "json"]).expect(0).json();
    assert_eq!(none["items"], json!([]));

    let show = place.run(&["conflict", "show", REPLICA]).expect(0).stdout;
    let strategies: Vec<usize> = ["keep-both", "use-source-of-truth", "rollback-target", "use-newest"]
        .iter()
        .map(|name| show.find(&format!(" {name}")).unwrap_or_else(|| panic!("{name}: {show}")))
        .collect();
    assert!(strategies.is_sorted(), "the safest first: {show}");
    place.run(&["conflict", "show", "tank/media@nas1"]).refused(3, "E_CONFLICT_NOT_FOUND");
    place.run(&["conflict", "show", "tank/media@nas9"]).refused(3, "E_SYSTEM_NOT_FOUND");
    place.run(&["conflict", "list", "--kind", "ill"]).refused(2, "E_VALUE_INVALID");
}

#[test]
fn a_base_that_is_only_a_bookmark_is_called_by_its_snapshots_name() {
    let (fleet, mut nas1, _) = Fleet::diverged();
    let show = || fleet.place.run(&["conflict", "show", REPLICA]).expect(0).stdout;
    assert!(show().contains("@s1") && !show().contains("bookmark"), "{}", show());
    let mut media = dataset("tank/media", &[2]);
    media.bookmarks = vec![Bookmark {
        guid: Guid::new(1001),
        createtxg: Txg::new(1),
        label: "zfs-sync:0a0b:0c".parse().unwrap(),
        creation: 1_700_000_001,
    }];
    fleet.report_datasets(&mut nas1, [dataset("tank", &[]), media]);
    fleet.place.run(&["sync", "check", "--sync-group", "prod"]).expect(0);
    let show = show();
    let common = show.lines().find(|line| line.starts_with("common ")).unwrap();
    assert!(common.contains("@s1, ") && common.ends_with("; nas1 has only a bookmark of it"), "{show}");
    let diff = fleet.place.run(&["conflict", "diff", REPLICA]).expect(0).stdout;
    let last = diff.lines().last().unwrap();
    assert!(last.starts_with("only a bookmark") && last.contains("@s1"), "{diff}");
}

#[test]
fn what_is_of_unknown_size_is_not_nothing() {
    let (fleet, _, mut nas2) = Fleet::diverged();
    let mut media = dataset("backup/media", &[1, 7]);
    for snapshot in &mut media.snapshots {
        snapshot.used = 0;
    }
    media.snapshots[1].label = "other".parse().unwrap();
    fleet.report_datasets(&mut nas2, [dataset("backup", &[]), media]);
    fleet.place.run(&["sync", "check", "--sync-group", "prod"]).expect(0);
    let list = fleet.place.run(&["conflict", "list"]).expect(0).stdout;
    assert!(list.contains("unknown") && !list.contains(" 0 B"), "{list}");
    let show = fleet.place.run(&["conflict", "show", REPLICA]).expect(0).stdout;
    assert!(show.contains("1 snapshot only here, of unknown size"), "{show}");
    assert!(show.lines().any(|line| line.starts_with("at stake ") && line.ends_with("  unknown")), "{show}");
    let csv = fleet.place.run(&["conflict", "list", "-o", "csv"]).expect(0).stdout;
    assert!(
        csv.lines().nth(1).unwrap().ends_with(",,,,1,keep_both,nas1@s2 nas2@other"),
        "nothing for what is not known: {csv}"
    );
    let json = fleet.place.run(&["conflict", "list", "-o", "json"]).expect(0).json();
    assert_eq!(json["items"][0]["bytes_at_stake"], Value::Null);
}

#[test]
fn a_diff_has_three_columns() {
    let (fleet, _, _) = Fleet::diverged();
    let diff = fleet.place.run(&["conflict", "diff", REPLICA]).expect(0).stdout;
    let lines: Vec<&str> = diff.lines().collect();
    assert_eq!(lines[0], "tank/media on nas1, backup/media on nas2");
    let headings = ["ONLY ON NAS1", "COMMON", "ONLY ON NAS2"].map(|heading| lines[1].find(heading).unwrap());
    assert!(headings.is_sorted());
    let at = |line: usize, label: &str| {
        lines[line].find(label).map(|place| headings.iter().rposition(|start| *start <= place))
    };
    assert_eq!((at(2, "@s2"), at(2, "@s8")), (Some(Some(0)), Some(Some(2))), "{diff}");
    assert_eq!((at(3, "@s7"), at(4, "@s1")), (Some(Some(2)), Some(Some(1))), "{diff}");
    let csv = fleet.place.run(&["conflict", "diff", REPLICA, "-o", "csv"]).expect(0).stdout;
    let sides: Vec<&str> = csv.lines().map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(sides, ["side", "source", "common", "target", "target"]);
}

#[test]
fn keeping_both_needs_no_question() {
    let (fleet, _, nas2) = Fleet::diverged();
    let words = ["conflict", "resolve", REPLICA, "--strategy", "keep-both"];
    let ended = fleet.place.run(&words).expect(0);
    assert!(ended.stdout.contains("nothing is destroyed"), "{}", ended.stdout);
    assert!(ended.stdout.contains("zfs rename backup/media backup/media.aside-"), "{}", ended.stdout);
    assert!(ended.stdout.contains("is applied; 1 transfer queued"), "{}", ended.stdout);
    let leased = fleet.lease(&nas2);
    assert_eq!(serde_json::to_value(&leased[0].step).unwrap()["action"], "set_aside");
}

#[test]
fn what_destroys_is_applied_only_by_its_plans_name() {
    let (fleet, _, mut nas2) = Fleet::diverged();
    let place = &fleet.place;
    let resolve = |more: &[&str]| {
        let words = ["conflict", "resolve", REPLICA, "--strategy", "rollback-target"];
        place.run(&[&words, more].concat())
    };
    // Nobody is at a terminal, so that nobody can be asked; `--yes` alone is no approval.
    for more in [&[][..], &["--yes"]] {
        let ended = resolve(more).expect(10);
        assert!(ended.stderr.contains("error[E_PLAN_NOT_APPROVED]"), "{}", ended.stderr);
        assert!(ended.stdout.contains("DESTROYS 2 snapshots"), "{}", ended.stdout);
        assert!(ended.stderr.contains("--yes --approve "), "{}", ended.stderr);
    }
    assert_eq!(fleet.lease(&nas2).len(), 0, "nothing was started");

    let dry = resolve(&["--dry-run"]).expect(0);
    let id = dry.stderr.split("zfs-sync plan apply ").nth(1).unwrap().trim().to_owned();
    for casualty in ["✖ backup/media@s8 on nas2", "✖ backup/media@s7 on nas2", "zfs rollback backup/media@s1"]
    {
        assert!(dry.stdout.contains(casualty), "{casualty}: {}", dry.stdout);
    }
    let shown = place.run(&["plan", "show", &id, "-o", "json"]).expect(0).json();
    let destroys = shown["item"]["destroys"].as_array().unwrap();
    assert_eq!(
        destroys.iter().map(|lost| &lost["snapshot"]).collect::<Vec<_>>(),
        ["backup/media@s8", "backup/media@s7"]
    );
    assert_eq!((&destroys[0]["used"], &shown["item"]["applied_at"]), (&json!(2048), &Value::Null));
    let csv = place.run(&["plan", "show", &id, "-o", "csv"]).expect(0).stdout;
    assert_eq!(csv.lines().count(), 3, "{csv}");

    // An approval is for one plan: not for another strategy.
    let other =
        ["conflict", "resolve", REPLICA, "--strategy", "use-source-of-truth", "--yes", "--approve", &id];
    place.run(&other).refused(10, "E_PLAN_NOT_APPROVED");
    place.run(&["plan", "apply", "ID"]).refused(2, "E_SELECTOR_INVALID");

    // The world moves: what was approved is not done any more.
    fleet.report(&mut nas2, &[("backup", &[]), ("backup/media", &[1, 7, 8, 9])]);
    let stale = resolve(&["--yes", "--approve", &id]).expect(10);
    assert!(stale.stderr.contains("error[E_PLAN_STALE]"), "{}", stale.stderr);
    let on = "fix      zfs-sync conflict resolve backup/media@nas2 --strategy rollback-target --dry-run";
    assert!(stale.stderr.contains(on), "{}", stale.stderr);
    assert_eq!(fleet.lease(&nas2).len(), 0);

    let again = resolve(&["--dry-run", "-o", "json"]).expect(0).json();
    let id = again["item"]["plan"]["id"].as_str().unwrap();
    assert_eq!(again["item"]["applied"], Value::Null);
    let applied = resolve(&["--yes", "--approve", id, "-o", "json"]).expect(0).json();
    assert_eq!(applied["item"]["applied"]["queued"].as_array().unwrap().len(), 1);
    place.run(&["plan", "apply", id]).refused(5, "E_PLAN_APPLIED");
    let leased = serde_json::to_value(&fleet.lease(&nas2)[0].step).unwrap();
    assert_eq!((&leased["action"], leased["destroys"].as_array().unwrap().len()), (&json!("roll_back"), 3));
}

#[test]
fn a_decision_is_taken_back() {
    let (fleet, _, nas2) = Fleet::diverged();
    let place = &fleet.place;
    place.run(&["conflict", "withdraw", REPLICA]).refused(5, "E_NO_DECISION");
    place.run(&["conflict", "resolve", REPLICA, "--strategy", "keep-both"]).expect(0);
    let show = place.run(&["conflict", "show", REPLICA]).expect(0).stdout;
    assert!(show.contains("decided") && show.contains("nas2 follows nas1"), "{show}");
    assert!(show.contains("zfs-sync conflict withdraw backup/media@nas2"), "{show}");
    let withdrawn = place.run(&["conflict", "withdraw", REPLICA]).expect(0).stdout;
    assert!(withdrawn.contains("is withdrawn; 1 queued transfer dropped\n"), "{withdrawn}");
    assert!(withdrawn.contains("how it stands:  zfs-sync why backup/media@nas2\n"), "{withdrawn}");
    assert_eq!(fleet.lease(&nas2).len(), 0);
    let again = place.run(&["conflict", "withdraw", REPLICA]).expect(5);
    assert!(
        again.stderr.contains("error[E_NO_DECISION]") && again.stderr.contains("hint:"),
        "{}",
        again.stderr
    );

    place.run(&["conflict", "resolve", REPLICA, "--strategy", "keep-both"]).expect(0);
    let running = fleet.lease(&nas2)[0].id.to_string();
    let json = place.run(&["conflict", "withdraw", REPLICA, "-o", "json"]).expect(0).json();
    assert_eq!(json["schema"], "zfs-sync/v1/conflict.withdraw");
    assert_eq!((&json["item"]["dropped"], &json["item"]["running"]), (&json!([]), &json!([running])));
    let plan = json["item"]["plan_id"].as_str().unwrap();
    let shown = place.run(&["plan", "show", plan]).expect(0).stdout;
    assert!(shown.contains("; what it decided is withdrawn"), "{shown}");
}

#[test]
fn an_ignored_conflict_is_out_of_sight_until_it_is_asked_for() {
    let (fleet, _, _) = Fleet::diverged();
    let place = &fleet.place;
    let open =
        || place.run(&["conflict", "list", "-o", "json"]).expect(0).json()["items"].as_array().unwrap().len();
    let words = ["conflict", "ignore", REPLICA, "--until", "14d", "--note", "moving house"];
    let ignored = place.run(&words).expect(0).stdout;
    assert!(ignored.contains("moving house") && ignored.contains("ignored"), "{ignored}");
    assert_eq!(open(), 0);
    let still = place.run(&["conflict", "list", "--state", "ignored", "-o", "json"]).expect(0).json();
    assert_eq!(still["items"][0]["note"], "moving house");
    place.run(&["conflict", "unignore", REPLICA]).expect(0);
    assert_eq!(open(), 1);
    place.run(&["conflict", "ignore", REPLICA, "--until", "2020-01-01"]).refused(2, "E_VALUE_RANGE");
    place.run(&["conflict", "ignore", REPLICA, "--until", "soon"]).expect(2);
}

#[test]
fn why_is_an_ordered_trace_and_names_the_way_out() {
    let (fleet, _, _) = Fleet::diverged();
    let why = fleet.place.run(&["why", REPLICA]).expect(0).stdout;
    let parts: Vec<usize> = ["── facts", "── rules", "── decision", "── next", "── conflict: diverged, high"]
        .iter()
        .map(|part| why.find(part).unwrap_or_else(|| panic!("{part}: {why}")))
        .collect();
    assert!(parts.is_sorted(), "{why}");
    assert!(why.contains("  ✓ ") && why.contains("  ✗ "), "{why}");
    assert!(
        why.contains("zfs-sync conflict resolve backup/media@nas2 --strategy keep-both --dry-run"),
        "{why}"
    );
    let json = fleet.place.run(&["why", REPLICA, "-o", "json"]).expect(0).json();
    assert_eq!(json["items"][0]["report"]["conflict"]["kind"], "diverged");
    let status = fleet.place.run(&["status"]).expect(0).stdout;
    assert!(status.contains("R_DIVERGED"), "{status}");
}

#[test]
fn a_plan_says_what_has_changed_since_the_last_one() {
    let (fleet, mut nas1, mut nas2) = Fleet::diverged();
    let plan = || fleet.place.run(&["sync", "plan", "--sync-group", "prod", "--diff"]).expect(0).stdout;
    assert!(plan().contains("nothing has changed since the group was last planned"), "{}", plan());
    fleet.report(&mut nas2, &[("backup", &[]), ("backup/media", &[1])]);
    // The witness plans by itself as well, mostly before anybody can ask. What is told of a change is `commands::sync`'s to test.
    let json = |arguments: &[&str]| fleet.place.run(arguments).expect(0).json()["item"]["changes"].clone();
    assert!(json(&["sync", "plan", "--sync-group", "prod", "--diff", "-o", "json"]).is_array());
    assert!(json(&["sync", "plan", "--sync-group", "prod", "-o", "json"]).is_null(), "nobody has asked");
    fleet.report(&mut nas1, &[("tank", &[]), ("tank/media", &[1])]);
    let both = ["sync", "execute", "--sync-group", "prod", "--keep-both", REPLICA];
    fleet.place.run(&both).refused(5, "E_NO_CONFLICT");
}

#[test]
fn what_is_wrong_is_named_with_what_to_do() {
    let (fleet, _, _) = Fleet::diverged();
    let nobody = "01020304-0000-7000-8000-000000000000";
    let asked: [(&[&str], u8, &str); 16] = [
        (&["conflict", "list", "--sync-group", "none"], 3, "E_GROUP_NOT_FOUND"),
        (&["conflict", "list", "--system", "none"], 3, "E_SYSTEM_NOT_FOUND"),
        (&["conflict", "list", "--dataset", "tank/.."], 2, "E_NAME_INVALID"),
        (&["conflict", "show", "none"], 3, "E_CONFLICT_NOT_FOUND"),
        (&["conflict", "show", nobody], 3, "E_CONFLICT_NOT_FOUND"),
        (&["conflict", "show", "tank/none@nas2"], 3, "E_CONFLICT_NOT_FOUND"),
        (&["conflict", "withdraw", "backup/media@none"], 3, "E_SYSTEM_NOT_FOUND"),
        (&["conflict", "resolve", REPLICA, "--strategy", "use-majority"], 5, "E_STRATEGY_REFUSED"),
        (&["conflict", "resolve", REPLICA, "--strategy", "rollback-target"], 10, "E_PLAN_NOT_APPROVED"),
        (&["conflict", "ignore", REPLICA, "--until", "2020-01-01"], 2, "E_VALUE_RANGE"),
        (&["conflict", "ignore", REPLICA, "--until", "99999999d"], 2, "E_VALUE_INVALID"),
        (&["plan", "show", "none"], 2, "E_SELECTOR_INVALID"),
        (&["plan", "apply", nobody], 3, "E_PLAN_NOT_FOUND"),
        (&["whatif", "--system-lost", "none"], 3, "E_SYSTEM_NOT_FOUND"),
        (&["whatif", "--destroy", "tank/media@s1"], 2, "E_SELECTOR_INVALID"),
        (&["whatif", "--destroy", "nas1:tank/media"], 2, "E_NAME_INVALID"),
    ];
    for (words, exit, code) in asked {
        let said = fleet.place.run(words).expect(i32::from(exit)).stderr;
        assert!(said.contains(&format!("error[{code}]: ")), "{words:?}: {said}");
        let line = |name: &str| said.lines().any(|line| line.starts_with(&format!("   {name} ")));
        assert!(line("field"), "which one is wrong: {words:?}: {said}");
        assert!(line("hint:") || line("fix"), "what to do: {words:?}: {said}");
        assert!(line("data"), "nothing was changed: {words:?}: {said}");
    }
}
