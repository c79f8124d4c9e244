//! Changes that commands and operators make, with the refusals and texts of `zfs`.

use std::collections::BTreeSet;

use zfs_sync_core::{
    inventory::DatasetKind,
    name::{BookmarkName, DatasetName, Label, SnapshotName},
    stream::PIN,
};

use crate::command::Setting;

use super::state::{Bookmark, Refusal, Snapshot, State};

const SNAPSHOT_USAGE: &str = "\tsnapshot [-r] [-o property=value] ... <filesystem|volume>@<snap> ...";
const BOOKMARK_USAGE: &str = "\tbookmark <snapshot|bookmark> <newbookmark>";
const RECEIVE_USAGE: &str = "\treceive [-vMnsFhu] [-o <property>=<value>] ... [-x <property>] ...\n\t    <filesystem|volume|snapshot>\n\treceive [-vMnsFhu] [-o <property>=<value>] ... [-x <property>] ... \n\t    [-d | -e] <filesystem>\n\treceive -A <filesystem|volume>";

impl State {
    pub(super) fn create(&mut self, name: &DatasetName, kind: DatasetKind, now: i64) -> Result<(), Refusal> {
        if self.datasets.contains_key(name) {
            return Err(Refusal::new(format!("cannot create '{name}': dataset already exists")));
        }
        self.check_parent(name)?;
        let dataset = self.new_dataset(name, kind, now);
        self.datasets.insert(name.clone(), dataset);
        Ok(())
    }

    pub(super) fn check_parent(&self, name: &DatasetName) -> Result<(), Refusal> {
        match name.parent().and_then(|parent| self.datasets.get(&parent)) {
            None => Err(Refusal::new(format!("cannot create '{name}': parent does not exist"))),
            Some(parent) if parent.kind == DatasetKind::Volume => {
                Err(Refusal::new(format!("cannot create '{name}': parent is not a filesystem")))
            }
            Some(_) => Ok(()),
        }
    }

    pub(super) fn create_placeholder(&mut self, name: &DatasetName, now: i64) -> Result<(), Refusal> {
        self.create(name, DatasetKind::Filesystem, now)?;
        let dataset = self.dataset_mut(name)?;
        (dataset.readonly, dataset.mounted, dataset.canmount) = (true, false, "off");
        Ok(())
    }

    pub(super) fn create_bare(&mut self, name: &DatasetName, now: i64) -> Result<(), Refusal> {
        self.create(name, DatasetKind::Filesystem, now)?;
        self.dataset_mut(name)?.mounted = false;
        Ok(())
    }

    pub(super) fn set(&mut self, name: &DatasetName, setting: &Setting) -> Result<(), Refusal> {
        let dataset = self.dataset_mut(name)?;
        match setting {
            Setting::ReadOnly => dataset.readonly = true,
            Setting::NotMountedByItself => dataset.canmount = "noauto",
            Setting::Stream(form) => drop(dataset.local.insert(PIN.to_owned(), form.to_string())),
            Setting::Copied(property, value) => {
                dataset.local.insert(property.to_string(), value.clone());
            }
            Setting::Cleared(property) => drop(dataset.local.remove(property.as_str())),
        }
        Ok(())
    }

    /// All or none, in one transaction group a pool.
    pub(super) fn take_snapshots(&mut self, names: &[SnapshotName], now: i64) -> Result<(), Refusal> {
        let refused =
            |name: &SnapshotName, why: &str| Refusal::new(format!("cannot create snapshot '{name}': {why}"));
        for name in names {
            let dataset =
                self.dataset(name.dataset()).map_err(|missing| missing.with_usage(SNAPSHOT_USAGE))?;
            if dataset.snapshot(name.label()).is_some() {
                return Err(refused(name, "dataset already exists"));
            }
            if dataset.is_incomplete() {
                return Err(refused(name, "dataset is busy"));
            }
        }
        for pool in names.iter().map(|name| name.dataset().pool().to_owned()).collect::<BTreeSet<_>>() {
            let createtxg = self.next_txg(&pool);
            for name in names.iter().filter(|name| name.dataset().pool() == pool) {
                let guid = self.next_guid();
                let dataset = self.dataset_mut(name.dataset())?;
                dataset.snapshots_changed = Some(now);
                dataset.snapshots.push(Snapshot {
                    guid,
                    createtxg,
                    creation: now,
                    label: name.label().clone(),
                    extents: dataset.log.len(),
                    holds: std::collections::BTreeMap::new(),
                    readers: 0,
                });
            }
        }
        Ok(())
    }

