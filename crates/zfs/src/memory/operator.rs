//! What a person does on a host.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex},
};

use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use zfs_sync_core::{
    inventory::DatasetKind,
    name::{DatasetName, Label, NameError, SnapshotName},
    time::{Clock, Timestamp},
};

use super::{
    faults::Faults,
    runner::MemoryRunner,
    state::{Pool, Refusal, State},
};
use crate::error::{Error, classify};

/// The transaction group in which pools begin.
const FIRST_TXG: u64 = 4;

pub(super) struct Shared {
    pub(super) name: String,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) state: Mutex<State>,
    pub(super) faults: Faults,
    /// Counts changes, for `zpool events`.
    pub(super) changes: watch::Sender<u64>,
    /// Streams that are sent or received.
    pub(super) streams: TaskTracker,
    /// Everything else that runs; `zpool events` never ends by itself.
    pub(super) tasks: TaskTracker,
}

impl Shared {
    pub(super) fn read<T>(&self, question: impl FnOnce(&State) -> T) -> T {
        question(&self.state.lock().expect("no holder of this lock panics"))
    }

    /// Changes the state at the clock's present second, and tells the watchers unless it was refused.
    pub(super) fn change<T, E>(&self, change: impl FnOnce(&mut State, i64) -> Result<T, E>) -> Result<T, E> {
        let result = self.change_silently(change);
        if result.is_ok() {
            self.changes.send_modify(|count| *count += 1);
        }
        result
    }

    pub(super) fn change_silently<T>(&self, change: impl FnOnce(&mut State, i64) -> T) -> T {
        let now = self.clock.now().as_second();
        change(&mut self.state.lock().expect("no holder of this lock panics"), now)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// One machine with an in-memory ZFS; clones are handles to the same. Dropping every handle, runner and stage frees it.
///
/// Every method does what a person with a shell on that machine would do, and fails with the text that person would read.
#[derive(Clone)]
pub struct Host(pub(super) Arc<Shared>);

impl fmt::Debug for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Host").field("name", &self.0.name).finish_non_exhaustive()
    }
}

/// A name as a person typed it, or the text about it.
fn parse<T: std::str::FromStr<Err = NameError>>(text: &str) -> Result<T, Refusal> {
    text.parse().map_err(|error| Refusal::new(format!("cannot open '{text}': {error}")))
}

impl Host {
    /// A machine without pools. The same `seed` gives the same GUIDs and content; hosts of one fleet need different ones.
    pub fn new(name: impl Into<String>, clock: Arc<dyn Clock>, seed: u64) -> Self {
        Self(Arc::new(Shared {
            name: name.into(),
            clock,
            state: Mutex::new(State::new(seed)),
            faults: Faults::new(),
            changes: watch::Sender::new(0),
            streams: TaskTracker::new(),
            tasks: TaskTracker::new(),
        }))
    }

    /// What the machine is called.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Faults to inject.
    pub fn faults(&self) -> Faults {
        self.0.faults.clone()
    }

    /// Runs commands on this machine as a local process would.
    pub fn runner(&self) -> Arc<MemoryRunner> {
        Arc::new(MemoryRunner::new(self.clone(), false))
    }

    /// Runs commands on this machine as ssh from another one would: [`Faults::offline`] applies.
    pub fn remote_runner(&self) -> Arc<MemoryRunner> {
        Arc::new(MemoryRunner::new(self.clone(), true))
    }

    /// Another version of OpenZFS than 2.3.9, such as `2.1.11-1`, which does not know `snapshots_changed`.
    pub fn set_version(&self, version: impl Into<String>) {
        let version = version.into();
        self.0.change_silently(|state, _| state.version = version);
    }

    fn operate<T>(
        &self,
        command: String,
        change: impl FnOnce(&mut State, i64) -> Result<T, Refusal>,
    ) -> Result<T, Error> {
        self.0.change(change).map_err(|refusal| self.error(command, refusal))
    }

    fn error(&self, command: String, refusal: Refusal) -> Error {
        let kind = classify(&refusal.stderr);
        let status = format!("exited with {}", refusal.code);
        Error { host: self.0.name.clone(), command, status, stderr: refusal.stderr, kind }
    }

    /// `zpool create`: a pool of `capacity` bytes, with its root dataset.
    pub fn create_pool(&self, name: &str, capacity: u64) -> Result<(), Error> {
        self.operate(format!("zpool create {name}"), |state, now| {
            let root: DatasetName = parse(name)?;
            if root.parent().is_some() {
                return Err(Refusal::new(format!(
                    "cannot create '{name}': invalid character '/' in pool name"
                )));
            }
            if state.pools.contains_key(name) {
                return Err(Refusal::new(format!("cannot create '{name}': pool already exists")));
            }
            let guid = state.next_guid();
            state.pools.insert(
                name.to_owned(),
                Pool { guid, capacity, txg: FIRST_TXG, suspended: false, disabled: BTreeSet::new() },
            );
            let dataset = state.new_dataset(&root, DatasetKind::Filesystem, now);
            state.datasets.insert(root, dataset);
            Ok(())
        })
    }

