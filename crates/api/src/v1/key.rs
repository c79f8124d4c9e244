//! API keys and enrolment tokens.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zfs_sync_core::ids::{EnrolmentTokenId, KeyId, SystemId};

use super::certificate::IssuedCertificate;

/// What a key may do. Each role includes the ones below it; `system` stands apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Acts for one system only: reports, leases, results.
    System,
    /// Reads everything but secrets.
    Viewer,
    /// Changes groups, starts and cancels transfers.
    Operator,
    /// Everything: systems, keys, tokens.
    Admin,
}

impl Role {
    /// As in JSON and SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// Back from [`Self::as_str`].
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::System, Self::Viewer, Self::Operator, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == name)
    }
}

/// One key, without its secret.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Key {
    /// Identity.
    #[schema(value_type = uuid::Uuid)]
    pub id: KeyId,
    /// For people.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// For whom, when it is a system's key.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub system_id: Option<SystemId>,
    /// How the key begins; enough to recognise it, useless to guess it.
    pub prefix: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it ends.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_used_at: Option<Timestamp>,
}

/// `POST /keys`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CreateKey {
    /// For people.
    pub name: String,
    /// Admin, operator or viewer.
    pub role: Role,
    /// Seconds until it ends; never when absent.
    #[serde(default)]
    pub expires_in_seconds: Option<u64>,
}

/// `POST /keys` answers this.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct CreatedKey {
    /// The key's description.
    #[serde(flatten)]
    pub key: Key,
    /// The key itself; shown this once.
    pub api_key: String,
}

impl std::fmt::Debug for CreatedKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("CreatedKey").field("key", &self.key).field("api_key", &"[masked]").finish()
    }
}

/// `POST /enrolment-tokens`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct CreateEnrolmentToken {
    /// Seconds until it ends; 3600 when absent, at most 30 days.
    #[serde(default)]
    pub ttl_seconds: Option<u64>,
}

/// `POST /enrolment-tokens` answers this.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct CreatedEnrolmentToken {
    /// Identity.
    #[schema(value_type = uuid::Uuid)]
    pub id: EnrolmentTokenId,
    /// The token itself, good for one enrolment; shown this once.
    pub token: String,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for CreatedEnrolmentToken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("CreatedEnrolmentToken")
            .field("id", &self.id)
            .field("token", &"[masked]")
            .field("expires_at", &self.expires_at)
            .finish()
    }
}

/// One enrolment token, without its secret.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EnrolmentToken {
    /// Identity.
    #[schema(value_type = uuid::Uuid)]
    pub id: EnrolmentTokenId,
    /// How it begins.
    pub prefix: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// Enrolments it is still good for.
    pub uses_left: u32,
}

/// `POST /enrol`: the token stands in the body, never in the URL.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Enrol {
    /// The enrolment token.
    pub token: String,
    /// Host name, unique.
    pub hostname: String,
    /// `linux`, …
    pub platform: String,
    /// Where other systems reach it by ssh; the host name when absent.
    #[serde(default)]
    pub ssh_hostname: Option<String>,
    /// As whom.
    #[serde(default)]
    pub ssh_user: Option<String>,
    /// On which port.
    #[serde(default)]
    pub ssh_port: Option<u16>,
    /// A PKCS #10 request in PEM: the answer then holds a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csr: Option<String>,
}

impl std::fmt::Debug for Enrol {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Enrol")
            .field("token", &"[masked]")
            .field("hostname", &self.hostname)
            .finish_non_exhaustive()
    }
}

/// `POST /enrol` answers this.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Enrolled {
    /// The new system.
    #[schema(value_type = uuid::Uuid)]
    pub system_id: SystemId,
    /// Its host name.
    pub hostname: String,
    /// Its key; shown this once.
    pub api_key: String,
    /// Its certificate, when it asked for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<IssuedCertificate>,
}

impl std::fmt::Debug for Enrolled {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Enrolled")
            .field("system_id", &self.system_id)
            .field("hostname", &self.hostname)
            .field("api_key", &"[masked]")
            .field("certificate", &self.certificate.is_some())
            .finish()
    }
}
