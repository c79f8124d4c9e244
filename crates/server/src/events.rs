//! What happened, for whoever listens. Rows are the truth; a broadcast only wakes.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};
use zfs_sync_core::time::{Clock, Timestamp};
use zfs_sync_store::{EventRow, Store};

/// Progress that a slow listener may miss: the next second brings newer figures. Ten seconds of fifty transfers.
const PROGRESS_KEPT: usize = 512;

/// Something to tell listeners.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    /// New rows may be there.
    Rows,
    /// Figures that are gone in a second and are not stored.
    Passing(Passing),
}

/// An event without a row.
#[derive(Clone, Debug)]
pub(crate) struct Passing {
    pub(crate) kind: &'static str,
    pub(crate) data: Value,
    pub(crate) at: Timestamp,
}

/// Stores events and wakes listeners.
#[derive(Clone, Debug)]
pub(crate) struct EventHub {
    store: Store,
    clock: Arc<dyn Clock>,
    newest: Arc<watch::Sender<u64>>,
    changes: Arc<watch::Sender<u64>>,
    passing: broadcast::Sender<Passing>,
}

/// One listener.
#[derive(Debug)]
pub(crate) struct Listener {
    newest: watch::Receiver<u64>,
    passing: broadcast::Receiver<Passing>,
}

impl EventHub {
    pub(crate) fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        let (newest, _) = watch::channel(0);
        let (changes, _) = watch::channel(0);
        let (passing, _) = broadcast::channel(PROGRESS_KEPT);
        Self { store, clock, newest: Arc::new(newest), changes: Arc::new(changes), passing }
    }

    /// Stores an event. What it tells has happened whether or not it can be told, so that a failure only reaches the log.
    pub(crate) async fn publish(&self, kind: &'static str, data: Value) {
        match self.store.append_event(kind, &data, self.clock.now()).await {
            Ok(id) => self.rows_until(id),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "could not store the event {kind}");
            }
        }
    }

    /// Tells listeners of this process something that is not worth a row.
    pub(crate) fn pass(&self, kind: &'static str, data: Value) {
        // Nobody listening is no failure.
        let _ = self.passing.send(Passing { kind, data, at: self.clock.now() });
        self.changed();
    }

    /// Rows up to this number exist, whoever wrote them.
    pub(crate) fn rows_until(&self, id: u64) {
        let newer = self.newest.send_if_modified(|newest| {
            let newer = id > *newest;
            if newer {
                *newest = id;
            }
            newer
        });
        if newer {
            self.changed();
        }
    }

    /// Something that pages show is another than before, and nothing was told of it.
    pub(crate) fn changed(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// A count that moves whenever something is told, for those who then look for themselves.
    pub(crate) fn watch_changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Wakes on everything from now on.
    pub(crate) fn subscribe(&self) -> Listener {
        Listener { newest: self.newest.subscribe(), passing: self.passing.subscribe() }
    }
}

impl Listener {
    /// The next thing told; `None` when nobody can tell anything any more.
    pub(crate) async fn next(&mut self) -> Option<Told> {
        tokio::select! {
            changed = self.newest.changed() => changed.ok().map(|()| Told::Rows),
            passing = self.passing.recv() => match passing {
                Ok(passing) => Some(Told::Passing(passing)),
                Err(broadcast::error::RecvError::Lagged(_)) => Some(Told::Rows),
                Err(broadcast::error::RecvError::Closed) => None,
            },
        }
    }
}

/// The text of an event's `data:` line.
pub(crate) fn frame(kind: &str, data: &Value, at: Timestamp) -> String {
    json!({ "event": kind, "data": data, "timestamp": at }).to_string()
}

/// The same for a stored one.
pub(crate) fn row_frame(row: &EventRow) -> String {
    frame(&row.kind, &row.data, row.at)
}
