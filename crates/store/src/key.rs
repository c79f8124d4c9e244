//! API keys: stored as hashes, found by their public prefix.

use std::fmt;

use zfs_sync_core::{
    ids::{KeyId, SystemId},
    time::Timestamp,
};

use crate::{Result, Store, store::dispatch};

/// The SHA-256 of a random secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretHash(pub [u8; 32]);

impl fmt::Debug for SecretHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretHash(…)")
    }
}

/// One API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// Its identity.
    pub id: KeyId,
    /// For people.
    pub name: String,
    /// `admin`, `operator`, `viewer` or `system`.
    pub role: String,
    /// The one host it is bound to.
    pub system: Option<SystemId>,
    /// Its public part, unique.
    pub prefix: String,
    /// What its secret part hashes to; compare in constant time.
    pub hash: SecretHash,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
}

impl KeyRow {
    /// True while it is neither revoked nor expired.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|expires| now < expires)
    }
}

/// A key to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// Its identity.
    pub id: KeyId,
    /// For people.
    pub name: String,
    /// `admin`, `operator`, `viewer` or `system`.
    pub role: String,
    /// The one host it is bound to.
    pub system: Option<SystemId>,
    /// Its public part, unique.
    pub prefix: String,
    /// What its secret part hashes to.
    pub hash: SecretHash,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
}

impl Store {
    /// Stores a key; [`crate::Error::Conflict`] when the prefix exists, [`crate::Error::NotFound`] when its system does not.
    pub async fn insert_key(&self, new: &NewKey, now: Timestamp) -> Result<KeyRow> {
        dispatch!(self, keys::insert_key(new, now))
    }

    /// The key with this prefix, valid or not.
    pub async fn key_by_prefix(&self, prefix: &str) -> Result<Option<KeyRow>> {
        dispatch!(self, keys::key_by_prefix(prefix))
    }

    /// All keys, oldest first.
    pub async fn keys(&self) -> Result<Vec<KeyRow>> {
        dispatch!(self, keys::keys())
    }

    /// Revokes a key and ends its sessions; false when there is none or it is revoked already.
    pub async fn revoke_key(&self, id: KeyId, now: Timestamp) -> Result<bool> {
        dispatch!(self, keys::revoke_key(id, now))
    }

    /// Notes that a key was used; writes at most once a minute.
    pub async fn touch_key(&self, id: KeyId, now: Timestamp) -> Result<()> {
        dispatch!(self, keys::touch_key(id, now))
    }

    /// How many keys of this role are not revoked.
    pub async fn count_keys(&self, role: &str) -> Result<u64> {
        dispatch!(self, keys::count_keys(role))
    }
}
