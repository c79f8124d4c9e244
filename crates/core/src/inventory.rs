//! What hosts reported, and when.
//!
//! An inventory is a statement with an age, never the truth: *unknown is not absent*. Snapshots are identified by GUID and ordered
//! by `createtxg`; names and creation times are for people.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    digest::hexadecimal,
    guid::{Guid, Txg},
    name::{DatasetName, Label},
    retention::Retention,
    time::Timestamp,
};

/// File system or volume (`type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatasetKind {
    /// A file system.
    Filesystem,
    /// A volume (zvol).
    Volume,
}

/// One snapshot as its host sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Identity: equal on every system that received it.
    pub guid: Guid,
    /// Order of creation within this system's pool.
    pub createtxg: Txg,
    /// The part after `@` on this system; another system may call it otherwise.
    pub label: Label,
    /// `creation` in seconds since 1970; for people, not for order.
    pub creation: i64,
    /// Bytes that destroying it would free (`used`).
    #[serde(default)]
    pub used: u64,
    /// Bytes it refers to (`referenced`).
    #[serde(default)]
    pub referenced: u64,
    /// Number of holds (`userrefs`).
    #[serde(default)]
    pub holds: u32,
}

/// One bookmark as its host sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bookmark {
    /// The GUID of the snapshot it was made from.
    pub guid: Guid,
    /// The `createtxg` of the snapshot it was made from.
    pub createtxg: Txg,
    /// The part after `#`.
    pub label: Label,
    /// `creation` in seconds since 1970.
    pub creation: i64,
}

/// A receive that was interrupted and can be resumed (`receive_resume_token`, decoded).
///
/// The token itself stays on its host; whoever resumes reads it anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartialReceive {
    /// The snapshot whose stream was cut.
    pub to_guid: Guid,
    /// The incremental source; `None` for a full stream.
    pub from_guid: Option<Guid>,
    /// `dataset@snapshot` as the sender called it then.
    pub to_name: String,
    /// Bytes already received.
    pub bytes: u64,
    /// True when the stream was raw (`-w`).
    pub raw: bool,
}

impl PartialReceive {
    /// True when it is this dataset, by the name that it has on the sender, whose stream was cut.
    pub fn is_of(&self, source: &DatasetName) -> bool {
        self.to_name.split_once('@').is_some_and(|(dataset, _)| dataset == source.as_str())
    }
}

/// A dataset's properties that replication looks at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetProperties {
    /// The dataset's own GUID: it survives a rename, not a re-creation.
    pub guid: Guid,
    /// File system or volume.
    pub kind: DatasetKind,
    /// When the dataset was created, in its pool's order.
    pub createtxg: Txg,
    /// Bytes written since the newest snapshot (`written`).
    pub written: u64,
    /// `used`.
    pub used: u64,
    /// `referenced`.
    pub referenced: u64,
    /// `available`.
    pub available: u64,
    /// `readonly=on`.
    pub readonly: bool,
    /// `mounted=yes`; always false for a volume.
    pub mounted: bool,
    /// `encryption` is something else than `off`.
    pub encrypted: bool,
    /// The snapshot this is a clone of.
    pub origin: Option<String>,
    /// An interrupted receive waits here.
    pub partial: Option<PartialReceive>,
}

impl DatasetProperties {
    /// True when a report need not repeat `other`: equal, where sizes that move with every write count only as zero or not.
    pub fn same_for_report(&self, other: &Self) -> bool {
        let Self {
            guid,
            kind,
            createtxg,
            written,
            used: _,
            referenced: _,
            available: _,
            readonly,
            mounted,
            encrypted,
            origin,
            partial,
        } = self;
        *guid == other.guid
            && *kind == other.kind
            && *createtxg == other.createtxg
            && (*written == 0) == (other.written == 0)
            && *readonly == other.readonly
            && *mounted == other.mounted
            && *encrypted == other.encrypted
            && *origin == other.origin
            && *partial == other.partial
    }
}

/// One dataset with its history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    /// Its name on this system.
    pub name: DatasetName,
    /// Its properties.
    pub properties: DatasetProperties,
    /// By `createtxg`, oldest first.
    pub snapshots: Vec<Snapshot>,
    /// By `createtxg`, oldest first.
    pub bookmarks: Vec<Bookmark>,
}

/// A digest of a dataset's ordered history: equal digests mean that the list need not travel.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HistoryDigest(pub String);

impl Dataset {
    /// Puts both lists into their order; every constructor of inventories ends with this.
    pub fn sort(&mut self) {
        self.snapshots.sort_by_key(|snapshot| (snapshot.createtxg, snapshot.guid));
        self.bookmarks.sort_by(|a, b| (a.createtxg, a.guid, &a.label).cmp(&(b.createtxg, b.guid, &b.label)));
    }

    /// The digest over the ordered (guid, createtxg, name) lists, 128 bits in hexadecimal.
    pub fn history_digest(&self) -> HistoryDigest {
        let mut hash = Sha256::new();
        for snapshot in &self.snapshots {
            hash.update(format!("@{} {} {}\n", snapshot.guid, snapshot.createtxg, snapshot.label));
        }
        for bookmark in &self.bookmarks {
            hash.update(format!("#{} {} {}\n", bookmark.guid, bookmark.createtxg, bookmark.label));
        }
        HistoryDigest(hexadecimal(hash, 16))
    }

    /// The newest snapshot by `createtxg`.
    pub fn newest(&self) -> Option<&Snapshot> {
        self.snapshots.last()
    }

    /// Where in the history this snapshot is, or was when it was bookmarked.
    pub fn place_of(&self, guid: Guid) -> Option<Txg> {
        let bookmark = || self.bookmarks.iter().find(|bookmark| bookmark.guid == guid);
        let snapshot = self.snapshot(guid).map(|snapshot| snapshot.createtxg);
        snapshot.or_else(|| bookmark().map(|bookmark| bookmark.createtxg))
    }

    /// The snapshot with this GUID.
    pub fn snapshot(&self, guid: Guid) -> Option<&Snapshot> {
        self.snapshots.iter().find(|snapshot| snapshot.guid == guid)
    }
}

/// Everything one system reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// When the newest report came in, by the witness's clock.
    pub as_of: Timestamp,
    /// By name.
    pub datasets: BTreeMap<DatasetName, Dataset>,
    /// What the system's own snapshot tool keeps, by dataset; a dataset that is missing here is none that it looks after.
    #[serde(default)]
    pub retention: BTreeMap<DatasetName, Retention>,
    /// True when the system's client knows no GUIDs: its snapshots are then matched by name and creation time.
    #[serde(default)]
    pub without_guids: bool,
}

impl Inventory {
    /// An inventory without any dataset.
    pub const fn empty(as_of: Timestamp) -> Self {
        Self { as_of, datasets: BTreeMap::new(), retention: BTreeMap::new(), without_guids: false }
    }

    /// True when a dataset of this pool is known.
    pub fn has_pool(&self, pool: &str) -> bool {
        self.datasets.keys().any(|name| name.pool() == pool)
    }
}
