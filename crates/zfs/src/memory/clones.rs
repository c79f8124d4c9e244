//! Clones: datasets that begin with the content of another one's snapshot.

use zfs_sync_core::{
    guid::Guid,
    name::{DatasetName, SnapshotName},
};

use super::{
    state::{Bookmark, Dataset, Origin, Refusal, Snapshot, State},
    stream::Header,
};
use crate::command::ReceiveCommand;

impl State {
    pub(super) fn by_dataset_guid(&self, guid: Guid) -> Option<(&DatasetName, &Dataset)> {
        self.datasets.iter().find(|(_, dataset)| dataset.guid == guid)
    }

    /// `dataset@snapshot` as it is called now.
    pub(super) fn origin_name(&self, origin: &Origin) -> Option<String> {
        let (name, dataset) = self.by_dataset_guid(origin.dataset)?;
        Some(format!("{name}@{}", dataset.by_guid(origin.snapshot)?.label))
    }

    /// Datasets that were cloned from one snapshot of a dataset, or from any.
    pub(super) fn clones_of(
        &self,
        dataset: Guid,
        snapshot: Option<Guid>,
    ) -> impl Iterator<Item = &DatasetName> {
        let is_clone = move |origin: Origin| {
            origin.dataset == dataset && snapshot.is_none_or(|snapshot| origin.snapshot == snapshot)
        };
        self.datasets
            .iter()
            .filter(move |(_, found)| found.origin.is_some_and(is_clone))
            .map(|(name, _)| name)
    }

    /// What stops a snapshot from being destroyed: clones, and an interrupted receive that starts from it.
    pub(super) fn dependents_of(
        &self,
        name: &DatasetName,
        dataset: &Dataset,
        snapshot: &Snapshot,
    ) -> Vec<String> {
        let clones = self.clones_of(dataset.guid, Some(snapshot.guid)).map(ToString::to_string);
        let receiving = dataset
            .partial
            .as_ref()
            .filter(|partial| partial.from_guid == Some(snapshot.guid) && !partial.new_dataset);
        clones.chain(receiving.map(|_| format!("{name}/%recv"))).collect()
    }

    /// What a clone of this snapshot has as its origin.
    pub(super) fn origin_at(dataset: &Dataset, snapshot: &Snapshot) -> Origin {
        Origin {
            dataset: dataset.guid,
            snapshot: snapshot.guid,
            extents: snapshot.extents,
            bytes: dataset.bytes_of(snapshot.extents),
        }
    }

    /// Gives a new dataset the content of the snapshot that it is a clone of.
    pub(super) fn become_clone(clone: &mut Dataset, dataset: &Dataset, snapshot: &Snapshot) {
        clone.log = dataset.log[..snapshot.extents].to_vec();
        clone.content_bytes = dataset.bytes_of(snapshot.extents);
        clone.origin = Some(Self::origin_at(dataset, snapshot));
        (clone.encrypted, clone.key_loaded) = (dataset.encrypted, dataset.key_loaded);
    }

    pub(super) fn clone_snapshot(
        &mut self,
        from: &SnapshotName,
        name: &DatasetName,
        now: i64,
    ) -> Result<(), Refusal> {
        let kind = self.snapshot(from)?.0.kind;
        if from.dataset().pool() != name.pool() {
            return Err(Refusal::new(format!("cannot create '{name}': source and target pools differ")));
        }
        if self.datasets.contains_key(name) {
            return Err(Refusal::new(format!("cannot create '{name}': dataset already exists")));
        }
        self.check_parent(name)?;
        let mut clone = self.new_dataset(name, kind, now);
        let (dataset, snapshot) = self.snapshot(from)?;
        Self::become_clone(&mut clone, dataset, snapshot);
        self.datasets.insert(name.clone(), clone);
        Ok(())
    }

    /// What a receive begins with: the snapshot of `-o origin=`, or the one in the pool that a clone's stream starts from. A package
    /// does not hand the option to what is in it.
    pub(super) fn origin_of_receive(
        &self,
        command: &ReceiveCommand,
        header: &Header,
    ) -> Result<Option<(Dataset, Snapshot)>, Refusal> {
        let Some(name) = command.origin.as_ref() else {
            return self.local_origin(&command.dataset, header);
        };
        let Ok((dataset, snapshot)) = self.snapshot(name) else {
            return Err(Refusal::new("cannot receive: specified origin fs does not exist"));
        };
        Ok((!header.package).then(|| (dataset.clone(), snapshot.clone())))
    }

