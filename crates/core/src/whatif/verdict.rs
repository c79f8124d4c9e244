//! What deleting a snapshot would mean, as API and command line show it.

use serde::{Deserialize, Serialize};

use super::place::Place;
use crate::{guid::Guid, ids::SystemId, name::SnapshotName, time::Timestamp};

/// "Can I delete this?", from yes to no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Another dataset has it and nobody needs it here.
    Safe,
    /// Another dataset has it; as incremental base it is needed, but a bookmark takes its place.
    SafeWithBookmark,
    /// ZFS refuses to destroy it as long as it is held or has clones.
    Held,
    /// The snapshot is not known, or something is not known that could make the answer no.
    Unknown,
    /// A replica needs it as incremental base, or waits for it and would never get it.
    BreaksReplication,
    /// No other dataset of the fleet is known to have it, or none that is not to be deleted as well.
    LosesData,
}

impl Answer {
    /// All of them, from yes to no.
    pub const ALL: [Self; 6] = [
        Self::Safe,
        Self::SafeWithBookmark,
        Self::Held,
        Self::Unknown,
        Self::BreaksReplication,
        Self::LosesData,
    ];

    /// True when nothing that is known or unknown speaks against it.
    pub const fn is_safe(self) -> bool {
        matches!(self, Self::Safe | Self::SafeWithBookmark)
    }

    /// As in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::SafeWithBookmark => "safe_with_bookmark",
            Self::Held => "held",
            Self::Unknown => "unknown",
            Self::BreaksReplication => "breaks_replication",
            Self::LosesData => "loses_data",
        }
    }

    /// For people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Safe => "safe to delete",
            Self::SafeWithBookmark => "safe to delete, a bookmark takes its place",
            Self::Held => "can not be deleted now",
            Self::Unknown => "not known",
            Self::BreaksReplication => "needed by replication",
            Self::LosesData => "its data would be lost",
        }
    }
}

/// One thing to know before deleting a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What it alone would answer.
    pub answer: Answer,
    /// In a sentence.
    pub text: String,
    /// Datasets it is about, other than the snapshot's own.
    pub concerns: Vec<Place>,
    /// The oldest report that it rests on; `None` when a system never reported.
    pub as_of: Option<Timestamp>,
}

/// The answer for one snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// On which system it was asked for.
    pub system: SystemId,
    /// Its host name.
    pub system_name: String,
    /// Which snapshot.
    pub snapshot: SnapshotName,
    /// Its identity; `None` when it is not known.
    pub guid: Option<Guid>,
    /// Bytes that are freed at least (`used`); together with its neighbours it may free more.
    pub frees: u64,
    /// The worst of all findings.
    pub answer: Answer,
    /// Why: the worst first.
    pub findings: Vec<Finding>,
    /// When its system last reported.
    pub as_of: Option<Timestamp>,
}
