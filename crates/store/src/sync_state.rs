//! Sync states that v1 clients write and read. They decide nothing.

use uuid::Uuid;
use zfs_sync_core::{
    ids::{GroupId, SystemId},
    time::Timestamp,
};

use crate::{Result, Store, store::dispatch};

/// What a v1 client said about one dataset of one system in one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncStateRow {
    /// Its identity.
    pub id: Uuid,
    /// The group.
    pub group: GroupId,
    /// As the client wrote it.
    pub dataset: String,
    /// The system.
    pub system: SystemId,
    /// `in_sync`, `out_of_sync`, `syncing`, `conflict` or `error`.
    pub status: String,
    /// When it was last said to be in sync.
    pub last_sync: Option<Timestamp>,
    /// When it was last said at all.
    pub last_check: Option<Timestamp>,
    /// What went wrong.
    pub error_message: Option<String>,
    /// When it was first said.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Store {
    /// Inserts or replaces the state of (group, dataset, system); [`crate::Error::NotFound`] when group or system is unknown.
    pub async fn set_sync_state(
        &self,
        group: GroupId,
        dataset: &str,
        system: SystemId,
        status: &str,
        error: Option<&str>,
        now: Timestamp,
    ) -> Result<SyncStateRow> {
        dispatch!(self, sync_states::set_sync_state(group, dataset, system, status, error, now))
    }

    /// All states, oldest first; `limit` rows after the first `skip`.
    pub async fn sync_states(&self, skip: u64, limit: u64) -> Result<Vec<SyncStateRow>> {
        dispatch!(self, sync_states::sync_states(skip, limit))
    }

    /// The states of one group, by dataset and system.
    pub async fn sync_states_of(&self, group: GroupId) -> Result<Vec<SyncStateRow>> {
        dispatch!(self, sync_states::sync_states_of(group))
    }

    /// The state with this identity.
    pub async fn sync_state(&self, id: Uuid) -> Result<Option<SyncStateRow>> {
        dispatch!(self, sync_states::sync_state(id))
    }
}
