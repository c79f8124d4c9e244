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
