//! The field guide's cases on the in-memory ZFS. `testbed_staged` plays the same table on real OpenZFS.

use std::time::Duration;

use anyhow::Result;
use zfs_sync_testkit::{
    fleet::Fleet,
    staged::{self, cases},
};

#[tokio::test(flavor = "multi_thread")]
async fn every_case_is_judged_and_resolved_as_the_table_says() -> Result<()> {
    let fleet = Fleet::start(&["nas1", "nas2"]).await?;
    staged::run(&fleet, &cases::chosen(), Duration::from_mins(1)).await?;
    fleet.stop().await
}
