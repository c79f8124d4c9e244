//! What hosts' own snapshot tools keep. It comes and goes with reports ([`Store::apply_report`]), as a whole.

use std::collections::BTreeMap;

use zfs_sync_core::{ids::SystemId, name::DatasetName, retention::Retention};

use crate::{Result, Store, store::dispatch};

impl Store {
    /// What a host's snapshot tool keeps, by dataset: of `names`, or of all where that is `None`. A dataset that is missing
    /// is none that the tool looks after, as far as is known.
    pub async fn retention_policies(
        &self,
        system: SystemId,
        names: Option<&[&DatasetName]>,
    ) -> Result<BTreeMap<DatasetName, Retention>> {
        dispatch!(self, retention::retention_policies(system, names))
    }
}