    /// Replaces the disks by larger or smaller ones.
    pub fn set_capacity(&self, pool: &str, capacity: u64) -> Result<(), Error> {
        self.operate(format!("zpool online -e {pool}"), |state, _| match state.pools.get_mut(pool) {
            Some(found) => {
                found.capacity = capacity;
                Ok(())
            }
            None => Err(Refusal::new(format!("cannot open '{pool}': no such pool"))),
        })
    }

    /// Takes the pool's disks away, or brings them back.
    pub fn set_suspended(&self, pool: &str, suspended: bool) -> Result<(), Error> {
        self.operate(format!("zpool clear {pool}"), |state, _| match state.pools.get_mut(pool) {
            Some(found) => {
                found.suspended = suspended;
                Ok(())
            }
            None => Err(Refusal::new(format!("cannot open '{pool}': no such pool"))),
        })
    }

    /// `zfs create`: a file system or a (sparse) volume.
    pub fn create_dataset(&self, name: &str, kind: DatasetKind) -> Result<(), Error> {
        self.operate(format!("zfs create {name}"), |state, now| state.create(&parse(name)?, kind, now))
    }

    /// `zfs create -o encryption=on`: its key stays loaded.
    pub fn create_encrypted_dataset(&self, name: &str, kind: DatasetKind) -> Result<(), Error> {
        self.operate(format!("zfs create -o encryption=on {name}"), |state, now| {
            let name = parse(name)?;
            state.create(&name, kind, now)?;
            let dataset = state.dataset_mut(&name)?;
            (dataset.encrypted, dataset.own_key) = (true, true);
            Ok(())
        })
    }

    /// `zfs change-key -i`: the dataset takes the key of its parent, whose content it can be read with from now on.
    pub fn inherit_key(&self, name: &str) -> Result<(), Error> {
        self.operate(format!("zfs change-key -i {name}"), |state, _| {
            let name: DatasetName = parse(name)?;
            let above = name.parent().and_then(|parent| state.datasets.get(&parent));
            if !above.is_some_and(|parent| parent.encrypted) {
                return Err(Refusal::new("Key change error: Parent must be encrypted."));
            }
            let dataset = state.dataset_mut(&name)?;
            (dataset.own_key, dataset.key_loaded) = (false, true);
            Ok(())
        })
    }

    /// `zfs set property=value`, for what nothing here depends on.
    pub fn set_property(&self, name: &str, property: &str, value: &str) -> Result<(), Error> {
        self.operate(format!("zfs set {property}={value} {name}"), |state, _| {
            let local = &mut state.dataset_mut(&parse(name)?)?.local;
            local.insert(property.to_owned(), value.to_owned());
            Ok(())
        })
    }

    /// As if the pool had been made with `-o feature@…=disabled`.
    pub fn disable_feature(&self, pool: &str, feature: &str) {
        self.0.change_silently(|state, _| {
            if let Some(found) = state.pools.get_mut(pool) {
                found.disabled.insert(feature.to_owned());
            }
        });
    }

    /// Writes `bytes` of new content into a dataset.
    pub fn write(&self, name: &str, bytes: u64) -> Result<(), Error> {
        self.operate(format!("dd of={name}"), |state, _| state.write(&parse(name)?, bytes))
    }

    /// Writes `bytes` over content that is there: `written` grows, what the dataset refers to does not.
    pub fn overwrite(&self, name: &str, bytes: u64) -> Result<(), Error> {
        self.operate(format!("dd conv=notrunc of={name}"), |state, _| state.overwrite(&parse(name)?, bytes))
    }

    /// `zfs snapshot dataset@label`.
    pub fn snapshot(&self, name: &str) -> Result<(), Error> {
        self.operate(format!("zfs snapshot {name}"), |state, now| state.take_snapshots(&[parse(name)?], now))
    }

    /// `zfs snapshot -r dataset@label`: the dataset and all below it, in one transaction group.
    pub fn snapshot_recursive(&self, name: &str) -> Result<(), Error> {
        self.operate(format!("zfs snapshot -r {name}"), |state, now| {
            let root: SnapshotName = parse(name)?;
            state.dataset(root.dataset())?;
            let names: Result<Vec<_>, _> = state
                .tree(root.dataset())
                .into_iter()
                .map(|dataset| SnapshotName::new(dataset, root.label().clone()))
                .collect();
            let names =
                names.map_err(|error| Refusal::new(format!("cannot create snapshot '{root}': {error}")))?;
            state.take_snapshots(&names, now)
        })
    }

    /// `zfs bookmark dataset@snapshot dataset#bookmark`.
    pub fn bookmark(&self, snapshot: &str, label: &str) -> Result<(), Error> {
        self.operate(format!("zfs bookmark {snapshot} #{label}"), |state, _| {
            state.bookmark(&parse(snapshot)?, &parse(label)?)
        })
    }

    /// `zfs destroy dataset#bookmark`.
    pub fn destroy_bookmark(&self, name: &str) -> Result<(), Error> {
        self.operate(format!("zfs destroy {name}"), |state, _| state.destroy_bookmark(&parse(name)?))
    }

