//! Tells the witness how the pools of this host are.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout};
use zfs_sync_api::v1::pool::PoolReport;
use zfs_sync_zfs::health::read_pools;

use super::{Shared, log_witness_error};

/// Disks that fail are told by other means within seconds; this is for people who look.
const LOOK: Duration = Duration::from_mins(5);
/// It is said again so often even when nothing has changed, so that old words can be told from present ones.
const REPEAT: Duration = Duration::from_hours(1);
/// A pool that does not answer may hold `zpool status` for ever.
const LIMIT: Duration = Duration::from_mins(1);

/// The loop.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut said: Option<(Instant, PoolReport)> = None;
    // A key that may not ask will not be allowed to in five minutes either: once is enough.
    let mut complained = false;
    loop {
        let read = shared.unless_shutdown(timeout(LIMIT, read_pools(&*shared.local))).await;
        let failed = !matches!(read, Some(Ok(Ok(_))));
        match read {
            None => return,
            Some(_) if failed && complained => {}
            Some(Err(_)) => tracing::warn!("`zpool status` does not answer"),
            Some(Ok(Err(error))) => {
                tracing::warn!(code = error.code(), "can not read the state of pools: {error}");
            }
            Some(Ok(Ok(pools))) => {
                let report = PoolReport { pools };
                let is_news =
                    said.as_ref().is_none_or(|(at, before)| *before != report || at.elapsed() >= REPEAT);
                if is_news {
                    let told = shared.client.report_pools(shared.system_id, &report);
                    match shared.unless_shutdown(told).await {
                        None => return,
                        Some(Ok(_)) => said = Some((Instant::now(), report)),
                        Some(Err(error)) => log_witness_error("tell how the pools are", &error),
                    }
                }
            }
        }
        complained = failed;
        if !shared.sleep(LOOK).await {
            return;
        }
    }
}
