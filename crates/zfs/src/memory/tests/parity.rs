//! The same scenario gives the same text here and on real OpenZFS 2.3.9, whose answers were recorded.

use rstest::rstest;

use super::*;
use crate::command::OwnTag;

/// What real `zfs` wrote to standard error.
fn recorded(scenario: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/linux-2.3.9/stderr");
    std::fs::read_to_string(format!("{folder}/{scenario}.txt")).unwrap()
}

fn tank() -> Host {
    let host = host("nas1", "tank", 1);
    for dataset in ["tank/media", "tank/again", "tank/held"] {
        host.create_dataset(dataset, DatasetKind::Filesystem).unwrap();
    }
    for day in 18..=20 {
        host.write("tank/media", 200_000).unwrap();
        host.snapshot(&format!("tank/media@daily-2026-11-{day}")).unwrap();
    }
    host.bookmark("tank/media@daily-2026-11-18", "daily-2026-11-18").unwrap();
    host.hold("zfs-sync:base:nas2", "tank/media@daily-2026-11-20").unwrap();
    host.snapshot("tank/held@one").unwrap();
    host.hold("keep", "tank/held@one").unwrap();
    host.create_encrypted_dataset("tank/secret", DatasetKind::Filesystem).unwrap();
    host.snapshot("tank/secret@daily-2026-11-18").unwrap();
    host.snapshot("tank/secret@daily-2026-11-19").unwrap();
    host
}

fn command(host: &Host, command: &Command) -> Result<(), Error> {
    run(host, command).map(drop)
}

fn media(label: &str) -> zfs_sync_core::name::SnapshotName {
    format!("tank/media@{label}").parse().unwrap()
}

