//! Conflicts: what stands between a replica and its source, and what can be done about it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zfs_sync_core::{
    group::Strategy,
    ids::{ConflictId, GroupId, PlanId, TransferId},
    plan::{Conflict as Found, ConflictKind, Decision, Severity},
};

/// Whether a conflict asks for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictState {
    /// It waits for a decision.
    Open,
    /// Somebody said that it may stay until a time that has not come.
    Ignored,
    /// It is over.
    Resolved,
}

impl ConflictState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Open, Self::Ignored, Self::Resolved];

    /// As in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Ignored => "ignored",
            Self::Resolved => "resolved",
        }
    }

    /// Back from [`Self::as_str`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// Where a member stands that has gone its own way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Head {
    /// Its host name.
    pub system: String,
    /// The dataset there.
    pub dataset: String,
    /// The name of its newest snapshot; null: it has none.
    pub snapshot: Option<String>,
}

/// One conflict of one replica.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Conflict {
    /// Identity.
    #[schema(value_type = uuid::Uuid)]
    pub id: ConflictId,
    /// Which group.
    #[schema(value_type = uuid::Uuid)]
    pub group_id: GroupId,
    /// Its name.
    pub group: String,
    /// The logical dataset.
    pub dataset: String,
    /// Host name of the member that is followed.
    pub source_system: String,
    /// The dataset there.
    pub source: String,
    /// Host name of the member that does not follow.
    pub target_system: String,
    /// The dataset there.
    pub target: String,
    /// `open`, `ignored` or `resolved`.
    #[schema(value_type = String)]
    pub state: ConflictState,
    /// What kind, `diverged` for example.
    #[schema(value_type = String)]
    pub kind: ConflictKind,
    /// `low`, `medium` or `high`.
    #[schema(value_type = String)]
    pub severity: Severity,
    /// When it was first seen.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// When it was over.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub resolved_at: Option<Timestamp>,
    /// Until when it is ignored; null: it is not.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ignored_until: Option<Timestamp>,
    /// Who ignored it.
    pub ignored_by: Option<String>,
    /// What they said.
    pub note: Option<String>,
    /// Bytes that exist on the target only, at least: what a wrong decision would lose. Null: there are some, and nobody knows how many;
    /// what several snapshots share is counted for none of them.
    pub bytes_at_stake: Option<u64>,
    /// True when the source has only a bookmark of the last common snapshot. What `report` calls it is its name on the target.
    pub common_is_bookmark: bool,
    /// All heads: first the member that is followed, then the one that does not follow; in a mesh also every other that has gone on by itself.
    #[serde(default)]
    pub heads: Vec<Head>,
    /// What loses nothing.
    #[schema(value_type = Option<String>)]
    pub suggested: Option<Strategy>,
    /// What somebody has decided about it and is not carried out yet; null: nothing.
    pub decision: Option<Decided>,
    /// All of it: both sides with what only they have (in lists the newest five of each), the last common snapshot, what each strategy
    /// comes to.
    #[schema(value_type = Object)]
    pub report: Found,
}

/// A decision that stands: what follows from it is done until all its targets have the newest snapshot of the member that is followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Decided {
    /// The plan that was applied.
    #[schema(value_type = uuid::Uuid)]
    pub plan_id: PlanId,
    /// Host name of the member that is followed.
    pub winner: String,
    /// Host names of all members that it is about.
    pub targets: Vec<String>,
    /// When it was decided.
    #[schema(value_type = String, format = DateTime)]
    pub decided_at: Timestamp,
    /// Who decided it.
    pub decided_by: String,
}

/// `POST /conflicts/{id}/withdraw` answers this.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WithdrawAnswer {
    /// The plan that was applied.
    #[schema(value_type = uuid::Uuid)]
    pub plan_id: PlanId,
    /// What is decided no longer.
    #[schema(value_type = Object)]
    pub decision: Decision,
    /// Host names of all members that it was about.
    pub targets: Vec<String>,
    /// Transfers that were queued and do not start any more.
    #[schema(value_type = Vec<uuid::Uuid>)]
    pub dropped: Vec<TransferId>,
    /// Transfers that run, and end as they would have.
    #[schema(value_type = Vec<uuid::Uuid>)]
    pub running: Vec<TransferId>,
}

/// `POST /conflicts/{id}/plan`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProposePlan {
    /// `keep_both`, `use_source_of_truth`, `use_newest`, `use_largest`, `use_majority`, `rollback_target`.
    #[schema(value_type = String)]
    pub strategy: Strategy,
}

/// `POST /conflicts/{id}/ignore`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct IgnoreConflict {
    /// Until when; null: not any more.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// Why, for the next person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}
