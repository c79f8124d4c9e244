//! The witness: first and second start, settings, stop.

use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;

use crate::program::Place;

const WORDS: [&str; 5] = ["server", "--listen", "127.0.0.1:0", "--data-dir", "witness"];

#[test]
fn the_first_start_prints_the_admin_key_and_the_second_does_not() {
    let mut place = Place::new();
    let mut server = place.start(&WORDS);
    let text = server.text_until("listening on ");
    let path = place.path().join("witness/admin.key");
    let key = std::fs::read_to_string(&path).unwrap().trim().to_owned();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(text.lines().filter(|line| *line == key).count(), 1, "{text}");
    let address = text.lines().last().unwrap().strip_prefix("listening on ").unwrap().to_owned();
    place.variable("ZFS_SYNC_API_KEY_FILE", path.to_str().unwrap());
    let status = place.run(&["status", "--server", &address, "-o", "json"]).expect(0).json();
    assert_eq!(status["schema"], "zfs-sync/v1/status");
    let stopped = server.stop(Signal::TERM).expect(0);
    assert!(!stopped.stderr.contains(&key), "the key is not in the log");

    let mut server = place.start(&WORDS);
    let text = server.text_until("listening on ");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert_eq!(std::fs::read_to_string(&path).unwrap().trim(), key, "the key stays");
    let address = text.trim().strip_prefix("listening on ").unwrap();
    place.run(&["status", "--server", address]).expect(0);
    server.stop(Signal::INT).expect(0);
}

#[test]
fn a_misspelt_key_is_named_and_nothing_is_started() {
    let place = Place::new();
    let config =
        place.file("server.toml", "listen = \"127.0.0.1:0\"\n\ndatabse_url = \"sqlite:///x\"\n", 0o644);
    let config = config.to_str().unwrap();
    let ended =
        place.run(&["server", "--config", config, "--data-dir", "witness"]).refused(12, "E_CONFIG_INVALID");
    let stderr = ended.stderr.replace(config, "server.toml");
    insta::assert_snapshot!(stderr, @r"
    error[E_CONFIG_INVALID]: server.toml:3: there is no setting `databse_url`
       data     nothing was changed
       hint:    did you mean `database_url`?
       more     zfs-sync explain E_CONFIG_INVALID
    ");
    assert!(!place.path().join("witness").exists());
}

#[test]
fn a_variable_with_a_wrong_value_is_named() {
    let mut place = Place::new();
    place.variable("ZFS_SYNC_LISTEN", "everywhere");
    let ended = place.run(&["server"]).refused(12, "E_CONFIG_INVALID");
    assert!(ended.stderr.contains("ZFS_SYNC_LISTEN is `everywhere`"), "{}", ended.stderr);
}

#[test]
fn an_address_that_is_taken_is_told_before_anything_is_stored() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let words = ["server", "--listen", &address, "--data-dir", "witness"];
    let ended = place.run(&words);
    let refusal = ended.stderr.lines().find(|line| line.starts_with("error[E_ADDRESS_IN_USE]"));
    assert!(ended.code == 11 && refusal.is_some_and(|line| line.contains(&address)), "{ended:?}");
    assert!(!place.path().join("witness").exists());
}

#[test]
fn a_second_witness_on_the_same_data_folder_is_refused() {
    let place = Place::new();
    let mut first = place.start(&WORDS);
    first.text_until("listening on ");
    let ended = place.run(&["server", "--listen", "127.0.0.1:0", "--data-dir", "witness"]);
    ended.refused(11, "E_LOCKED");
}

#[test]
fn a_database_that_can_not_be_used_is_told() {
    let place = Place::new();
    let words =
        ["server", "--listen", "127.0.0.1:0", "--data-dir", "witness", "--database-url", "mysql://x/y"];
    let ended = place.run(&words).expect(12);
    assert!(ended.stderr.contains("error[E_CONFIG_INVALID]"), "{}", ended.stderr);
}
