//! The queue of datasets that reports have changed, so that a change costs the planning of what changed and no more.
//!
//! [`Store::apply_report`] writes it in its own transaction: a process that dies after a report has lost nothing. Whoever plans takes
//! some, plans them, stores the result and forgets them after that; what a report changed meanwhile has another revision and stays.

use zfs_sync_core::{ids::SystemId, name::DatasetName};

use crate::{Result, Store, store::dispatch};

/// One dataset whose history or properties a report has changed, or that came or went.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangedDataset {
    /// Where.
    pub system: SystemId,
    /// Its name there.
    pub name: DatasetName,
    /// Grows with every report that changes it.
    pub revision: u64,
    /// True when it appeared or disappeared, or is another one by GUID, kind, origin or waiting receive: what is planned for others
    /// may depend on that.
    pub structural: bool,
}

impl Store {
    /// Datasets that were changed and not forgotten since, those that have waited longest first.
    ///
    /// Systems that are in no group are passed over when they report: a change of the group plans all of it anyway.
    pub async fn changed_datasets(&self, limit: u64) -> Result<Vec<ChangedDataset>> {
        dispatch!(self, changes::changed_datasets(limit))
    }

    /// Takes these off the queue, except where a report has changed them again; answers how many.
    pub async fn forget_changed(&self, changes: &[ChangedDataset]) -> Result<u64> {
        dispatch!(self, changes::forget_changed(changes))
    }
}
