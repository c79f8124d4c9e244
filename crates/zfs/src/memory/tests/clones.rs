//! Clones: made by people, promoted, and received.

use super::*;
use crate::{command::Dependents, inventory};

/// `tank/a` with three snapshots, and `tank/c`, a clone of the second with a snapshot of its own.
fn cloned() -> Host {
    let (source, _) = pair();
    for label in ["two", "three"] {
        source.write("tank/a", 100_000).unwrap();
        source.snapshot(&format!("tank/a@{label}")).unwrap();
    }
    source.clone_snapshot("tank/a@two", "tank/c").unwrap();
    source.write("tank/c", 50_000).unwrap();
    source.snapshot("tank/c@own").unwrap();
    source
}

fn origin(host: &Host, dataset: &str) -> Option<String> {
    row(host, dataset).properties.origin
}

fn labels(host: &Host, dataset: &str) -> Vec<String> {
    snapshots(host, dataset).into_iter().map(|(label, _)| label).collect()
}

fn single(base: &str, to: &str) -> SendCommand {
    SendCommand::Single { base: base.parse().unwrap(), to: to.parse().unwrap(), form: StreamForm::WHOLE }
}

fn as_clone_of(origin: &str, dataset: &str) -> ReceiveCommand {
    ReceiveCommand { origin: Some(origin.parse().unwrap()), ..first(dataset) }
}

/// A host that has `tank/a` up to its second snapshot as `backup/a`.
async fn replica(source: &Host) -> Host {
    let target = host("nas2", "backup", 2);
    complete(source, full("tank/a@one"), &target, first("backup/a")).await;
    complete(source, incremental("tank/a@one", "tank/a@two"), &target, into("backup/a")).await;
    target
}

#[test]
fn a_clone_has_the_content_of_its_origin_and_takes_up_only_its_own() {
    let source = cloned();
    assert_eq!(origin(&source, "tank/c").as_deref(), Some("tank/a@two"));
    assert_eq!(origin(&source, "tank/a"), None);
    let clone = row(&source, "tank/c").properties;
    assert!(clone.referenced > 350_000 && clone.used < 100_000, "{clone:?}");
    source.clone_snapshot("tank/a@one", "tank/d").unwrap();
    assert!(same_content(&source, "tank/d", &source, "tank/a@one"));
    assert_eq!(row(&source, "tank/d").properties.written, 24_576, "nothing but itself");
}

#[test]
fn an_origin_follows_renames_of_its_snapshot_and_dataset() {
    let source = cloned();
    source.rename_snapshot("tank/a@two", "due").unwrap();
    source.rename_dataset("tank/a", "tank/b").unwrap();
    assert_eq!(origin(&source, "tank/c").as_deref(), Some("tank/b@due"));
}

#[test]
fn a_snapshot_with_a_clone_stays() {
    let source = cloned();
    let error = source.destroy_snapshot("tank/a@two").unwrap_err();
    assert_eq!(error.kind, Kind::HasClones);
    let found =
        now(inventory::read_dependents(&*source.runner(), Dependents::Dataset("tank/a".parse().unwrap())));
    let clones: Vec<_> = found.unwrap().into_iter().map(|one| one.clones.join(",")).collect();
    assert_eq!(clones, ["", "tank/c", ""]);
    assert_eq!(source.rollback("tank/a@one").unwrap_err().kind, Kind::HasClones);
    assert_eq!(source.destroy_dataset("tank/a").unwrap_err().kind, Kind::HasClones);
    source.destroy_dataset("tank/c").unwrap();
    source.destroy_snapshot("tank/a@two").unwrap();
}

#[test]
fn a_promotion_moves_snapshots_and_turns_the_origin_round() {
    let source = cloned();
    source.hold("keep", "tank/a@one").unwrap();
    source.clone_snapshot("tank/a@one", "tank/other").unwrap();
    let before = (snapshots(&source, "tank/a"), snapshots(&source, "tank/c"));
    let content = (source.content("tank/a").unwrap(), source.content("tank/c").unwrap());
    source.promote("tank/c").unwrap();
    assert_eq!(labels(&source, "tank/c"), ["one", "two", "own"]);
    assert_eq!(snapshots(&source, "tank/c")[..2], before.0[..2], "with their GUIDs");
    assert_eq!(snapshots(&source, "tank/a"), before.0[2..]);
    assert_eq!(origin(&source, "tank/c"), None);
    assert_eq!(origin(&source, "tank/a").as_deref(), Some("tank/c@two"));
    assert_eq!(origin(&source, "tank/other").as_deref(), Some("tank/c@one"));
    assert_eq!((source.content("tank/a").unwrap(), source.content("tank/c").unwrap()), content);
    assert_eq!(source.destroy_snapshot("tank/c@one").unwrap_err().kind, Kind::HasClones);
    assert_eq!(
        source.promote("tank/c").unwrap_err().stderr,
        "cannot promote 'tank/c': not a cloned filesystem\n"
    );
    source.promote("tank/a").unwrap();
    assert_eq!((snapshots(&source, "tank/a"), snapshots(&source, "tank/c")), before, "and back");
}

