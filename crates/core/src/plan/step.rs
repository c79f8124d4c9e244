//! Plans: immutable lists of steps with every choice made.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    digest::hexadecimal,
    guid::{Guid, Txg},
    ids::{GroupId, SystemId},
    inventory::{Bookmark, DatasetKind, Snapshot},
    name::{DatasetName, Label},
    stream::CopiedProperty,
};

/// A snapshot on the source, by identity, order and present name; where only a bookmark is left of it, the bookmark's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// Identity.
    pub guid: Guid,
    /// Order on the source.
    pub createtxg: Txg,
    /// Name on the source when the plan was made.
    pub label: Label,
    /// `creation` in seconds since 1970.
    pub creation: i64,
}

impl From<&Snapshot> for Point {
    fn from(snapshot: &Snapshot) -> Self {
        let Snapshot { guid, createtxg, label, creation, .. } = snapshot;
        Self { guid: *guid, createtxg: *createtxg, label: label.clone(), creation: *creation }
    }
}

impl From<&Bookmark> for Point {
    fn from(bookmark: &Bookmark) -> Self {
        let Bookmark { guid, createtxg, label, creation } = bookmark;
        Self { guid: *guid, createtxg: *createtxg, label: label.clone(), creation: *creation }
    }
}

/// What an incremental stream starts from: both sides have it, by GUID.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Base {
    /// A snapshot that exists on both sides.
    Snapshot(Point),
    /// A bookmark on the source whose GUID is the target's newest snapshot. `zfs send` takes only `-i` from it, to one snapshot.
    Bookmark(Point),
    /// A snapshot of the dataset that the source is a clone of, where the target has it too: `zfs send -i ORIGIN@BASE CLONE@TO`
    /// makes a clone on the target, and only what differs from the origin travels.
    Origin {
        /// The origin's dataset on the source.
        dataset: DatasetName,
        /// The snapshot there.
        point: Point,
    },
}

impl Base {
    /// The common point.
    pub const fn point(&self) -> &Point {
        match self {
            Self::Snapshot(point) | Self::Bookmark(point) | Self::Origin { point, .. } => point,
        }
    }
}

/// A snapshot on the target that a first receive makes a clone of (`zfs receive -o origin=`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetOrigin {
    /// Its dataset on the target.
    pub dataset: DatasetName,
    /// The snapshot; what it is called there is looked up when the step is carried out.
    pub guid: Guid,
}

/// One snapshot that a step destroys. Nothing that is not listed is ever destroyed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Casualty {
    /// Identity.
    pub guid: Guid,
    /// Its name on the system where it is destroyed.
    pub label: Label,
    /// `creation` in seconds since 1970.
    pub creation: i64,
    /// Bytes that destroying it frees.
    pub used: u64,
    /// Bytes it refers to.
    pub referenced: u64,
}

impl From<&Snapshot> for Casualty {
    fn from(snapshot: &Snapshot) -> Self {
        let Snapshot { guid, label, creation, used, referenced, .. } = snapshot;
        Self { guid: *guid, label: label.clone(), creation: *creation, used: *used, referenced: *referenced }
    }
}

/// One snapshot that a plan destroys, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Destroy {
    /// On which system.
    pub system: SystemId,
    /// In which dataset.
    pub dataset: DatasetName,
    /// Which snapshot.
    #[serde(flatten)]
    pub casualty: Casualty,
}

/// Send and receive, up to one snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Send {
    /// Where the stream starts; `None` is a full stream into a dataset that does not exist yet.
    pub base: Option<Base>,
    /// Where it ends.
    pub to: Point,
    /// Snapshots the target has afterwards that it has not now (1 for a full stream or one from a bookmark; `-I` sends all between).
    pub snapshots: u32,
    /// An interrupted receive on the target is continued (`zfs send -t`); it ends at `to`, the next plan goes on from there.
    pub resume: bool,
    /// An interrupted receive on the target is of no use any more and is discarded first (`zfs receive -A`), when it still has this GUID.
    pub discard_partial: Option<Guid>,
    /// Raw stream (`-w`), for encrypted sources.
    pub raw: bool,
    /// The target's newest snapshot when the plan was made; another one makes the step stale.
    pub target_newest: Option<Guid>,
    /// Ancestors of the target dataset that do not exist and are no replicas: made as unmounted placeholders.
    pub create_parents: Vec<DatasetName>,
    /// The target dataset does not exist yet and becomes a clone of this.
    #[serde(default)]
    pub target_origin: Option<TargetOrigin>,
    /// Properties that a replica gets from its source when it begins, besides its record size.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<CopiedProperty>,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Moves data.
    Send(Send),
    /// Renames a diverged target, with all its snapshots, out of the way. Nothing is destroyed; the next plan seeds anew.
    SetAside {
        /// The new name.
        rename_to: DatasetName,
        /// The target's dataset GUID when the plan was made; another one makes the step stale.
        target_guid: Guid,
        /// The target's newest snapshot when the plan was made.
        target_newest: Option<Guid>,
    },
    /// Renames a replica, with all its snapshots, because its source was renamed. The step's target is the new name.
    FollowRename {
        /// Its present name on the target.
        rename_from: DatasetName,
        /// The target's dataset GUID when the plan was made; another one makes the step stale.
        target_guid: Guid,
        /// The target's newest snapshot when the plan was made.
        target_newest: Option<Guid>,
    },
    /// Takes a target back to a snapshot it has in common with its source. Destroys what is listed and newer, nothing else.
    RollBack {
        /// The snapshot to go back to.
        to: Guid,
        /// What the target calls it.
        to_label: Label,
        /// The target's dataset GUID when the plan was made; another one makes the step stale.
        target_guid: Guid,
        /// The target's newest snapshot when the plan was made.
        target_newest: Guid,
        /// Every snapshot newer than `to`, newest first; one more or one less on the target makes the step stale.
        destroys: Vec<Casualty>,
        /// Bytes written since the newest snapshot that are given up; more on the target make the step stale.
        discards: u64,
    },
    /// Destroys snapshots on a target that its source no longer has.
    DestroySnapshots {
        /// The target's dataset GUID when the plan was made; another one makes the step stale.
        target_guid: Guid,
        /// The newest snapshot on both sides, which stays; when the target lacks it the step is stale.
        keeps: Guid,
        /// What is destroyed.
        destroys: Vec<Casualty>,
    },
}

