//! Help, and words that are wrong.

use std::os::unix::fs::symlink;

use crate::program::Place;

#[test]
fn help_leads_with_examples() {
    let help = Place::new().run(&["--help"]).expect(0);
    let examples = help.stdout.find("Examples:").unwrap();
    assert!(examples < help.stdout.find("Usage:").unwrap(), "{}", help.stdout);
    for command in [
        "demo",
        "server",
        "system",
        "group",
        "sync",
        "status",
        "why",
        "conflict",
        "plan",
        "whatif",
        "transfer",
        "explain",
        "replicate",
        "doctor",
    ] {
        assert!(help.stdout.contains(&format!("\n  {command} ")), "{command} is missing:\n{}", help.stdout);
    }
    assert!(help.stdout.contains("Exit codes:"), "{}", help.stdout);
}

#[test]
fn every_command_of_the_contract_exists() {
    let place = Place::new();
    let contract = [
        "demo",
        "server",
        "system token create",
        "agent enroll",
        "agent run",
        "system list",
        "system show",
        "group create",
        "group list",
        "group show",
        "group enable",
        "group disable",
        "group delete",
        "group edit",
        "conflict list",
        "conflict show",
        "conflict diff",
        "conflict resolve",
        "conflict ignore",
        "conflict unignore",
        "plan show",
        "plan apply",
        "whatif",
        "sync-group create",
        "sync check",
        "sync plan",
        "sync execute",
        "status",
        "why",
        "transfer list",
        "transfer show",
        "transfer cancel",
        "explain",
        "replicate",
        "doctor",
        "hold list",
        "hold release",
        "ssh-gate",
        "executor add",
        "executor list",
        "executor run",
    ];
    for words in contract {
        let mut words: Vec<&str> = words.split(' ').collect();
        words.push("--help");
        place.run(&words).expect(0);
    }
}

#[test]
fn wrong_words_are_told_on_standard_error_with_exit_code_2() {
    let place = Place::new();
    for words in [
        &["staus"][..],
        &["system", "list", "--output", "yaml"],
        &["sync", "execute", "--sync-group", "x", "--wait=soon"],
        &["group", "create", "--name", "x"],
        // There is no way to give a key where others could see it.
        &["status", "--api-key", "secret"],
        &[],
    ] {
        let ended = place.run(words).expect(2);
        assert_eq!(ended.stdout, "", "{words:?}");
        assert!(
            ended.stderr.contains("Usage:") || ended.stderr.contains("error:"),
            "{words:?}: {}",
            ended.stderr
        );
    }
}

#[test]
fn wrong_words_are_json_where_json_is_asked_for() {
    let problem = Place::new().run(&["system", "lst", "-o", "json"]).expect(2).problem();
    assert_eq!(problem["code"], "E_VALUE_INVALID");
    assert!(problem["detail"].as_str().unwrap().contains("lst"), "{problem}");
}

#[test]
fn the_program_answers_to_its_other_names() {
    let place = Place::new();
    let named = |name: &str| {
        let link = place.path().join(name);
        symlink(env!("CARGO_BIN_EXE_zfs-sync"), &link).unwrap();
        link
    };
    let listed = place.run_as(&named("zfs-sync-cli"), &["explain", "--list", "-o", "csv"]).expect(0);
    assert!(listed.stdout.starts_with("code,title\n"), "{}", listed.stdout);
    place.run_as(&named("zfs-sync-agent"), &["run", "--data-dir", "nobody"]).refused(12, "E_NOT_ENROLLED");
}
