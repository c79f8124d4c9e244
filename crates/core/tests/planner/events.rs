//! What people, jobs and accidents do to a fleet between two plans.

use zfs_sync_core::{guid::Guid, ids::SystemId, inventory::DatasetKind, name::DatasetName};

use crate::{
    fleet::{bookmark, partial},
    model::World,
};

/// One thing that happens. Numbers choose among what is there; what ZFS would refuse does not happen.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Create(SystemId, usize),
    DestroyDataset(SystemId, usize),
    RecreateAsVolume(SystemId, usize),
    RenameDataset(SystemId, usize, usize),
    Clone(SystemId, usize, usize, usize),
    Promote(SystemId, usize),
    Snapshot(SystemId, usize),
    /// Under a name that was used before.
    SnapshotNamed(SystemId, usize, usize),
    DestroySnapshot(SystemId, usize, usize),
    RenameSnapshot(SystemId, usize, usize),
    Hold(SystemId, usize, usize),
    Bookmark(SystemId, usize, usize),
    /// The newest snapshot, as retention on the source may do.
    BookmarkAndDestroy(SystemId, usize),
    Write(SystemId, usize),
    Rollback(SystemId, usize, usize),
    CutReceive(SystemId, usize, usize),
    Silence(SystemId, bool),
    Unreachable(SystemId, SystemId),
    Steps,
}

impl World {
    pub(crate) fn happen(&mut self, event: &Event) {
        match *event {
            Event::Create(system, number) => {
                let name = self.name(system, number);
                if self.is_home(system) && self.is_free(system, &name) {
                    self.insert(system, &name, DatasetKind::Filesystem);
                }
            }
            Event::DestroyDataset(system, number) => self.destroy_dataset(system, number),
            Event::RecreateAsVolume(system, number) => {
                let name = self.name(system, number);
                if self.is_home(system) && self.can_go(system, &name) {
                    self.insert(system, &name, DatasetKind::Volume);
                }
            }
            Event::RenameDataset(system, number, to) => {
                let (from, to) = (self.name(system, number), self.name(system, to));
                let there = self.inventory(system).datasets.contains_key(&from) && from.parent().is_some();
                if self.is_home(system) && there && !to.is_within(&from) && self.is_free(system, &to) {
                    self.rename(system, &from, &to);
                }
            }
            Event::Clone(system, number, index, to) => self.clone_dataset(system, number, index, to),
            Event::Promote(system, number) => self.promote(system, number),
            Event::Snapshot(system, number) => {
                let label = format!("s{}", self.next());
                self.take_snapshot(system, number, &label);
            }
            Event::SnapshotNamed(system, number, label) => {
                self.take_snapshot(system, number, ["daily", "weekly"][label % 2]);
            }
            Event::DestroySnapshot(system, number, index) => self.destroy_snapshot(system, number, index),
            Event::RenameSnapshot(system, number, index) => self.rename_snapshot(system, number, index),
            Event::Hold(system, number, index) => {
                if let Some(dataset) =
                    self.dataset(system, number).filter(|dataset| !dataset.snapshots.is_empty())
                {
                    let index = index % dataset.snapshots.len();
                    dataset.snapshots[index].holds += 1;
                }
            }
            Event::Bookmark(system, number, index) => {
                let label = format!("mark{}", self.next());
                if let Some(dataset) =
                    self.dataset(system, number).filter(|dataset| !dataset.snapshots.is_empty())
                {
                    let marked = &dataset.snapshots[index % dataset.snapshots.len()];
                    dataset.bookmarks.push(bookmark(&label, marked.guid.get(), marked.createtxg.get()));
                    dataset.sort();
                }
            }
            Event::BookmarkAndDestroy(system, number) => {
                let last =
                    self.dataset(system, number).map_or(0, |dataset| dataset.snapshots.len()).max(1) - 1;
                self.happen(&Event::Bookmark(system, number, last));
                self.destroy_snapshot(system, number, last);
            }
            Event::Write(system, number) => {
                if let Some(dataset) =
                    self.dataset(system, number).filter(|dataset| !Self::half_made(dataset))
                {
                    dataset.properties.written += 512;
                }
            }
            Event::Rollback(system, number, index) => self.roll_back(system, number, index),
            Event::CutReceive(system, number, index) => self.cut_receive(system, number, index),
            Event::Silence(system, fresh) => self.fleet.systems.get_mut(&system).unwrap().fresh = fresh,
            Event::Unreachable(from, to) => {
                if !self.fleet.unreachable.remove(&(from, to)) {
                    self.fleet.unreachable.insert((from, to));
                }
            }
            Event::Steps => {
                self.apply_plan();
            }
        }
    }

