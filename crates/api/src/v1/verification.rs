//! Verifications: is a snapshot on two systems really the same?

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zfs_sync_core::{
    health::PoolHealth,
    ids::{GroupId, VerificationId},
    name::{DatasetName, SnapshotName},
    verify::{Answer, Question, Verdict},
};

/// `POST /verifications`: compares a snapshot on two systems.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CreateVerification {
    /// `DATASET@SNAPSHOT`, by its name on the first or on the second system.
    #[schema(value_type = String)]
    pub snapshot: SnapshotName,
    /// Two systems, by id or host name. Twice the same: two datasets of it.
    pub between: Vec<String>,
    /// The dataset on the second system; when absent, the one that has the snapshot's GUID.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub dataset: Option<DatasetName>,
    /// Compares all content, not only GUID and properties.
    #[serde(default)]
    pub deep: bool,
    /// Each side reads at most so many bytes a second.
    #[serde(default)]
    pub rate: Option<u64>,
}

/// One side of a verification.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct VerificationSide {
    /// Host name.
    pub system: String,
    /// `DATASET@SNAPSHOT` there.
    #[schema(value_type = String)]
    pub snapshot: SnapshotName,
    /// True while its agent works on it.
    pub working: bool,
    /// Files, directories and other things seen so far.
    pub entries: u64,
    /// Bytes read so far.
    pub bytes: u64,
}

/// One verification.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Verification {
    /// Identity.
    #[schema(value_type = uuid::Uuid)]
    pub id: VerificationId,
    /// The group for whose schedule it was made; null: somebody asked for it.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub group_id: Option<GroupId>,
    /// Who asked for it.
    pub requested_by: String,
    /// `queued`, `running`, `matched`, `differs`, `unproven`, `failed`, `cancelled`.
    pub state: String,
    /// All content, not only GUID and properties.
    pub deep: bool,
    /// Each side reads at most so many bytes a second.
    pub rate: Option<u64>,
    /// Times it was begun; it begins anew when an agent dies.
    pub attempts: u32,
    /// The system that was named first.
    pub left: VerificationSide,
    /// The system that was named second.
    pub right: VerificationSide,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When both sides were first at work, or one of them.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    /// What was found. Names of files are for operators: others get it without `differences`.
    #[schema(value_type = Option<Object>)]
    pub result: Option<Verdict>,
}

/// Which side of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhichSide {
    /// The system that was named first.
    Left,
    /// The system that was named second.
    Right,
}

/// One side of a verification, for the agent that has the snapshot. It comes with an answer to `POST /systems/{id}/lease`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct VerificationTask {
    /// Which verification.
    #[schema(value_type = uuid::Uuid)]
    pub id: VerificationId,
    /// Which side of it.
    pub side: WhichSide,
    /// Fencing: answers under an older generation are refused.
    pub generation: u64,
    /// Say something within this time, in milliseconds.
    pub lease_ms: u64,
    /// The snapshot on this system.
    #[schema(value_type = String)]
    pub snapshot: SnapshotName,
    /// Read at most so many bytes a second.
    pub rate: Option<u64>,
}

/// `POST /verifications/{id}/exchange`: an agent answers, and asks for more questions; renews the lease.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ExchangeRequest {
    /// From the task.
    pub generation: u64,
    /// From the task.
    pub side: WhichSide,
    /// The round that `answers` belong to, and beyond which it wants questions.
    pub round: u32,
    /// Answers to all questions of that round; null while they are being worked on, or when they were heard already.
    #[schema(value_type = Option<Vec<Object>>)]
    pub answers: Option<Vec<Answer>>,
    /// Files, directories and other things seen so far.
    pub entries: u64,
    /// Bytes read so far.
    pub bytes: u64,
    /// How long the witness may hold the answer back, in milliseconds, at most 30000.
    pub wait_ms: u64,
}

/// `POST /verifications/{id}/exchange` answers this.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ExchangeAnswer {
    /// Nothing more is asked: it has ended, or somebody cancelled it.
    pub over: bool,
    /// The present round.
    pub round: u32,
    /// Its questions; none where the round is the one that the request named.
    #[schema(value_type = Vec<Object>)]
    pub questions: Vec<Question>,
}

/// What the newest comparison of a replica with its source has found.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Proof {
    /// The target's host name.
    pub target_system: String,
    /// The dataset there.
    #[schema(value_type = String)]
    pub target: DatasetName,
    /// The snapshot on the target.
    #[schema(value_type = String)]
    pub snapshot: SnapshotName,
    /// Which verification that was.
    #[schema(value_type = uuid::Uuid)]
    pub verification_id: VerificationId,
    /// It is the same as its source; when false it is not, although both have the same GUID.
    pub matched: bool,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// By all content, not only by GUID and properties.
    pub deep: bool,
    /// How the pool is that it lies in, as its agent last said.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub pool: Option<PoolHealth>,
}

/// What a group compares by itself: its replicas by all content, the one that was longest not proven first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VerificationSchedule {
    /// Whose; ignored when it is set.
    #[serde(default)]
    #[schema(value_type = Option<uuid::Uuid>)]
    pub group_id: Option<GroupId>,
    /// How old a proof may become, in milliseconds.
    pub every_ms: u64,
    /// Bytes that each side reads in a day at most. A snapshot that alone is larger is read when nothing else was.
    pub budget_per_day: u64,
    /// Each side reads at most so many bytes a second.
    #[serde(default)]
    pub rate: Option<u64>,
}
