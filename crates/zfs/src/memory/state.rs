//! What the pools of one host hold, and the questions that can be asked about it.

use std::collections::BTreeMap;

use zfs_sync_core::{
    guid::{Guid, Txg},
    inventory::DatasetKind,
    name::{DatasetName, Label, SnapshotName},
};

use super::random::{Random, mix};

/// Bytes that a dataset without any content refers to.
pub(super) const OVERHEAD: u64 = 24_576;

const USAGE_END: &str = "\n\nFor the property list, run: zfs set|get\n\nFor the delegated permission list, run: zfs allow|unallow\n\nFor further help on a command or topic, run: zfs help [<topic>]\n";

/// A command that is refused: what it prints to standard error, and its exit status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) stderr: String,
    pub(super) code: u8,
}

impl Refusal {
    pub(super) fn new(text: impl Into<String>) -> Self {
        let mut stderr = text.into();
        stderr.push('\n');
        Self { stderr, code: 1 }
    }

    pub(super) fn missing(name: impl std::fmt::Display) -> Self {
        Self::new(format!("cannot open '{name}': dataset does not exist"))
    }

    /// What follows when a program thinks that it was called wrongly.
    pub(super) fn with_usage(mut self, synopsis: &str) -> Self {
        for text in ["usage:\n", synopsis, USAGE_END] {
            self.stderr.push_str(text);
        }
        self.code = 2;
        self
    }
}

/// One write: `length` bytes that follow from `seed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) seed: u64,
    pub(super) length: u64,
    /// It took the place of as much older content.
    pub(super) in_place: bool,
}

impl Extent {
    /// Bytes that a dataset refers to more because of it.
    pub(super) const fn growth(&self) -> u64 {
        if self.in_place { 0 } else { self.length }
    }
}

/// A snapshot refers to the first `extents` writes of its dataset: content is only ever appended, or rolled back to a snapshot.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) guid: Guid,
    pub(super) createtxg: Txg,
    pub(super) creation: i64,
    pub(super) label: Label,
    pub(super) extents: usize,
    /// Tag to the second it was set.
    pub(super) holds: BTreeMap<String, i64>,
    /// Streams that read from it at this moment.
    pub(super) readers: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Bookmark {
    pub(super) guid: Guid,
    pub(super) createtxg: Txg,
    pub(super) creation: i64,
    pub(super) label: Label,
    pub(super) extents: usize,
    pub(super) referenced: u64,
}

/// A receive that has begun and not ended (`%recv`).
#[derive(Clone, Debug)]
pub(super) struct Partial {
    pub(super) to_guid: Guid,
    pub(super) from_guid: Option<Guid>,
    pub(super) to_name: SnapshotName,
    pub(super) creation: i64,
    pub(super) raw: bool,
    /// How many writes of the dataset the stream builds on.
    pub(super) base_extents: usize,
    /// What came so far; of the last one perhaps only a part.
    pub(super) extents: Vec<Extent>,
    /// Bytes of the last extent that are here.
    pub(super) last_received: u64,
    /// Payload bytes that are here.
    pub(super) bytes: u64,
    /// The dataset's newest snapshot when it began: empty ones may lie above the base.
    pub(super) newest: Option<Guid>,
    /// The dataset exists only because of this receive.
    pub(super) new_dataset: bool,
    /// A receive is running.
    pub(super) active: bool,
}

