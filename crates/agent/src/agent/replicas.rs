//! One at a time: nobody touches a target dataset while somebody else in this agent does.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use tokio::sync::Notify;
use zfs_sync_core::{
    ids::{SystemId, TransferId},
    name::DatasetName,
    plan::Step,
};

/// Who works on a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worker {
    Transfer(TransferId),
    /// Looks after holds; done within seconds.
    Janitor,
}

/// Somebody works on this replica already.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{target} is busy: {}", match .worker {
    Worker::Transfer(id) => format!("transfer {id} runs into it"),
    Worker::Janitor => "its holds are being looked after".to_owned(),
})]
pub(super) struct Busy {
    pub(super) target: DatasetName,
    pub(super) worker: Worker,
}

type Key = (SystemId, DatasetName);

#[derive(Debug, Default)]
struct Shared {
    workers: Mutex<BTreeMap<Key, Worker>>,
    released: Notify,
}

/// Which replicas are being worked on. Clones are handles to the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Replicas(Arc<Shared>);

/// A replica is ours until this is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    shared: Arc<Shared>,
    key: Key,
}

impl Replicas {
    pub(super) fn claim(&self, step: &Step, worker: Worker) -> Result<Claim, Busy> {
        let key = (step.target_system, step.target.clone());
        let mut workers = self.0.workers.lock().expect("no holder of this lock panics");
        if let Some(worker) = workers.get(&key) {
            return Err(Busy { target: step.target.clone(), worker: *worker });
        }
        workers.insert(key.clone(), worker);
        Ok(Claim { shared: Arc::clone(&self.0), key })
    }

    /// As [`Self::claim`], but waits for the janitor, and for an attempt under an older lease of the same transfer: that
    /// one is told by the witness that its lease is lost, and stops.
    pub(super) async fn claim_for(&self, step: &Step, transfer: TransferId) -> Result<Claim, Busy> {
        loop {
            let released = self.0.released.notified();
            tokio::pin!(released);
            // Before looking, so that a release between looking and waiting is not missed.
            released.as_mut().enable();
            match self.claim(step, Worker::Transfer(transfer)) {
                Err(Busy { worker, .. })
                    if worker == Worker::Janitor || worker == Worker::Transfer(transfer) =>
                {
                    released.await;
                }
                other => return other,
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.shared.workers.lock().expect("no holder of this lock panics").remove(&self.key);
        self.shared.released.notify_waiters();
    }
}