    fn is_free(&mut self, system: SystemId, name: &DatasetName) -> bool {
        let datasets = &self.inventory(system).datasets;
        let parent = name.parent().map(|parent| datasets.get(&parent));
        let ready = parent.is_none_or(|parent| {
            parent.is_some_and(|parent| {
                parent.properties.kind == DatasetKind::Filesystem && !Self::half_made(parent)
            })
        });
        ready && !datasets.contains_key(name)
    }

    /// True when `zfs destroy -r` without `-R` would take it: nothing below, no clones.
    fn can_go(&mut self, system: SystemId, name: &DatasetName) -> bool {
        let Some(dataset) = self.inventory(system).datasets.get(name).cloned() else { return false };
        let snapshots = dataset.snapshots.iter();
        let names: Vec<String> = snapshots.map(|snapshot| format!("{name}@{}", snapshot.label)).collect();
        let free = dataset.snapshots.iter().all(|snapshot| snapshot.holds == 0);
        free && self.below(system, name) == 0 && !names.iter().any(|name| self.is_cloned(system, name))
    }

    fn destroy_dataset(&mut self, system: SystemId, number: usize) {
        let name = self.name(system, number);
        if name.parent().is_some() && self.can_go(system, &name) {
            self.inventory(system).datasets.remove(&name);
        }
    }

    fn snapshot_name(&mut self, system: SystemId, number: usize, index: usize) -> Option<String> {
        let dataset = self.dataset(system, number).filter(|dataset| !dataset.snapshots.is_empty())?;
        let snapshot = &dataset.snapshots[index % dataset.snapshots.len()];
        Some(format!("{}@{}", dataset.name, snapshot.label))
    }

    fn clone_dataset(&mut self, system: SystemId, number: usize, index: usize, to: usize) {
        let (Some(origin), to) = (self.snapshot_name(system, number, index), self.name(system, to)) else {
            return;
        };
        let kind = self.dataset(system, number).unwrap().properties.kind;
        if self.is_home(system) && self.is_free(system, &to) {
            self.insert(system, &to, kind);
            self.inventory(system).datasets.get_mut(&to).unwrap().properties.origin = Some(origin);
        }
    }

    /// `zfs promote`: the snapshots up to the origin move to the clone, which becomes the origin.
    fn promote(&mut self, system: SystemId, number: usize) {
        let Some(clone) = self.dataset(system, number).map(|dataset| dataset.clone()) else { return };
        let Some((origin, label)) =
            clone.properties.origin.as_deref().and_then(|origin| origin.split_once('@'))
        else {
            return;
        };
        let (origin, label) = (origin.parse::<DatasetName>().unwrap(), label.to_owned());
        let datasets = &mut self.inventory(system).datasets;
        let Some(mut parent) = datasets.get(&origin).cloned() else { return };
        let Some(end) = parent.snapshots.iter().position(|snapshot| snapshot.label.as_str() == label) else {
            return;
        };
        let clash = |moved: &zfs_sync_core::inventory::Snapshot| {
            clone.snapshots.iter().any(|own| own.label == moved.label)
        };
        if parent.snapshots[..=end].iter().any(clash)
            || parent.properties.partial.is_some()
            || !self.is_home(system)
        {
            return;
        }
        let mut clone = clone;
        let moved: Vec<_> = parent.snapshots.drain(..=end).collect();
        let datasets = &mut self.inventory(system).datasets;
        for snapshot in &moved {
            let (old, new) =
                (format!("{}@{}", parent.name, snapshot.label), format!("{}@{}", clone.name, snapshot.label));
            for other in
                datasets.values_mut().filter(|other| other.properties.origin.as_deref() == Some(&old))
            {
                other.properties.origin = Some(new.clone());
            }
        }
        clone.properties.origin = parent.properties.origin.replace(format!("{}@{label}", clone.name));
        clone.snapshots.splice(0..0, moved);
        datasets.insert(parent.name.clone(), parent);
        datasets.insert(clone.name.clone(), clone);
    }

