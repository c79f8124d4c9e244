//! What a transfer may still finish when the agent is stopped.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::watcher::LedgerWatcher;
use crate::engine::Stage;

/// How often it is looked whether the end is still in reach.
const LOOK: Duration = Duration::from_millis(200);

/// Waits while the transfer may still end by itself within `grace`; returns when it will not.
pub(super) async fn in_reach(watcher: &LedgerWatcher, grace: Duration) {
    let deadline = Instant::now() + grace;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || !ends_within(watcher, left) {
            return;
        }
        sleep(LOOK.min(left)).await;
    }
}

fn ends_within(watcher: &LedgerWatcher, left: Duration) -> bool {
    let progress = watcher.progress();
    match progress.stage {
        // Nothing was sent, or something is to be destroyed: that can wait for the next start.
        Stage::Preparing | Stage::Destroying => false,
        Stage::Sending => {
            let (bytes, flowing) = (watcher.sent(), watcher.look());
            // More came than was estimated: it is as good as done, or the estimate says nothing.
            let is_beyond = progress.total.is_some_and(|total| bytes >= total);
            is_beyond || flowing.left(bytes, progress.total).is_some_and(|needed| needed <= left)
        }
        // All has been sent; what follows takes moments, and leaves nothing to tidy up.
        Stage::Verifying | Stage::Finishing => true,
    }
}
