//! Enrolment: tokens that are good once, and the words about those that are not.

use crate::program::{Place, Service};

fn url(place: &Place) -> String {
    let found = place.run(&["doctor", "-o", "json"]).json();
    let reachable =
        found["items"].as_array().unwrap().iter().find(|item| item["check"] == "witness.reachable").unwrap();
    reachable["detail"].as_str().unwrap().split(' ').next().unwrap().to_owned()
}

fn witness() -> (Place, Service, String) {
    let (place, server) = Place::with_witness();
    let url = url(&place);
    (place, server, url)
}

#[test]
fn a_token_lets_one_host_in_once() {
    let (place, _server, url) = witness();
    let token = place.run(&["system", "token", "create"]).expect(0);
    assert_eq!(token.stdout.lines().count(), 1, "only the token is data: {}", token.stdout);
    assert!(token.stderr.contains("agent enroll"), "{}", token.stderr);
    place.file("token", &token.stdout, 0o600);
    let enrol = |name: &str| {
        place.run(&["agent", "enroll", &url, "--token-file", "token", "--hostname", name, "--data-dir", name])
    };
    let first = enrol("nas1").expect(0);
    assert!(first.stdout.starts_with("enrolled as nas1 with "), "{}", first.stdout);
    assert!(!first.stdout.contains(token.stdout.trim()), "{}", first.stdout);
    enrol("nas2").refused(4, "E_TOKEN_USED");
    enrol("nas1").refused(5, "E_ALREADY_ENROLLED");
    let systems = place.run(&["system", "list", "-o", "json"]).expect(0).json();
    let systems = systems["items"].as_array().unwrap();
    assert_eq!(systems.len(), 1);
    assert_eq!(systems[0]["hostname"], "nas1");
    assert_eq!(systems[0]["inventory_as_of"], serde_json::Value::Null, "unknown is null");
}

#[test]
fn a_wrong_token_and_a_wrong_name_are_told_apart() {
    let (place, _server, url) = witness();
    place.file("wrong", "zst_not_a_token\n", 0o600);
    place.file("empty", "\n", 0o600);
    let enrol = |file: &str, name: &str| {
        place.run(&["agent", "enroll", &url, "--token-file", file, "--hostname", name, "--data-dir", "agent"])
    };
    enrol("wrong", "nas1").refused(4, "E_TOKEN_INVALID");
    enrol("missing", "nas1").refused(4, "E_CREDENTIAL_MISSING");
    enrol("empty", "nas1").refused(4, "E_CREDENTIAL_MISSING");
    for name in ["-oProxyCommand=x", "nas1;reboot", "a b", "näs", ""] {
        let name = format!("--hostname={name}");
        let words = ["agent", "enroll", &url, "--token-file", "wrong", &name, "--data-dir", "agent"];
        place.run(&words).refused(2, "E_HOST_INVALID");
    }
    assert_eq!(place.run(&["system", "list", "-o", "json"]).expect(0).json()["items"], serde_json::json!([]));
}

#[test]
fn a_revoked_token_lets_nobody_in() {
    let (place, _server, url) = witness();
    let created = place.run(&["system", "token", "create", "--ttl", "5m", "-o", "json"]).expect(0).json();
    let listed = place.run(&["system", "token", "list", "-o", "csv"]).expect(0).stdout;
    let token = created["item"]["token"].as_str().unwrap();
    assert!(listed.contains(created["item"]["id"].as_str().unwrap()) && !listed.contains(token), "{listed}");
    place.run(&["system", "token", "revoke", created["item"]["id"].as_str().unwrap()]).expect(0);
    let words = ["agent", "enroll", &url, "--token-file", "-", "--hostname", "nas1", "--data-dir", "nas1"];
    place.run_with_input(&words, token).refused(4, "E_TOKEN_INVALID");
}

#[test]
fn an_agent_that_is_not_enrolled_does_not_run() {
    let ended = Place::new().run(&["agent", "run", "--data-dir", "nowhere"]).refused(12, "E_NOT_ENROLLED");
    assert!(ended.stderr.contains("fix      zfs-sync agent enroll"), "{}", ended.stderr);
}

#[test]
fn the_doctor_says_what_is_wrong_and_how_to_mend_it() {
    let (place, server, _url) = witness();
    place.enrol("nas1");
    let healthy = place.run(&["doctor", "-o", "json", "--data-dir", "nas1"]).json();
    let verdict = |found: &serde_json::Value, check: &str| {
        let items = found["items"].as_array().unwrap();
        items
            .iter()
            .find(|item| item["check"] == check)
            .map(|item| item["verdict"].as_str().unwrap().to_owned())
    };
    assert_eq!(verdict(&healthy, "agent.enrolled").as_deref(), Some("pass"), "{healthy}");
    assert_eq!(verdict(&healthy, "agent.running").as_deref(), Some("warn"), "{healthy}");
    assert_eq!(verdict(&healthy, "witness.reachable").as_deref(), Some("pass"), "{healthy}");
    assert_eq!(verdict(&healthy, "witness.clock").as_deref(), Some("pass"), "{healthy}");
    drop(server);
    let sick = place.run(&["doctor", "-o", "json"]).expect(1).json();
    assert_eq!(verdict(&sick, "witness.reachable").as_deref(), Some("fail"), "{sick}");
    let table = place.run(&["doctor"]).expect(1);
    assert!(table.stdout.contains("E_WITNESS_UNREACHABLE"), "{}", table.stdout);
}
