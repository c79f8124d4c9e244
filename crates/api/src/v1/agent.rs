//! What agents say: hello, inventory, leases, progress, results. A system's key only, for that system only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zfs_sync_core::{
    flow::{FlowReport, FlowSettings, SharedLimit},
    ids::TransferId,
    inventory::{Bookmark, DatasetProperties, HistoryDigest, Snapshot},
    name::DatasetName,
    plan::Step,
    retention::Retention,
    time::Timestamp,
};

use super::certificate::{SignedTicket, TlsAddress, TransferListener, TransportUsed};

/// `POST /systems/{id}/hello`: an agent has started. Its leased transfers are queued again at once.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Hello {
    /// The agent's version.
    pub agent_version: String,
    /// What `zfs version` says.
    pub zfs_version: Option<String>,
    /// Operating system.
    pub os: String,
    /// How often it reports when nothing happens, in milliseconds.
    pub report_interval_ms: u64,
    /// Its clock, in milliseconds since 1970, to find skew.
    pub clock_ms: i64,
    /// Where it listens for other agents; null or absent: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener: Option<TransferListener>,
}

/// `POST /systems/{id}/hello` answers this.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct HelloAnswer {
    /// Transfers that this agent had leased before it stopped; they are queued again.
    pub released: u32,
    /// The witness's clock; absent from witnesses of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub now: Option<Timestamp>,
}

/// One dataset in a report.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReportedDataset {
    /// Its name.
    #[schema(value_type = String)]
    pub name: DatasetName,
    /// Its properties.
    #[schema(value_type = Object)]
    pub properties: DatasetProperties,
    /// Digest of its history.
    #[schema(value_type = String)]
    pub digest: HistoryDigest,
    /// The history itself, only when the witness asked for it or is sure to need it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<History>,
}

/// Snapshots and bookmarks of one dataset, each by `createtxg`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct History {
    /// All snapshots.
    #[schema(value_type = Vec<Object>)]
    pub snapshots: Vec<Snapshot>,
    /// All bookmarks.
    #[schema(value_type = Vec<Object>)]
    pub bookmarks: Vec<Bookmark>,
}

/// `POST /systems/{id}/inventory`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct InventoryReport {
    /// Grows by one a report.
    pub sequence: u64,
    /// The sequence this one builds on; null: this report names every dataset, and one that it does not name is gone.
    pub base: Option<u64>,
    /// All datasets, or those that changed since `base`.
    pub datasets: Vec<ReportedDataset>,
    /// Datasets that are gone since `base`.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub removed: Vec<DatasetName>,
    /// What the host's own snapshot tool keeps, by dataset: all of it, in place of what was reported before. In a report with
    /// a `base`, null means as before; in one without, that nothing is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, Object>>)]
    pub retention: Option<BTreeMap<DatasetName, Retention>>,
    /// The moment that the whole report shows at the earliest: when the look began, by the witness's clock, reckoned from the last answer with
    /// `now` that had come before. So however long the look took, and the report was on its way, it does not pass for a newer one. Absent:
    /// not known, or the look found more than is in the report. Then what the host has protects no other copy from being destroyed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub looked_at: Option<Timestamp>,
}

/// `POST /systems/{id}/inventory` answers this.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct InventoryAnswer {
    /// True when the report was stored.
    pub accepted: bool,
    /// The witness does not know `base`: send a complete report.
    pub resync: bool,
    /// Datasets whose history must follow, in the next report.
    #[schema(value_type = Vec<String>)]
    pub need: Vec<DatasetName>,
    /// The witness's clock; absent from witnesses of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub now: Option<Timestamp>,
}

/// `POST /systems/{id}/lease`: waits until there is something or the time is up.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LeaseRequest {
    /// How many transfers it can take.
    pub max: u32,
    /// How long the witness may hold the answer back, in milliseconds, at most 30000.
    pub wait_ms: u64,
}

/// Where a peer is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Peer {
    /// Its host name in the fleet.
    pub hostname: String,
    /// Where ssh connects to; null: it is not reached by ssh.
    #[serde(default)]
    pub ssh_hostname: Option<String>,
    /// As whom.
    pub ssh_user: Option<String>,
    /// On which port.
    pub ssh_port: u16,
    /// Where its agent listens for other agents; null: it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsAddress>,
}

/// A transfer leased to this agent.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LeasedTransfer {
    /// Identity.
    #[schema(value_type = uuid::Uuid)]
    pub id: TransferId,
    /// Fencing: results under an older generation are refused.
    pub generation: u64,
    /// Renew within this time, in milliseconds.
    pub lease_ms: u64,
    /// What to do.
    #[schema(value_type = Object)]
    pub step: Step,
    /// The other side; null when source and target are this system.
    pub peer: Option<Peer>,
    /// True when this agent has the source and pushes; false when it has the target and pulls.
    pub push: bool,
    /// Limits and compression.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub flow: FlowSettings,
    /// Admits to the peer's listener, once; null where it does not listen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<SignedTicket>,
}

/// `POST /systems/{id}/lease` answers this.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct LeaseAnswer {
    /// What to do now.
    pub transfers: Vec<LeasedTransfer>,
    /// The witness wants a report now, for example after a transfer into this system.
    pub report_now: bool,
    /// The witness's clock; absent from witnesses of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub now: Option<Timestamp>,
}

/// `POST /transfers/{id}/progress`: at most once a second; renews the lease.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProgressReport {
    /// From the lease.
    pub generation: u64,
    /// Bytes of this stream so far.
    pub bytes: u64,
    /// Bytes this stream will have, as estimated.
    pub total: Option<u64>,
    /// Bytes a second, smoothed over ten seconds.
    pub rate: u64,
    /// What it is doing: `preparing`, `sending`, `verifying`, `finishing`.
    pub stage: String,
    /// Bytes that were there before this attempt, when it resumed.
    pub resumed_from: Option<u64>,
    /// How it flows; absent from agents that do not measure it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub flow: Option<FlowReport>,
    /// How the other side is reached, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<TransportUsed>,
}

/// `POST /transfers/{id}/progress` answers this.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ProgressAnswer {
    /// Somebody asked for the transfer to be cancelled; what was received stays resumable.
    pub cancel: bool,
    /// The limits that hold from now on; absent: as they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    pub limits: Option<Vec<SharedLimit>>,
}

/// How a transfer ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum TransferOutcome {
    /// The GUID was read back on the target.
    Succeeded,
    /// The world has moved since the plan; a new plan is needed.
    Stale {
        /// What moved.
        detail: String,
    },
    /// It failed.
    Failed {
        /// `E_…`.
        code: String,
        /// What happened, with what `zfs` or `ssh` said.
        detail: String,
        /// True when trying again can help.
        retryable: bool,
    },
    /// It was cancelled; the partial receive stays.
    Cancelled,
    /// The agent stops; the transfer is queued again.
    Interrupted,
}

/// `POST /transfers/{id}/result`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TransferResult {
    /// From the lease.
    pub generation: u64,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: TransferOutcome,
    /// Bytes this attempt moved.
    pub bytes: u64,
    /// Bytes that were there before this attempt, when it resumed.
    pub resumed_from: Option<u64>,
    /// How the other side is reached, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<TransportUsed>,
}
