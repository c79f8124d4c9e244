//! Events: what happened, numbered without gaps, so that a listener can continue where it stopped.

use serde_json::Value;
use zfs_sync_core::time::Timestamp;

use crate::{Result, Store, store::dispatch};

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// Its number: 1, 2, 3, … in the order in which they became visible.
    pub id: u64,
    /// When it happened.
    pub at: Timestamp,
    /// What kind it is, `transfer.finished` for example.
    pub kind: String,
    /// What it says.
    pub data: Value,
}

impl Store {
    /// Appends an event and answers its number.
    pub async fn append_event(&self, kind: &str, data: &Value, now: Timestamp) -> Result<u64> {
        dispatch!(self, events::append_event(kind, data, now))
    }

    /// Events with a number above `id`, in order, at most `limit`.
    pub async fn events_since(&self, id: u64, limit: u64) -> Result<Vec<EventRow>> {
        dispatch!(self, events::events_since(id, limit))
    }

    /// The number of the newest event ever appended, pruned or not; 0 before the first.
    pub async fn newest_event_id(&self) -> Result<u64> {
        dispatch!(self, events::newest_event_id())
    }

    /// Removes events older than `before`; answers how many.
    pub async fn prune_events(&self, before: Timestamp) -> Result<u64> {
        dispatch!(self, events::prune_events(before))
    }
}
