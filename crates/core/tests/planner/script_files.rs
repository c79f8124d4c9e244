//! tests/scripts: a fleet in NAME.txt, what is planned and said about it in NAME.expected.
//!
//! `ZFS_SYNC_UPDATE_SCRIPTS=1 cargo nextest run -p zfs-sync-core scripts` writes the expected texts anew; read the difference.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::fleet::Fleet;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts")
}

/// The names without their endings of all files that end with `ending`.
fn stems(ending: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(directory()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| name.strip_suffix(ending).map(str::to_owned)).collect()
}

fn answer(script: &str) -> String {
    let (fleet, questions) = Fleet::parse_with_questions(script);
    let mut text = fleet.render();
    for question in &questions {
        text.push_str(&fleet.render_proposal(question));
    }
    text
}

#[test]
fn scripts_give_what_is_expected() {
    let update = std::env::var_os("ZFS_SYNC_UPDATE_SCRIPTS").is_some();
    let mut different = Vec::new();
    for stem in stems(".txt") {
        let script = fs::read_to_string(directory().join(format!("{stem}.txt"))).unwrap();
        let file = directory().join(format!("{stem}.expected"));
        let Ok(found) = std::panic::catch_unwind(|| answer(&script)) else {
            different.push(format!("{stem}.txt can not be read or planned; see above"));
            continue;
        };
        if update {
            fs::write(file, found).unwrap();
        } else if fs::read_to_string(&file).unwrap_or_default() != found {
            different.push(format!("{stem}.expected is different; found:\n{found}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn every_script_tells_its_story() {
    assert_eq!(stems(".txt"), stems(".expected"), "each NAME.txt has its NAME.expected");
    for stem in stems(".txt") {
        let script = fs::read_to_string(directory().join(format!("{stem}.txt"))).unwrap();
        assert!(script.starts_with("# "), "{stem}.txt must begin with what it is about");
    }
}

#[test]
fn the_field_guides_cases_are_all_told() {
    let mut told = BTreeSet::new();
    for stem in stems(".txt") {
        let script = fs::read_to_string(directory().join(format!("{stem}.txt"))).unwrap();
        let comments: String = script.lines().filter(|line| line.starts_with('#')).collect();
        let words = comments.split(|c: char| !c.is_ascii_alphanumeric());
        let numbers =
            words.filter_map(|word| word.strip_prefix('F').and_then(|number| number.parse::<u32>().ok()));
        told.extend(numbers);
    }
    let all = (1..=18).chain(20..=24).chain([28]).chain(40..=42).chain(109..=112).chain([118]);
    let missing: Vec<u32> = all.filter(|number| !told.contains(number)).collect();
    assert!(missing.is_empty(), "no script for F{missing:?}");
}

/// The planning cases of the field guide that issue 3 names.
#[test]
fn every_planning_case_has_a_script() {
    let numbers = (1..=18).chain(20..=24).chain([28]).chain(40..=42).chain(109..=112).chain([118]);
    let stems = stems(".txt");
    let missing: Vec<String> = numbers
        .map(|number| format!("f{number:02}-"))
        .filter(|start| !stems.iter().any(|stem| stem.starts_with(start)))
        .collect();
    assert!(missing.is_empty(), "no script begins with any of {missing:?}");
}
