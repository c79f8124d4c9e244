//! The field guide's cases on the in-memory ZFS. `testbed_staged` plays the same table on real OpenZFS.

use std::time::Duration;

use anyhow::Result;
use zfs_sync_testkit::{
    failures::{self, Extent},
    fleet::Fleet,
    staged::{self, cases},
};

#[tokio::test(flavor = "multi_thread")]
async fn every_case_is_judged_and_resolved_as_the_table_says() -> Result<()> {
    let fleet = Fleet::start(&["nas1", "nas2"]).await?;
    let chosen = cases::chosen();
    staged::run(&fleet, &chosen, Duration::from_mins(1)).await?;
    fleet.stop().await?;
    // A case that is changed here must not wait for virtual machines to be missed in docs/FAILURES.md; they confirm what it says.
    let extent = if chosen.len() == cases::count() { Extent::Whole } else { Extent::Named };
    failures::compare(failures::Suite::Planning, &staged::rows(&chosen, "2.3 → 2.3"), extent)
}

/// The planning cases of the field guide that issue 3 wants shown on real OpenZFS.
#[test]
fn every_planning_case_is_staged() {
    if std::env::var_os("ZFS_SYNC_STAGED").is_some() {
        return;
    }
    let numbers = (1..=18).chain(21..=24).chain([28]).chain(40..=42);
    let covered: Vec<&str> = cases::chosen().iter().flat_map(|case| case.covers).copied().collect();
    let missing: Vec<String> = numbers
        .map(|number| format!("F{number:02}"))
        .filter(|name| !covered.contains(&name.as_str()))
        .collect();
    assert!(missing.is_empty(), "nothing stages {missing:?}");
}
