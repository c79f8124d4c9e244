//! Who is waiting, and for what. Hints only: everything here may be lost, and the next look at the database finds it again.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Notify;
use zfs_sync_core::{
    ids::{GroupId, SystemId},
    time::Timestamp,
};

/// Wakes background work and waiting agents.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wake(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    planner: Notify,
    dirty: Mutex<BTreeSet<GroupId>>,
    leases: Mutex<HashMap<SystemId, Arc<Notify>>>,
    reports_asked: Mutex<HashMap<SystemId, Timestamp>>,
}

/// A poisoned lock guards nothing but hints, so its content is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wake {
    /// These groups may have a new answer.
    pub(crate) fn groups_changed(&self, groups: impl IntoIterator<Item = GroupId>) {
        lock(&self.0.dirty).extend(groups);
        self.0.planner.notify_one();
    }

    /// Groups that may have a new answer; each is named once.
    pub(crate) fn take_changed(&self) -> BTreeSet<GroupId> {
        std::mem::take(&mut *lock(&self.0.dirty))
    }

    /// Ends when groups have changed.
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