impl Action {
    /// Snapshots that are destroyed.
    pub fn destroys(&self) -> &[Casualty] {
        match self {
            Self::RollBack { destroys, .. } | Self::DestroySnapshots { destroys, .. } => destroys,
            Self::Send(_) | Self::SetAside { .. } | Self::FollowRename { .. } => &[],
        }
    }

    /// True when it concerns the target alone, so that the target itself carries it out.
    pub const fn is_local(&self) -> bool {
        !matches!(self, Self::Send(_))
    }
}

/// Names one replica in holds and bookmarks: the same for the same target, whatever the job is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Receiver(String);

impl Receiver {
    /// The receiver of `dataset` on `system`: eight hexadecimal digits.
    pub fn new(system: SystemId, dataset: &DatasetName) -> Self {
        Self(hexadecimal(Sha256::new_with_prefix(format!("{system} {dataset}")), 4))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Tags and bookmarks that protect an incremental base, all with our prefix `zfs-sync:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protection {
    lineage: Guid,
    receiver: Receiver,
}

impl Protection {
    /// The prefix of every tag of ours.
    pub const PREFIX: &'static str = "zfs-sync:";

    /// For the replica `receiver` of the dataset with GUID `lineage`.
    pub const fn new(lineage: Guid, receiver: Receiver) -> Self {
        Self { lineage, receiver }
    }

    /// The hold on source snapshots while a step runs.
    pub fn step_hold(&self) -> String {
        format!("{}step:{:x}:{}", Self::PREFIX, self.lineage.get(), self.receiver.0)
    }

    /// The hold on the target's newest common snapshot, between steps.
    pub fn base_hold(&self) -> String {
        format!("{}base:{:x}:{}", Self::PREFIX, self.lineage.get(), self.receiver.0)
    }

    /// The bookmark on the source of the newest common snapshot.
    pub fn bookmark(&self, guid: Guid) -> Label {
        let text = format!("{}{:x}:{}", Self::PREFIX, guid.get(), self.receiver.0);
        text.parse().expect("hexadecimal digits, letters, `-` and `:` are allowed in a bookmark's name")
    }

    /// True for a bookmark of ours for this receiver, whatever its snapshot.
    pub fn owns_bookmark(&self, label: &Label) -> bool {
        label.as_str().starts_with(Self::PREFIX) && label.as_str().ends_with(&format!(":{}", self.receiver.0))
    }
}

/// One thing to do for one replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Who has the data.
    pub source_system: SystemId,
    /// Who lacks it.
    pub target_system: SystemId,
    /// The dataset on the source.
    pub source: DatasetName,
    /// The dataset on the target.
    pub target: DatasetName,
    /// File system or volume.
    pub kind: DatasetKind,
    /// The source dataset's GUID when the plan was made.
    pub source_guid: Guid,
    /// This replica in holds and bookmarks.
    pub receiver: Receiver,
    /// What is done.
    #[serde(flatten)]
    pub action: Action,
}

impl Step {
    /// The tags and bookmarks that guard this step.
    pub fn protection(&self) -> Protection {
        Protection::new(self.source_guid, self.receiver.clone())
    }
}

/// A digest over everything a plan was made from and consists of: equal means nothing relevant has moved.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(pub String);

/// What should happen for one group now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The group it is for.
    pub group: GroupId,
    /// In an order that respects parents; at most one step a replica.
    pub steps: Vec<Step>,
    /// Every snapshot that its steps destroy; empty unless a policy or a person allows it.
    pub destroys: Vec<Destroy>,
    /// What the plan was made from.
    pub fingerprint: Fingerprint,
}
