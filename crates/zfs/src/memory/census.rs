//! What a host holds, seen from outside: for whoever checks what commands have done to it.

use std::{collections::BTreeMap, fmt};

use zfs_sync_core::{
    guid::{Guid, Txg},
    name::{DatasetName, Label},
};

use super::{
    operator::Host,
    state::{Dataset, Pool},
};

/// One dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedDataset {
    /// Its name.
    pub name: DatasetName,
    /// Its GUID.
    pub guid: Guid,
    /// Bytes written since its newest snapshot.
    pub written: u64,
    /// Nobody can write to it.
    pub readonly: bool,
    /// A receive has begun and not ended.
    pub partial: bool,
    /// By `createtxg`, oldest first.
    pub snapshots: Vec<CountedSnapshot>,
    /// What is left of snapshots.
    pub bookmarks: Vec<CountedBookmark>,
}

/// One snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedSnapshot {
    /// Identity.
    pub guid: Guid,
    /// Order.
    pub createtxg: Txg,
    /// Its name.
    pub label: Label,
    /// Follows from all content: equal wherever the same bytes are.
    pub content: u64,
    /// Tags of its holds.
    pub holds: Vec<String>,
}

/// One bookmark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedBookmark {
    /// The snapshot it was made from.
    pub guid: Guid,
    /// That one's order.
    pub createtxg: Txg,
    /// Its name.
    pub label: Label,
}

/// All pools of a host as they were, for [`Host::restore`].
#[derive(Clone)]
pub struct Backup {
    pools: BTreeMap<String, Pool>,
    datasets: BTreeMap<DatasetName, Dataset>,
}

impl fmt::Debug for Backup {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Backup").field("datasets", &self.datasets.len()).finish_non_exhaustive()
    }
}

impl Host {
    /// Everything there is, in suspended pools too.
    pub fn census(&self) -> Vec<CountedDataset> {
        self.0.read(|state| state.datasets.iter().map(|(name, dataset)| count(name, dataset)).collect())
    }

    /// The disks as they are now.
    pub fn backup(&self) -> Backup {
        self.0.read(|state| Backup { pools: state.pools.clone(), datasets: state.datasets.clone() })
    }

    /// Puts the disks back as they were: everything since is gone, and transaction groups count from there again. No stream may be
    /// running: see [`Host::settle`].
    pub fn restore(&self, backup: &Backup) {
        let _: Result<(), ()> = self.0.change(|state, _| {
            state.pools.clone_from(&backup.pools);
            state.datasets.clone_from(&backup.datasets);
            Ok(())
        });
    }
}

fn count(name: &DatasetName, dataset: &Dataset) -> CountedDataset {
    let snapshots = dataset.snapshots.iter().map(|snapshot| CountedSnapshot {
        guid: snapshot.guid,
        createtxg: snapshot.createtxg,
        label: snapshot.label.clone(),
        content: dataset.content(snapshot.extents),
        holds: snapshot.holds.keys().cloned().collect(),
    });
    let bookmarks = dataset.bookmarks.iter().map(|bookmark| CountedBookmark {
        guid: bookmark.guid,
        createtxg: bookmark.createtxg,
        label: bookmark.label.clone(),
    });
    CountedDataset {
        name: name.clone(),
        guid: dataset.guid,
        written: dataset.written(),
        readonly: dataset.readonly,
        partial: dataset.partial.is_some(),
        snapshots: snapshots.collect(),
        bookmarks: bookmarks.collect(),
    }
}
