//! Follows an execution for the witness and for the ledger.

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Instant,
};

use async_trait::async_trait;
use zfs_sync_api::v1::certificate::TransportUsed;
use zfs_sync_core::ids::TransferId;
use zfs_sync_zfs::pipeline::{Flow, Flowing, Meter, ProgressCounter};

use crate::{
    engine::{HoldNote, RecordError, Stage, Watcher},
    ledger::Ledger,
};

/// What is known of an execution besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) stage: Stage,
    pub(super) total: Option<u64>,
    pub(super) resumed_from: Option<u64>,
}

/// One transfer's watcher.
#[derive(Debug)]
pub(super) struct LedgerWatcher {
    transfer: TransferId,
    ledger: Arc<Ledger>,
    flow: Flow,
    counter: ProgressCounter,
    meter: Mutex<Meter>,
    progress: Mutex<Progress>,
    transport: OnceLock<TransportUsed>,
}

impl LedgerWatcher {
    pub(super) fn new(transfer: TransferId, ledger: Arc<Ledger>, flow: Flow) -> Self {
        let progress = Mutex::new(Progress { stage: Stage::Preparing, total: None, resumed_from: None });
        let (counter, meter, transport) = (ProgressCounter::new(), Mutex::default(), OnceLock::new());
        Self { transfer, ledger, flow, counter, meter, progress, transport }
    }

    /// Bytes of the stream so far.
    pub(super) fn sent(&self) -> u64 {
        self.counter.bytes()
    }

    /// How the stream flows.
    pub(super) fn look(&self) -> Flowing {
        // Numbers for people: what a holder that panicked has left does no harm.
        let mut meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
        meter.look(Instant::now(), &self.counter)
    }

    pub(super) fn progress(&self) -> Progress {
        *self.progress.lock().expect("no holder of this lock panics")
    }

    /// The other side is reached so.
    pub(super) fn reached(&self, transport: TransportUsed) {
        let _already = self.transport.set(transport);
    }

    /// How the other side is reached, once that is known.
    pub(super) fn transport(&self) -> Option<TransportUsed> {
        self.transport.get().cloned()
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress.lock().expect("no holder of this lock panics"));
    }
}

#[async_trait]
impl Watcher for LedgerWatcher {
    fn counter(&self) -> &ProgressCounter {
        &self.counter
    }

    fn flow(&self) -> Flow {
        self.flow.clone()
    }

    fn stage(&self, stage: Stage) {
        if stage == Stage::Sending {
            // What was before is no part of how it flows.
            *self.meter.lock().unwrap_or_else(PoisonError::into_inner) = Meter::new();
        }
        self.change(|progress| progress.stage = stage);
    }

    fn expect(&self, total: Option<u64>, resumed_from: Option<u64>) {
        self.change(|progress| *progress = Progress { total, resumed_from, ..*progress });
    }

    fn warn(&self, text: &str) {
        tracing::warn!(transfer.id = %self.transfer, "{text}");
    }

    async fn record(&self, note: HoldNote) -> Result<(), RecordError> {
        let (ledger, transfer) = (Arc::clone(&self.ledger), self.transfer);
        let written = tokio::task::spawn_blocking(move || ledger.note_hold(transfer, note)).await;
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(RecordError(match std::error::Error::source(&error) {
                Some(cause) => format!("{error}: {cause}"),
                None => error.to_string(),
            })),
            Err(error) => Err(RecordError(error.to_string())),
        }
    }

    fn noted(&self, tag: &str) -> Vec<HoldNote> {
        self.ledger.noted(tag)
    }
}