#[test]
fn a_promotion_takes_bookmarks_along_that_are_not_newer_than_the_origin() {
    let source = cloned();
    source.bookmark("tank/a@one", "older").unwrap();
    source.bookmark("tank/a@two", "origin").unwrap();
    source.bookmark("tank/a@three", "newer").unwrap();
    source.promote("tank/c").unwrap();
    let bookmarks = |dataset: &str| {
        let scope = Scope::Only(dataset.parse().unwrap());
        let text = run(&source, &Command::ListHistory { scope }).unwrap();
        let names = text.lines().filter_map(|line| line.split('\t').next()).filter(|name| name.contains('#'));
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(bookmarks("tank/c"), ["tank/c#older", "tank/c#origin"]);
    assert_eq!(bookmarks("tank/a"), ["tank/a#newer"]);
}

#[test]
fn a_promotion_is_refused_where_names_would_meet() {
    let source = cloned();
    source.snapshot("tank/c@one").unwrap();
    let error = source.promote("tank/c").unwrap_err();
    assert!(error.stderr.contains("conflicting snapshot 'one'"), "{error:?}");
    assert_eq!(labels(&source, "tank/c"), ["own", "one"]);
}

#[tokio::test]
async fn a_clone_is_received_as_a_clone_and_goes_on() {
    let source = cloned();
    let target = replica(&source).await;
    target.rename_snapshot("backup/a@two", "due").unwrap();
    let send = single("tank/a@two", "tank/c@own");
    assert!(estimate(&source, send.clone()) < 100_000, "only what differs travels");
    complete(&source, send, &target, as_clone_of("backup/a@due", "backup/c")).await;
    assert_eq!(origin(&target, "backup/c").as_deref(), Some("backup/a@due"));
    assert_eq!(snapshots(&target, "backup/c"), snapshots(&source, "tank/c"));
    assert!(same_content(&source, "tank/c", &target, "backup/c"));
    let received = row(&target, "backup/c").properties;
    assert!(received.readonly && !received.mounted && received.written == 0, "{received:?}");
    assert_eq!(target.destroy_snapshot("backup/a@due").unwrap_err().kind, Kind::HasClones);
    source.write("tank/c", 10).unwrap();
    source.snapshot("tank/c@next").unwrap();
    complete(&source, incremental("tank/c@own", "tank/c@next"), &target, into("backup/c")).await;
    assert!(same_content(&source, "tank/c", &target, "backup/c"));
}

#[tokio::test]
async fn a_replica_that_was_set_aside_is_the_origin_of_the_next() {
    let source = cloned();
    let target = replica(&source).await;
    target.rename_dataset("backup/a", "backup/a.aside").unwrap();
    let send = single("tank/a@two", "tank/a@three");
    complete(&source, send, &target, as_clone_of("backup/a.aside@two", "backup/a")).await;
    assert_eq!(labels(&target, "backup/a"), ["three"]);
    assert!(same_content(&source, "tank/a@three", &target, "backup/a"));
}

#[tokio::test]
async fn an_interrupted_clone_is_resumed() {
    let source = cloned();
    source.write("tank/c", 400_000).unwrap();
    source.snapshot("tank/c@large").unwrap();
    let target = replica(&source).await;
    let send = single("tank/a@two", "tank/c@large");
    let received = cut_at(200_000, &source, send, &target, as_clone_of("backup/a@two", "backup/c")).await;
    assert!(!received.success);
    assert_eq!(origin(&target, "backup/c").as_deref(), Some("backup/a@two"));
    assert_eq!(labels(&target, "backup/c"), Vec::<String>::new());
    complete(&source, resume(&target, "backup/c"), &target, into("backup/c")).await;
    assert!(same_content(&source, "tank/c@large", &target, "backup/c"));
    run(&target, &Command::AbortReceive { dataset: "backup/c".parse().unwrap() }).unwrap_err();
}

#[tokio::test]
async fn an_origin_must_exist_and_be_what_the_stream_starts_from() {
    let source = cloned();
    let target = replica(&source).await;
    let send = || single("tank/a@two", "tank/c@own");
    let (kind, text) = refused(&source, send(), &target, as_clone_of("backup/a@no", "backup/c")).await;
    assert_eq!(
        (kind, text.as_str()),
        (Kind::NotFound, "cannot receive: specified origin fs does not exist\n")
    );
    let (kind, _) = refused(&source, send(), &target, as_clone_of("backup/a@one", "backup/c")).await;
    assert_eq!(kind, Kind::BaseMismatch);
    let (kind, _) = refused(&source, send(), &target, as_clone_of("backup/a@two", "backup/a")).await;
    assert_eq!(kind, Kind::DestinationExists);
    assert_eq!(find_row(&target, "backup/c"), None);
    // Without a place that has the origin there is nothing to build on.
    let other = host("nas3", "other", 3);
    let (kind, text) = refused(&source, send(), &other, first("other/c")).await;
    assert_eq!(
        (kind, text.as_str()),
        (Kind::NotFound, "cannot receive: local origin for clone other/c@own does not exist\n")
    );
}

#[tokio::test]
async fn without_the_option_a_clone_finds_its_origin_in_the_pool() {
    let source = cloned();
    let target = replica(&source).await;
    target.rename_dataset("backup/a", "backup/elsewhere").unwrap();
    complete(&source, single("tank/a@two", "tank/c@own"), &target, first("backup/c")).await;
    assert_eq!(origin(&target, "backup/c").as_deref(), Some("backup/elsewhere@two"));
    assert!(same_content(&source, "tank/c", &target, "backup/c"));
}

#[tokio::test]
async fn a_clones_stream_begins_a_dataset_and_goes_into_none_that_exists() {
    let source = cloned();
    let target = replica(&source).await;
    target.rename_dataset("backup/a", "backup/c").unwrap();
    // After the promotion, what was `tank/a` begins with a snapshot that belongs to `tank/c`.
    source.promote("tank/c").unwrap();
    let send = || single("tank/c@two", "tank/a@three");
    let exists = "cannot receive new filesystem stream: destination 'backup/c' exists\nmust specify -F to overwrite it\n";
    let (kind, text) = refused(&source, send(), &target, into("backup/c")).await;
    assert_eq!((kind, text.as_str()), (Kind::DestinationExists, exists), "though it ends with the origin");
    let (_, text) = refused(&source, send(), &target, as_clone_of("backup/c@two", "backup/c")).await;
    assert_eq!(text, exists);
    assert_eq!(labels(&target, "backup/c"), ["one", "two"]);
    complete(&source, send(), &target, as_clone_of("backup/c@two", "backup/a")).await;
    assert!(same_content(&source, "tank/a", &target, "backup/a"));
    // From its own snapshot it is an ordinary incremental stream.
    complete(&source, incremental("tank/c@two", "tank/c@own"), &target, into("backup/c")).await;
    assert!(same_content(&source, "tank/c", &target, "backup/c"));
}

#[tokio::test]
async fn a_package_is_not_received_as_a_clone() {
    let source = cloned();
    let target = host("nas2", "backup", 2);
    complete(&source, full("tank/a@one"), &target, first("backup/a")).await;
    let send = incremental("tank/a@one", "tank/a@three");
    let (_, text) = refused(&source, send, &target, as_clone_of("backup/a@one", "backup/c")).await;
    assert_eq!(text, "cannot receive incremental stream: destination 'backup/c' does not exist\n");
}

#[test]
fn only_what_a_clone_comes_from_is_a_base() {
    let source = cloned();
    source.create_dataset("tank/other", DatasetKind::Filesystem).unwrap();
    source.snapshot("tank/other@two").unwrap();
    let kind =
        |base: &str, to: &str| run(&source, &Command::Estimate(single(base, to))).map_err(|error| error.kind);
    assert!(kind("tank/a@one", "tank/c@own").is_ok(), "older than the origin, in its past");
    assert_eq!(kind("tank/a@three", "tank/c@own"), Err(Kind::BaseMismatch), "newer than the origin");
    assert_eq!(kind("tank/other@two", "tank/c@own"), Err(Kind::BaseMismatch));
    assert_eq!(kind("tank/a@no", "tank/c@own"), Err(Kind::NotFound));
}
