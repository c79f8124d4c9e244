//! Groups: definitions that do not hold together are refused whole, with the field.

use serde_json::{Value, json};

use crate::program::{Ended, Place, Service};

/// A witness with three systems that have not reported yet.
fn fleet() -> (Place, Service) {
    let (place, server) = Place::with_witness();
    for name in ["nas1", "nas2", "nas3"] {
        place.enrol(name);
    }
    (place, server)
}

fn create(place: &Place, changes: &[&str]) -> Ended {
    let mut words = vec!["group", "create", "--name", "prod", "--systems", "nas1,nas2"];
    if !changes.contains(&"--source-of-truth") {
        words.extend(["--source-of-truth", "nas1"]);
    }
    if !changes.contains(&"--dataset") {
        words.extend(["--dataset", "tank/media/**"]);
    }
    words.extend(changes);
    place.run(&words)
}

fn groups(place: &Place) -> Vec<Value> {
    place.run(&["group", "list", "-o", "json"]).expect(0).json()["items"].as_array().unwrap().clone()
}

#[test]
fn definitions_that_do_not_hold_together_are_refused_and_nothing_is_stored() {
    let (place, _server) = fleet();
    let long = "a".repeat(300);
    let cases: [(&[&str], i32, &str, &str); 9] = [
        (&["--source-of-truth", "nas3"], 12, "E_GROUP_INVALID", "/source_of_truth"),
        (&["--map", "tank/a=backup/x", "--map", "tank/b=backup/x"], 12, "E_MAPPING_COLLISION", "/mappings/1"),
        (&["--dataset", "tank/$(reboot)"], 2, "E_PATTERN_INVALID", "/datasets/0"),
        (&["--dataset", "tank/../etc"], 2, "E_PATTERN_INVALID", "/datasets/0"),
        (&["--dataset", "tank/é"], 2, "E_PATTERN_INVALID", "/datasets/0"),
        (&["--dataset", &long], 2, "E_PATTERN_INVALID", "/datasets/0"),
        (&["--exclude", "tank/a|b"], 2, "E_PATTERN_INVALID", "/exclude/0"),
        (&["--systems", "nas1,nas9"], 3, "E_SYSTEM_NOT_FOUND", "/systems"),
        (&["--map", "tank"], 2, "E_VALUE_INVALID", "/mappings/0"),
    ];
    for (changes, exit, code, pointer) in cases {
        let ended = create(&place, changes).refused(exit, code);
        let field = ended.stderr.lines().find(|line| line.starts_with("   field "));
        assert!(field.is_some_and(|line| line.contains(pointer)), "{changes:?}: {}", ended.stderr);
        assert!(ended.stderr.contains("nothing was changed"), "{}", ended.stderr);
    }
    for name in ["<img onerror=alert(1)>", "a;b", "", &long, "../x"] {
        let name = format!("--name={name}");
        let words = [
            "group",
            "create",
            &name,
            "--systems",
            "nas1,nas2",
            "--source-of-truth",
            "nas1",
            "--dataset",
            "tank/media",
        ];
        let ended = place.run(&words);
        assert!(ended.code == 2 && ended.stdout.is_empty(), "{ended:?}");
        assert!(ended.stderr.contains("/name"), "{}", ended.stderr);
    }
    assert_eq!(groups(&place), Vec::<Value>::new());
}

#[test]
fn a_group_is_made_shown_rested_and_deleted() {
    let (place, _server) = fleet();
    create(&place, &["--map", "tank=backup", "--auto"]).expect(0);
    create(&place, &[]).refused(5, "E_GROUP_EXISTS");
    let shown = place.run(&["sync-group", "show", "prod", "-o", "json"]).expect(0).json();
    assert_eq!(shown["schema"], "zfs-sync/v1/group.show");
    assert_eq!(shown["item"]["source_of_truth_name"], "nas1");
    assert_eq!(shown["item"]["auto"], true);
    let csv = place.run(&["group", "list", "-o", "csv"]).expect(0).stdout;
    let line = csv.lines().nth(1).unwrap();
    assert!(csv.starts_with("name,id,enabled,auto,") && line.starts_with("prod,"), "{csv}");
    assert!(line.contains("tank/media/**") && line.contains("tank=backup"), "{csv}");
    let table = place.run(&["group", "list"]).expect(0).stdout;
    assert!(table.starts_with("GROUP") && !table.contains('\x1b'), "{table}");

    place.run(&["group", "disable", "prod"]).expect(0);
    assert_eq!(groups(&place)[0]["enabled"], json!(false));
    place.run(&["group", "enable", "prod"]).expect(0);
    assert_eq!(groups(&place)[0]["enabled"], json!(true));

    let ended = place.run(&["group", "show", "prodd"]).refused(3, "E_GROUP_NOT_FOUND");
    assert!(ended.stderr.contains("did you mean `prod`?"), "{}", ended.stderr);
    let deleted = place.run(&["group", "delete", "prod"]).expect(0);
    assert!(
        deleted.stderr.contains(
            "zfs-sync group create --name prod --systems nas1,nas2 --source-of-truth nas1 \
             --dataset 'tank/media/**' --map tank=backup --auto"
        ),
        "{}",
        deleted.stderr
    );
    assert_eq!(groups(&place), Vec::<Value>::new());
}

