//! Delivers results until the witness has heard them, across restarts: what is in the ledger is what is to be said.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use zfs_sync_api::{client::ClientError, codes::ErrorCode};

use super::{Shared, backoff::Backoff, log_witness_error};
use crate::ledger::Entry;

/// Wakes the outbox.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    wake: Notify,
}

impl Outbox {
    /// A result was written into the ledger.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }
}

/// The outbox's loop.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut backoff = Backoff::witness();
    loop {
        let Some(delivered) = shared.unless_shutdown(deliver_all(&shared)).await else { return };
        let wait = if delivered {
            backoff.reset();
            // Woken by every new result; this is only in case that a wake was lost.
            Duration::from_mins(1)
        } else {
            backoff.delay()
        };
        let woken = async {
            tokio::select! {
                () = shared.outbox.wake.notified(), if delivered => {}
                () = tokio::time::sleep(wait) => {}
            }
        };
        if shared.unless_shutdown(woken).await.is_none() {
            return;
        }
    }
}

/// Delivers everything that waits. False when something has to be tried again.
pub(super) async fn deliver_all(shared: &Shared) -> bool {
    let mut all = true;
    for Entry { transfer, result, .. } in shared.ledger.entries() {
        let Some(result) = result else { continue };
        match shared.client.report_result(transfer, &result).await {
            Ok(_) => {}
            Err(error) => match verdict(&error) {
                Verdict::Again => {
                    log_witness_error(&format!("deliver the result of transfer {transfer}"), &error);
                    all = false;
                    continue;
                }
                // The target tells what happened: its next report is planned from.
                Verdict::Never => {
                    tracing::warn!(transfer.id = %transfer, code = %error.code(), "the witness does not take the result of transfer {transfer}: {error}");
                }
            },
        }
        let generation = result.generation;
        let done = shared.ledger(move |ledger| ledger.acknowledge(transfer, generation)).await;
        if let Err(error) = done {
            tracing::error!(transfer.id = %transfer, error = %error, "could not note that the result of transfer {transfer} was heard");
            all = false;
        }
    }
    all
}

enum Verdict {
    Again,
    Never,
}

fn verdict(error: &ClientError) -> Verdict {
    if error.is_retryable() {
        return Verdict::Again;
    }
    match error.code() {
        // A key may come back, and a proxy or a witness of another version is replaced; the result must not be lost over it.
        ErrorCode::AuthRequired | ErrorCode::KeyInvalid | ErrorCode::Forbidden | ErrorCode::WitnessAnswer => {
            Verdict::Again
        }
        _ => Verdict::Never,
    }
}