/// What a clone was made from. By GUIDs: they survive every rename.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// The dataset that has the snapshot now; a promotion changes it.
    pub(super) dataset: Guid,
    pub(super) snapshot: Guid,
    /// How many writes at the beginning of the clone's log are the origin's.
    pub(super) extents: usize,
    /// Their bytes, which the clone does not take up again.
    pub(super) bytes: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Dataset {
    pub(super) guid: Guid,
    pub(super) kind: DatasetKind,
    pub(super) createtxg: Txg,
    pub(super) creation: i64,
    pub(super) log: Vec<Extent>,
    /// Sum of the growth in `log`, kept because every listing asks for it.
    pub(super) content_bytes: u64,
    /// Ordered by `createtxg`.
    pub(super) snapshots: Vec<Snapshot>,
    pub(super) bookmarks: Vec<Bookmark>,
    pub(super) readonly: bool,
    pub(super) mounted: bool,
    pub(super) canmount: &'static str,
    pub(super) encrypted: bool,
    /// Without it, an encrypted dataset can be sent and received raw only.
    pub(super) key_loaded: bool,
    pub(super) snapshots_changed: Option<i64>,
    pub(super) partial: Option<Partial>,
    pub(super) origin: Option<Origin>,
    /// Properties that were set on it, and that nothing here depends on.
    pub(super) local: BTreeMap<String, String>,
    /// It is its own encryption root.
    pub(super) own_key: bool,
    /// A plain stream has come into it: its newest snapshots have another IV set than those of the source.
    pub(super) plain_received: bool,
}

impl Dataset {
    pub(super) fn newest(&self) -> Option<&Snapshot> {
        self.snapshots.last()
    }

    pub(super) fn snapshot(&self, label: &Label) -> Option<&Snapshot> {
        self.snapshots.iter().find(|snapshot| snapshot.label == *label)
    }

    pub(super) fn snapshot_mut(&mut self, label: &Label) -> Option<&mut Snapshot> {
        self.snapshots.iter_mut().find(|snapshot| snapshot.label == *label)
    }

    pub(super) fn by_guid(&self, guid: Guid) -> Option<&Snapshot> {
        self.snapshots.iter().find(|snapshot| snapshot.guid == guid)
    }

    /// Bytes that the first `extents` writes take together.
    pub(super) fn bytes_of(&self, extents: usize) -> u64 {
        self.log[..extents].iter().map(Extent::growth).sum()
    }

    /// Of a dataset whose first receive was interrupted, what came so far counts.
    pub(super) fn referenced(&self) -> u64 {
        if self.is_incomplete() { self.space() + self.shared_bytes() } else { OVERHEAD + self.content_bytes }
    }

    /// Bytes written since the newest snapshot.
    pub(super) fn written(&self) -> u64 {
        match self.newest() {
            Some(newest) => self.written_since(newest),
            None => self.referenced() - self.shared_bytes(),
        }
    }

    /// Bytes that it refers to and a snapshot does not. What is written twice in one place counts twice here.
    pub(super) fn written_since(&self, snapshot: &Snapshot) -> u64 {
        let written: u64 = self.log[snapshot.extents..].iter().map(|extent| extent.length).sum();
        written.min(self.referenced())
    }

    /// The first receive has not ended yet: there is a name, and no content.
    pub(super) fn is_incomplete(&self) -> bool {
        self.partial.as_ref().is_some_and(|partial| partial.new_dataset)
    }

    pub(super) fn is_receiving(&self) -> bool {
        self.partial.as_ref().is_some_and(|partial| partial.active)
    }

    pub(super) fn space(&self) -> u64 {
        OVERHEAD + self.content_bytes - self.shared_bytes()
            + self.partial.as_ref().map_or(0, |partial| partial.bytes)
    }

    fn shared_bytes(&self) -> u64 {
        self.origin.map_or(0, |origin| origin.bytes)
    }

    /// A number that is equal for equal content.
    pub(super) fn content(&self, extents: usize) -> u64 {
        self.log[..extents].iter().fold(0, |sum, extent| mix(mix(sum ^ extent.seed) ^ extent.length))
    }
}

#[derive(Clone, Debug)]
pub(super) struct Pool {
    pub(super) guid: Guid,
    pub(super) capacity: u64,
    pub(super) txg: u64,
    /// Its disks are gone: nothing in it can be opened, and listings leave it out without a word, as OpenZFS 2.3 does.
    pub(super) suspended: bool,
    /// Features that are off.
    pub(super) disabled: std::collections::BTreeSet<String>,
}

