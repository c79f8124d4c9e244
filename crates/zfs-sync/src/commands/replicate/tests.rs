//! On the in-memory ZFS, read back from the hosts themselves.

use std::sync::Arc;

use clap::Parser as _;
use zfs_sync_core::{inventory::DatasetKind, time::SystemClock};
use zfs_sync_zfs::memory;

use super::*;
use crate::cli::{Args, Command};

const MIB: u64 = 1024 * 1024;

/// Two hosts; the first has a tree with two snapshots.
struct Pair {
    source: memory::Host,
    target: memory::Host,
}

impl Pair {
    fn new() -> Self {
        let host = |name: &str, pool: &str, seed| {
            let host = memory::Host::new(name, Arc::new(SystemClock), seed);
            host.create_pool(pool, 1024 * MIB).unwrap();
            host
        };
        let (source, target) = (host("here", "tank", 1), host("there", "backup", 2));
        source.create_dataset("tank/a", DatasetKind::Filesystem).unwrap();
        source.create_dataset("tank/a/vol", DatasetKind::Volume).unwrap();
        for label in ["one", "two"] {
            source.write("tank/a", MIB).unwrap();
            source.write("tank/a/vol", MIB).unwrap();
            source.snapshot_recursive(&format!("tank/a@{label}")).unwrap();
        }
        Self { source, target }
    }

    /// Replicates and tells how it ended, and how many bytes moved.
    async fn replicate(&self, options: &[&str]) -> (Exit, u64) {
        let mut words = vec!["zfs-sync", "replicate", "tank/a", "root@there:backup/copy", "--quiet"];
        words.extend(options);
        let Args { global, command } = Args::try_parse_from(words).unwrap();
        let Command::Replicate(arguments) = command else { panic!("{command:?}") };
        let context = Context::new(&global);
        let endpoint = |text| Endpoint::parse(text, "").unwrap();
        let source = (endpoint(&arguments.source), Host::with(self.source.runner()).await.unwrap());
        let target = (endpoint(&arguments.target), Host::with(self.target.remote_runner()).await.unwrap());
        let mut job = Job::new(&context, &arguments, source, target);
        if arguments.dry_run {
            return (job.preview().await.unwrap(), 0);
        }
        let report = job.work().await.unwrap();
        let bytes = job.done().values().map(|done| done.bytes).sum();
        (job.show(&report).unwrap(), bytes)
    }

    /// Every snapshot of the source is on the target, with the same content.
    fn is_equal(&self, labels: &[&str]) -> bool {
        let pairs = [("tank/a", "backup/copy"), ("tank/a/vol", "backup/copy/vol")];
        pairs.iter().all(|(source, target)| {
            labels.iter().all(|label| {
                let content = |host: &memory::Host, dataset| host.content(&format!("{dataset}@{label}"));
                content(&self.target, target).is_ok_and(|copy| copy == content(&self.source, source).unwrap())
            })
        })
    }

    async fn holds_on_source(&self) -> u32 {
        let host = Host::with(self.source.runner()).await.unwrap();
        let inventory = host.read_source(&"tank/a".parse().unwrap(), true, SystemClock.now()).await.unwrap();
        inventory
            .datasets
            .values()
            .flat_map(|dataset| &dataset.snapshots)
            .map(|snapshot| snapshot.holds)
            .sum()
    }
}

use zfs_sync_core::time::Clock as _;

#[tokio::test]
async fn everything_arrives_and_the_second_run_sends_nothing() {
    let pair = Pair::new();
    let (exit, bytes) = pair.replicate(&["--recursive"]).await;
    assert_eq!(exit, Exit::Done);
    assert!(bytes > 4 * MIB, "{bytes}");
    assert!(pair.is_equal(&["one", "two"]));
    assert_eq!(pair.replicate(&["--recursive"]).await, (Exit::Done, 0));
    pair.source.write("tank/a", MIB).unwrap();
    pair.source.snapshot_recursive("tank/a@three").unwrap();
    let (exit, bytes) = pair.replicate(&["--recursive"]).await;
    assert_eq!(exit, Exit::Done);
    assert!(bytes < 2 * MIB, "only what is new: {bytes}");
    assert!(pair.is_equal(&["one", "two", "three"]));
    assert_eq!(pair.holds_on_source().await, 0);
}

