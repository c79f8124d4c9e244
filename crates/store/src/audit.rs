//! The audit log: who did what to what.

use serde_json::Value;
use zfs_sync_core::time::Timestamp;

use crate::{Result, Store, store::dispatch};

/// One entry to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAudit {
    /// Who, `key:ops-laptop` for example.
    pub actor: String,
    /// What, `group.create` for example.
    pub action: String,
    /// To what, `group:prod` for example.
    pub object: String,
    /// More of it; never a secret.
    pub detail: Value,
    /// The request it came with.
    pub request_id: Option<String>,
    /// Where the request came from.
    pub address: Option<String>,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// Increases with every entry.
    pub id: u64,
    /// When.
    pub at: Timestamp,
    /// Who, what, to what.
    pub entry: NewAudit,
}

impl Store {
    /// Appends an entry and answers its number.
    pub async fn append_audit(&self, new: &NewAudit, now: Timestamp) -> Result<u64> {
        dispatch!(self, audit::append_audit(new, now))
    }

    /// The newest entries, newest first, at most `limit`.
    pub async fn audit(&self, limit: u64) -> Result<Vec<AuditRow>> {
        dispatch!(self, audit::audit(limit))
    }
}
