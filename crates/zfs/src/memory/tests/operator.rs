use super::*;

fn kind_of(result: Result<(), Error>) -> (Kind, String) {
    let error = result.expect_err("it is refused");
    assert_eq!(error.status, "exited with 1");
    (error.kind, error.stderr)
}

#[test]
fn the_same_seed_gives_the_same_world_and_another_one_another() {
    let build = |seed| {
        let host = host("nas1", "tank", seed);
        host.create_dataset("tank/a", DatasetKind::Filesystem).unwrap();
        host.write("tank/a", 3_000_000).unwrap();
        host.snapshot("tank/a@one").unwrap();
        (rows(&host), history(&host), host.content("tank/a@one").unwrap())
    };
    assert_eq!(build(7), build(7));
    let (left, right) = (build(7), build(8));
    assert_ne!(left.2, right.2);
    assert_ne!(left.0[0].properties.guid, right.0[0].properties.guid);
}

#[test]
fn snapshots_are_ordered_by_createtxg_and_share_one_when_taken_together() {
    let host = host("nas1", "tank", 1);
    host.create_dataset("tank/a", DatasetKind::Filesystem).unwrap();
    host.snapshot_recursive("tank@one").unwrap();
    host.snapshot("tank/a@two").unwrap();
    let history = history(&host);
    let (root, below) = (&history[&"tank".parse().unwrap()].0, &history[&"tank/a".parse().unwrap()].0);
    assert_eq!(root[0].createtxg, below[0].createtxg);
    assert!(below[0].createtxg < below[1].createtxg);
    assert_ne!(root[0].guid, below[0].guid);
}

#[test]
fn several_snapshots_are_taken_all_or_none() {
    let host = host("nas1", "tank", 1);
    host.create_dataset("tank/a", DatasetKind::Filesystem).unwrap();
    host.snapshot("tank/a@x").unwrap();
    let both = vec!["tank@x".parse().unwrap(), "tank/a@x".parse().unwrap()];
    let error = run(&host, &Command::Snapshot { snapshots: both }).unwrap_err();
    assert_eq!(error.kind, Kind::AlreadyExists);
    assert_eq!(error.stderr, "cannot create snapshot 'tank/a@x': dataset already exists\n");
    assert_eq!(snapshots(&host, "tank"), []);
}

#[test]
fn written_counts_since_the_newest_snapshot() {
    let (source, _) = pair();
    assert_eq!(row(&source, "tank/a").properties.written, 0);
    source.write("tank/a", 4096).unwrap();
    assert_eq!(row(&source, "tank/a").properties.written, 4096);
}

#[test]
fn what_is_overwritten_counts_as_written_and_the_dataset_refers_to_as_much_as_before() {
    let (source, _) = pair();
    let before = (row(&source, "tank/a").properties.referenced, source.content("tank/a").unwrap());
    source.overwrite("tank/a", 4096).unwrap();
    let properties = row(&source, "tank/a").properties;
    assert_eq!((properties.written, properties.referenced), (4096, before.0));
    assert_ne!(source.content("tank/a").unwrap(), before.1);
    let since = Command::Get { dataset: "tank/a".parse().unwrap(), properties: vec!["written@one".into()] };
    assert_eq!(run(&source, &since).unwrap(), "written@one\t4096\tlocal\n");
    source.snapshot("tank/a@two").unwrap();
    let two = &history(&source)[&"tank/a".parse().unwrap()].0[1];
    assert_eq!(two.referenced, before.0);
    source.rollback("tank/a@one").unwrap();
    assert_eq!(source.content("tank/a").unwrap(), before.1);
    assert_eq!(row(&source, "tank/a").properties.referenced, before.0);
}

