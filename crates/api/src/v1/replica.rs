//! Replicas: one dataset of a group on one target system.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zfs_sync_core::{
    ids::GroupId,
    plan::{ReplicaReport, ReplicaState},
};

/// `GET /replicas` answers this.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReplicaPage {
    /// Some of them, by group, logical dataset, home and target system.
    pub items: Vec<Replica>,
    /// What to name as `cursor` to go on after these; null: these are the last.
    pub next_cursor: Option<String>,
}

/// How one replica stands, and why.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Replica {
    /// Which group.
    #[schema(value_type = uuid::Uuid)]
    pub group_id: GroupId,
    /// Its name.
    pub group: String,
    /// Host name of the source.
    pub source_system: String,
    /// Host name of the target.
    pub target_system: String,
    /// Dataset on the source.
    pub source: String,
    /// Dataset on the target.
    pub target: String,
    /// How it stands.
    #[schema(value_type = String)]
    pub state: ReplicaState,
    /// Since when it is in this state.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// Code of why nothing is done, `R_…`.
    pub reason: Option<String>,
    /// Creation of the newest common snapshot: the point that can be recovered.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub recovery_point: Option<Timestamp>,
    /// Source snapshots that the target lacks.
    pub snapshot_lag: u32,
    /// When both sides' reports were last complete (the older of the two); null: one never reported.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub as_of: Option<Timestamp>,
    /// The trace: facts, decision, what happens next.
    #[schema(value_type = Object)]
    pub report: ReplicaReport,
}