#[rstest]
#[case("snapshot-exists", |host: &Host| host.snapshot("tank/media@daily-2026-11-18"))]
#[case("snapshot-dataset-missing", |host: &Host| host.snapshot("tank/nothing@one"))]
#[case("bookmark-name-taken", |host: &Host| host.bookmark("tank/media@daily-2026-11-19", "daily-2026-11-18"))]
#[case("bookmark-snapshot-missing", |host: &Host| host.bookmark("tank/media@nothing", "nothing"))]
#[case("hold-exists", |host: &Host| {
    let tag = OwnTag::new("zfs-sync:base:nas2").unwrap();
    command(host, &Command::Hold { tag, snapshot: media("daily-2026-11-20") })
})]
#[case("hold-snapshot-missing", |host: &Host| host.hold("tag", "tank/media@nothing"))]
#[case("release-missing", |host: &Host| host.release("no-such-tag", "tank/media@daily-2026-11-20"))]
#[case("release-snapshot-missing", |host: &Host| host.release("tag", "tank/media@nothing"))]
#[case("holds-snapshot-missing", |host: &Host| command(host, &Command::Holds { snapshot: media("nothing") }))]
#[case("destroy-held", |host: &Host| host.destroy_snapshot("tank/media@daily-2026-11-20"))]
#[case("destroy-held-dataset", |host: &Host| host.destroy_dataset("tank/held"))]
#[case("destroy-has-clone", |host: &Host| {
    host.create_dataset("tank/media/home videos", DatasetKind::Filesystem)?;
    host.snapshot("tank/media/home videos@before the cleanup")?;
    host.clone_snapshot("tank/media/home videos@before the cleanup", "tank/clone")?;
    host.destroy_snapshot("tank/media/home videos@before the cleanup")
})]
#[case("rollback-newer-exist", |host: &Host| command(host, &Command::RollBack { to: media("daily-2026-11-18") }))]
#[case("rollback-held", |host: &Host| {
    host.snapshot("tank/held@two")?;
    host.hold("keep", "tank/held@two")?;
    host.rollback("tank/held@one")
})]
#[case("send-other-dataset", |host: &Host| {
    host.create_dataset("tank/vm-1", DatasetKind::Volume)?;
    host.snapshot("tank/vm-1@daily-2026-11-18")?;
    let base = "tank/vm-1@daily-2026-11-18".parse().unwrap();
    command(host, &Command::Estimate(SendCommand::Single { base, to: media("daily-2026-11-19"), form: StreamForm::WHOLE }))
})]
#[case("destroy-snapshot-missing", |host: &Host| host.destroy_snapshot("tank/media@nothing"))]
#[case("destroy-bookmark-missing", |host: &Host| host.destroy_bookmark("tank/media#nothing"))]
#[case("destroy-dataset-missing", |host: &Host| host.destroy_dataset("tank/nothing"))]
#[case("rename-exists", |host: &Host| host.rename_dataset("tank/media", "tank/again"))]
#[case("rename-parent-missing", |host: &Host| host.rename_dataset("tank/media", "tank/no/such/parent"))]
#[case("create-exists", |host: &Host| host.create_dataset("tank/media", DatasetKind::Filesystem))]
#[case("list-dataset-missing", |host: &Host| {
    let scope = Scope::Only("tank/nothing".parse().unwrap());
    command(host, &Command::ListDatasets { scope, columns: ListColumns::Dataset })
})]
#[case("get-dataset-missing", |host: &Host| {
    command(host, &Command::Get { dataset: "tank/nothing".parse().unwrap(), properties: vec!["guid".into()] })
})]
#[case("send-dataset-missing", |host: &Host| command(host, &Command::Estimate(full("tank/nothing@one"))))]
#[case("send-snapshot-missing", |host: &Host| command(host, &Command::Estimate(full("tank/media@nothing"))))]
#[case("send-bookmark-missing", |host: &Host| {
    let base = "tank/media#nothing".parse().unwrap();
    command(host, &Command::Estimate(SendCommand::FromBookmark { base, to: media("daily-2026-11-19"), form: StreamForm::WHOLE }))
})]
#[case("send-wrong-order-all", |host: &Host| {
    command(host, &Command::Estimate(incremental("tank/media@daily-2026-11-20", "tank/media@daily-2026-11-18")))
})]
#[case("send-key-not-loaded", |host: &Host| {
    host.set_key_loaded("tank/secret", false).unwrap();
    command(host, &Command::Estimate(full("tank/secret@daily-2026-11-18")))
})]
#[case("token-corrupt-text", |host: &Host| {
    command(host, &Command::Estimate(SendCommand::Resume { token: "hello".into(), raw: false }))
})]
fn commands_are_refused_in_the_same_words(
    #[case] scenario: &str,
    #[case] act: fn(&Host) -> Result<(), Error>,
) {
    let error = act(&tank()).expect_err("real zfs refuses it");
    assert_eq!(error.stderr, recorded(scenario));
}

#[test]
fn a_held_snapshot_is_refused_in_the_words_of_the_older_version() {
    let host = tank();
    host.set_version("2.1.11-1");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/linux-2.1.11/stderr");
    let recorded = |scenario: &str| std::fs::read_to_string(format!("{folder}/{scenario}.txt")).unwrap();
    let error = host.destroy_snapshot("tank/media@daily-2026-11-20").unwrap_err();
    assert_eq!(error.stderr, recorded("destroy-held"));
    let error = host.destroy_dataset("tank/held").unwrap_err();
    assert_eq!(error.stderr, recorded("destroy-held-dataset"));
}

/// A pool `backup` where `dataset` has the first snapshot of `tank/media`.
async fn seeded(source: &Host, dataset: &str) -> Host {
    let target = host("nas2", "backup", 2);
    complete(source, full("tank/media@daily-2026-11-18"), &target, first(dataset)).await;
    target.set_readonly(dataset, false).unwrap();
    target
}

fn next() -> SendCommand {
    incremental("tank/media@daily-2026-11-18", "tank/media@daily-2026-11-19")
}

