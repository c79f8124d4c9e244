//! What stands between a replica and its source, as an object that people and scripts can look at and decide on.

use serde::{Deserialize, Serialize};

use super::step::{Casualty, Point};
use crate::{group::Strategy, ids::SystemId, name::DatasetName};

/// What kind of conflict it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictKind {
    /// The target has newer snapshots of its own.
    Diverged,
    /// The source went back; the target has what the source gave up.
    SourceRolledBack,
    /// History on both sides, nothing common.
    NoCommonBase,
    /// Another dataset has taken the source's name.
    Recreated,
    /// The source was renamed and the replica was not.
    Renamed,
    /// A snapshot to be sent has the name of another one on the target.
    SameNameOtherGuid,
    /// The target was written to since its newest snapshot.
    TargetModified,
    /// The source dataset is gone, the replica is not.
    Orphaned,
    /// No member of a mesh has what all others have.
    NoElectedSource,
    /// File system on one side, volume on the other.
    KindMismatch,
    /// The target exists without history.
    TargetNotEmpty,
    /// More was deleted on the source than the group's brake lets pass.
    DeleteBrake,
    /// Reports without GUIDs: same name, other creation time.
    TimestampMismatch,
    /// Reports without GUIDs: same name and time, other size.
    SizeMismatch,
}

impl ConflictKind {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Diverged,
        Self::SourceRolledBack,
        Self::NoCommonBase,
        Self::Recreated,
        Self::Renamed,
        Self::SameNameOtherGuid,
        Self::TargetModified,
        Self::Orphaned,
        Self::NoElectedSource,
        Self::KindMismatch,
        Self::TargetNotEmpty,
        Self::DeleteBrake,
        Self::TimestampMismatch,
        Self::SizeMismatch,
    ];

    /// As in JSON and SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Diverged => "diverged",
            Self::SourceRolledBack => "source_rolled_back",
            Self::NoCommonBase => "no_common_base",
            Self::Recreated => "recreated",
            Self::Renamed => "renamed",
            Self::SameNameOtherGuid => "same_name_other_guid",
            Self::TargetModified => "target_modified",
            Self::Orphaned => "orphaned",
            Self::NoElectedSource => "no_elected_source",
            Self::KindMismatch => "kind_mismatch",
            Self::TargetNotEmpty => "target_not_empty",
            Self::DeleteBrake => "delete_brake",
            Self::TimestampMismatch => "timestamp_mismatch",
            Self::SizeMismatch => "size_mismatch",
        }
    }

    /// Back from [`Self::as_str`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// How bad it is to leave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing is at stake; it should be tidied up.
    Low,
    /// The replica does not follow its source any more.
    Medium,
    /// Data exists on one system only, and the replica does not follow.
    High,
}

impl Severity {
    /// As in JSON and SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    /// Back from [`Self::as_str`].
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Low, Self::Medium, Self::High].into_iter().find(|severity| severity.as_str() == name)
    }
}

/// One of both sides of a conflict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConflictSide {
    /// The system.
    pub system: SystemId,
    /// The dataset there.
    pub dataset: DatasetName,
    /// Its newest snapshot.
    pub head: Option<Casualty>,
    /// Snapshots that the other side has not, newest first, at most 100.
    pub only_here: Vec<Casualty>,
    /// How many they are in all.
    pub only_here_count: u32,
    /// Bytes in them that nothing else refers to (the sum of `used`): a lower bound, since what several of them share is in none.
    pub only_here_bytes: u64,
    /// Bytes written since the newest snapshot.
    pub written: u64,
}

/// What a strategy would come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The strategy.
    pub strategy: Strategy,
    /// Why it can not be used here; `None` when it can.
    pub obstacle: Option<String>,
}

/// One replica that does not follow its source, and what can be done about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// What kind.
    pub kind: ConflictKind,
    /// How bad.
    pub severity: Severity,
    /// The side that is followed.
    pub source: ConflictSide,
    /// The side that does not follow.
    pub target: ConflictSide,
    /// Mesh only: the other members that have gone on by themselves, besides both sides, each against the side that is followed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_heads: Vec<ConflictSide>,
    /// The newest snapshot on both sides.
    pub last_common: Option<Point>,
    /// Bytes that exist on the target only: what a wrong decision would lose. A lower bound, as `only_here_bytes`.
    pub bytes_at_stake: u64,
    /// What can be done.
    pub strategies: Vec<Offer>,
    /// What loses nothing.
    pub suggested: Option<Strategy>,
}
