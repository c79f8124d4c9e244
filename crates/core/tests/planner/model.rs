//! What steps do to a fleet, as real ZFS would do it or refuse it; and what people and accidents do meanwhile.

use zfs_sync_core::{
    guid::{Guid, Txg},
    ids::SystemId,
    inventory::{Dataset, DatasetKind, Inventory},
    name::DatasetName,
    plan::{Action, Base, Report, Send, Step},
};

use crate::fleet::{Fleet, bookmark, dataset, partial, snapshot, system_id};

/// A fleet that changes.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) fleet: Fleet,
    counter: u64,
}

/// What happens between two plans. Numbers choose among what is there.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Create(usize),
    DestroyDataset(SystemId, usize),
    RecreateAsVolume(usize),
    Snapshot(SystemId, usize),
    /// Under a name that was used before.
    SnapshotNamed(usize, usize),
    DestroySnapshot(SystemId, usize, usize),
    RenameSnapshot(SystemId, usize, usize),
    Bookmark(usize, usize),
    /// The newest snapshot, as retention on the source may do.
    BookmarkAndDestroy(usize),
    Write(usize),
    Rollback(SystemId, usize, usize),
    CutReceive(SystemId, usize, usize),
    Steps,
}

/// The source datasets that may exist.
pub(crate) const SOURCES: [&str; 5] = ["tank", "tank/a", "tank/a/b", "tank/a/b/deep", "tank/c"];

impl World {
    pub(crate) fn new(fleet: Fleet) -> Self {
        Self { fleet, counter: 100 }
    }

    fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    fn inventory(&mut self, system: SystemId) -> &mut Inventory {
        self.fleet.systems.get_mut(&system).unwrap().inventory.as_mut().unwrap()
    }

    /// The dataset with this number on the source, or its replica elsewhere.
    fn name(&self, system: SystemId, number: usize) -> DatasetName {
        let source: DatasetName = SOURCES[number % SOURCES.len()].parse().unwrap();
        if system == self.fleet.group.source_of_truth {
            source
        } else {
            self.fleet.group.map(&source).unwrap()
        }
    }

    fn dataset(&mut self, system: SystemId, number: usize) -> Option<&mut Dataset> {
        let name = self.name(system, number);
        self.inventory(system).datasets.get_mut(&name)
    }

    fn half_made(dataset: &Dataset) -> bool {
        dataset.snapshots.is_empty() && dataset.properties.partial.is_some()
    }

    fn take_snapshot(&mut self, system: SystemId, number: usize, label: &str) {
        let guid = self.next();
        let Some(dataset) = self.dataset(system, number).filter(|dataset| !Self::half_made(dataset)) else {
            return;
        };
        if dataset.snapshots.iter().all(|taken| taken.label.as_str() != label) {
            dataset.snapshots.push(snapshot(label, guid, guid));
            dataset.properties.written = 0;
        }
    }

