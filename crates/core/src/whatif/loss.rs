//! What the loss of a system means, as API and command line show it.

use serde::{Deserialize, Serialize};

use super::place::Place;
use crate::{
    guid::Guid,
    ids::SystemId,
    inventory::Snapshot,
    name::{DatasetName, Label},
    plan::Fact,
    time::Timestamp,
};

/// What a dataset is to the groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// At least one group copies it from here; in a mesh every member's dataset may be a source.
    Source,
    /// Groups copy it only to here.
    Target,
    /// No group knows it: nothing keeps a copy of it up to date.
    NoGroup,
}

/// How much of a dataset vanishes with its system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    /// Nothing that was reported.
    Nothing,
    /// The newest snapshot survives; older ones exist only here.
    OldSnapshots,
    /// What was written since the newest surviving snapshot.
    Recent,
    /// No snapshot of it survives.
    Everything,
}

/// One snapshot of a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotAt {
    /// Identity.
    pub guid: Guid,
    /// Its name on the lost system.
    pub label: Label,
    /// `creation` in seconds since 1970.
    pub creation: i64,
}

impl From<&Snapshot> for SnapshotAt {
    fn from(snapshot: &Snapshot) -> Self {
        Self { guid: snapshot.guid, label: snapshot.label.clone(), creation: snapshot.creation }
    }
}

/// A dataset on another system that shares history with the lost one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survivor {
    /// Where it is.
    #[serde(flatten)]
    pub place: Place,
    /// The newest snapshot of the lost dataset that it has.
    pub newest: SnapshotAt,
    /// How many snapshots of the lost dataset it has.
    pub snapshots: u32,
    /// Snapshots it has after `newest`, of its own: not 0 when it has diverged, or was ahead.
    pub newer_of_its_own: u32,
    /// When its system reported.
    pub as_of: Timestamp,
    /// False when that is too long ago to rely on.
    pub fresh: bool,
}

/// What an operator does to go on with a survivor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promotion {
    /// The dataset to go on with.
    #[serde(flatten)]
    pub place: Place,
    /// Commands to run there, in this order, as root.
    pub commands: Vec<String>,
    /// What else to know and to do, in sentences.
    pub notes: Vec<String>,
}

/// What the loss of a system means for one of its datasets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// Its name on the lost system.
    pub dataset: DatasetName,
    /// What it is to the groups.
    pub role: Role,
    /// The names of the groups that know it.
    pub groups: Vec<String>,
    /// How much vanishes.
    pub extent: Extent,
    /// The newest snapshot on the lost system.
    pub newest: Option<SnapshotAt>,
    /// Bytes written since then (`written`), or ever where there is no snapshot.
    pub written: u64,
    /// Datasets that share history with it, best first: with the newest snapshot in the order of the lost system's history, then
    /// reported lately, then with most of the history, then by name.
    pub survivors: Vec<Survivor>,
    /// How far back the newest surviving snapshot lies, in minutes: what was changed since then may be lost. 0 for a target that was not
    /// written to, since its source has the data. `None` when no snapshot survives.
    pub minutes_lost: Option<u64>,
    /// A lower bound of the bytes that vanish: what snapshots that exist only here use alone, the growth of `referenced` over the newest
    /// surviving snapshot, and `written`.
    pub bytes_lost: u64,
    /// Snapshots that no other system is known to hold.
    pub snapshots_lost: u32,
    /// The newest of these, newest first, at most [`Loss::LABELS`].
    pub newest_lost: Vec<Label>,
    /// Snapshots that only systems hold whose report is too old, or of which it is not known who holds them, since they came without
    /// GUIDs; they are not counted as lost.
    pub snapshots_uncertain: u32,
    /// What to go on with; `None` when nothing survives, and for targets, whose source is still there.
    pub promote: Option<Promotion>,
    /// What is not known and would change the answer.
    pub doubts: Vec<Fact>,
    /// All this in one sentence.
    pub summary: String,
}

impl Loss {
    /// How many labels [`Loss::newest_lost`] lists.
    pub const LABELS: usize = 10;

    /// True when nothing is known to vanish and nothing is in doubt.
    pub fn is_nothing(&self) -> bool {
        self.extent == Extent::Nothing && self.doubts.is_empty()
    }
}

/// What the loss of a system means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemLoss {
    /// The system.
    pub system: SystemId,
    /// Its host name.
    pub system_name: String,
    /// When it last reported; `None` when it never did. All that is said of its datasets is as old as this.
    pub as_of: Option<Timestamp>,
    /// Each dataset it reported, by name. Empty where it never reported, which does not mean that nothing is lost.
    pub losses: Vec<Loss>,
    /// What is not known of the system itself.
    pub doubts: Vec<Fact>,
}

impl SystemLoss {
    /// Bytes that vanish at least.
    pub fn bytes_lost(&self) -> u64 {
        self.losses.iter().map(|loss| loss.bytes_lost).fold(0, u64::saturating_add)
    }
}
