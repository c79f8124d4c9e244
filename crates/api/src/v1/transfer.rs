//! Transfers: one execution of one step.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zfs_sync_core::{
    flow::FlowReport,
    ids::{GroupId, TransferId},
    plan::Step,
};

/// One transfer.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Transfer {
    /// Identity.
    #[schema(value_type = uuid::Uuid)]
    pub id: TransferId,
    /// Which group.
    #[schema(value_type = uuid::Uuid)]
    pub group_id: GroupId,
    /// Host name.
    pub source_system: String,
    /// Host name.
    pub target_system: String,
    /// Host name of who executes it.
    pub executor: String,
    /// Dataset on the source.
    pub source: String,
    /// Dataset on the target.
    pub target: String,
    /// One sentence.
    pub summary: String,
    /// `queued`, `leased`, `succeeded`, `failed`, `cancelled`, `stale`.
    pub state: String,
    /// Fencing: grows with each lease.
    pub generation: u64,
    /// Times it was started.
    pub attempts: u32,
    /// When it may start again.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_attempt_at: Option<Timestamp>,
    /// Somebody asked for it to be cancelled.
    pub cancel_requested: bool,
    /// Bytes of the present stream.
    pub bytes: u64,
    /// Bytes it will have, as estimated.
    pub total: Option<u64>,
    /// Bytes a second.
    pub rate: u64,
    /// What it is doing.
    pub stage: Option<String>,
    /// Bytes that were there before the present attempt, when it resumed.
    pub resumed_from: Option<u64>,
    /// How the newest attempt reaches the other side: `ssh` or `tls`.
    #[serde(default)]
    pub transport: Option<String>,
    /// Why not by what was preferred.
    #[serde(default)]
    pub transport_note: Option<String>,
    /// `E_…` of the last failure.
    pub error_code: Option<String>,
    /// The last failure in words.
    pub error_detail: Option<String>,
    /// When it was queued.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was first started.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    /// When it was last heard of.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    /// How it flows: what it waits for, what travels, what is left; null where its executor does not say.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub flow: Option<FlowReport>,
    /// True while it is under way and nothing has moved for a minute.
    #[serde(default)]
    pub stalled: bool,
    /// Every choice.
    #[schema(value_type = Object)]
    pub step: Step,
}
