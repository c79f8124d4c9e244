//! The field guide's cases on real OpenZFS 2.3. `staged` plays the same table on the in-memory ZFS.

mod machines;

use std::time::Duration;

use anyhow::Result;
use tokio::runtime::Runtime;
use zfs_sync_testkit::{
    failures::{self, Extent},
    staged::{self, Timing, cases},
};

use crate::machines::RealMachines;

/// What each state may take on emulated machines that serve all cases at once.
const PATIENCE: Duration = Duration::from_mins(8);

#[test]
fn every_case_is_judged_and_resolved_as_the_table_says() -> Result<()> {
    let runtime = Runtime::new()?;
    runtime.block_on(async {
        let machines = RealMachines::start().await?;
        let chosen = cases::chosen();
        let outcome = staged::run(&machines, &chosen, PATIENCE).await;
        say(&outcome.map_err(|error| error.context(machines.describe()))?);
        let extent = if chosen.len() == cases::count() { Extent::Whole } else { Extent::Named };
        failures::compare(failures::Suite::Planning, &staged::rows(&chosen, &machines.versions()?), extent)
    })
}

/// Says how long what took, for docs/MEASUREMENTS.md.
#[expect(clippy::print_stdout, reason = "a test that measures says what it measured")]
fn say(timing: &Timing) {
    for (part, took) in timing {
        println!("staged cases on real OpenZFS: {part} after {} ms", took.as_millis());
    }
}
