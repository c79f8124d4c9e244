use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use camino::Utf8PathBuf;
use zfs_sync_core::{
    inventory::DatasetKind,
    time::{Clock, ManualClock, Timestamp},
};
use zfs_sync_zfs::{
    command::{Command, Scope},
    error::Error,
    features::Features,
    memory::{Host, MemoryRunner},
    runner::{Output, Runner, Stage},
};

use super::*;

/// Counts what a scan costs.
#[derive(Debug)]
struct Counting {
    runner: Arc<MemoryRunner>,
    whole: AtomicUsize,
    single: AtomicUsize,
}

#[async_trait]
impl Runner for Counting {
    fn host(&self) -> &str {
        self.runner.host()
    }

    async fn run(&self, command: &Command) -> Result<Output, Error> {
        match command {
            Command::ListHistory { scope: Scope::Only(_) } => self.single.fetch_add(1, Ordering::Relaxed),
            Command::ListHistory { .. } => self.whole.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
        self.runner.run(command).await
    }

    fn start(
        &self,
        command: &Command,
        stdin: Option<std::io::PipeReader>,
        stdout: Option<std::io::PipeWriter>,
    ) -> Result<Box<dyn Stage>, Error> {
        self.runner.start(command, stdin, stdout)
    }
}

struct World {
    host: Host,
    clock: Arc<ManualClock>,
    runner: Arc<Counting>,
    scanner: Scanner,
    reports: Reports,
}

impl World {
    /// `tank` with twenty datasets of two snapshots each, all of them an hour old.
    async fn new() -> Self {
        Self::with_version("2.3.9-1").await
    }

    async fn with_version(version: &str) -> Self {
        let clock = Arc::new(ManualClock::new("2026-11-20T12:00:00Z".parse::<Timestamp>().unwrap()));
        let host = Host::new("nas1", clock.clone() as Arc<dyn Clock>, 1);
        host.set_version(version);
        host.create_pool("tank", 1 << 30).unwrap();
        for number in 0..20 {
            host.create_dataset(&format!("tank/d{number}"), DatasetKind::Filesystem).unwrap();
            host.snapshot(&format!("tank/d{number}@one")).unwrap();
            host.snapshot(&format!("tank/d{number}@two")).unwrap();
        }
        clock.advance(Duration::from_hours(1));
        let runner = Arc::new(Counting {
            runner: host.runner(),
            whole: AtomicUsize::new(0),
            single: AtomicUsize::new(0),
        });
        let features = Features::probe(&*runner).await.unwrap();
        let scanner =
            Scanner::new(runner.clone() as Arc<dyn Runner>, features, clock.clone() as Arc<dyn Clock>);
        Self { host, clock, runner, scanner, reports: Reports::new(100) }
    }

    /// Listings of everything, and of one dataset, that a scan needed.
    async fn scan(&mut self) -> (usize, usize) {
        let before = (self.runner.whole.load(Ordering::Relaxed), self.runner.single.load(Ordering::Relaxed));
        self.scanner.scan().await.unwrap();
        let after = (self.runner.whole.load(Ordering::Relaxed), self.runner.single.load(Ordering::Relaxed));
        (after.0 - before.0, after.1 - before.1)
    }

    /// A report that the witness takes, asking for nothing.
    fn report(&mut self) -> InventoryReport {
        self.report_answered(&[])
    }

    fn report_answered(&mut self, need: &[&str]) -> InventoryReport {
        let report = self.reports.next(&self.scanner, None);
        let need = need.iter().map(|name| name.parse().unwrap()).collect();
        self.reports.answered(&report, &InventoryAnswer { accepted: true, resync: false, need, now: None });
        report
    }

