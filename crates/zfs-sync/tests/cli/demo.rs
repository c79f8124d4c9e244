//! The demo, and through it everything at once.

use rustix::process::Signal;

use crate::program::Place;

#[test]
fn the_check_proves_that_everything_arrived() {
    let place = Place::new();
    let ended = place.run(&["demo", "--check", "-o", "json"]).expect(0);
    assert!(ended.stderr.contains("content differs from byte 0"), "{}", ended.stderr);
    let item = &ended.json()["item"];
    assert_eq!(item["replicas"], 8);
    assert!(item["snapshots_proved"].as_u64().unwrap() >= 8 * 4, "{item}");
    assert_eq!(item["resumed_transfers"], 1, "{item}");
    assert!(item["resumed_bytes"].as_u64().unwrap() > 0, "{item}");
    assert!(item["seconds"].as_f64().unwrap() < 60.0, "{item}");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "nothing stays behind");
}

#[test]
fn a_fleet_that_lives_can_be_asked_and_told() {
    let mut place = Place::new();
    let mut demo = place.start(&["demo", "--listen", "127.0.0.1:0"]);
    let url = demo.line_with("  export ZFS_SYNC_URL=");
    let key = demo.line_with("  export ZFS_SYNC_API_KEY=");
    place.variable("ZFS_SYNC_URL", &url);
    place.variable("ZFS_SYNC_API_KEY", &key);

    let waited =
        place.run(&["sync", "execute", "--sync-group", "demo", "--wait=60s", "-o", "json"]).expect(0);
    let replicas = waited.json()["items"].as_array().unwrap().clone();
    assert_eq!(replicas.len(), 8, "{replicas:?}");
    assert!(replicas.iter().all(|replica| !replica["recovery_point"].is_null()), "{replicas:?}");

    let status = place.run(&["status"]).expect(0).stdout;
    assert!(status.starts_with("systems         3 "), "{status}");
    let why = place.run(&["why", "tank/media@nas2"]).expect(0).stdout;
    let parts: Vec<_> =
        ["── facts", "── decision", "── next"].iter().map(|part| why.find(part).unwrap()).collect();
    assert!(parts.is_sorted() && why.contains("nas1: tank/media has "), "{why}");
    let csv = place.run(&["transfer", "list", "-o", "csv"]).expect(0).stdout;
    let id = csv.lines().nth(1).unwrap().split(',').next().unwrap();
    let shown = place.run(&["transfer", "show", id, "-o", "json"]).expect(0).json();
    assert_eq!(shown["item"]["id"], id);
    let plan = place.run(&["sync", "plan", "--sync-group", "demo"]).expect(0).stdout;
    assert!(plan.contains("nothing is destroyed"), "{plan}");
    // An operator's key makes no tokens.
    place.run(&["system", "token", "create"]).refused(4, "E_FORBIDDEN");

    let ended = demo.stop(Signal::INT).expect(0);
    assert!(ended.stderr.contains("stopping"), "{}", ended.stderr);
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "nothing stays behind");
}
