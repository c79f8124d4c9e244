//! Checking, planning and executing groups; instructions and states of the v1 contract.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;
use zfs_sync_core::{ids::TransferId, plan::ReplicaState};

use super::{group::Note, plan::Destroyed, replica::Replica};

/// `POST /sync/{group}/check` answers this: the group was planned now, nothing was started.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CheckAnswer {
    /// Which group.
    pub group_id: Uuid,
    /// Its name.
    pub group: String,
    /// Replicas by state.
    pub counts: BTreeMap<String, u64>,
    /// True when every replica is in sync and there is at least one.
    pub in_sync: bool,
    /// Actions not taken, counted by reason.
    pub suppressed: BTreeMap<String, u64>,
    /// Doubts about the group.
    pub warnings: Vec<Note>,
    /// Every replica.
    pub replicas: Vec<Replica>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub as_of: Timestamp,
}

/// `POST /sync/{group}/plan` and `/execute`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct PlanRequest {
    /// Diverged replicas to set aside by rename and seed anew: `DATASET@SYSTEM`, the dataset by its name on the target or on the source.
    #[serde(default)]
    pub keep_both: Vec<String>,
    /// Execute only when the plan still has this fingerprint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// `plan` only: answer also what has changed since the group was last planned.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub diff: bool,
}

/// How a replica stands in one of two plans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Standing {
    /// Its state.
    #[schema(value_type = String)]
    pub state: ReplicaState,
    /// Why nothing is done, `R_…`.
    pub reason: Option<String>,
}

/// A replica that stands otherwise than when the group was last planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// The logical dataset.
    pub dataset: String,
    /// Host name of the target.
    pub target_system: String,
    /// Its name on the target.
    pub target: String,
    /// As last planned; null: it was not known.
    pub before: Option<Standing>,
    /// As planned now; null: it is gone.
    pub after: Option<Standing>,
}

/// One step of a plan, for people.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PlannedStep {
    /// Host name.
    pub source_system: String,
    /// Host name.
    pub target_system: String,
    /// Dataset on the source.
    pub source: String,
    /// Dataset on the target.
    pub target: String,
    /// One sentence.
    pub summary: String,
    /// The commands, as they will be run; the resume token is read then.
    pub commands: Vec<String>,
}

/// `POST /sync/{group}/plan` answers this.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PlanAnswer {
    /// Which group.
    pub group_id: Uuid,
    /// Its name.
    pub group: String,
    /// What it was made from.
    pub fingerprint: String,
    /// In order.
    pub steps: Vec<PlannedStep>,
    /// Every snapshot that would be destroyed; empty unless the group's policy or an applied plan allows it.
    pub destroys: Vec<Destroyed>,
    /// Replicas without a step, counted by reason.
    pub suppressed: BTreeMap<String, u64>,
    /// Doubts.
    pub warnings: Vec<Note>,
    /// What has changed since the group was last planned, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Vec<Change>>,
}

/// `POST /sync/{group}/execute` answers this.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ExecuteAnswer {
    /// Which group.
    pub group_id: Uuid,
    /// Transfers that were queued now.
    #[schema(value_type = Vec<Uuid>)]
    pub queued: Vec<TransferId>,
    /// Steps for which a transfer was queued or ran already.
    pub already_running: u32,
    /// Replicas without a step, counted by reason.
    pub suppressed: BTreeMap<String, u64>,
}

/// `GET /sync/instructions/{system_id}` of the v1 contract.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Instructions {
    /// Who asked.
    pub system_id: Uuid,
    /// Now.
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: Timestamp,
    /// What to send.
    pub datasets: Vec<Instruction>,
    /// How many.
    pub dataset_count: u64,
    /// Why nothing else; null unless asked for.
    pub diagnostics: Option<Vec<Value>>,
    /// The same in the older shape, for clients that ask with `include_commands=true`; only for the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actions: Option<Vec<SyncAction>>,
    /// How many actions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_count: Option<u64>,
    /// The groups they come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_groups: Option<Vec<Uuid>>,
}

