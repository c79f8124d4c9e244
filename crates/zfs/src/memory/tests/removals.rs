//! What takes something away: `destroy` of one snapshot, `rollback` without `-r`.

use zfs_sync_core::plan::Casualty;

use super::*;
use crate::{
    command::{Dependents, Doomed, Spared},
    inventory,
};

/// `tank/a` with the snapshots one, two and three.
fn grown() -> Host {
    let (source, _) = pair();
    for label in ["two", "three"] {
        source.write("tank/a", 100_000).unwrap();
        source.snapshot(&format!("tank/a@{label}")).unwrap();
    }
    source
}

fn approve(host: &Host, label: &str) -> Result<Doomed, Spared> {
    let dataset: DatasetName = "tank/a".parse().unwrap();
    let (history, _) = history(host).remove(&dataset).unwrap();
    let casualty =
        history.iter().find(|snapshot| snapshot.label.as_str() == label).map(Casualty::from).unwrap();
    let of = Dependents::Dataset(dataset.clone());
    let found = now(inventory::read_dependents(&*host.runner(), of)).unwrap();
    Doomed::new(&dataset, &casualty, &found)
}

fn roll_back(host: &Host, to: &str) -> Result<String, Error> {
    run(host, &Command::RollBack { to: to.parse().unwrap() })
}

#[test]
fn what_was_approved_is_destroyed_and_nothing_else() {
    let source = grown();
    let doomed = approve(&source, "two").unwrap();
    run(&source, &Command::DestroySnapshot { snapshot: doomed.clone() }).unwrap();
    let left: Vec<_> = snapshots(&source, "tank/a").into_iter().map(|(label, _)| label).collect();
    assert_eq!(left, ["one", "three"]);
    let again = run(&source, &Command::DestroySnapshot { snapshot: doomed }).unwrap_err();
    assert_eq!(again.kind, Kind::NotFound, "{again:?}");
}

#[test]
fn a_held_snapshot_is_spared_and_refused_by_every_version() {
    let source = grown();
    let doomed = approve(&source, "two").unwrap();
    source.hold("keep", "tank/a@two").unwrap();
    assert!(matches!(approve(&source, "two"), Err(Spared::Held { holds: 1, .. })));
    let kind = || run(&source, &Command::DestroySnapshot { snapshot: doomed.clone() }).unwrap_err().kind;
    assert_eq!(kind(), Kind::Held);
    source.set_version("2.1.11-1");
    assert_eq!(kind(), Kind::Busy, "which is all that 2.1 says");
}

#[test]
fn one_snapshot_can_be_asked_about_alone() {
    let source = grown();
    source.hold("keep", "tank/a@two").unwrap();
    let ask = |name: &str| {
        let of = Dependents::Snapshot(name.parse().unwrap());
        now(inventory::read_dependents(&*source.runner(), of)).unwrap()
    };
    let found = ask("tank/a@two");
    assert_eq!((found.len(), found[0].holds), (1, 1));
    assert_eq!(ask("tank/a@no"), []);
}

#[test]
fn a_rollback_to_the_newest_gives_up_what_was_written() {
    let source = grown();
    let before = source.content("tank/a@three").unwrap();
    source.write("tank/a", 5000).unwrap();
    roll_back(&source, "tank/a@three").unwrap();
    assert_eq!(source.content("tank/a").unwrap(), before);
    assert_eq!(row(&source, "tank/a").properties.written, 0);
}

#[test]
fn a_rollback_never_destroys() {
    let source = grown();
    source.bookmark("tank/a@three", "three").unwrap();
    let before = snapshots(&source, "tank/a");
    assert_eq!(roll_back(&source, "tank/a@two").unwrap_err().kind, Kind::NewerExist);
    assert_eq!(snapshots(&source, "tank/a"), before);
    source.destroy_snapshot("tank/a@three").unwrap();
    let error = roll_back(&source, "tank/a@two").unwrap_err();
    assert_eq!(error.kind, Kind::NewerExist, "the bookmark is as old as its snapshot was");
    assert!(error.stderr.ends_with("tank/a#three\n"), "{error:?}");
    source.destroy_bookmark("tank/a#three").unwrap();
    assert!(
        row(&source, "tank/a").properties.written > 0,
        "what the destroyed snapshot had is still in the dataset"
    );
    roll_back(&source, "tank/a@two").unwrap();
    assert!(same_content(&source, "tank/a", &source, "tank/a@two"));
    assert_eq!(row(&source, "tank/a").properties.written, 0);
}
