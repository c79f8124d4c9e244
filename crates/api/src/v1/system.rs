//! Systems: registered ZFS hosts.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use zfs_sync_core::{flow::RateLimit, ids::SystemId};

use super::group::present;

/// One system, as the v1 contract has it, and what the agent adds.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct System {
    /// Host name, unique.
    pub hostname: String,
    /// `linux`, `freebsd`, …
    pub platform: String,
    /// `online`, `offline`, `unknown` by convention; free text from old clients.
    pub connectivity_status: String,
    /// Where others reach it by ssh.
    pub ssh_hostname: Option<String>,
    /// As whom; `root` when absent.
    pub ssh_user: Option<String>,
    /// On which port.
    pub ssh_port: u16,
    /// Free-form.
    #[schema(value_type = Object)]
    pub extra_metadata: Value,
    /// Identity.
    #[schema(value_type = uuid::Uuid)]
    pub id: SystemId,
    /// When it was last heard of.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_seen: Option<Timestamp>,
    /// When it was registered.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// Only in the answer to registration and rotation; null otherwise.
    pub api_key: Option<String>,
    /// The agent's version, when it has one.
    #[serde(default)]
    pub agent_version: Option<String>,
    /// What `zfs version` says there.
    #[serde(default)]
    pub zfs_version: Option<String>,
    /// Where its agent listens for other agents, `host:port`; null: it does not.
    #[serde(default)]
    pub transfer_address: Option<String>,
    /// When its certificate ends; null: it has none.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub certificate_expires_at: Option<Timestamp>,
    /// When its inventory was last known to be complete; null: never reported.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub inventory_as_of: Option<Timestamp>,
    /// Datasets it reported.
    #[serde(default)]
    pub datasets: u64,
    /// Snapshots it reported.
    #[serde(default)]
    pub snapshots: u64,
    /// `healthy`, `degraded` (its agent answers and does not say what its host has), `offline` or `unknown`.
    #[serde(default)]
    pub health: String,
    /// Bandwidth of all transfers that it takes part in, by the time of the week where they are executed; null: no limit.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub limit: Option<RateLimit>,
}

/// `POST /systems`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CreateSystem {
    /// Host name, unique.
    pub hostname: String,
    /// `linux`, `freebsd`, …
    pub platform: String,
    /// Free text; `unknown` when absent.
    #[serde(default)]
    pub connectivity_status: Option<String>,
    /// Where others reach it by ssh.
    #[serde(default)]
    pub ssh_hostname: Option<String>,
    /// As whom.
    #[serde(default)]
    pub ssh_user: Option<String>,
    /// On which port; 22 when absent.
    #[serde(default)]
    pub ssh_port: Option<u16>,
    /// Free-form; `metadata` is accepted too.
    #[serde(default, alias = "metadata")]
    #[schema(value_type = Option<Object>)]
    pub extra_metadata: Option<Value>,
}

/// `PUT /systems/{id}`: only the fields that are sent change.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct UpdateSystem {
    /// Host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connectivity_status: Option<String>,
    /// Where others reach it by ssh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_hostname: Option<String>,
    /// As whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_user: Option<String>,
    /// On which port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_port: Option<u16>,
    /// Bandwidth of all transfers that it takes part in: `20MiB/s`, `08:00-18:00 mon-fri 20MiB/s`; null: no limit any more, absent: as it
    /// is. Transfers that are under way heed it within seconds.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub limit: Option<Option<RateLimit>>,
    /// Free-form; `metadata` is accepted too.
    #[serde(default, alias = "metadata", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub extra_metadata: Option<Value>,
}

/// `POST /systems/{id}/heartbeat` answers this.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct HeartbeatAnswer {
    /// Who.
    #[schema(value_type = uuid::Uuid)]
    pub system_id: SystemId,
    /// Now.
    #[schema(value_type = String, format = DateTime)]
    pub last_seen: Timestamp,
    /// `online`.
    pub status: String,
}

/// `POST /systems/{id}/api-key[/rotate]` answers this.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct KeyAnswer {
    /// The new key; shown this once.
    pub api_key: String,
    /// Whose.
    #[schema(value_type = uuid::Uuid)]
    pub system_id: SystemId,
}

impl std::fmt::Debug for KeyAnswer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("KeyAnswer")
            .field("api_key", &"[masked]")
            .field("system_id", &self.system_id)
            .finish()
    }
}