    pub(crate) fn happen(&mut self, event: &Event) {
        let source = self.fleet.group.source_of_truth;
        match *event {
            Event::Create(number) => {
                let name = self.name(source, number);
                let parent_exists =
                    name.parent().is_none_or(|parent| self.inventory(source).datasets.contains_key(&parent));
                if parent_exists && !self.inventory(source).datasets.contains_key(&name) {
                    self.insert(source, &name, DatasetKind::Filesystem);
                }
            }
            Event::DestroyDataset(system, number) => {
                let name = self.name(system, number);
                if name.parent().is_some() && self.below(system, &name) == 0 {
                    self.inventory(system).datasets.remove(&name);
                }
            }
            Event::RecreateAsVolume(number) => {
                let name = self.name(source, number);
                if self.inventory(source).datasets.contains_key(&name) && self.below(source, &name) == 0 {
                    self.insert(source, &name, DatasetKind::Volume);
                }
            }
            Event::Snapshot(system, number) => {
                let label = format!("s{}", self.counter);
                self.take_snapshot(system, number, &label);
            }
            Event::SnapshotNamed(number, label) => {
                self.take_snapshot(source, number, ["daily", "weekly"][label % 2]);
            }
            Event::DestroySnapshot(system, number, index) => {
                if let Some(dataset) =
                    self.dataset(system, number).filter(|dataset| dataset.snapshots.len() > 1)
                {
                    let index = index % dataset.snapshots.len();
                    dataset.snapshots.remove(index);
                }
            }
            Event::RenameSnapshot(system, number, index) => {
                let label = format!("renamed{}", self.next());
                if let Some(dataset) =
                    self.dataset(system, number).filter(|dataset| !dataset.snapshots.is_empty())
                {
                    let index = index % dataset.snapshots.len();
                    dataset.snapshots[index].label = label.parse().unwrap();
                }
            }
            Event::Bookmark(number, index) => {
                let label = format!("mark{}", self.next());
                if let Some(dataset) =
                    self.dataset(source, number).filter(|dataset| !dataset.snapshots.is_empty())
                {
                    let marked = &dataset.snapshots[index % dataset.snapshots.len()];
                    let marked = bookmark(&label, marked.guid.get(), marked.createtxg.get());
                    dataset.bookmarks.push(marked);
                    dataset.sort();
                }
            }
            Event::BookmarkAndDestroy(number) => {
                let label = format!("mark{}", self.next());
                if let Some(dataset) = self.dataset(source, number)
                    && let Some(newest) = dataset.snapshots.pop()
                {
                    dataset.bookmarks.push(bookmark(&label, newest.guid.get(), newest.createtxg.get()));
                    dataset.sort();
                }
            }
            Event::Write(number) => {
                let system = system_id(2);
                if let Some(dataset) =
                    self.dataset(system, number).filter(|dataset| !Self::half_made(dataset))
                {
                    dataset.properties.written += 512;
                }
            }
            Event::Rollback(system, number, index) => {
                if let Some(dataset) =
                    self.dataset(system, number).filter(|dataset| !dataset.snapshots.is_empty())
                {
                    dataset.snapshots.truncate(1 + index % dataset.snapshots.len());
                    dataset.properties.written = 0;
                    let newest = dataset.snapshots.last().unwrap().createtxg;
                    dataset.bookmarks.retain(|mark| mark.createtxg <= newest);
                }
            }
            Event::CutReceive(system, number, index) => self.cut_receive(system, number, index),
            Event::Steps => {
                self.apply_plan();
            }
        }
    }

    /// A receive from the target's newest snapshot, or into nothing, that ends before its end.
    fn cut_receive(&mut self, system: SystemId, number: usize, index: usize) {
        let source = self.fleet.group.source_of_truth;
        let (from, to) = (self.name(source, number), self.name(system, number));
        if system == source || !self.fleet.group.selects(&from) {
            return;
        }
        let Some(sending) = self.inventory(source).datasets.get(&from).cloned() else { return };
        let Some(sent) = sending.snapshots.get(index % sending.snapshots.len().max(1)) else { return };
        // Some are of a snapshot that the source has destroyed since.
        let to_guid = if index % 4 == 3 { self.next() } else { sent.guid.get() };
        let parent_ready = to
            .parent()
            .and_then(|parent| self.inventory(system).datasets.get(&parent))
            .is_some_and(|parent| !Self::half_made(parent));
        match self.inventory(system).datasets.get_mut(&to) {
            Some(existing) => {
                let head = existing.snapshots.last().map(|head| head.guid.get());
                if head.is_some() {
                    existing.properties.partial = Some(partial(to_guid, head));
                }
            }
            None if parent_ready => {
                self.insert(system, &to, sending.properties.kind);
                let made = self.inventory(system).datasets.get_mut(&to).unwrap();
                made.properties.partial = Some(partial(to_guid, None));
            }
            None => {}
        }
    }

    fn below(&mut self, system: SystemId, name: &DatasetName) -> usize {
        self.inventory(system).datasets.keys().filter(|other| *other != name && other.is_within(name)).count()
    }

    fn insert(&mut self, system: SystemId, name: &DatasetName, kind: DatasetKind) {
        let guid = self.next();
        let mut made = dataset(name.as_str());
        made.properties.guid = Guid::new(guid);
        made.properties.kind = kind;
        self.inventory(system).datasets.insert(name.clone(), made);
    }

