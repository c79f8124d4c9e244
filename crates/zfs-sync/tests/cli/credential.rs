//! Keys: where they come from, and when they are not used.

use crate::program::Place;

/// Nobody listens there, so that a key that was accepted shows as "unreachable".
const NOWHERE: &str = "http://127.0.0.1:1";

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    let place = Place::new();
    for mode in [0o644, 0o640, 0o604] {
        let key = place.file("key", "zsk_x", 0o600);
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(&key, permissions).unwrap();
        let key = key.to_str().unwrap();
        let ended =
            place.run(&["status", "--server", NOWHERE, "--key-file", key]).refused(4, "E_CREDENTIAL_UNSAFE");
        assert!(ended.stderr.contains(&format!("   fix      chmod 600 {key}\n")), "{}", ended.stderr);
        assert!(ended.stderr.contains("nothing was changed"), "{}", ended.stderr);
    }
}

#[test]
fn without_any_key_nothing_is_sent() {
    let place = Place::new();
    let ended = place.run(&["status", "--server", NOWHERE]).refused(4, "E_CREDENTIAL_MISSING");
    assert!(ended.stderr.contains("ZFS_SYNC_API_KEY"), "{}", ended.stderr);
}

#[test]
fn keys_are_found_in_their_order() {
    let mut place = Place::new();
    // The data folder of a witness that was started here.
    std::fs::create_dir_all(place.path().join("data")).unwrap();
    place.file("data/admin.key", "zsk_admin\n", 0o600);
    let from = |place: &Place| {
        let ended = place.run(&["status", "-v", "--server", NOWHERE]).expect(8);
        let line = ended.stderr.lines().find(|line| line.contains("key from")).unwrap().to_owned();
        line.split("key from ").nth(1).unwrap().to_owned()
    };
    assert_eq!(from(&place), "./data/admin.key");
    std::fs::create_dir_all(place.path().join(".config/zfs-sync")).unwrap();
    let own = place.file(".config/zfs-sync/key", "zsk_own", 0o600);
    assert_eq!(from(&place), own.to_str().unwrap());
    let named = place.file("named", "zsk_named", 0o600);
    place.variable("ZFS_SYNC_API_KEY_FILE", named.to_str().unwrap());
    assert_eq!(from(&place), named.to_str().unwrap());
    place.variable("ZFS_SYNC_API_KEY", "zsk_variable");
    assert_eq!(from(&place), "ZFS_SYNC_API_KEY");
}

#[test]
fn a_wrong_key_is_told_and_never_shown() {
    let (mut place, _server) = Place::with_witness();
    place.variable("ZFS_SYNC_API_KEY", "zsk_aaaaaaaa_wrong");
    let ended = place.run(&["status", "-v"]).expect(4);
    assert!(ended.stderr.contains("error[E_KEY_INVALID]"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("wrong"), "{}", ended.stderr);
}