    fn destroy_snapshot(&mut self, system: SystemId, number: usize, index: usize) {
        let Some(name) = self.snapshot_name(system, number, index) else { return };
        let cloned = self.is_cloned(system, &name);
        let dataset = self.dataset(system, number).unwrap();
        let index = index % dataset.snapshots.len();
        if !cloned && dataset.snapshots[index].holds == 0 && dataset.snapshots.len() > 1 {
            dataset.snapshots.remove(index);
        }
    }

    fn rename_snapshot(&mut self, system: SystemId, number: usize, index: usize) {
        let label = format!("renamed{}", self.next());
        let Some(old) = self.snapshot_name(system, number, index) else { return };
        let dataset = self.dataset(system, number).unwrap();
        let index = index % dataset.snapshots.len();
        dataset.snapshots[index].label = label.parse().unwrap();
        let new = format!("{}@{label}", dataset.name);
        for other in self.inventory(system).datasets.values_mut() {
            if other.properties.origin.as_deref() == Some(&old) {
                other.properties.origin = Some(new.clone());
            }
        }
    }

    fn roll_back(&mut self, system: SystemId, number: usize, index: usize) {
        let Some(dataset) = self.dataset(system, number).filter(|dataset| !dataset.snapshots.is_empty())
        else {
            return;
        };
        let keep = 1 + index % dataset.snapshots.len();
        let name = dataset.name.clone();
        let free = dataset.snapshots[keep..].iter().all(|snapshot| snapshot.holds == 0);
        let lost: Vec<String> =
            dataset.snapshots[keep..].iter().map(|snapshot| format!("{name}@{}", snapshot.label)).collect();
        if !free || lost.iter().any(|name| self.is_cloned(system, name)) {
            return;
        }
        let dataset = self.dataset(system, number).unwrap();
        dataset.snapshots.truncate(keep);
        dataset.properties.written = 0;
        dataset.properties.partial = None;
        let newest = dataset.snapshots.last().unwrap().createtxg;
        dataset.bookmarks.retain(|mark| mark.createtxg <= newest);
    }

    /// A receive from the target's newest snapshot, or into nothing, that ends before its end.
    fn cut_receive(&mut self, system: SystemId, number: usize, index: usize) {
        let source = self.fleet.group.hub;
        let (from, to) = (self.name(source, number), self.name(system, number));
        if system == source || !self.fleet.group.selects(&from) {
            return;
        }
        let Some(sending) = self.inventory(source).datasets.get(&from).cloned() else { return };
        let Some(sent) = sending.snapshots.get(index % sending.snapshots.len().max(1)) else { return };
        // Some are of a snapshot that the source has destroyed since.
        let to_guid = if index % 4 == 3 { self.next() } else { sent.guid.get() };
        let free = self.is_free(system, &to);
        match self.inventory(system).datasets.get_mut(&to) {
            Some(existing) => {
                let head = existing.snapshots.last().map(|head| head.guid.get());
                if head.is_some() {
                    existing.properties.partial = Some(partial(from.as_str(), to_guid, head));
                }
            }
            None if free => {
                self.insert(system, &to, sending.properties.kind);
                let origin = sending.properties.origin.as_deref().and_then(|origin| origin.split_once('@'));
                let origin = origin.and_then(|(dataset, label)| {
                    let dataset = self.inventory(source).datasets.get(&dataset.parse().unwrap())?;
                    let found = dataset.snapshots.iter().find(|snapshot| snapshot.label.as_str() == label)?;
                    Some(found.guid)
                });
                let made = self.inventory(system).datasets.get_mut(&to).unwrap();
                made.properties.partial = Some(partial(
                    from.as_str(),
                    to_guid,
                    origin.filter(|_| index.is_multiple_of(2)).map(Guid::get),
                ));
            }
            None => {}
        }
    }
}
