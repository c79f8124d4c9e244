//! What a plan says about each replica, in words and in codes.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    conflict::Conflict,
    reason::{Reason, Warning},
    step::{Point, Step},
};
use crate::{guid::Guid, ids::SystemId, name::DatasetName, time::Timestamp};

/// How a replica stands now. Compares GUID sets, never names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaState {
    /// The target has the source's newest snapshot.
    InSync,
    /// The target lacks snapshots and can take them.
    Behind,
    /// A transfer runs or is queued.
    Syncing,
    /// The target dataset does not exist yet, or a first receive is incomplete.
    NeverSeeded,
    /// The target's history or content has left the source's.
    Diverged,
    /// The group is disabled.
    Paused,
    /// Not enough is known, or it is too old.
    Unknown,
}

impl ReplicaState {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::InSync,
        Self::Behind,
        Self::Syncing,
        Self::NeverSeeded,
        Self::Diverged,
        Self::Paused,
        Self::Unknown,
    ];

    /// As in JSON and SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InSync => "in_sync",
            Self::Behind => "behind",
            Self::Syncing => "syncing",
            Self::NeverSeeded => "never_seeded",
            Self::Diverged => "diverged",
            Self::Paused => "paused",
            Self::Unknown => "unknown",
        }
    }

    /// Back from [`Self::as_str`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// For people: `✓ in sync`.
    pub const fn glyph(self) -> &'static str {
        match self {
            Self::InSync => "✓",
            Self::Behind => "↓",
            Self::Syncing => "⇄",
            Self::NeverSeeded => "○",
            Self::Diverged => "✖",
            Self::Paused => "‖",
            Self::Unknown => "?",
        }
    }

    /// For people, in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::InSync => "in sync",
            Self::Behind => "behind",
            Self::Syncing => "syncing",
            Self::NeverSeeded => "never seeded",
            Self::Diverged => "diverged",
            Self::Paused => "paused",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for ReplicaState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// One observation a decision rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// In words.
    pub text: String,
    /// How old it is: when its system last reported.
    pub as_of: Option<Timestamp>,
}

/// One rule that was looked at on the way to the decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleApplied {
    /// What it asks, in words.
    pub rule: String,
    /// False where it stops the replica; it is the last one then.
    pub holds: bool,
}

/// Identifies a replica within its group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReplicaKey {
    /// The member whose names logical datasets have.
    pub home: SystemId,
    /// The logical dataset.
    pub dataset: DatasetName,
    /// The member that receives it.
    pub target_system: SystemId,
}

/// What plans remember of a replica, because it can not be seen any more once the source has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// The dataset GUID of the source.
    pub source_guid: Guid,
    /// The target's newest snapshot when it was last known to the source.
    pub common: Option<Guid>,
    /// The source is another dataset than the one that the replica was made from, and the replica still has snapshots that only that one
    /// had: their deletion is not carried over without a person's word.
    #[serde(default)]
    pub replaced: bool,
    /// The newest of these on the replica: what is newer there has come from the present source. `None`, with `replaced`: nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_until: Option<Guid>,
}

/// One replica: facts, rules, decision, what happens next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaReport {
    /// The member whose names logical datasets have.
    pub home: SystemId,
    /// The logical dataset.
    pub dataset: DatasetName,
    /// The member that the target follows.
    pub source_system: SystemId,
    /// Who should receive it.
    pub target_system: SystemId,
    /// The dataset on the source; the logical name where it has none there.
    pub source: DatasetName,
    /// The dataset on the target; the logical name where mapping failed.
    pub target: DatasetName,
    /// How it stands.
    pub state: ReplicaState,
    /// Why nothing is done by itself. [`Reason::ManualMode`] comes with the `step` that waits for a person; all others without.
    pub reason: Option<Reason>,
    /// Doubts.
    pub warnings: Vec<Warning>,
    /// What the decision rests on, in order.
    pub facts: Vec<Fact>,
    /// The rules that were looked at, in order; the last one decided.
    pub rules: Vec<RuleApplied>,
    /// One sentence: what happens next, or what a person must do.
    pub next: String,
    /// When that is, where it is known.
    pub next_at: Option<Timestamp>,
    /// What should be done; `None` when `reason` says why nothing is.
    pub step: Option<Step>,
    /// The newest snapshot on both sides by GUID (or that the target holds and a source bookmark proves).
    pub newest_common: Option<Point>,
    /// The newest snapshot on the source.
    pub newest_source: Option<Point>,
    /// Source snapshots newer than the newest common one; all of them where nothing is common.
    pub snapshot_lag: u32,
    /// Names of snapshots that only the target has, newest first, at most 20.
    pub only_on_target: Vec<String>,
    /// What stands in the way, as an object of its own.
    pub conflict: Option<Conflict>,
    /// For the next plan.
    pub remembered: Option<Remembered>,
}

impl ReplicaReport {
    /// What identifies it within its group.
    pub fn key(&self) -> ReplicaKey {
        ReplicaKey { home: self.home, dataset: self.dataset.clone(), target_system: self.target_system }
    }
}

/// What a plan says about a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// By home, logical dataset and target system.
    pub replicas: Vec<ReplicaReport>,
    /// Doubts about the group as a whole.
    pub warnings: Vec<Warning>,
    /// Logical datasets that the patterns select, within the scope of the plan.
    pub selected: u32,
}

impl Report {
    /// How many replicas are in each state.
    pub fn count(&self, state: ReplicaState) -> usize {
        self.replicas.iter().filter(|replica| replica.state == state).count()
    }
}
