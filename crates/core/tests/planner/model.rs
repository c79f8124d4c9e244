//! What steps do to a fleet, as real ZFS would do it or refuse it; and what people and accidents do meanwhile.

use std::collections::BTreeSet;

use zfs_sync_core::{
    group::GroupMode,
    guid::{Guid, Txg},
    ids::SystemId,
    inventory::{Dataset, DatasetKind, Inventory, Snapshot},
    name::DatasetName,
    plan::{Action, Base, Casualty, Report, Send, Step, TargetOrigin},
};

use crate::fleet::{Fleet, dataset, snapshot};

/// A fleet that changes.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) fleet: Fleet,
    counter: u64,
}

/// The source datasets that may exist.
pub(crate) const SOURCES: [&str; 7] =
    ["tank", "tank/a", "tank/a/b", "tank/a/b/deep", "tank/c", "tank/d", "tank/e"];

impl std::fmt::Debug for World {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "as a script:\n{:?}", self.fleet)
    }
}

impl World {
    pub(crate) fn new(fleet: Fleet) -> Self {
        Self { fleet, counter: 100 }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    pub(crate) fn inventory(&mut self, system: SystemId) -> &mut Inventory {
        self.fleet.systems.get_mut(&system).unwrap().inventory.as_mut().unwrap()
    }

    /// The dataset with this number on the hub, or its replica elsewhere.
    pub(crate) fn name(&self, system: SystemId, number: usize) -> DatasetName {
        let group = &self.fleet.group;
        let logical: DatasetName = SOURCES[number % SOURCES.len()].parse().unwrap();
        group.name_on(group.hub, &logical, system).unwrap()
    }

    pub(crate) fn dataset(&mut self, system: SystemId, number: usize) -> Option<&mut Dataset> {
        let name = self.name(system, number);
        self.inventory(system).datasets.get_mut(&name)
    }

    pub(crate) fn half_made(dataset: &Dataset) -> bool {
        dataset.snapshots.is_empty() && dataset.properties.partial.is_some()
    }

    /// True when something is a clone of this snapshot: ZFS does not destroy it then.
    pub(crate) fn is_cloned(&mut self, system: SystemId, snapshot: &str) -> bool {
        self.inventory(system)
            .datasets
            .values()
            .any(|other| other.properties.origin.as_deref() == Some(snapshot))
    }

    pub(crate) fn below(&mut self, system: SystemId, name: &DatasetName) -> usize {
        self.inventory(system).datasets.keys().filter(|other| *other != name && other.is_within(name)).count()
    }

    pub(crate) fn insert(&mut self, system: SystemId, name: &DatasetName, kind: DatasetKind) {
        let guid = self.next();
        let mut made = dataset(name.as_str());
        made.properties.guid = Guid::new(guid);
        made.properties.kind = kind;
        self.inventory(system).datasets.insert(name.clone(), made);
    }

    /// `zfs rename`: what lies below goes along, and clones know their origin by its new name.
    pub(crate) fn rename(&mut self, system: SystemId, from: &DatasetName, to: &DatasetName) {
        assert!(from.parent().is_some(), "a pool's root can not be renamed");
        assert_eq!(from.pool(), to.pool());
        let parent = to.parent().unwrap();
        assert!(self.inventory(system).datasets.contains_key(&parent), "{to} has no parent");
        let datasets = &mut self.inventory(system).datasets;
        assert!(!datasets.contains_key(to), "{to} exists");
        let moved: Vec<DatasetName> = datasets.keys().filter(|name| name.is_within(from)).cloned().collect();
        for old in moved {
            let mut dataset = datasets.remove(&old).unwrap();
            let name = to.join(old.strip_prefix(from).unwrap()).unwrap();
            for other in datasets.values_mut() {
                rename_origin(other, &old, &name);
            }
            rename_origin(&mut dataset, &old, &name);
            dataset.name = name.clone();
            datasets.insert(name, dataset);
        }
    }

    /// Plans, does every step, and says how many there were. What was seen is remembered for the next plan.
    pub(crate) fn apply_plan(&mut self) -> (usize, Report) {
        let (plan, report) = self.fleet.plan();
        let remembered =
            report.replicas.iter().filter_map(|replica| Some((replica.key(), replica.remembered.clone()?)));
        self.fleet.memory = remembered.collect();
        let before = self.everything();
        for step in &plan.steps {
            self.apply(step);
        }
        let after = self.everything();
        let given_up = self.fleet.decisions.iter().flat_map(|decision| decision.may_destroy.values());
        let given_up: BTreeSet<Guid> = given_up.flatten().copied().collect();
        let approved = |guid: &Guid| given_up.contains(guid);
        let gone: Vec<&Guid> = before.difference(&after).filter(|guid| !approved(guid)).collect();
        assert!(gone.is_empty(), "nobody has {gone:?} any more, and nobody approved that");
        (plan.steps.len(), report)
    }

    /// Every snapshot that is anywhere.
    pub(crate) fn everything(&self) -> BTreeSet<Guid> {
        let inventories = self.fleet.systems.values().filter_map(|system| system.inventory.as_ref());
        let datasets = inventories.flat_map(|inventory| inventory.datasets.values());
        datasets.flat_map(|dataset| &dataset.snapshots).map(|snapshot| snapshot.guid).collect()
    }

    pub(crate) fn apply(&mut self, step: &Step) {
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
                self.rename(system, &step.target, rename_to);
            }
            Action::FollowRename { rename_from, .. } => self.rename(system, rename_from, &step.target),
            Action::RollBack { to, destroys, discards, .. } => {
                let written = self.target(step).properties.written;
                assert!(written <= *discards, "{written} bytes were written");
                if self.is_held(step, destroys) {
                    return;
                }
                self.destroy(step, destroys);
                let dataset = self.target(step);
                assert_eq!(dataset.snapshots.last().map(|newest| newest.guid), Some(*to));
                dataset.properties.written = 0;
                let newest = dataset.snapshots.last().unwrap().createtxg;
                dataset.bookmarks.retain(|mark| mark.createtxg <= newest);
                // One that started from a destroyed snapshot is discarded first.
                dataset.properties.partial = None;
            }
            Action::DestroySnapshots { keeps, destroys, .. } => {
                assert_eq!(self.target(step).snapshots.last().map(|newest| newest.guid), Some(*keeps));
                self.destroy(step, destroys);
            }
        }
    }

    fn target(&mut self, step: &Step) -> &mut Dataset {
        self.inventory(step.target_system).datasets.get_mut(&step.target).unwrap()
    }

    /// Whose hold it is only the executor sees. It does not touch what somebody else holds, and says so; here a person then releases it.
    fn is_held(&mut self, step: &Step, casualties: &[Casualty]) -> bool {
        let common: BTreeSet<Guid> =
            self.fleet.memory.values().filter_map(|remembered| remembered.common).collect();
        let lost = |guid: &Guid| casualties.iter().any(|casualty| casualty.guid == *guid);
        let held = self.target(step).snapshots.iter_mut().filter(|snapshot| snapshot.holds > 0);
        let mut released = false;
        for snapshot in held.filter(|snapshot| lost(&snapshot.guid)) {
            assert!(snapshot.holds == 1 && common.contains(&snapshot.guid), "@{} is held", snapshot.label);
            snapshot.holds = 0;
            released = true;
        }
        released
    }

    fn destroy(&mut self, step: &Step, casualties: &[Casualty]) {
        for casualty in casualties {
            let name = format!("{}@{}", step.target, casualty.label);
            assert!(!self.is_cloned(step.target_system, &name), "{name} has clones");
            let dataset = self.target(step);
            let place = dataset.snapshots.iter().position(|snapshot| snapshot.guid == casualty.guid).unwrap();
            let lost = dataset.snapshots.remove(place);
            assert_eq!((&lost.label, lost.holds), (&casualty.label, 0), "{name}");
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
        // Another step of the same plan may have moved it away: the executor finds it stale.
        let Some(sending) = self.inventory(step.source_system).datasets.get(source).cloned() else { return };
        let gone = |origin: &TargetOrigin| {
            let there = self.inventory(*target_system).datasets.get(&origin.dataset);
            there.is_none_or(|dataset| dataset.snapshot(origin.guid).is_none())
        };
        if send.target_origin.as_ref().is_some_and(gone) {
            return;
        }
        if let Some(Base::Origin { dataset, point }) = &send.base
            && sending.properties.origin != Some(format!("{dataset}@{}", point.label))
        {
            return;
        }
        if let Some(guid) = send.discard_partial {
            let dataset = self.inventory(*target_system).datasets.get_mut(target).unwrap();
            assert_eq!(dataset.properties.partial.take().map(|partial| partial.to_guid), Some(guid));
            if dataset.snapshots.is_empty() {
                assert_eq!(self.below(*target_system, target), 0);
                self.inventory(*target_system).datasets.remove(target);
            }
        }
        let first = send.base.is_none() || send.target_origin.is_some();
        if first && !send.resume {
            let parent = self.inventory(*target_system).datasets.get(&target.parent().unwrap()).cloned();
            let parent = parent.unwrap_or_else(|| panic!("{target} has no parent, in {self:?}"));
            assert!(!Self::half_made(&parent), "{target} below a dataset that is not yet received");
            assert_eq!(parent.properties.kind, DatasetKind::Filesystem, "{target} below a volume");
            assert!(!self.inventory(*target_system).datasets.contains_key(target), "{target} exists");
            self.insert(*target_system, target, step.kind);
        }
        if let Some(planned) = &send.target_origin {
            let origin = &self.inventory(*target_system).datasets[&planned.dataset];
            assert_eq!(origin.properties.kind, step.kind);
            let label = origin.snapshot(planned.guid).unwrap().label.clone();
            assert_eq!(send.base.as_ref().map(|base| base.point().guid), Some(planned.guid));
            self.target(step).properties.origin = Some(format!("{}@{label}", planned.dataset));
        }
        let first_txg = self.next();
        self.counter += sending.snapshots.len() as u64;
        let receiving = self.target(step);
        if send.resume {
            let partial = receiving.properties.partial.take().unwrap();
            assert_eq!((partial.to_guid, partial.raw || !send.raw), (send.to.guid, true));
            assert_eq!(partial.from_guid, send.base.as_ref().map(|base| base.point().guid));
        }
        // Real ZFS refuses a stream while another receive waits to be continued.
        assert_eq!(receiving.properties.partial, None);
        let head = receiving.snapshots.last().map(|head| head.guid);
        if send.target_origin.is_none() {
            assert_eq!(head, send.base.as_ref().map(|base| base.point().guid));
        }
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
            Some(Base::Origin { .. }) => {
                assert!(send.target_origin.is_some(), "a clone's stream begins a new dataset");
                to
            }
            _ => to,
        };
        let sent = &sending.snapshots[from..=to];
        assert_eq!(sent.len(), send.snapshots as usize);
        let taken = |sent: &&Snapshot| {
            let receiving = &self.inventory(*target_system).datasets[target];
            receiving.snapshots.iter().any(|old| old.label == sent.label)
        };
        if let Some(sent) = sent.iter().find(taken) {
            panic!("{target}@{} exists, in {self:?}", sent.label);
        }
        let receiving = self.target(step);
        for (txg, sent) in (first_txg..).zip(sent) {
            let mut received = sent.clone();
            received.createtxg = Txg::new(txg);
            received.holds = 0;
            receiving.snapshots.push(received);
        }
        receiving.properties.written = 0;
    }

    pub(crate) fn take_snapshot(&mut self, system: SystemId, number: usize, label: &str) {
        let guid = self.next();
        let Some(dataset) = self.dataset(system, number).filter(|dataset| !Self::half_made(dataset)) else {
            return;
        };
        if dataset.snapshots.iter().all(|taken| taken.label.as_str() != label) {
            let mut taken = snapshot(label, guid, guid);
            taken.creation = i64::try_from(guid).unwrap();
            dataset.snapshots.push(taken);
            dataset.properties.written = 0;
        }
    }

    /// True for a member on which datasets come into being: the hub, in a mesh all.
    pub(crate) fn is_home(&self, system: SystemId) -> bool {
        system == self.fleet.group.hub || self.fleet.group.mode == GroupMode::Mesh
    }
}

fn rename_origin(dataset: &mut Dataset, old: &DatasetName, name: &DatasetName) {
    let renamed = dataset.properties.origin.as_deref().and_then(|origin| {
        let (dataset, label) = origin.split_once('@')?;
        (dataset == old.as_str()).then(|| format!("{name}@{label}"))
    });
    if renamed.is_some() {
        dataset.properties.origin = renamed;
    }
}
