//! Questions asked before something happens.

use serde_json::json;

use crate::fleet::Fleet;

#[test]
fn a_snapshot_is_safe_to_delete_or_the_exit_code_says_so() {
    let fleet = Fleet::start();
    let (mut nas1, mut nas2) = (fleet.enrol("nas1"), fleet.enrol("nas2"));
    fleet.report(&mut nas1, &[("tank", &[]), ("tank/media", &[1, 2, 3])]);
    fleet.report(&mut nas2, &[("backup", &[]), ("backup/media", &[1, 2])]);
    let ask = |words: &[&str]| fleet.place.run(&[&["whatif", "--destroy"], words].concat());
    let safe = ask(&["tank/media@s1", "--system", "nas1"]).expect(0).stdout;
    assert!(safe.contains("safe to delete"), "{safe}");
    let lost = ask(&["nas1:tank/media@s1", "nas2:backup/media@s1", "-o", "json"]).expect(9).json();
    assert_eq!(lost["schema"], "zfs-sync/v1/whatif.destroy");
    assert_eq!(lost["items"][0]["answer"], "loses_data", "of two copies none is safe because of the other");
    let csv = ask(&["nas1:tank/media@s3", "-o", "csv"]).expect(9).stdout;
    assert!(csv.starts_with("system,snapshot,guid,answer,") && csv.contains(",loses_data,"), "{csv}");
    ask(&["tank/media@s1"]).refused(2, "E_SELECTOR_INVALID");
    ask(&["nas9:tank/media@s1"]).refused(3, "E_SYSTEM_NOT_FOUND");
    ask(&["nas1:tank/media"]).refused(2, "E_NAME_INVALID");
    fleet.place.run(&["whatif"]).expect(2);
    fleet.place.run(&["whatif", "--system-lost", "nas1", "--destroy", "x"]).expect(2);
}

#[test]
fn the_loss_of_a_system_is_told_before_it_happens() {
    let (fleet, _, _) = Fleet::diverged();
    let answer = fleet.place.run(&["whatif", "--system-lost", "nas1", "-o", "json"]).expect(0).json();
    let losses = answer["item"]["losses"].as_array().unwrap();
    let media = losses.iter().find(|loss| loss["dataset"] == "tank/media").unwrap();
    assert_eq!((&media["extent"], &media["groups"]), (&json!("recent"), &json!(["prod"])));
    let table = fleet.place.run(&["whatif", "--system-lost", "nas1"]).expect(0).stdout;
    assert!(table.starts_with("if nas1 were lost now: "), "{table}");
    assert!(table.contains("go on with backup/media on nas2:"), "{table}");
    let one = fleet.place.run(&["whatif", "--system-lost", "nas1", "--limit", "1"]).expect(0);
    assert_eq!(one.stdout.lines().next(), table.lines().next(), "the totals are about all");
    assert!(one.stderr.contains("only the 1 of 2 datasets that lose most are listed"), "{}", one.stderr);
    fleet.place.run(&["whatif", "--system-lost", "nas1", "--limit", "0"]).expect(2);
    let csv = fleet.place.run(&["whatif", "--system-lost", "nas1", "-o", "csv"]).expect(0).stdout;
    assert!(csv.lines().any(|line| line.starts_with("tank/media,source,recent,")), "{csv}");
    fleet.place.run(&["whatif", "--system-lost", "nas9"]).refused(3, "E_SYSTEM_NOT_FOUND");
}
