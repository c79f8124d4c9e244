//! How the pools of this host are.

use jiff::tz::TimeZone;
use zfs_sync_core::health::PoolHealth;

use crate::{command::Command, error::Error, parse, runner::Runner};

/// Asks `zpool status`. Its times are in the time zone of the host, which is known on this one alone: from others `scan` tells it in words.
pub async fn read_pools(runner: &dyn Runner) -> Result<Vec<PoolHealth>, Error> {
    let output = runner.run(&Command::PoolStatus).await?;
    let zone = runner.is_this_host().then(TimeZone::system);
    let health = |pool: parse::PoolStatus| PoolHealth {
        name: pool.name,
        state: pool.state,
        problem: pool.problem,
        scan: pool.scan,
        // Of an hour that there is twice or not at all, either is near enough.
        scrubbed_at: pool.scrubbed.zip(zone.as_ref()).and_then(|(when, zone)| zone.to_timestamp(when).ok()),
        scrub_errors: pool.scrub_errors,
        errors: pool.errors,
    };
    Ok(parse::pool_statuses(&output.stdout).into_iter().map(health).collect())
}
