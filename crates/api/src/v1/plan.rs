//! Plans that wait for a person: what a strategy would do, to be looked at before it is applied.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zfs_sync_core::{
    group::Strategy,
    guid::Guid,
    ids::{ConflictId, GroupId, PlanId, TransferId},
    plan::Decision,
};

use super::sync::PlannedStep;

/// One snapshot that a plan destroys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Destroyed {
    /// Host name.
    pub system: String,
    /// `DATASET@SNAPSHOT`, as it is called there.
    pub snapshot: String,
    /// Identity.
    #[schema(value_type = String)]
    pub guid: Guid,
    /// When it was taken.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub creation: Option<Timestamp>,
    /// Bytes that destroying it frees.
    pub used: u64,
    /// Bytes it refers to.
    pub referenced: u64,
    /// Host names of the systems that keep a copy when all that is listed is gone: in a dataset that a group keeps, according to a new
    /// report. Nothing here means that the last copy goes.
    #[serde(default)]
    pub other_copies: Vec<String>,
}

/// What was written on a target since its newest snapshot and is given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Discarded {
    /// Host name.
    pub system: String,
    /// The dataset there.
    pub dataset: String,
    /// How many bytes, at most.
    pub bytes: u64,
}

/// What is there afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Kept {
    /// Host name.
    pub system: String,
    /// The dataset there, under the name that it has afterwards.
    pub dataset: String,
    /// In words.
    pub detail: String,
}

/// A plan to end a conflict.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// Identity; applying needs it.
    #[schema(value_type = uuid::Uuid)]
    pub id: PlanId,
    /// Which group.
    #[schema(value_type = uuid::Uuid)]
    pub group_id: GroupId,
    /// Its name.
    pub group: String,
    /// The conflict that it ends.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub conflict_id: Option<ConflictId>,
    /// The logical dataset.
    pub dataset: String,
    /// Host name of the replica that was asked about.
    pub target_system: String,
    /// The dataset there.
    pub target: String,
    /// How it ends.
    #[schema(value_type = String)]
    pub strategy: Strategy,
    /// Host name of the member that is followed.
    pub winner: String,
    /// What is done first; what follows destroys nothing that is not listed here.
    pub steps: Vec<PlannedStep>,
    /// Every snapshot that is destroyed.
    pub destroys: Vec<Destroyed>,
    /// Everything written since the newest snapshot that is given up.
    pub discards: Vec<Discarded>,
    /// What is there afterwards.
    pub keeps: Vec<Kept>,
    /// What it was made from: applied only when nothing of it has moved.
    pub fingerprint: String,
    /// How long it is good, in words.
    pub note: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Who asked for it.
    pub created_by: String,
    /// When it was applied; null: it was not.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub applied_at: Option<Timestamp>,
    /// Who applied it.
    pub applied_by: Option<String>,
    /// How what it decided has ended: `fulfilled`, `replaced` by another decision, or `withdrawn`; null: it stands, or nobody applied it.
    pub outcome: Option<String>,
    /// What is decided when it is applied.
    #[schema(value_type = Object)]
    pub decision: Decision,
}

/// `POST /plans/{id}/apply` answers this.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ApplyAnswer {
    /// Which plan.
    #[schema(value_type = uuid::Uuid)]
    pub plan_id: PlanId,
    /// What is decided now; it stands until every target it names has the winner's newest snapshot.
    #[schema(value_type = Object)]
    pub decision: Decision,
    /// The first steps, which were queued now.
    #[schema(value_type = Vec<uuid::Uuid>)]
    pub queued: Vec<TransferId>,
}
