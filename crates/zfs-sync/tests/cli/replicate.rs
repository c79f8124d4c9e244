//! `replicate`: input that must never reach a shell. Replication itself is tested on real ZFS.

use crate::program::Place;

#[test]
fn names_that_are_none_are_refused_before_anything_is_run() {
    let place = Place::new();
    for (source, target, code) in [
        ("tank/$(reboot)", "backup/x", "E_NAME_INVALID"),
        ("tank/a b;c", "backup/x", "E_NAME_INVALID"),
        ("tank/../etc", "backup/x", "E_NAME_INVALID"),
        ("tank/media", "root@-oProxyCommand=x:backup", "E_HOST_INVALID"),
        ("tank/media", "nas2:", "E_NAME_INVALID"),
        ("tank/media@snapshot", "backup/x", "E_NAME_INVALID"),
    ] {
        let ended = place.run(&["replicate", source, target]).refused(2, code);
        assert!(ended.stderr.contains("nothing was changed"), "{source} {target}: {}", ended.stderr);
    }
    place.run(&["replicate", "-x:tank", "backup"]).expect(2);
    place.run(&["replicate", "tank/media", "-o:backup"]).expect(2);
}

#[test]
fn a_dataset_is_not_replicated_into_itself() {
    for (source, target) in [("tank/a", "tank/a"), ("tank/a", "tank/a/b"), ("tank/a/b", "tank/a")] {
        Place::new().run(&["replicate", source, target]).refused(12, "E_MAPPING_COLLISION");
    }
}

#[test]
fn a_host_that_can_not_be_reached_is_told_with_sshs_words() {
    let place = Place::new();
    // Port 1 of this machine: nobody listens there.
    let words = ["replicate", "root@127.0.0.1:tank/a", "backup/a", "--ssh-port-source", "1", "-o", "json"];
    let ended = place.run(&words);
    let problem = ended.problem();
    // Without ssh or zfs on this machine something else fails first; always with a code, and without having changed anything.
    let code = problem["code"].as_str().unwrap();
    assert!(["E_SSH_UNREACHABLE", "E_ZFS_NOT_FOUND", "E_PROCESS_START"].contains(&code), "{problem}");
    assert_eq!(problem["nothing_changed"], true, "{problem}");
    assert_ne!(ended.code, 0);
}
