//! Certificates and tickets: what agents need to reach each other over TLS.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use zfs_sync_core::{
    ids::{SystemId, TransferId},
    plan::Step,
};

/// What stands before a ticket's text when it is signed, so that no signature of the authority over anything else is one over a ticket.
pub const TICKET_CONTEXT: &str = "zfs-sync ticket v1\n";

/// The name of a system in its certificate, as a URI.
pub fn system_uri(system: SystemId) -> String {
    format!("urn:uuid:{}", system.as_uuid().hyphenated())
}

/// Back from [`system_uri`].
pub fn system_of_uri(uri: &str) -> Option<SystemId> {
    let uuid = Uuid::try_parse(uri.strip_prefix("urn:uuid:")?).ok()?;
    Some(uuid.into())
}

/// `POST /systems/{id}/certificate`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RequestCertificate {
    /// A PKCS #10 request in PEM. Only its public key is taken: who a system is, the witness knows.
    pub csr: String,
}

/// `POST /systems/{id}/certificate` answers this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IssuedCertificate {
    /// The certificate in PEM: it names the system, and nothing else, in a URI.
    pub certificate: String,
    /// The certificate of the witness's authority in PEM.
    pub authority: String,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// What a ticket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Carrying the step out.
    Transfer,
    /// Tidying up after it: reads, holds and bookmarks of ours; no stream.
    Settle,
}

/// Admits one session of one system to another one's listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Of this ticket alone.
    pub nonce: Uuid,
    /// What for.
    pub purpose: Purpose,
    /// Which transfer.
    pub transfer: TransferId,
    /// Under which lease.
    pub generation: u64,
    /// Who connects.
    pub client: SystemId,
    /// Who listens.
    pub server: SystemId,
    /// Which run of its agent.
    pub instance: Uuid,
    /// What is done: systems, datasets, action.
    pub step: Step,
    /// When it was made.
    pub issued_at: Timestamp,
    /// After this moment no session begins, and none begins anything: one that goes on is renewed by another ticket of the same lease.
    pub expires_at: Timestamp,
}

/// A ticket with the authority's signature.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignedTicket {
    /// The [`Ticket`] as JSON: exactly these bytes, behind [`TICKET_CONTEXT`], were signed.
    pub ticket: String,
    /// ECDSA P-256 with SHA-256, ASN.1, in hexadecimal.
    pub signature: String,
}

impl std::fmt::Debug for SignedTicket {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Whoever has it and the system's certificate may begin the session.
        formatter.debug_struct("SignedTicket").finish_non_exhaustive()
    }
}

/// Where an agent listens for other agents: a part of its hello.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransferListener {
    /// Where it is reached; null: where ssh would reach it, else by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// On which port.
    pub port: u16,
    /// Of this run of the agent: tickets for an earlier run are refused, so that none is good twice.
    pub instance: Uuid,
}

/// Where a peer is reached over TLS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TlsAddress {
    /// Whom its certificate must name.
    #[schema(value_type = uuid::Uuid)]
    pub system_id: SystemId,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// `POST /systems/{id}/ticket`: to tidy up after a transfer that this system executes or has executed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RequestTicket {
    /// Which transfer.
    #[schema(value_type = uuid::Uuid)]
    pub transfer_id: TransferId,
}

/// `POST /systems/{id}/ticket` answers this; null where the other side does not listen.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct GrantedTicket {
    /// Where the other side listens.
    pub tls: Option<TlsAddress>,
    /// For it.
    pub ticket: Option<SignedTicket>,
}

/// How a transfer reaches the other side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransportUsed {
    /// `ssh` or `tls`.
    pub kind: String,
    /// Why not by what was preferred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_is_named_by_a_uri() {
        let system: SystemId = Uuid::from_u128(7).into();
        assert_eq!(system_uri(system), "urn:uuid:00000000-0000-0000-0000-000000000007");
        assert_eq!(system_of_uri(&system_uri(system)), Some(system));
        for wrong in
            ["", "urn:uuid:", "urn:uuid:x", "https://example.org/00000000-0000-0000-0000-000000000007"]
        {
            assert_eq!(system_of_uri(wrong), None, "{wrong}");
        }
    }
}