    /// Plans, does every step, and says how many there were.
    pub(crate) fn apply_plan(&mut self) -> (usize, Report) {
        let (plan, report) = self.fleet.plan();
        for step in &plan.steps {
            self.apply(step);
        }
        (plan.steps.len(), report)
    }

    fn apply(&mut self, step: &Step) {
        let system = step.target_system;
        match &step.action {
            Action::Send(send) => {
                for parent in &send.create_parents {
                    self.make_placeholder(system, parent);
                }
                self.receive(step, send);
            }
            Action::SetAside { rename_to, .. } => {
                assert_eq!(self.below(system, &step.target), 0, "{} has datasets below", step.target);
                assert!(step.target.parent().is_some(), "a pool's root can not be renamed");
                let mut moved = self.inventory(system).datasets.remove(&step.target).unwrap();
                moved.name = rename_to.clone();
                let replaced = self.inventory(system).datasets.insert(rename_to.clone(), moved);
                assert_eq!(replaced, None, "{rename_to} existed");
            }
        }
    }

    fn make_placeholder(&mut self, system: SystemId, name: &DatasetName) {
        let parent = self.inventory(system).datasets.get(&name.parent().unwrap());
        assert!(
            parent.is_some_and(|parent| parent.properties.kind == DatasetKind::Filesystem),
            "{name} has no parent"
        );
        // Two steps of one plan may need the same one.
        if !self.inventory(system).datasets.contains_key(name) {
            self.insert(system, name, DatasetKind::Filesystem);
        }
    }

    fn receive(&mut self, step: &Step, send: &Send) {
        let Step { source, target, target_system, .. } = step;
        let sending = self.inventory(step.source_system).datasets[source].clone();
        if let Some(guid) = send.discard_partial {
            let dataset = self.inventory(*target_system).datasets.get_mut(target).unwrap();
            assert_eq!(dataset.properties.partial.take().map(|partial| partial.to_guid), Some(guid));
            if dataset.snapshots.is_empty() {
                assert_eq!(self.below(*target_system, target), 0);
                self.inventory(*target_system).datasets.remove(target);
            }
        }
        if send.base.is_none() && !send.resume {
            let parent = self.inventory(*target_system).datasets.get(&target.parent().unwrap()).unwrap();
            assert!(!Self::half_made(parent), "{target} below a dataset that is not yet received");
            assert!(!self.inventory(*target_system).datasets.contains_key(target), "{target} exists");
            self.insert(*target_system, target, step.kind);
        }
        let first_txg = self.next();
        self.counter += sending.snapshots.len() as u64;
        let receiving = self.inventory(*target_system).datasets.get_mut(target).unwrap();
        if send.resume {
            let partial = receiving.properties.partial.take().unwrap();
            assert_eq!((partial.to_guid, partial.raw || !send.raw), (send.to.guid, true));
        }
        // Real ZFS refuses a stream while another receive waits to be continued.
        assert_eq!(receiving.properties.partial, None);
        let head = receiving.snapshots.last().map(|head| head.guid);
        assert_eq!(head, send.base.as_ref().map(|base| base.point().guid));
        if head.is_some() {
            assert_eq!(receiving.properties.written, 0, "{target} has been modified");
        }
        let to = sending.snapshots.iter().position(|sent| sent.guid == send.to.guid).unwrap();
        let from = match &send.base {
            Some(Base::Snapshot(base)) if !send.resume => {
                1 + sending.snapshots.iter().position(|sent| sent.guid == base.guid).unwrap()
            }
            Some(Base::Bookmark(base)) => {
                assert!(sending.bookmarks.iter().any(|mark| mark.guid == base.guid));
                assert!(base.createtxg < send.to.createtxg);
                to
            }
            _ => to,
        };
        let sent = &sending.snapshots[from..=to];
        assert_eq!(sent.len(), send.snapshots as usize);
        for (txg, sent) in (first_txg..).zip(sent) {
            assert!(
                receiving.snapshots.iter().all(|old| old.label != sent.label),
                "{target}@{} exists",
                sent.label
            );
            let mut received = sent.clone();
            received.createtxg = Txg::new(txg);
            receiving.snapshots.push(received);
        }
        receiving.properties.written = 0;
    }
}
