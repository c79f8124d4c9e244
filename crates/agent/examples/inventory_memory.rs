//! The memory of an agent that knows 10,000 datasets with 1,000,000 snapshots, from its first look to the last report of them.
//!
//! `cargo run --release -p zfs-sync-agent --example inventory_memory`. Listings are made up as `zfs` prints them; everything else is what an
//! agent does. Ends with 1 when the most that was ever in use is more than 100 MB.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark says what it measured, and ends when it can not"
)]

use std::{
    fmt::Write as _,
    fs,
    io::{PipeReader, PipeWriter},
    process::ExitCode,
    sync::Arc,
};

use async_trait::async_trait;
use zfs_sync_agent::inventory::{Reports, Scanner};
use zfs_sync_api::v1::agent::InventoryAnswer;
use zfs_sync_core::{name::DatasetName, time::SystemClock};
use zfs_sync_zfs::{
    command::{Command, Scope},
    error::Error,
    features::Features,
    runner::{Output, Runner, Stage},
};

const DATASETS: usize = 10_000;
const SNAPSHOTS: usize = 100;
const GOAL: u64 = 100_000_000;

/// A host that is only text.
#[derive(Debug)]
struct Printed;

fn name(number: usize) -> String {
    format!("tank/customers/{:02}/{:04}", number % 100, number)
}

fn number(dataset: &DatasetName) -> Option<usize> {
    let last = dataset.as_str().rsplit('/').next()?;
    last.parse().ok().filter(|number| name(*number) == dataset.as_str())
}

fn rows() -> String {
    let mut text = String::new();
    for number in 0..DATASETS {
        let guid = 1_000_000_007 * (number as u64 + 1);
        writeln!(
            text,
            "{}\t{guid}\tfilesystem\t{}\t0\t104857600\t104857600\t1099511627776\toff\tyes\toff\t-\t-\t1763640000",
            name(number),
            number + 10
        )
        .unwrap();
    }
    text
}

/// Every dataset of a host is snapshotted at the same moments, as snapshot tools do it.
fn history(number: usize) -> String {
    let (mut text, name) = (String::new(), name(number));
    for snapshot in 0..SNAPSHOTS {
        let guid = 7_000_000_000_000_000_000 + (number * SNAPSHOTS + snapshot) as u64;
        let created = 1_763_000_000 + snapshot * 3600;
        writeln!(
            text,
            "{name}@autosnap_2026-11-{:02}_{:02}:00:00_hourly\t{guid}\t{}\t{created}\t1048576\t104857600\t0",
            snapshot / 24 + 1,
            snapshot % 24,
            1000 + snapshot
        )
        .unwrap();
    }
    text
}

#[async_trait]
impl Runner for Printed {
    fn host(&self) -> &'static str {
        "nas1"
    }

    async fn run(&self, command: &Command) -> Result<Output, Error> {
        let stdout = match command {
            Command::Version => "zfs-2.3.9-1\nzfs-kmod-2.3.9-1\n".to_owned(),
            Command::ListPools => "tank\t1\t10995116277760\t1\t1\tONLINE\n".to_owned(),
            Command::ListDatasets { .. } => rows(),
            Command::ListHistory { scope: Scope::Only(dataset) } => {
                number(dataset).map(history).unwrap_or_default()
            }
            Command::ListHistory { scope: Scope::These(datasets) } => {
                datasets.iter().filter_map(number).map(history).collect()
            }
            Command::ListHistory { .. } => (0..DATASETS).map(history).collect(),
            other => panic!("nobody expected `{}`", other.display_line()),
        };
        Ok(Output { stdout, stderr: String::new() })
    }

    fn start(
        &self,
        command: &Command,
        _stdin: Option<PipeReader>,
        _stdout: Option<PipeWriter>,
    ) -> Result<Box<dyn Stage>, Error> {
        panic!("nobody expected `{}`", command.display_line())
    }
}

/// Bytes that `/proc/self/status` names so.
fn memory(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    let kilobytes: u64 = line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap();
    kilobytes * 1024
}

fn say(what: &str) {
    let megabytes = |field| memory(field) / 1_000_000;
    println!("{what}: {} MB in use, {} MB at most so far", megabytes("VmRSS"), megabytes("VmHWM"));
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    say("at the start");
    let runner: Arc<dyn Runner> = Arc::new(Printed);
    let features = Features::probe(&*runner).await.unwrap();
    let mut scanner = Scanner::new(runner, features, Arc::new(SystemClock));
    scanner.scan().await.unwrap();
    let snapshots: usize = scanner.datasets().map(|dataset| dataset.snapshots.len()).sum();
    say(&format!("after the first look at {snapshots} snapshots"));
    scanner.scan().await.unwrap();
    say("after the second");
    let mut reports = Reports::new(0);
    let mut count = 0;
    while reports.has_news(&scanner) {
        let report = reports.next(&scanner, None);
        count += 1;
        // The witness knows nothing yet.
        let unknown = report.datasets.iter().filter(|dataset| dataset.history.is_none());
        let need = unknown.map(|dataset| dataset.name.clone()).collect();
        reports.answered(&report, &InventoryAnswer { accepted: true, resync: false, need, now: None });
    }
    say(&format!("after {count} reports"));
    if memory("VmHWM") <= GOAL { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