#[test]
fn a_held_snapshot_can_not_be_destroyed() {
    let (source, _) = pair();
    source.hold("keep", "tank/a@one").unwrap();
    let (kind, text) = kind_of(source.destroy_snapshot("tank/a@one"));
    assert_eq!(kind, Kind::Held);
    assert!(text.starts_with("cannot destroy snapshot tank/a@one: it's being held."), "{text}");
    assert_eq!(kind_of(source.hold("keep", "tank/a@one")).0, Kind::AlreadyExists);
    source.release("keep", "tank/a@one").unwrap();
    assert_eq!(kind_of(source.release("keep", "tank/a@one")).0, Kind::NotFound);
    source.destroy_snapshot("tank/a@one").unwrap();
    assert_eq!(kind_of(source.destroy_snapshot("tank/a@one")).0, Kind::NotFound);
}

#[test]
fn renaming_keeps_guids_and_takes_children_along() {
    let (source, _) = pair();
    source.create_dataset("tank/a/b", DatasetKind::Volume).unwrap();
    let (before, guid) = (snapshots(&source, "tank/a"), row(&source, "tank/a/b").properties.guid);
    source.rename_snapshot("tank/a@one", "uno").unwrap();
    source.rename_dataset("tank/a", "tank/c").unwrap();
    assert_eq!(snapshots(&source, "tank/c"), [("uno".to_owned(), before[0].1)]);
    assert_eq!(row(&source, "tank/c/b").properties.guid, guid);
    assert_eq!(find_row(&source, "tank/a"), None);
}

#[test]
fn impossible_renames_say_why() {
    let (source, _) = pair();
    source.create_dataset("tank/b", DatasetKind::Filesystem).unwrap();
    let text = |to: &str| kind_of(source.rename_dataset("tank/a", to)).1;
    assert_eq!(text("tank/b"), "cannot rename 'tank/a': dataset already exists\n");
    assert_eq!(text("other/a"), "cannot rename to 'other/a': datasets must be within same pool\n");
    assert_eq!(text("tank/no/a"), "cannot create 'tank/no/a': parent does not exist\n");
    assert!(text("tank/a/x").contains("cannot be a descendant"));
}

#[test]
fn a_rollback_discards_newer_writes_snapshots_and_bookmarks() {
    let (source, _) = pair();
    let before = source.content("tank/a").unwrap();
    source.write("tank/a", 10).unwrap();
    source.snapshot("tank/a@two").unwrap();
    source.bookmark("tank/a@two", "two").unwrap();
    source.rollback("tank/a@one").unwrap();
    assert_eq!(source.content("tank/a").unwrap(), before);
    assert_eq!(snapshots(&source, "tank/a").len(), 1);
    assert_eq!(kind_of(source.destroy_bookmark("tank/a#two")).0, Kind::NotFound);
}

#[test]
fn a_recreated_dataset_has_another_guid() {
    let (source, _) = pair();
    let before = row(&source, "tank/a").properties.guid;
    source.destroy_dataset("tank/a").unwrap();
    source.create_dataset("tank/a", DatasetKind::Filesystem).unwrap();
    assert_ne!(row(&source, "tank/a").properties.guid, before);
    assert_eq!(snapshots(&source, "tank/a"), []);
}

#[test]
fn a_full_pool_and_a_read_only_dataset_refuse_writes() {
    let (source, _) = pair();
    assert_eq!(kind_of(source.write("tank/a", 2 * GIB)).0, Kind::NoSpace);
    source.set_capacity("tank", 4 * GIB).unwrap();
    source.write("tank/a", 2 * GIB).unwrap();
    source.set_readonly("tank/a", true).unwrap();
    assert!(kind_of(source.write("tank/a", 1)).1.contains("Read-only file system"));
}

#[test]
fn names_are_checked_and_missing_things_are_missing() {
    let (source, _) = pair();
    let missing = source.snapshot("tank/no@x").unwrap_err();
    assert_eq!((missing.kind, missing.status.as_str()), (Kind::NotFound, "exited with 2"));
    assert!(kind_of(source.create_dataset("tank/a$b", DatasetKind::Filesystem)).1.contains("not allowed"));
    assert_eq!(kind_of(source.create_dataset("tank/no/x", DatasetKind::Filesystem)).0, Kind::NotFound);
    assert_eq!(kind_of(source.create_dataset("tank/a", DatasetKind::Filesystem)).0, Kind::AlreadyExists);
}
