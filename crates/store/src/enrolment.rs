//! Enrolment tokens: who may add a host, how often and until when.

use zfs_sync_core::{
    ids::{EnrolmentTokenId, SystemId},
    time::Timestamp,
};

use crate::{Error, NewKey, NewSystem, Result, SecretHash, Store, SystemRow, store::dispatch};

/// One enrolment token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolmentTokenRow {
    /// Its identity.
    pub id: EnrolmentTokenId,
    /// Its public part, unique.
    pub prefix: String,
    /// What its secret part hashes to; compare in constant time.
    pub hash: SecretHash,
    /// Who made it, for people.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// How many hosts it admits altogether.
    pub uses: u32,
    /// How many more it admits.
    pub uses_left: u32,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A token to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEnrolmentToken {
    /// Its identity.
    pub id: EnrolmentTokenId,
    /// Its public part, unique.
    pub prefix: String,
    /// What its secret part hashes to.
    pub hash: SecretHash,
    /// Who makes it, for people.
    pub created_by: String,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// How many hosts it admits.
    pub uses: u32,
}

/// Why a host was not enrolled. Nothing was stored and no use of the token consumed.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// There is no such token.
    #[error("the enrolment token does not exist")]
    Unknown,
    /// Its time is over.
    #[error("the enrolment token has expired")]
    Expired,
    /// It has admitted as many hosts as it may.
    #[error("the enrolment token has been used up")]
    Used,
    /// An operator withdrew it.
    #[error("the enrolment token has been revoked")]
    Revoked,
    /// Another host has this name.
    #[error("a system of this name is registered already")]
    HostnameTaken {
        /// That host.
        id: SystemId,
    },
    /// The store itself failed.
    #[error(transparent)]
    Store(#[from] Error),
}

impl From<sqlx::Error> for EnrolError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// Stores a token; [`Error::Conflict`] when the prefix exists.
    pub async fn insert_enrolment_token(
        &self,
        new: &NewEnrolmentToken,
        now: Timestamp,
    ) -> Result<EnrolmentTokenRow> {
        dispatch!(self, enrolment::insert_enrolment_token(new, now))
    }

    /// All tokens, newest first.
    pub async fn enrolment_tokens(&self) -> Result<Vec<EnrolmentTokenRow>> {
        dispatch!(self, enrolment::enrolment_tokens())
    }

    /// The token with this prefix, valid or not.
    pub async fn enrolment_token_by_prefix(&self, prefix: &str) -> Result<Option<EnrolmentTokenRow>> {
        dispatch!(self, enrolment::enrolment_token_by_prefix(prefix))
    }

    /// Revokes a token; false when there is none or it is revoked already.
    pub async fn revoke_enrolment_token(&self, id: EnrolmentTokenId, now: Timestamp) -> Result<bool> {
        dispatch!(self, enrolment::revoke_enrolment_token(id, now))
    }

    /// Consumes one use of a token and registers a host with its key: all of it or nothing.
    ///
    /// The caller has compared the token's secret. `key.system` is taken as `system.id`, whatever it says.
    pub async fn enrol(
        &self,
        token: EnrolmentTokenId,
        system: &NewSystem,
        key: &NewKey,
        now: Timestamp,
    ) -> Result<SystemRow, EnrolError> {
        dispatch!(self, enrolment::enrol(token, system, key, now))
    }
}
