//! Dashboard sessions: each stands for a key.

use zfs_sync_core::{ids::KeyId, time::Timestamp};

use crate::{KeyRow, Result, SecretHash, Store, store::dispatch};

impl Store {
    /// Opens a session for a key; the hash is that of the cookie's secret.
    pub async fn insert_session(&self, hash: SecretHash, key: KeyId, expires_at: Timestamp) -> Result<()> {
        dispatch!(self, sessions::insert_session(hash, key, expires_at))
    }

    /// The key of an open session; `None` when the session or its key has expired or was ended.
    pub async fn session(&self, hash: SecretHash, now: Timestamp) -> Result<Option<KeyRow>> {
        dispatch!(self, sessions::session(hash, now))
    }

    /// Ends a session; false when there is none.
    pub async fn delete_session(&self, hash: SecretHash) -> Result<bool> {
        dispatch!(self, sessions::delete_session(hash))
    }

    /// Removes sessions whose time is over; answers how many.
    pub async fn prune_sessions(&self, now: Timestamp) -> Result<u64> {
        dispatch!(self, sessions::prune_sessions(now))
    }
}