    pub(super) fn destroy_snapshot(&mut self, name: &SnapshotName, now: i64) -> Result<(), Refusal> {
        let Ok((dataset, snapshot)) = self.snapshot(name) else {
            return Err(Refusal::new("could not find any snapshots to destroy; check snapshot names."));
        };
        let dependents = self.dependents_of(name.dataset(), dataset, snapshot);
        if !dependents.is_empty() {
            return Err(Refusal::new(format!(
                "cannot destroy '{name}': snapshot has dependent clones\nuse '-R' to destroy the following datasets:\n{}",
                dependents.join("\n")
            )));
        }
        if !snapshot.holds.is_empty() {
            return Err(self.held(name));
        }
        if snapshot.readers > 0 {
            return Err(Refusal::new(format!("cannot destroy snapshot {name}: dataset is busy")));
        }
        let dataset = self.dataset_mut(name.dataset())?;
        dataset.snapshots.retain(|snapshot| snapshot.label != *name.label());
        dataset.snapshots_changed = Some(now);
        self.next_txg(name.dataset().pool());
        Ok(())
    }

    /// What is said of a held snapshot that is to be destroyed.
    fn held(&self, name: impl std::fmt::Display) -> Refusal {
        Refusal::new(if self.version.starts_with("2.1.") {
            format!("cannot destroy snapshot {name}: dataset is busy")
        } else {
            format!(
                "cannot destroy snapshot {name}: it's being held. Run 'zfs holds -r {name}' to see holders."
            )
        })
    }

    pub(super) fn rename_snapshot(
        &mut self,
        name: &SnapshotName,
        label: &Label,
        now: i64,
    ) -> Result<(), Refusal> {
        let (dataset, _) = self.snapshot(name)?;
        if dataset.snapshot(label).is_some() {
            let to = format!("{}@{label}", name.dataset());
            return Err(Refusal::new(format!("cannot rename to '{to}': dataset already exists")));
        }
        let dataset = self.dataset_mut(name.dataset())?;
        dataset.snapshots_changed = Some(now);
        if let Some(snapshot) = dataset.snapshot_mut(name.label()) {
            snapshot.label = label.clone();
        }
        Ok(())
    }

    pub(super) fn bookmark(&mut self, from: &SnapshotName, label: &Label) -> Result<(), Refusal> {
        let refused =
            |why: &str| Refusal::new(format!("cannot create bookmark '{}#{label}': {why}", from.dataset()));
        let (dataset, snapshot) =
            self.snapshot(from).map_err(|missing| missing.with_usage(BOOKMARK_USAGE))?;
        if dataset.bookmarks.iter().any(|bookmark| bookmark.label == *label) {
            return Err(refused("bookmark exists"));
        }
        let bookmark = Bookmark {
            guid: snapshot.guid,
            createtxg: snapshot.createtxg,
            creation: snapshot.creation,
            label: label.clone(),
            extents: snapshot.extents,
            referenced: super::state::OVERHEAD + dataset.bytes_of(snapshot.extents),
        };
        self.dataset_mut(from.dataset())?.bookmarks.push(bookmark);
        self.next_txg(from.dataset().pool());
        Ok(())
    }

    pub(super) fn destroy_bookmark(&mut self, name: &BookmarkName) -> Result<(), Refusal> {
        let missing = || Refusal::new(format!("bookmark '{name}' does not exist."));
        let dataset = self.datasets.get_mut(name.dataset()).ok_or_else(missing)?;
        let before = dataset.bookmarks.len();
        dataset.bookmarks.retain(|bookmark| bookmark.label != *name.label());
        if dataset.bookmarks.len() == before { Err(missing()) } else { Ok(()) }
    }

    pub(super) fn hold(&mut self, tag: &str, name: &SnapshotName, now: i64) -> Result<(), Refusal> {
        let refused = |why: &str| Refusal::new(format!("cannot hold snapshot '{name}': {why}"));
        self.snapshot(name).map_err(|_| refused("dataset does not exist"))?;
        let dataset = self.dataset_mut(name.dataset())?;
        let snapshot = dataset.snapshot_mut(name.label()).ok_or_else(|| refused("dataset does not exist"))?;
        if snapshot.holds.contains_key(tag) {
            return Err(refused("tag already exists on this dataset"));
        }
        snapshot.holds.insert(tag.to_owned(), now);
        Ok(())
    }

    pub(super) fn release(&mut self, tag: &str, name: &SnapshotName) -> Result<(), Refusal> {
        let refused = |why: &str| Refusal::new(format!("cannot release hold from snapshot '{name}': {why}"));
        let snapshot = self
            .datasets
            .get_mut(name.dataset())
            .and_then(|dataset| dataset.snapshot_mut(name.label()))
            .ok_or_else(|| refused("dataset does not exist"))?;
        match snapshot.holds.remove(tag) {
            Some(_) => Ok(()),
            None => Err(refused("no such tag on this dataset")),
        }
    }