/// One dataset of [`Instructions`] in the older shape.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SyncAction {
    /// Always `sync_snapshot`.
    pub action_type: String,
    /// Which group.
    pub sync_group_id: Uuid,
    /// The source's pool.
    pub pool: String,
    /// The source dataset, in full.
    pub dataset: String,
    /// Who receives.
    pub target_system_id: Uuid,
    /// Who sends.
    pub source_system_id: Uuid,
    /// The end.
    pub snapshot_name: String,
    /// Always null: snapshots are known by GUID.
    pub snapshot_id: Option<Uuid>,
    /// Always 10.
    pub priority: u32,
    /// Not known before the stream starts.
    pub estimated_size: Option<u64>,
    /// Where the source is reached.
    pub source_ssh_hostname: Option<String>,
    /// As whom.
    pub source_ssh_user: Option<String>,
    /// On which port.
    pub source_ssh_port: u16,
    /// The command line, to be run on the source; null when the target has no address.
    pub sync_command: Option<String>,
    /// The base; null: a full stream.
    pub incremental_base: Option<String>,
    /// True when there is a base.
    pub is_incremental: bool,
}

/// `POST /sync/states`: as body or, in the v1 form, as query parameters.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct SetSyncState {
    /// Which group.
    #[serde(default)]
    pub sync_group_id: Option<Uuid>,
    /// Which dataset.
    #[serde(default)]
    pub dataset: Option<String>,
    /// On which system.
    #[serde(default)]
    pub system_id: Option<Uuid>,
    /// `in_sync`, `out_of_sync`, `syncing`, `conflict`, `error`; `completed` and `failed` of older scripts.
    #[serde(default)]
    pub status: Option<String>,
    /// What went wrong.
    #[serde(default)]
    pub error_message: Option<String>,
}

/// One dataset of [`Instructions`].
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Instruction {
    /// The source's pool.
    pub pool: String,
    /// The source dataset, in full.
    pub dataset: String,
    /// The target's pool.
    pub target_pool: String,
    /// The target dataset, in full.
    pub target_dataset: String,
    /// The incremental base; null: a full stream.
    pub starting_snapshot: Option<String>,
    /// The end.
    pub ending_snapshot: String,
    /// Where the source is reached.
    pub source_ssh_hostname: Option<String>,
    /// Where the target is reached; null for the target itself, so that it does not run the source's command.
    pub target_ssh_hostname: Option<String>,
    /// Which group.
    pub sync_group_id: Uuid,
    /// Zero or one command line.
    pub commands: Vec<String>,
}

/// One row of `GET /sync/states`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SyncState {
    /// Identity.
    pub id: Uuid,
    /// Which group.
    pub sync_group_id: Uuid,
    /// Which dataset.
    pub dataset: String,
    /// On which system.
    pub system_id: Uuid,
    /// `in_sync`, `out_of_sync`, `syncing`, `conflict`, `error`.
    pub status: String,
    /// When it was last in sync.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_sync: Option<Timestamp>,
    /// When it was last looked at.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_check: Option<Timestamp>,
    /// What went wrong.
    pub error_message: Option<String>,
    /// Free-form.
    #[schema(value_type = Object)]
    pub extra_metadata: Value,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

/// `GET /status`: the fleet in numbers.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The witness's version.
    pub version: String,
    /// Systems by health.
    pub systems: BTreeMap<String, u64>,
    /// Replicas by state.
    pub replicas: BTreeMap<String, u64>,
    /// Unfinished transfers by state.
    pub transfers: BTreeMap<String, u64>,
    /// Replicas that were compared with their sources, by what was found: `same`, `differs`.
    #[serde(default)]
    pub proofs: BTreeMap<String, u64>,
    /// What a person should look at, worst first, at most 20.
    pub attention: Vec<Replica>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub as_of: Timestamp,
}