#[rstest]
#[case("receive-destination-exists", "backup/existing")]
#[case("receive-parent-missing", "backup/no/such/parent")]
#[case("receive-pool-missing", "nopool/x")]
#[case("receive-destination-is-pool", "backup")]
#[tokio::test]
async fn full_streams_are_refused_in_the_same_words(#[case] scenario: &str, #[case] dataset: &str) {
    let source = tank();
    let target = seeded(&source, "backup/existing").await;
    let (_, text) = refused(&source, full("tank/media@daily-2026-11-18"), &target, into(dataset)).await;
    assert_eq!(text, recorded(scenario));
}

#[tokio::test]
async fn incremental_streams_are_refused_in_the_same_words() {
    let source = tank();
    let said = async |dataset: &str, change: &dyn Fn(&Host)| {
        let target = seeded(&source, dataset).await;
        change(&target);
        refused(&source, next(), &target, into(dataset)).await.1
    };
    let modified = said("backup/modified", &|target| target.write("backup/modified", 1).unwrap()).await;
    assert_eq!(modified, recorded("receive-destination-modified"));
    let diverged = said("backup/diverged", &|target| {
        target.write("backup/diverged", 1).unwrap();
        target.snapshot("backup/diverged@local").unwrap();
    });
    assert_eq!(diverged.await, recorded("receive-over-written-local-snapshot"));
    let unrelated = said("backup/unrelated", &|target| {
        target.destroy_dataset("backup/unrelated").unwrap();
        target.create_dataset("backup/unrelated", DatasetKind::Filesystem).unwrap();
    });
    assert_eq!(unrelated.await, recorded("receive-no-matching-source"));

    let target = seeded(&source, "backup/existing").await;
    let (_, text) = refused(&source, next(), &target, into("backup/nothing")).await;
    assert_eq!(text, recorded("receive-incremental-into-nothing"));
    let abort = |dataset: &str| {
        run(&target, &Command::AbortReceive { dataset: dataset.parse().unwrap() }).unwrap_err().stderr
    };
    assert_eq!(abort("backup/existing"), recorded("receive-abort-nothing"));
    assert_eq!(abort("backup/no-such-dataset"), recorded("receive-abort-missing"));
}

#[tokio::test]
async fn a_taken_snapshot_name_is_refused_in_the_same_words() {
    let (source, target) = pair();
    complete(&source, full("tank/a@one"), &target, first("backup/namesake")).await;
    source.snapshot("tank/a@two").unwrap();
    target.snapshot("backup/namesake@two").unwrap();
    let send = incremental("tank/a@one", "tank/a@two");
    let (_, text) = refused(&source, send, &target, into("backup/namesake")).await;
    assert_eq!(text, recorded("receive-snapshot-name-taken"));
}

#[tokio::test]
async fn cut_streams_and_saved_state_are_told_in_the_same_words() {
    let source = tank();
    let target = seeded(&source, "backup/incremental").await;
    let until_token = |text: &str| text.split("zfs send -t").next().unwrap().to_owned();

    let cut =
        cut_at(150_000, &source, full("tank/media@daily-2026-11-18"), &target, into("backup/partial")).await;
    assert_eq!(until_token(&cut.stderr), until_token(&recorded("receive-incomplete-stream-saved")));
    let (_, text) =
        refused(&source, full("tank/media@daily-2026-11-18"), &target, into("backup/partial")).await;
    assert_eq!(text, recorded("receive-over-partial-state"));

    cut_at(150_000, &source, next(), &target, into("backup/incremental")).await;
    let (_, text) = refused(&source, next(), &target, into("backup/incremental")).await;
    assert_eq!(text, recorded("receive-incremental-over-partial-state"));
    let (_, text) =
        refused(&source, resume(&target, "backup/incremental"), &target, into("backup/partial")).await;
    assert_eq!(text, recorded("receive-wrong-resume-stream"));

    target.rename_dataset("backup/incremental", "backup/busy").unwrap();
    target.rename_snapshot("backup/busy@daily-2026-11-18", "one").unwrap();
    let error = target.destroy_snapshot("backup/busy@one").unwrap_err();
    assert_eq!(error.stderr, recorded("destroy-snapshot-under-partial-state"));
    target.rollback("backup/busy@one").unwrap();

    let unsaved =
        cut_at(1000, &source, full("tank/media@daily-2026-11-18"), &target, into("backup/damaged")).await;
    assert_eq!(unsaved.stderr, recorded("receive-incomplete-stream"));
}

