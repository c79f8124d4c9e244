//! `explain`: offline.

use crate::program::Place;

#[test]
fn a_code_is_explained_without_a_witness() {
    let page = Place::new().run(&["explain", "r_diverged"]).expect(0);
    assert!(page.stdout.starts_with("# R_DIVERGED\n"), "{}", page.stdout);
    assert!(page.stdout.contains("## What happens to the data"), "{}", page.stdout);
    assert!(page.stdout.contains("--keep-both"), "{}", page.stdout);
}

#[test]
fn an_unknown_code_is_not_found_and_the_nearest_is_named() {
    let ended = Place::new().run(&["explain", "R_DIVERGD"]).refused(3, "E_CODE_UNKNOWN");
    insta::assert_snapshot!(ended.stderr, @r"
    error[E_CODE_UNKNOWN]: there is no code `R_DIVERGD`
       data     nothing was changed
       hint:    did you mean `R_DIVERGED`?
       fix      zfs-sync explain --list
       more     zfs-sync explain E_CODE_UNKNOWN
    ");
}

#[test]
fn the_list_has_every_kind_of_code_in_every_form() {
    let place = Place::new();
    let list = place.run(&["explain", "--list", "-o", "json"]).expect(0).json();
    assert_eq!(list["schema"], "zfs-sync/v1/explain.list");
    let items = list["items"].as_array().unwrap();
    for kind in ["E_", "R_", "W_"] {
        assert!(items.iter().any(|item| item["code"].as_str().unwrap().starts_with(kind)), "{kind}");
    }
    assert!(items.iter().all(|item| !item["title"].as_str().unwrap().is_empty()));
    let lines = place.run(&["explain", "--list", "-o", "csv"]).expect(0).stdout.lines().count();
    assert_eq!(lines, items.len() + 1);
}
