//! `zfs rollback`, with and without `-r`.

use zfs_sync_core::{
    guid::Txg,
    name::{DatasetName, SnapshotName},
};

use super::state::{Dataset, Refusal, Snapshot, State};

fn newer(dataset: &Dataset, than: Txg) -> impl Iterator<Item = &Snapshot> {
    dataset.snapshots.iter().filter(move |snapshot| snapshot.createtxg > than)
}

impl State {
    /// As `rollback`: refused while a snapshot or a bookmark is newer. A bookmark counts as old as the snapshot it was made from,
    /// even when that is gone.
    pub(super) fn roll_back(&mut self, name: &SnapshotName) -> Result<(), Refusal> {
        let (dataset, snapshot) = self.snapshot(name)?;
        let (extents, createtxg) = (snapshot.extents, snapshot.createtxg);
        let snapshots =
            newer(dataset, createtxg).map(|snapshot| format!("{}@{}", name.dataset(), snapshot.label));
        let bookmarks = dataset.bookmarks.iter().filter(|bookmark| bookmark.createtxg > createtxg);
        let bookmarks = bookmarks.map(|bookmark| format!("{}#{}", name.dataset(), bookmark.label));
        let in_the_way: Vec<String> = snapshots.chain(bookmarks).collect();
        if !in_the_way.is_empty() {
            return Err(Refusal::new(format!(
                "cannot rollback to '{name}': more recent snapshots or bookmarks exist\nuse '-r' to force deletion of the following snapshots and bookmarks:\n{}",
                in_the_way.join("\n")
            )));
        }
        self.truncate(name.dataset(), extents)
    }

    /// As `rollback -r`: newer snapshots and bookmarks go too.
    pub(super) fn roll_back_recursively(&mut self, name: &SnapshotName, now: i64) -> Result<(), Refusal> {
        let (dataset, snapshot) = self.snapshot(name)?;
        let (extents, createtxg) = (snapshot.extents, snapshot.createtxg);
        let clones: Vec<String> = newer(dataset, createtxg)
            .flat_map(|snapshot| self.dependents_of(name.dataset(), dataset, snapshot))
            .collect();
        if !clones.is_empty() {
            return Err(Refusal::new(format!(
                "cannot rollback to '{name}': clones of previous snapshots exist\nuse '-R' to force deletion of the following clones and dependents:\n{}",
                clones.join("\n")
            )));
        }
        let is_busy = |snapshot: &&Snapshot| !snapshot.holds.is_empty() || snapshot.readers > 0;
        if let Some(Snapshot { label, .. }) = newer(dataset, createtxg).find(is_busy) {
            return Err(Refusal::new(format!(
                "cannot destroy '{}@{label}': dataset is busy",
                name.dataset()
            )));
        }
        let destroys = newer(dataset, createtxg).count() > 0;
        let dataset = self.dataset_mut(name.dataset())?;
        dataset.snapshots.retain(|snapshot| snapshot.createtxg <= createtxg);
        dataset.bookmarks.retain(|bookmark| bookmark.createtxg <= createtxg);
        if destroys {
            dataset.snapshots_changed = Some(now);
        }
        self.truncate(name.dataset(), extents)
    }

    fn truncate(&mut self, name: &DatasetName, extents: usize) -> Result<(), Refusal> {
        let dataset = self.dataset_mut(name)?;
        dataset.content_bytes = dataset.bytes_of(extents);
        dataset.log.truncate(extents);
        self.next_txg(name.pool());
        Ok(())
    }
}