#[tokio::test]
async fn dead_tokens_are_refused_in_the_same_words() {
    let source = tank();
    let target = host("nas2", "backup", 2);
    for dataset in ["tank/dead-target", "tank/dead-dataset"] {
        source.create_dataset(dataset, DatasetKind::Filesystem).unwrap();
        source.write(dataset, 300_000).unwrap();
        source.snapshot(&format!("{dataset}@two")).unwrap();
    }
    let dead = |dataset: &str| {
        run(&source, &Command::Estimate(resume(&target, dataset))).expect_err("the token is dead").stderr
    };
    cut_at(150_000, &source, full("tank/dead-target@two"), &target, into("backup/one")).await;
    source.destroy_snapshot("tank/dead-target@two").unwrap();
    assert_eq!(dead("backup/one"), recorded("token-snapshot-destroyed"));
    source.snapshot("tank/dead-target@two").unwrap();
    assert_eq!(dead("backup/one"), recorded("token-snapshot-recreated"));
    cut_at(150_000, &source, full("tank/dead-dataset@two"), &target, into("backup/two")).await;
    source.destroy_dataset("tank/dead-dataset").unwrap();
    assert_eq!(dead("backup/two"), recorded("token-dataset-destroyed"));
}

#[tokio::test]
async fn keys_and_space_are_asked_for_in_the_same_words() {
    let source = tank();
    let target = host("nas2", "backup", 2);
    let secret = |raw| SendCommand::Full {
        to: "tank/secret@daily-2026-11-18".parse().unwrap(),
        form: StreamForm::wished(raw),
    };
    let onward = |raw| SendCommand::Incremental {
        base: "tank/secret@daily-2026-11-18".parse().unwrap(),
        to: "tank/secret@daily-2026-11-19".parse().unwrap(),
        form: StreamForm::wished(raw),
    };
    complete(&source, secret(true), &target, first("backup/secret-raw")).await;
    let (_, text) = refused(&source, onward(false), &target, into("backup/secret-raw")).await;
    assert_eq!(text, recorded("receive-not-raw-on-raw"));
    complete(&source, secret(false), &target, first("backup/secret-plain")).await;
    let (_, text) = refused(&source, onward(true), &target, into("backup/secret-plain")).await;
    assert_eq!(text, recorded("receive-raw-incremental-over-unencrypted"));
    target.create_encrypted_dataset("backup/vault", DatasetKind::Filesystem).unwrap();
    target.set_key_loaded("backup/vault", false).unwrap();
    let (_, text) =
        refused(&source, full("tank/media@daily-2026-11-18"), &target, into("backup/vault/locked")).await;
    assert_eq!(text, recorded("receive-parent-key-not-loaded"));

    target.create_pool("small", 100_000).unwrap();
    let (_, text) = refused(&source, full("tank/media@daily-2026-11-18"), &target, into("small/full")).await;
    assert_eq!(text, recorded("receive-out-of-space"));
}

#[tokio::test]
async fn a_dry_run_of_a_token_prints_the_same_lines() {
    let (source, target) = pair();
    cut_at(150_000, &source, full("tank/a@one"), &target, into("backup/a")).await;
    let text = run(&source, &Command::Estimate(resume(&target, "backup/a"))).unwrap();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/linux-2.3.9");
    let recorded = std::fs::read_to_string(format!("{folder}/token-full-dry-run.txt")).unwrap();
    // The record's stream had no large, embedded or compressed blocks; ours always asks for them.
    let words = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.ends_with("ok = 1"));
        lines.map(|line| line.split([' ', '\t']).filter(|word| !word.is_empty()).take(1).collect()).collect()
    };
    assert_eq!(words(&text), words(&recorded));
}
