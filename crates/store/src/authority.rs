//! The witness's own certificate authority, and what systems have of it.

use std::fmt;

use uuid::Uuid;
use zfs_sync_core::{
    ids::{SystemId, TransferId},
    time::Timestamp,
};

use crate::{Result, Store, store::dispatch};

/// Certificate and private key of the authority.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthorityRow {
    /// X.509 in PEM.
    pub certificate: Vec<u8>,
    /// PKCS #8 in DER. Never in a log, an answer or an error.
    pub key: Vec<u8>,
}

impl fmt::Debug for AuthorityRow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AuthorityRow").field("key", &"[masked]").finish_non_exhaustive()
    }
}

/// Where an agent listens for other agents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where it says that it is reached; `None`: where ssh would reach it, else by its name.
    pub host: Option<String>,
    /// On which port.
    pub port: u16,
    /// Which run of the agent listens.
    pub instance: Uuid,
}

impl Store {
    /// The authority of this database; `None` before the first witness has made it.
    pub async fn authority(&self) -> Result<Option<AuthorityRow>> {
        dispatch!(self, authority::authority())
    }

    /// Keeps a new authority, unless there is one: answers the one that counts. Of several witnesses that start at once, one wins.
    pub async fn keep_authority(&self, new: &AuthorityRow, now: Timestamp) -> Result<AuthorityRow> {
        dispatch!(self, authority::keep_authority(new, now))
    }

    /// Notes where an agent listens, `None`: nowhere; false when there is no such system.
    pub async fn set_listener(&self, id: SystemId, listener: Option<&Listener>) -> Result<bool> {
        dispatch!(self, authority::set_listener(id, listener))
    }

    /// Notes until when the newest certificate of a system is valid; false when there is no such system.
    pub async fn set_certificate_end(&self, id: SystemId, expires_at: Timestamp) -> Result<bool> {
        dispatch!(self, authority::set_certificate_end(id, expires_at))
    }

    /// Notes how the attempt with this generation reached the other side.
    pub async fn note_transport(
        &self,
        id: TransferId,
        generation: u64,
        transport: &str,
        note: Option<&str>,
    ) -> Result<()> {
        dispatch!(self, authority::note_transport(id, generation, transport, note))
    }
}
