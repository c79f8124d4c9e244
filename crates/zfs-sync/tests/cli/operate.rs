//! Holds, the gate for restricted keys, executors: what is decided before real ZFS is needed. The rest is in `testbed_operate`.

use crate::program::Place;

/// A `zfs` that says what it was asked, and knows one dataset with holds of ours and of somebody else.
const ZFS: &str = r#"#!/bin/sh
echo "$@" >>"$HOME/asked"
case "$1" in
version) printf 'zfs-2.3.9\nzfs-kmod-2.3.9\n' ;;
list) printf 'tank/a@one\t17\t5\t100\t0\t10\t2\ntank/a@two\t18\t7\t150\t0\t10\t1\ntank/a#zfs-sync:19:aaaaaaaa\t25\t6\t200\t-\t-\t-\n' ;;
holds) printf 'tank/a@one\tkeep\t100\ntank/a@one\tzfs-sync:step:1f:aaaaaaaa\t100\ntank/a@two\tzfs-sync:step:1f:bbbbbbbb\t150\n' ;;
esac
"#;

fn place() -> Place {
    let mut place = Place::new();
    std::fs::create_dir(place.path().join("bin")).unwrap();
    place.file("bin/zfs", ZFS, 0o755);
    place.file("bin/zpool", "#!/bin/sh\nprintf 'tank\\t1\\t1000\\t1\\t999\\tONLINE\\n'\n", 0o755);
    let path = format!("{}/bin:/usr/bin:/bin", place.path().display());
    place.variable("PATH", &path);
    place
}

fn asked(place: &Place) -> String {
    std::fs::read_to_string(place.path().join("asked")).unwrap_or_default()
}

const GATE: [&str; 7] =
    ["ssh-gate", "--role", "target", "--dataset", "backup/nas1", "--append-only", "--log=refused"];

#[test]
fn the_gate_runs_what_the_key_is_for() {
    let mut place = place();
    place.variable("SSH_ORIGINAL_COMMAND", "zfs receive -s -u 'backup/nas1/a b'");
    place.run(&GATE).expect(0);
    assert_eq!(asked(&place), "receive -s -u backup/nas1/a b\n");
}

#[test]
fn the_gate_refuses_everything_else_and_writes_it_down() {
    for line in ["", "sh", "id", "zfs destroy backup/nas1@a", "zfs receive -s -u tank/a", "zfs version\nid"] {
        let mut place = place();
        place.variable("SSH_ORIGINAL_COMMAND", line);
        place.variable("SSH_CONNECTION", "192.0.2.7 4711 192.0.2.1 22");
        let ended = place.run(&GATE).expect(1);
        assert!(ended.stderr.starts_with("zfs-sync: E_GATE_REFUSED: "), "{line}: {}", ended.stderr);
        assert_eq!((ended.stdout.as_str(), asked(&place).as_str()), ("", ""), "{line}");
        let log = std::fs::read_to_string(place.path().join("refused")).unwrap();
        assert!(log.contains(" from 192.0.2.7 for backup/nas1: "), "{log}");
        assert_eq!(log.lines().count(), 1, "{log}");
    }
}

#[test]
fn the_gate_destroys_only_what_nobody_holds() {
    let mut place = place();
    let clones = "#!/bin/sh\necho \"$@\" >>\"$HOME/asked\"\n[ \"$1\" != list ] || printf 'backup/nas1@a\\t7\\t1\\t-\\nbackup/nas1@b\\t8\\t0\\t-\\n'\n";
    place.file("bin/zfs", clones, 0o755);
    let gate = ["ssh-gate", "--role", "target", "--dataset", "backup/nas1"];
    place.variable("SSH_ORIGINAL_COMMAND", "zfs destroy backup/nas1@a");
    let ended = place.run(&gate).expect(1);
    assert!(ended.stderr.contains("is held 1 times"), "{}", ended.stderr);
    assert!(!asked(&place).contains("destroy"), "{}", asked(&place));
    place.variable("SSH_ORIGINAL_COMMAND", "zfs destroy backup/nas1@b");
    place.run(&gate).expect(0);
    assert!(asked(&place).ends_with("destroy backup/nas1@b\n"), "{}", asked(&place));
}

#[test]
fn stale_holds_are_listed_and_released_and_nothing_else() {
    let place = place();
    let listed = place.run(&["hold", "list", "-o", "json"]).expect(0).json();
    let items = listed["items"].as_array().unwrap();
    let verdicts: Vec<_> = items
        .iter()
        .map(|item| (item["name"].as_str().unwrap(), item["verdict"].as_str().unwrap()))
        .collect();
    let expected =
        [("tank/a@one", "stale"), ("tank/a#zfs-sync:19:aaaaaaaa", "unsure"), ("tank/a@two", "unsure")];
    assert_eq!(verdicts, expected);
    assert_eq!(listed["warnings"][0]["code"], "E_CREDENTIAL_MISSING");

    place.run(&["hold", "release", "--dry-run"]).expect(0);
    assert!(!asked(&place).contains("release"), "a dry run: {}", asked(&place));
    place.run(&["hold", "release"]).expect(0);
    let released: Vec<_> =
        asked(&place).lines().filter(|line| !line.starts_with(['l', 'v', 'h'])).map(str::to_owned).collect();
    assert_eq!(released, ["release zfs-sync:step:1f:aaaaaaaa tank/a@one"]);
}

#[test]
fn what_nobody_can_tell_is_released_only_by_name_and_force() {
    let place = place();
    place.run(&["hold", "release", "tank/a@two"]).refused(10, "E_HOLD_NEEDED");
    place.run(&["hold", "release", "tank/a@two", "--force"]).refused(10, "E_HOLD_NEEDED");
    place.run(&["hold", "release", "--force"]).expect(2);
    assert!(!asked(&place).contains("release"), "{}", asked(&place));
    place.run(&["hold", "release", "tank/a@two", "--force", "--yes"]).expect(0);
    assert!(asked(&place).contains("release zfs-sync:step:1f:bbbbbbbb tank/a@two"), "{}", asked(&place));
    place.run(&["hold", "release", "tank/a;b"]).refused(2, "E_NAME_INVALID");
}

#[test]
fn an_executor_without_systems_says_how_to_add_one() {
    let place = Place::new();
    let ended = place.run(&["executor", "run", "--data-dir", "nothing"]).refused(12, "E_NOT_ENROLLED");
    assert!(ended.stderr.contains("executor add"), "{}", ended.stderr);
    place.file("token", "secret", 0o600);
    let add = ["executor", "add", "http://127.0.0.1:1", "--token-file", "token", "--remote"];
    let remote = |remote: &'static str| [&add[..], &[remote]].concat();
    place.run(&remote("-oProxyCommand=x")).expect(2);
    place.run(&remote("root@a;b")).refused(2, "E_HOST_INVALID");
}
