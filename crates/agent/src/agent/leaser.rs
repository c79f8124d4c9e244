//! Asks the witness what to do.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use zfs_sync_api::v1::agent::LeaseRequest;

use super::{Shared, backoff::Backoff, log_witness_error, transfer};

/// How long the witness may hold an answer back: below the usual 30 s after which proxies give up.
const WAIT: Duration = Duration::from_secs(20);

/// An answer with nothing in it that came earlier than this was not waited for; then we wait ourselves.
const HASTE: Duration = Duration::from_millis(200);

/// The leaser's loop.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut backoff = Backoff::witness();
    while let Some(free) = shared.unless_shutdown(free_places(&shared)).await {
        let wait_ms = u64::try_from(WAIT.as_millis()).expect("a few seconds");
        let request = LeaseRequest { max: free, wait_ms };
        let asked = Instant::now();
        // What is leased in an answer that nobody hears any more is released by the next hello, or when the lease ends.
        let Some(answer) =
            shared.unless_shutdown(shared.client.lease_transfers(shared.system_id, &request)).await
        else {
            return;
        };
        match answer {
            Ok(answer) => {
                backoff.reset();
                shared.hear(answer.now);
                if answer.report_now {
                    shared.reporter.demand();
                }
                let idle = answer.transfers.is_empty();
                for leased in answer.transfers {
                    transfer::accept(&shared, leased).await;
                }
                if idle && asked.elapsed() < HASTE && !shared.sleep(HASTE).await {
                    return;
                }
            }
            Err(error) => {
                log_witness_error("ask for transfers", &error);
                if !shared.sleep(backoff.delay()).await {
                    return;
                }
            }
        }
    }
}

/// Waits until there is a place.
async fn free_places(shared: &Shared) -> u32 {
    let place = shared.places.acquire().await.expect("the places are never closed");
    drop(place);
    u32::try_from(shared.places.available_permits()).unwrap_or(u32::MAX).max(1)
}