    /// `zfs destroy dataset@label`: refused while it is held or being sent.
    pub fn destroy_snapshot(&self, name: &str) -> Result<(), Error> {
        self.operate(format!("zfs destroy {name}"), |state, now| state.destroy_snapshot(&parse(name)?, now))
    }

    /// `zfs rename dataset@label dataset@new`.
    pub fn rename_snapshot(&self, name: &str, label: &str) -> Result<(), Error> {
        self.operate(format!("zfs rename {name} @{label}"), |state, now| {
            state.rename_snapshot(&parse(name)?, &parse::<Label>(label)?, now)
        })
    }

    /// `zfs rename old new`: what lies below moves along.
    pub fn rename_dataset(&self, from: &str, to: &str) -> Result<(), Error> {
        self.operate(format!("zfs rename {from} {to}"), |state, _| state.rename(&parse(from)?, &parse(to)?))
    }

    /// `zfs rollback -r dataset@label`: newer writes, snapshots and bookmarks are gone.
    pub fn rollback(&self, name: &str) -> Result<(), Error> {
        self.operate(format!("zfs rollback -r {name}"), |state, now| {
            state.roll_back_recursively(&parse(name)?, now)
        })
    }

    /// `zfs clone dataset@label clone`: a writable dataset with the snapshot's content, which can not be destroyed while it exists.
    pub fn clone_snapshot(&self, snapshot: &str, name: &str) -> Result<(), Error> {
        self.operate(format!("zfs clone {snapshot} {name}"), |state, now| {
            state.clone_snapshot(&parse(snapshot)?, &parse(name)?, now)
        })
    }

    /// `zfs promote clone`: the snapshots up to its origin become its own, and what it was cloned from becomes its clone.
    pub fn promote(&self, name: &str) -> Result<(), Error> {
        self.operate(format!("zfs promote {name}"), |state, now| state.promote(&parse(name)?, now))
    }

    /// `zfs destroy -r dataset`: with all snapshots and all that lies below.
    pub fn destroy_dataset(&self, name: &str) -> Result<(), Error> {
        self.operate(format!("zfs destroy -r {name}"), |state, _| state.destroy_tree(&parse(name)?))
    }

    /// `zfs hold tag dataset@label`.
    pub fn hold(&self, tag: &str, name: &str) -> Result<(), Error> {
        self.operate(format!("zfs hold {tag} {name}"), |state, now| state.hold(tag, &parse(name)?, now))
    }

    /// `zfs release tag dataset@label`.
    pub fn release(&self, tag: &str, name: &str) -> Result<(), Error> {
        self.operate(format!("zfs release {tag} {name}"), |state, _| state.release(tag, &parse(name)?))
    }

    /// `zfs set readonly=…`: a received dataset has to be made writable before [`Self::write`].
    pub fn set_readonly(&self, name: &str, readonly: bool) -> Result<(), Error> {
        let value = if readonly { "on" } else { "off" };
        self.operate(format!("zfs set readonly={value} {name}"), |state, _| {
            state.dataset_mut(&parse(name)?)?.readonly = readonly;
            Ok(())
        })
    }

    /// `zfs load-key` or `zfs unload-key`: what was received raw has its key not loaded.
    pub fn set_key_loaded(&self, name: &str, loaded: bool) -> Result<(), Error> {
        let verb = if loaded { "load-key" } else { "unload-key" };
        self.operate(format!("zfs {verb} {name}"), |state, _| {
            state.dataset_mut(&parse(name)?)?.key_loaded = loaded;
            Ok(())
        })
    }

    /// `zfs mount` or `zfs unmount`.
    pub fn set_mounted(&self, name: &str, mounted: bool) -> Result<(), Error> {
        let verb = if mounted { "mount" } else { "unmount" };
        self.operate(format!("zfs {verb} {name}"), |state, _| {
            let dataset = state.dataset_mut(&parse(name)?)?;
            if dataset.kind == DatasetKind::Volume {
                return Err(Refusal::new(format!(
                    "cannot open '{name}': operation not applicable to datasets of this type"
                )));
            }
            dataset.mounted = mounted;
            Ok(())
        })
    }

    /// A number that follows from all content of a dataset, or of a snapshot (`dataset@label`): equal on two hosts when the same bytes are there.
    pub fn content(&self, name: &str) -> Result<u64, Error> {
        let answer = self.0.read(|state| {
            if name.contains('@') {
                let (dataset, snapshot) = state.snapshot(&parse(name)?)?;
                Ok(dataset.content(snapshot.extents))
            } else {
                let dataset = state.dataset(&parse(name)?)?;
                Ok(dataset.content(dataset.log.len()))
            }
        });
        answer.map_err(|refusal| self.error(format!("sha256sum {name}"), refusal))
    }

    /// Waits until no `send` or `receive` runs on this host any more: what a killed one leaves is then in its place.
    pub async fn settle(&self) {
        self.0.streams.close();
        self.0.streams.wait().await;
        self.0.streams.reopen();
    }
}