/// Everything a host has.
#[derive(Debug)]
pub(super) struct State {
    pub(super) pools: BTreeMap<String, Pool>,
    pub(super) datasets: BTreeMap<DatasetName, Dataset>,
    pub(super) version: String,
    random: Random,
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            pools: BTreeMap::new(),
            datasets: BTreeMap::new(),
            version: "2.3.9-1".to_owned(),
            random: Random::new(seed),
        }
    }

    pub(super) fn next_guid(&mut self) -> Guid {
        Guid::new(self.next_seed().max(1))
    }

    pub(super) const fn next_seed(&mut self) -> u64 {
        self.random.next()
    }

    /// The transaction group of the next change; as on a real pool, several pass between two changes.
    pub(super) fn next_txg(&mut self, pool: &str) -> Txg {
        let passed = 1 + self.random.next() % 4;
        let pool = self.pools.get_mut(pool).expect("every dataset lies in a pool of this host");
        pool.txg += passed;
        Txg::new(pool.txg)
    }

    pub(super) fn is_suspended(&self, name: &DatasetName) -> bool {
        self.pools.get(name.pool()).is_some_and(|pool| pool.suspended)
    }

    fn check_pool(&self, name: &DatasetName) -> Result<(), Refusal> {
        if self.is_suspended(name) {
            return Err(Refusal::new(format!("cannot open '{name}': pool I/O is currently suspended")));
        }
        Ok(())
    }

    pub(super) fn dataset(&self, name: &DatasetName) -> Result<&Dataset, Refusal> {
        self.check_pool(name)?;
        self.datasets.get(name).ok_or_else(|| Refusal::missing(name))
    }

    pub(super) fn dataset_mut(&mut self, name: &DatasetName) -> Result<&mut Dataset, Refusal> {
        self.check_pool(name)?;
        self.datasets.get_mut(name).ok_or_else(|| Refusal::missing(name))
    }

    pub(super) fn snapshot(&self, name: &SnapshotName) -> Result<(&Dataset, &Snapshot), Refusal> {
        self.check_pool(name.dataset())?;
        let dataset = self.datasets.get(name.dataset()).ok_or_else(|| Refusal::missing(name))?;
        let snapshot = dataset.snapshot(name.label()).ok_or_else(|| Refusal::missing(name))?;
        Ok((dataset, snapshot))
    }

    /// The names of a dataset and all below it.
    pub(super) fn tree(&self, root: &DatasetName) -> Vec<DatasetName> {
        self.datasets.keys().filter(|name| name.is_within(root)).cloned().collect()
    }

    pub(super) fn allocated(&self, pool: &str) -> u64 {
        self.datasets.iter().filter(|(name, _)| name.pool() == pool).map(|(_, dataset)| dataset.space()).sum()
    }

    pub(super) fn available(&self, pool: &str) -> u64 {
        self.pools.get(pool).map_or(0, |found| found.capacity.saturating_sub(self.allocated(pool)))
    }

    /// A dataset with nothing in it, which the caller puts in its place.
    pub(super) fn new_dataset(&mut self, name: &DatasetName, kind: DatasetKind, now: i64) -> Dataset {
        let encrypted =
            name.parent().and_then(|parent| self.datasets.get(&parent)).is_some_and(|p| p.encrypted);
        Dataset {
            guid: self.next_guid(),
            kind,
            createtxg: self.next_txg(name.pool()),
            creation: now,
            log: Vec::new(),
            content_bytes: 0,
            snapshots: Vec::new(),
            bookmarks: Vec::new(),
            readonly: self.inherited_readonly(name),
            mounted: kind == DatasetKind::Filesystem,
            canmount: "on",
            encrypted,
            key_loaded: true,
            snapshots_changed: None,
            partial: None,
            origin: None,
            local: BTreeMap::new(),
            own_key: false,
            plain_received: false,
        }
    }

    fn inherited_readonly(&self, name: &DatasetName) -> bool {
        name.parent().and_then(|parent| self.datasets.get(&parent)).is_some_and(|parent| parent.readonly)
    }
}