#[test]
fn what_is_not_known_is_never_in_sync() {
    let (place, _server) = fleet();
    create(&place, &[]).expect(0);
    let check = place.run(&["sync", "check", "--sync-group", "prod", "-o", "json"]).expect(0).json();
    assert_eq!(check["items"], json!([]), "the source has not reported");
    place.run(&["sync", "check", "--sync-group", "prod", "--exit-code"]).expect(9);
    place.run(&["why", "tank/media@nas2"]).refused(3, "E_REPLICA_NOT_FOUND");
    place.run(&["why", "tank/media"]).refused(2, "E_SELECTOR_INVALID");
    place.run(&["sync", "execute", "--sync-group", "prod", "--wait=1s"]).expect(7);
    place
        .run(&["transfer", "show", "01020304-0000-7000-8000-000000000000"])
        .refused(3, "E_TRANSFER_NOT_FOUND");
    let plan = place.run(&["sync", "plan", "--sync-group", "prod", "-o", "json"]).expect(0).json();
    assert_eq!((&plan["item"]["steps"], &plan["item"]["destroys"]), (&json!([]), &json!([])));
    let wrong = ["sync", "execute", "--sync-group", "prod", "--fingerprint", "0000"];
    place.run(&wrong).refused(10, "E_PLAN_STALE");
}

#[test]
fn a_group_of_every_flow_is_made_and_made_again_from_its_own_words() {
    let (place, _server) = fleet();
    let offices = [
        "--mode",
        "many-to-one",
        "--hub",
        "nas1",
        "--systems",
        "nas1,nas2,nas3",
        "--map",
        "nas2:tank=backup/two",
        "--map",
        "nas3:tank=backup/three",
    ];
    let cases: [(&[&str], &str); 4] = [
        (&offices, "nas2, nas3 → nas1"),
        (&["--mode", "chain", "--systems", "nas3,nas1,nas2"], "nas3 → nas1 → nas2"),
        (&["--mode", "mesh", "--systems", "nas1,nas2", "--on-divergence", "keep-both"], "nas1 ↔ nas2"),
        (
            &["--mode", "local", "--systems", "nas2", "--map", "tank=backup", "--follow-renames"],
            "within nas2",
        ),
    ];
    for (words, flow) in cases {
        let words = [&["group", "create", "--name", "prod", "--dataset", "tank/media/**"], words].concat();
        let made = place.run(&words).expect(0).stdout;
        assert!(made.contains(flow), "{words:?}: {made}");
        let before = place.run(&["group", "show", "prod", "-o", "json"]).expect(0).json()["item"].clone();
        let deleted = place.run(&["group", "delete", "prod"]).expect(0).stderr;
        let again = deleted.lines().find_map(|line| line.trim().strip_prefix("zfs-sync ")).unwrap();
        let again: Vec<&str> = again.split(' ').map(|word| word.trim_matches('\'')).collect();
        place.run(&again).expect(0);
        let after = place.run(&["group", "show", "prod", "-o", "json"]).expect(0).json()["item"].clone();
        for field in
            ["mode", "hub_name", "systems", "mappings", "member_mappings", "on_divergence", "follow_renames"]
        {
            assert_eq!(after[field], before[field], "{words:?}: {field}");
        }
        place.run(&["group", "delete", "prod"]).expect(0);
    }
    create(&place, &["--mode", "ring"]).expect(2);
    create(&place, &["--mirror-deletes", "much"]).expect(2);
    let unasked = create(&place, &["--mirror-deletes", "10"]).refused(12, "E_GROUP_INVALID");
    assert!(unasked.stderr.contains("/mirror_deletes"), "{}", unasked.stderr);
    create(&place, &["--allow-destroy", "--mirror-deletes", "100"]).refused(12, "E_POLICY_DELETES_ALL");
}

#[test]
fn an_edit_changes_what_it_names_and_nothing_else() {
    let (place, _server) = fleet();
    create(&place, &["--map", "tank=backup", "--exclude", "tank/media/tmp"]).expect(0);
    let edit = |words: &[&str]| place.run(&[&["group", "edit", "prod", "-o", "json"], words].concat());
    let item = |words: &[&str]| edit(words).expect(0).json()["item"].clone();
    let group =
        item(&["--auto", "--on-divergence", "use-majority", "--allow-destroy", "--mirror-deletes", "5%"]);
    assert_eq!((&group["auto"], &group["on_divergence"]), (&json!(true), &json!("use_majority")));
    assert_eq!(group["mirror_deletes"], json!({ "max_percent": 5 }));
    assert_eq!(group["mappings"], json!([{ "from": "tank", "to": "backup" }]));
    let group = item(&["--map", "nas2:tank=archive", "--mirror-deletes", "off", "--manual"]);
    let nas2 = group["systems"][1]["id"].as_str().unwrap().to_owned();
    assert_eq!(group["member_mappings"][&nas2], json!([{ "from": "tank", "to": "archive" }]));
    assert_eq!((&group["mirror_deletes"], &group["auto"]), (&Value::Null, &json!(false)));
    assert_eq!(group["mappings"], json!([{ "from": "tank", "to": "backup" }]), "those of all members stay");
    let group = item(&["--systems", "nas1,nas3", "--clear-excludes"]);
    assert_eq!(
        (&group["member_mappings"], &group["exclude"]),
        (&json!({}), &json!([])),
        "who leaves takes them along"
    );
    edit(&["--no-allow-destroy"]).expect(12);
    let group = item(&["--no-allow-destroy", "--on-divergence", "stop", "--clear-maps"]);
    assert_eq!((&group["allow_destroy"], &group["mappings"]), (&json!(false), &json!([])));
    edit(&["--auto", "--manual"]).expect(2);
    place.run(&["group", "edit", "none", "--auto"]).refused(3, "E_GROUP_NOT_FOUND");
}