#[tokio::test]
async fn without_recursive_only_the_dataset_itself_is_sent() {
    let pair = Pair::new();
    assert_eq!(pair.replicate(&[]).await.0, Exit::Done);
    assert!(pair.target.content("backup/copy@two").is_ok());
    assert!(pair.target.content("backup/copy/vol@two").is_err());
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let pair = Pair::new();
    assert_eq!(pair.replicate(&["--recursive", "--dry-run"]).await, (Exit::Done, 0));
    assert!(pair.target.content("backup/copy").is_err());
    assert_eq!(pair.holds_on_source().await, 0);
}

#[tokio::test]
async fn what_was_cut_is_continued_by_the_same_command() {
    let pair = Pair::new();
    pair.source.write("tank/a/vol", 20 * MIB).unwrap();
    pair.source.snapshot_recursive("tank/a@big").unwrap();
    assert_eq!(pair.replicate(&[]).await.0, Exit::Done);
    // The full stream of the volume is small; the increment that follows it is large, and is cut.
    pair.target.faults().cut_stream_after(100 * MIB);
    pair.target.faults().cut_stream_after(8 * MIB);
    let (exit, first) = pair.replicate(&["--recursive"]).await;
    assert_eq!(exit, Exit::Partial, "the parent has arrived, the volume has not");
    assert!(!pair.is_equal(&["big"]));
    let (exit, second) = pair.replicate(&["--recursive"]).await;
    assert_eq!(exit, Exit::Done);
    assert!(pair.is_equal(&["one", "two", "big"]));
    assert!(
        first > 8 * MIB && second < 14 * MIB,
        "what had arrived was not sent again: {first}, then {second}"
    );
    assert_eq!(pair.holds_on_source().await, 0);
}

#[tokio::test]
async fn a_target_that_went_its_own_way_is_left_alone_or_set_aside() {
    let pair = Pair::new();
    assert_eq!(pair.replicate(&["--recursive"]).await.0, Exit::Done);
    pair.target.set_readonly("backup/copy/vol", false).unwrap();
    pair.target.write("backup/copy/vol", MIB).unwrap();
    pair.target.snapshot("backup/copy/vol@by-hand").unwrap();
    let by_hand = pair.target.content("backup/copy/vol@by-hand").unwrap();
    pair.source.write("tank/a/vol", MIB).unwrap();
    pair.source.snapshot_recursive("tank/a@three").unwrap();
    assert_eq!(pair.replicate(&["--recursive"]).await.0, Exit::Partial, "the parent goes on");
    assert_eq!(pair.target.content("backup/copy/vol@by-hand").unwrap(), by_hand, "nothing is overwritten");
    assert_eq!(pair.replicate(&["--recursive", "--keep-both"]).await.0, Exit::Done);
    let same = |dataset: &str, label: &str| {
        let original = pair.source.content(&format!("tank/a/vol@{label}")).unwrap();
        pair.target.content(&format!("{dataset}@{label}")).is_ok_and(|copy| copy == original)
    };
    assert!(same("backup/copy/vol", "three"), "the replica follows again");
    let host = Host::with(pair.target.runner()).await.unwrap();
    let after = host.read_target(&"backup".parse().unwrap(), true, SystemClock.now()).await.unwrap();
    let aside =
        after.datasets.keys().find(|name| name.as_str().starts_with("backup/copy/vol.aside-")).unwrap();
    assert_eq!(pair.target.content(&format!("{aside}@by-hand")).unwrap(), by_hand);
    // What was common is there once, and the replica begins with it.
    assert!(same(aside.as_str(), "one") && same(aside.as_str(), "two"));
}

#[tokio::test]
async fn a_target_that_has_everything_and_more_is_not_in_sync() {
    let pair = Pair::new();
    assert_eq!(pair.replicate(&[]).await.0, Exit::Done);
    pair.target.set_readonly("backup/copy", false).unwrap();
    pair.target.write("backup/copy", MIB).unwrap();
    assert_eq!(pair.replicate(&[]).await, (Exit::Failed, 0), "it was written to");
    pair.target.snapshot("backup/copy@by-hand").unwrap();
    assert_eq!(pair.replicate(&[]).await, (Exit::Failed, 0), "it has a snapshot of its own");
    let (exit, bytes) = pair.replicate(&["--keep-both"]).await;
    assert_eq!(exit, Exit::Done);
    assert!(bytes > 2 * MIB, "seeded anew beside what was set aside: {bytes}");
    assert!(pair.target.content("backup/copy@two").is_ok());
}

#[tokio::test]
async fn a_target_without_that_pool_fails_with_a_reason() {
    let pair = Pair::new();
    let other =
        Pair { source: pair.source.clone(), target: memory::Host::new("there", Arc::new(SystemClock), 3) };
    assert_eq!(other.replicate(&["--recursive"]).await, (Exit::Failed, 0));
}