    /// Looked at and reported until there is nothing new.
    async fn told() -> Self {
        let mut world = Self::new().await;
        world.scan().await;
        world.report();
        assert!(!world.reports.has_news(&world.scanner));
        world
    }
}

fn names(report: &InventoryReport) -> Vec<&str> {
    report.datasets.iter().map(|dataset| dataset.name.as_str()).collect()
}

fn removed(report: &InventoryReport) -> Vec<&str> {
    report.removed.iter().map(DatasetName::as_str).collect()
}

#[tokio::test]
async fn the_first_look_is_one_listing_and_an_idle_one_lists_no_history() {
    let mut world = World::new().await;
    assert_eq!(world.scan().await, (1, 0));
    assert_eq!(world.scan().await, (0, 0));
    assert_eq!(world.scanner.datasets().count(), 21);
}

#[tokio::test]
async fn a_suspended_pool_is_not_taken_for_datasets_that_are_gone() {
    let mut world = World::told().await;
    world.host.create_pool("usb", 1 << 30).unwrap();
    world.scan().await;
    world.report();
    world.host.set_suspended("tank", true).unwrap();
    let error = world.scanner.scan().await.unwrap_err();
    assert_eq!(error.kind, zfs_sync_zfs::error::Kind::PoolUnavailable, "{error}");
    assert!(!world.reports.has_news(&world.scanner), "nothing is said to be gone");
    assert_eq!(world.scanner.datasets().count(), 22, "what was seen last stays");
    world.host.set_suspended("tank", false).unwrap();
    world.scan().await;
    assert!(!world.reports.has_news(&world.scanner));
}

#[tokio::test]
async fn a_pool_that_is_suspended_from_the_start_keeps_the_first_report_back() {
    let mut world = World::new().await;
    world.host.set_suspended("tank", true).unwrap();
    assert!(world.scanner.scan().await.is_err());
    assert!(!world.scanner.has_looked());
}

#[tokio::test]
async fn only_a_dataset_that_changed_is_read_and_reported() {
    let mut world = World::told().await;
    world.host.snapshot("tank/d7@three").unwrap();
    assert_eq!(world.scan().await, (0, 1));
    let report = world.report();
    assert_eq!(names(&report), ["tank/d7"]);
    assert_eq!(report.datasets[0].history.as_ref().unwrap().snapshots.len(), 3);
    assert_eq!((report.base, report.sequence), (Some(101), 102));
}

#[tokio::test]
async fn a_second_snapshot_in_the_same_second_is_seen() {
    let mut world = World::told().await;
    world.host.snapshot("tank/d7@three").unwrap();
    world.scan().await;
    world.report();
    world.host.snapshot("tank/d7@four").unwrap();
    assert_eq!(world.scan().await, (0, 1), "the clock has not moved, and neither has snapshots_changed");
    assert_eq!(world.report().datasets[0].history.as_ref().unwrap().snapshots.len(), 4);
    world.clock.advance(Duration::from_secs(3));
    assert_eq!(world.scan().await, (0, 1));
    assert_eq!(world.scan().await, (0, 0), "from now on nothing can hide in that second");
}

#[tokio::test]
async fn many_changes_are_read_in_one_listing() {
    let mut world = World::told().await;
    world.host.snapshot_recursive("tank@all").unwrap();
    assert_eq!(world.scan().await, (1, 0));
    assert_eq!(world.report().datasets.len(), 21);
}

#[tokio::test]
async fn without_snapshots_changed_every_look_lists_everything() {
    let mut world = World::with_version("2.1.11-1").await;
    assert_eq!(world.scan().await, (1, 0));
    assert_eq!(world.scan().await, (1, 0));
}

#[tokio::test]
async fn bookmarks_are_found_when_marked_or_in_time() {
    let mut world = World::told().await;
    world.host.bookmark("tank/d3@one", "a").unwrap();
    assert_eq!(world.scan().await, (0, 0), "snapshots_changed does not tell");
    world.scanner.mark("tank/d3".parse().unwrap());
    assert_eq!(world.scan().await, (0, 1));
    assert_eq!(names(&world.report()), ["tank/d3"]);

    world.host.bookmark("tank/d4@one", "a").unwrap();
    world.clock.advance(Duration::from_mins(5));
    let mut looks = 0;
    loop {
        let (whole, single) = world.scan().await;
        assert_eq!((whole, single), (0, 1), "a few at a time");
        looks += 1;
        if names(&world.report()) == ["tank/d4"] {
            break;
        }
    }
    assert!(looks <= 21);
}

#[tokio::test]
async fn an_unchanged_host_sends_an_empty_report() {
    let mut world = World::told().await;
    world.scan().await;
    assert!(!world.reports.has_news(&world.scanner));
    let report = world.report();
    assert_eq!((report.datasets.len(), report.removed.len(), report.base), (0, 0, Some(101)));
}

#[tokio::test]
async fn sizes_that_move_are_no_news_and_a_first_write_is() {
    let mut world = World::told().await;
    world.host.write("tank/d1", 1000).unwrap();
    world.scan().await;
    let report = world.report();
    assert_eq!(names(&report), ["tank/d1"], "written has become more than zero");
    assert!(report.datasets[0].history.is_none());
    world.host.write("tank/d1", 1000).unwrap();
    world.scan().await;
    assert!(!world.reports.has_news(&world.scanner));
}

#[tokio::test]
async fn after_a_step_what_was_written_is_told_once_exactly() {
    let mut world = World::told().await;
    world.host.write("tank/d1", 1000).unwrap();
    world.scan().await;
    world.report();
    let dataset = |name: &str| name.parse::<DatasetName>().unwrap();
    world.host.write("tank/d1", 5000).unwrap();
    // One that nothing happened to, and one that is gone, are asked for as well.
    for name in ["tank/d1", "tank/d2", "tank/gone"] {
        world.reports.tell_exactly(dataset(name));
    }
    world.scan().await;
    assert!(world.reports.has_news(&world.scanner));
    // Nobody answers this one.
    world.reports.next(&world.scanner, None);
    let report = world.report();
    assert_eq!(names(&report), ["tank/d1"]);
    assert!(report.datasets[0].properties.written >= 6000, "{report:?}");
    assert!(report.datasets[0].history.is_none());
    world.host.write("tank/d1", 5000).unwrap();
    world.scan().await;
    assert!(!world.reports.has_news(&world.scanner), "it was asked for once");
}

#[tokio::test]
async fn the_first_report_names_everything_and_histories_follow_on_demand() {
    let mut world = World::new().await;
    world.scan().await;
    let report = world.report_answered(&["tank/d1", "tank/d2", "tank/gone"]);
    assert_eq!((report.base, report.datasets.len()), (None, 21));
    assert!(report.datasets.iter().all(|dataset| dataset.history.is_none()));
    assert!(world.reports.has_news(&world.scanner));
    let report = world.report();
    assert_eq!(names(&report), ["tank/d1", "tank/d2"]);
    assert!(report.datasets.iter().all(|dataset| dataset.history.is_some()));
    assert!(!world.reports.has_news(&world.scanner));
}

#[tokio::test]
async fn what_is_gone_is_said_once() {
    let mut world = World::told().await;
    world.host.destroy_dataset("tank/d5").unwrap();
    world.host.rename_dataset("tank/d6", "tank/new").unwrap();
    world.scan().await;
    let report = world.report();
    assert_eq!(names(&report), ["tank/new"]);
    assert_eq!(removed(&report), ["tank/d5", "tank/d6"]);
    assert_eq!(world.report().removed.len(), 0);
}

#[tokio::test]
async fn a_dataset_made_anew_under_the_same_name_is_read_anew() {
    let mut world = World::told().await;
    world.host.destroy_dataset("tank/d5").unwrap();
    world.host.create_dataset("tank/d5", DatasetKind::Filesystem).unwrap();
    world.scan().await;
    let report = world.report();
    assert_eq!(names(&report), ["tank/d5"]);
    assert_eq!(report.datasets[0].history.as_ref().unwrap().snapshots.len(), 0);
}

#[tokio::test]
async fn an_unanswered_report_is_said_again_on_the_same_base() {
    let mut world = World::told().await;
    world.host.snapshot("tank/d7@three").unwrap();
    world.scan().await;
    let lost = world.reports.next(&world.scanner, None);
    let again = world.reports.next(&world.scanner, None);
    assert_eq!(names(&lost), names(&again));
    assert_eq!((lost.base, again.base), (Some(101), Some(101)));
    assert!(again.sequence > lost.sequence);
}

#[tokio::test]
async fn a_resync_names_everything_again() {
    let mut world = World::told().await;
    let report = world.reports.next(&world.scanner, None);
    world
        .reports
        .answered(&report, &InventoryAnswer { accepted: false, resync: true, need: vec![], now: None });
    assert!(world.reports.has_news(&world.scanner));
    let report = world.report();
    assert_eq!((report.base, report.datasets.len()), (None, 21));
}

#[tokio::test]
async fn a_failed_look_changes_nothing() {
    let mut world = World::told().await;
    world.host.destroy_dataset("tank/d5").unwrap();
    world.host.snapshot("tank/d6@three").unwrap();
    world.host.faults().fail_next(
        |command| matches!(command, Command::ListHistory { .. }),
        "cannot iterate filesystems: I/O error\n",
    );
    world.scanner.scan().await.unwrap_err();
    assert_eq!(world.scanner.datasets().count(), 21);
    assert!(!world.reports.has_news(&world.scanner));
    world.scan().await;
    assert_eq!(world.scanner.datasets().count(), 20);
}

#[tokio::test]
async fn a_dataset_that_goes_away_in_the_middle_begins_the_look_anew() {
    let mut world = World::told().await;
    world.host.snapshot("tank/d6@three").unwrap();
    world.host.faults().fail_next(
        |command| matches!(command, Command::ListHistory { .. }),
        "cannot open 'tank/d6': dataset does not exist\n",
    );
    assert_eq!(world.scan().await, (0, 2));
    assert_eq!(names(&world.report()), ["tank/d6"]);
}

#[tokio::test]
async fn more_history_than_one_report_holds_follows_in_the_next() {
    let mut world = World::told().await;
    for dataset in ["tank/d1", "tank/d2", "tank/d3"] {
        for number in 0..HISTORY_LIMIT / 2 {
            world.host.snapshot(&format!("{dataset}@x{number}")).unwrap();
        }
    }
    world.scan().await;
    let mut reported = Vec::new();
    while world.reports.has_news(&world.scanner) {
        let report = world.report();
        assert_eq!(report.datasets.len(), 1);
        reported.extend(names(&report).into_iter().map(str::to_owned));
    }
    assert_eq!(reported, ["tank/d1", "tank/d2", "tank/d3"]);
}

/// `tank/d1` and `tank/d2`, each with more than half of what one report holds, are now `tank/x1` and `tank/x2`; `tank/d5` is gone.
async fn two_long_histories_renamed() -> World {
    let mut world = World::told().await;
    for dataset in ["tank/d1", "tank/d2"] {
        for number in 0..HISTORY_LIMIT / 2 {
            world.host.snapshot(&format!("{dataset}@x{number}")).unwrap();
        }
    }
    world.scan().await;
    while world.reports.has_news(&world.scanner) {
        world.report();
    }
    world.host.rename_dataset("tank/d1", "tank/x1").unwrap();
    world.host.rename_dataset("tank/d2", "tank/x2").unwrap();
    world.host.destroy_dataset("tank/d5").unwrap();
    world.scan().await;
    world
}

#[tokio::test]
async fn a_renamed_dataset_leaves_its_old_name_in_the_report_that_has_the_new_one() {
    let mut world = two_long_histories_renamed().await;
    let report = world.report();
    assert_eq!((names(&report), removed(&report)), (vec!["tank/x1"], vec!["tank/d1", "tank/d5"]));
    assert!(world.reports.has_news(&world.scanner));
    // Nobody answers this one.
    let lost = world.reports.next(&world.scanner, None);
    let report = world.report();
    assert_eq!((names(&report), removed(&report)), (vec!["tank/x2"], vec!["tank/d2"]));
    assert_eq!(removed(&lost), removed(&report));
    assert!(!world.reports.has_news(&world.scanner));
    let report = world.report();
    assert_eq!((report.datasets.len(), report.removed.len()), (0, 0));
}

#[tokio::test]
async fn a_report_that_leaves_out_what_the_look_found_shows_no_moment() {
    let mut world = two_long_histories_renamed().await;
    let looked_at = Some(world.clock.now());
    let report = world.reports.next(&world.scanner, looked_at);
    assert_eq!((names(&report), report.looked_at), (vec!["tank/x1"], None));
    world
        .reports
        .answered(&report, &InventoryAnswer { accepted: true, resync: false, need: vec![], now: None });
    let report = world.reports.next(&world.scanner, looked_at);
    assert_eq!((names(&report), report.looked_at), (vec!["tank/x2"], looked_at));
}

#[tokio::test]
async fn a_dataset_that_takes_its_old_name_back_before_it_was_said_to_be_gone_was_never_gone() {
    let mut world = two_long_histories_renamed().await;
    world.report();
    world.host.rename_dataset("tank/x2", "tank/d2").unwrap();
    world.scan().await;
    assert!(!world.reports.has_news(&world.scanner));
    world.host.destroy_dataset("tank/d2").unwrap();
    world.scan().await;
    assert_eq!(removed(&world.report()), ["tank/d2"]);
}

/// sanoid on this host: its defaults, and a configuration once one is written.
struct Sanoid(tempfile::TempDir);

impl Sanoid {
    fn install() -> Self {
        let sanoid = Self(tempfile::tempdir().unwrap());
        let settings = ["autoprune = yes", "hourly = 48", "recursive =", "use_template ="];
        sanoid.write("defaults", &format!("[template_default]\n{}\n", settings.join("\n")));
        sanoid
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    fn files(&self) -> crate::sanoid::Files {
        let path = |name| Utf8PathBuf::from_path_buf(self.0.path().join(name)).unwrap();
        crate::sanoid::Files { config: path("config"), defaults: vec![path("defaults")] }
    }
}

/// `tank/d1 48`: how many hourly snapshots are kept, as reported.
fn hourly(report: &InventoryReport) -> Option<Vec<String>> {
    let line = |(name, retention): (&DatasetName, &Retention)| format!("{name} {}", retention.hourly);
    report.retention.as_ref().map(|retention| retention.iter().map(line).collect())
}

#[tokio::test]
async fn retention_is_told_in_complete_reports_and_when_it_changes() {
    let sanoid = Sanoid::install();
    let mut world = World::new().await;
    world.scanner = world.scanner.with_sanoid(sanoid.files());
    world.scan().await;
    assert_eq!(hourly(&world.report()), Some(vec![]), "a complete report says that there is none");
    assert!(!world.reports.has_news(&world.scanner));

    sanoid.write("config", "[tank/d1]\n");
    assert_eq!(world.scan().await, (0, 0));
    assert!(world.reports.has_news(&world.scanner));
    let lost = world.reports.next(&world.scanner, None);
    let report = world.report();
    assert_eq!((names(&report), hourly(&report)), (vec![], Some(vec!["tank/d1 48".into()])));
    assert_eq!(hourly(&lost), hourly(&report), "what was not answered is said again");
    assert!(!world.reports.has_news(&world.scanner));

    world.host.snapshot("tank/d7@three").unwrap();
    world.scan().await;
    let report = world.report();
    assert_eq!((names(&report), hourly(&report)), (vec!["tank/d7"], None), "not said again");

    world.reports.resync();
    let report = world.report();
    assert_eq!((report.base, hourly(&report)), (None, Some(vec!["tank/d1 48".into()])));
}

#[tokio::test]
async fn retention_follows_the_datasets_and_a_broken_file_keeps_no_report_back() {
    let sanoid = Sanoid::install();
    let mut world = World::new().await;
    world.scanner = world.scanner.with_sanoid(sanoid.files());
    sanoid.write("config", "[tank/d1]\nrecursive = yes\nhourly = 7\n");
    world.scan().await;
    assert_eq!(hourly(&world.report()), Some(vec!["tank/d1 7".into()]));
    world.host.create_dataset("tank/d1/new", DatasetKind::Filesystem).unwrap();
    world.scan().await;
    let report = world.report();
    assert_eq!(names(&report), ["tank/d1/new"]);
    assert_eq!(hourly(&report), Some(vec!["tank/d1 7".into(), "tank/d1/new 7".into()]));

    sanoid.write("config", "[tank/d1]\nhourly\n");
    world.host.snapshot("tank/d7@three").unwrap();
    world.scan().await;
    let report = world.report();
    assert_eq!((names(&report), hourly(&report)), (vec!["tank/d7"], Some(vec![])));
    assert!(!world.reports.has_news(&world.scanner));
}