    /// Goes on after one that can not be released, and fails in the end.
    pub(super) fn release_all(&mut self, tag: &str, names: &[SnapshotName]) -> Result<(), Refusal> {
        let refused: Vec<String> = names
            .iter()
            .filter_map(|name| self.release(tag, name).err())
            .map(|refusal| refusal.stderr.trim_end().to_owned())
            .collect();
        if refused.is_empty() { Ok(()) } else { Err(Refusal::new(refused.join("\n"))) }
    }

    pub(super) fn rename(&mut self, from: &DatasetName, to: &DatasetName) -> Result<(), Refusal> {
        self.dataset(from)?;
        if from.pool() != to.pool() || from.parent().is_none() || to.parent().is_none() {
            return Err(Refusal::new(format!("cannot rename to '{to}': datasets must be within same pool")));
        }
        if to.is_within(from) {
            return Err(Refusal::new(format!(
                "cannot rename to '{to}': New dataset name cannot be a descendant of current dataset name"
            )));
        }
        if self.datasets.contains_key(to) {
            return Err(Refusal::new(format!("cannot rename '{from}': dataset already exists")));
        }
        self.check_parent(to)?;
        let moving = self.tree(from);
        if moving.iter().any(|name| self.datasets.get(name).is_some_and(super::state::Dataset::is_receiving))
        {
            return Err(Refusal::new(format!("cannot rename '{from}': dataset is busy")));
        }
        let mut moved = Vec::with_capacity(moving.len());
        for name in moving {
            let rest = name.strip_prefix(from).unwrap_or_default();
            let renamed =
                to.join(rest).map_err(|_| Refusal::new(format!("cannot rename '{from}': name too long")))?;
            moved.push((name, renamed));
        }
        for (old, new) in moved {
            if let Some(dataset) = self.datasets.remove(&old) {
                self.datasets.insert(new, dataset);
            }
        }
        self.next_txg(to.pool());
        Ok(())
    }

    /// As `destroy -r`.
    pub(super) fn destroy_tree(&mut self, root: &DatasetName) -> Result<(), Refusal> {
        self.dataset(root)?;
        if root.parent().is_none() {
            return Err(Refusal::new(format!(
                "cannot destroy '{root}': operation does not apply to pools\nuse 'zfs destroy -r {root}' to destroy all datasets in the pool\nuse 'zpool destroy {root}' to destroy the pool itself"
            )));
        }
        let names = self.tree(root);
        let outside = |clone: &DatasetName| !clone.is_within(root);
        let clones: Vec<String> = names
            .iter()
            .filter_map(|name| self.datasets.get(name))
            .flat_map(|dataset| self.clones_of(dataset.guid, None))
            .filter(|clone| outside(clone))
            .map(ToString::to_string)
            .collect();
        if !clones.is_empty() {
            return Err(Refusal::new(format!(
                "cannot destroy '{root}': filesystem has dependent clones\nuse '-R' to destroy the following datasets:\n{}",
                clones.join("\n")
            )));
        }
        for name in &names {
            let dataset = self.dataset(name)?;
            let held = |snapshot: &&Snapshot| !snapshot.holds.is_empty();
            if let Some(Snapshot { label, .. }) = dataset.snapshots.iter().find(held) {
                return Err(self.held(format!("{name}@{label}")));
            }
            if let Some(Snapshot { label, .. }) = dataset.snapshots.iter().find(|found| found.readers > 0) {
                return Err(Refusal::new(format!("cannot destroy snapshot {name}@{label}: dataset is busy")));
            }
            if let Some(partial) = dataset.partial.as_ref().filter(|partial| partial.active) {
                let base = partial.from_guid.and_then(|guid| dataset.by_guid(guid));
                return Err(Refusal::new(match base {
                    Some(Snapshot { label, .. }) => format!(
                        "cannot destroy '{name}/%recv': dataset is busy\ncannot destroy snapshot {name}@{label}: snapshot is cloned"
                    ),
                    None => format!("cannot destroy '{name}': dataset is busy"),
                }));
            }
        }
        for name in names {
            self.datasets.remove(&name);
        }
        self.next_txg(root.pool());
        Ok(())
    }

    /// As `receive -A`.
    pub(super) fn abort_receive(&mut self, name: &DatasetName) -> Result<(), Refusal> {
        let dataset = self.dataset_mut(name).map_err(|missing| missing.with_usage(RECEIVE_USAGE))?;
        match &dataset.partial {
            None => {
                return Err(Refusal::new(format!(
                    "'{name}' does not have any resumable receive state to abort"
                )));
            }
            Some(partial) if partial.active => {
                return Err(Refusal::new(format!("cannot destroy '{name}/%recv': dataset is busy")));
            }
            Some(partial) if partial.new_dataset => {
                self.datasets.remove(name);
            }
            Some(_) => dataset.partial = None,
        }
        self.next_txg(name.pool());
        Ok(())
    }
}
