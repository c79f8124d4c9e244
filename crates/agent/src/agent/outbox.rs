//! Delivers results until the witness has heard them, across restarts: what is in the ledger is what is to be said.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::sync::Notify;
use zfs_sync_api::{client::ClientError, codes::ErrorCode};
use zfs_sync_core::ids::TransferId;

use super::{Shared, backoff::Backoff, log_witness_error};
use crate::ledger::Entry;

/// Wakes the outbox, and tells it what has to wait.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    wake: Notify,
    /// Transfers and generations whose results are not delivered yet. In memory only: what is found at a start is delivered at once.
    kept_back: Mutex<BTreeSet<(TransferId, u64)>>,
}

impl Outbox {
    /// A result was written into the ledger.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Until the guard is dropped the result of this attempt is not delivered, whoever wakes the outbox. To be called before the result is
    /// written into the ledger.
    pub(super) fn keep_back(&self, transfer: TransferId, generation: u64) -> KeptBack<'_> {
        self.kept_back().insert((transfer, generation));
        KeptBack { outbox: self, transfer, generation }
    }

    fn kept_back(&self) -> MutexGuard<'_, BTreeSet<(TransferId, u64)>> {
        self.kept_back.lock().expect("no holder of this lock panics")
    }
}

/// A result waits while this exists, and is delivered then.
#[derive(Debug)]
#[must_use = "the result is delivered as soon as the guard is dropped"]
pub(super) struct KeptBack<'a> {
    outbox: &'a Outbox,
    transfer: TransferId,
    generation: u64,
}

impl Drop for KeptBack<'_> {
    fn drop(&mut self) {
        self.outbox.kept_back().remove(&(self.transfer, self.generation));
        self.outbox.wake();
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

/// Delivers everything that waits and is not kept back. False when something has to be tried again.
pub(super) async fn deliver_all(shared: &Shared) -> bool {
    let mut all = true;
    for Entry { transfer, result, .. } in shared.ledger.entries() {
        let Some(result) = result else { continue };
        if shared.outbox.kept_back().contains(&(transfer, result.generation)) {
            continue;
        }
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