    fn local_origin(
        &self,
        target: &DatasetName,
        header: &Header,
    ) -> Result<Option<(Dataset, Snapshot)>, Refusal> {
        let Some(from) = header.from_guid.filter(|_| header.clone && header.resume.is_none()) else {
            return Ok(None);
        };
        let in_pool = self.datasets.iter().filter(|(name, _)| name.pool() == target.pool());
        let mut places = in_pool.filter_map(|(_, dataset)| Some((dataset, dataset.by_guid(from)?)));
        let Some((dataset, snapshot)) = places.next() else {
            let label = header.to_name.label();
            let why = format!("cannot receive: local origin for clone {target}@{label} does not exist");
            return Err(Refusal::new(why));
        };
        Ok(Some((dataset.clone(), snapshot.clone())))
    }

    /// Snapshots up to the origin move to the clone, with their GUIDs and holds, and so do bookmarks that are as old.
    pub(super) fn promote(&mut self, name: &DatasetName, now: i64) -> Result<(), Refusal> {
        let refused = |why: &str| Refusal::new(format!("cannot promote '{name}': {why}"));
        let clone = self.dataset(name)?;
        let clone_guid = clone.guid;
        let Some(origin) = clone.origin else { return Err(refused("not a cloned filesystem")) };
        let found = self.by_dataset_guid(origin.dataset);
        let Some((parent_name, parent)) = found.map(|(found, parent)| (found.clone(), parent)) else {
            return Err(refused("dataset does not exist"));
        };
        let Some(at) = parent.by_guid(origin.snapshot).map(|snapshot| snapshot.createtxg) else {
            return Err(refused("dataset does not exist"));
        };
        let (moving, staying): (Vec<Snapshot>, Vec<Snapshot>) =
            parent.snapshots.iter().cloned().partition(|snapshot| snapshot.createtxg <= at);
        if let Some(conflict) = moving.iter().find(|snapshot| clone.snapshot(&snapshot.label).is_some()) {
            let (label, parent) = (&conflict.label, &parent_name);
            return Err(refused(&format!("conflicting snapshot '{label}' from parent '{parent}'")));
        }
        if parent.partial.is_some() || moving.iter().any(|snapshot| snapshot.readers > 0) {
            return Err(refused("dataset is busy"));
        }
        let (parent_guid, grandparent) = (parent.guid, parent.origin);
        let moved: Vec<Guid> = moving.iter().map(|snapshot| snapshot.guid).collect();
        for other in self.datasets.values_mut() {
            if let Some(theirs) = &mut other.origin
                && theirs.dataset == parent_guid
                && moved.contains(&theirs.snapshot)
            {
                theirs.dataset = clone_guid;
            }
        }
        let parent = self.dataset_mut(&parent_name)?;
        let (moving_bookmarks, staying_bookmarks): (Vec<Bookmark>, Vec<Bookmark>) =
            parent.bookmarks.drain(..).partition(|bookmark| bookmark.createtxg <= at);
        parent.bookmarks = staying_bookmarks;
        parent.snapshots = staying;
        parent.origin = Some(Origin { dataset: clone_guid, ..origin });
        parent.snapshots_changed = Some(now);
        let clone = self.dataset_mut(name)?;
        clone.snapshots.splice(0..0, moving);
        clone.bookmarks.splice(0..0, moving_bookmarks);
        clone.origin = grandparent;
        clone.snapshots_changed = Some(now);
        self.next_txg(name.pool());
        Ok(())
    }

    /// True when `base`, a snapshot of `of`, is in the past of `later`, a snapshot of `dataset`: in the same dataset, or in one that it
    /// is a clone of, up to the origin.
    pub(super) fn is_before(
        &self,
        of: &Dataset,
        base: &Snapshot,
        dataset: &Dataset,
        later: &Snapshot,
    ) -> bool {
        if of.guid == dataset.guid {
            return base.createtxg < later.createtxg;
        }
        let Some(origin) = dataset.origin else { return false };
        let Some((_, parent)) = self.by_dataset_guid(origin.dataset) else { return false };
        let Some(at) = parent.by_guid(origin.snapshot) else { return false };
        (parent.guid == of.guid && at.guid == base.guid) || self.is_before(of, base, parent, at)
    }
}
