//! Who is waiting, and for what. Hints only: everything here may be lost, and the next look at the database finds it again.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Notify;
use zfs_sync_core::{
    ids::{GroupId, SystemId},
    name::DatasetName,
    time::Timestamp,
};
use zfs_sync_store::TransferRow;

/// Wakes background work and waiting agents.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wake(Arc<Inner>);

/// A dataset that a group receives on a system.
pub(crate) type Target = (GroupId, SystemId, DatasetName);

#[derive(Debug, Default)]
struct Inner {
    planner: Notify,
    groups: Mutex<BTreeSet<GroupId>>,
    targets: Mutex<BTreeSet<Target>>,
    leases: Mutex<HashMap<SystemId, Arc<Notify>>>,
    reports_asked: Mutex<HashMap<SystemId, Timestamp>>,
}

/// A poisoned lock guards nothing but hints, so its content is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wake {
    /// These groups may have a new answer as a whole.
    pub(crate) fn groups_changed(&self, groups: impl IntoIterator<Item = GroupId>) {
        lock(&self.0.groups).extend(groups);
        self.0.planner.notify_one();
    }

    /// Something happened to these transfers, so that their replicas may have a new answer.
    pub(crate) fn transfers_changed<'a>(&self, rows: impl IntoIterator<Item = &'a TransferRow>) {
        let targets = rows.into_iter().map(|row| (row.group, row.target_system, row.target.clone()));
        lock(&self.0.targets).extend(targets);
        self.0.planner.notify_one();
    }

    /// A report has changed something; what, is in the database.
    pub(crate) fn reported(&self) {
        self.0.planner.notify_one();
    }

    /// Groups that may have a new answer; each is named once.
    pub(crate) fn take_groups(&self) -> BTreeSet<GroupId> {
        std::mem::take(&mut *lock(&self.0.groups))
    }

    /// True while a group waits to be planned as a whole.
    pub(crate) fn is_waiting(&self, group: GroupId) -> bool {
        lock(&self.0.groups).contains(&group)
    }

    /// Replicas that wait to be planned.
    pub(crate) fn waiting_targets(&self) -> BTreeSet<Target> {
        lock(&self.0.targets).clone()
    }

    /// Replicas that may have a new answer; each is named once.
    pub(crate) fn take_targets(&self) -> BTreeSet<Target> {
        std::mem::take(&mut *lock(&self.0.targets))
    }

    /// Ends when something has changed.
    pub(crate) async fn planner(&self) {
        self.0.planner.notified().await;
    }

    /// There may be work, or a question, for this system.
    pub(crate) fn system(&self, system: SystemId) {
        if let Some(notify) = lock(&self.0.leases).get(&system) {
            notify.notify_waiters();
        }
    }

    /// What [`Self::system`] notifies.
    pub(crate) fn of_system(&self, system: SystemId) -> Arc<Notify> {
        Arc::clone(lock(&self.0.leases).entry(system).or_default())
    }

    /// True the first time a wish for a report (named by its time) is passed on to the system.
    pub(crate) fn first_asked(&self, system: SystemId, wanted_at: Timestamp) -> bool {
        lock(&self.0.reports_asked).insert(system, wanted_at) != Some(wanted_at)
    }
}
