//! What hosts reported.
//!
//! Reports are sequenced. A complete report names every dataset; a delta names what changed since the sequence number it is
//! based on, and is refused when that is not the newest one. History travels only when its digest differs from the
//! stored one: a dataset reported without its history is then *needed*, keeps what is stored of it, and holds back
//! `inventory_as_of` until the history has come. So a mixed state is never taken for a fresh one.
//!
//! When a report arrives says nothing of what it shows: the host may have been looked at long before, and a report may be on its way for
//! minutes. `inventory_looked_at` is the moment that everything stored of a host shows at the earliest. It is what the agent says,
//! once nothing is needed any more; a report that does not say leaves it where it is, and a complete one, which may be late, takes it back.

use std::collections::BTreeMap;

use zfs_sync_core::{
    guid::Guid,
    ids::SystemId,
    inventory::{Bookmark, Dataset, DatasetProperties, HistoryDigest, Inventory, Snapshot},
    name::DatasetName,
    plan::Needed,
    retention::Retention,
    time::Timestamp,
};

use crate::{Result, Store, store::dispatch};

/// Who has which snapshots: their systems, and the datasets there that have them, with their own GUIDs.
pub type Holders = BTreeMap<Guid, BTreeMap<SystemId, BTreeMap<DatasetName, Guid>>>;

/// One dataset in a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedDataset {
    /// Its name on its host.
    pub name: DatasetName,
    /// Its properties.
    pub properties: DatasetProperties,
    /// The digest of its history on its host.
    pub digest: HistoryDigest,
    /// The history itself, complete; `None` when the sender takes it for known here.
    pub history: Option<(Vec<Snapshot>, Vec<Bookmark>)>,
}

/// One report of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its number.
    pub sequence: u64,
    /// `None`: complete, and what it does not name is gone. Otherwise the number of the report that this one changes.
    pub base: Option<u64>,
    /// Datasets that exist, or that changed.
    pub datasets: Vec<ReportedDataset>,
    /// Datasets that are gone; for a complete report they need not be named.
    pub removed: Vec<DatasetName>,
    /// What the host's snapshot tool keeps, all of it. `None`: as before; in a complete report, nothing is known.
    pub retention: Option<BTreeMap<DatasetName, Retention>>,
    /// The moment, by the witness's clock, that everything in the report shows at the earliest: the look had not begun before. `None`: not
    /// said, or not all that the look has found is in the report. One that is still to come is not believed.
    pub looked_at: Option<Timestamp>,
    /// True when the host's client knows no GUIDs: those in the report are made up, and say nothing about other systems' snapshots.
    /// A delta is of the same kind as the report it builds on; only a complete report may be of another kind.
    pub without_guids: bool,
}

/// What became of a report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportOutcome {
    /// It was stored, as far as `need` allows.
    pub accepted: bool,
    /// Nothing was stored: its base is not the newest report, or was of the other kind. Send a complete one.
    pub resync: bool,
    /// Datasets whose history must be sent, by name. Until then the inventory stays as old as it is.
    pub need: Vec<DatasetName>,
    /// Planning may have a new answer. Sizes that move with every write do not count, nor does the report's age.
    pub changed: bool,
    /// Its kind is another than before: the host's snapshots have GUIDs now, or have none any more. Every plan with the host may have a
    /// new answer, also where it has no dataset.
    pub kind_changed: bool,
}

/// How large an inventory is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InventorySizes {
    /// Datasets.
    pub datasets: u64,
    /// Snapshots of all of them.
    pub snapshots: u64,
}

/// One snapshot with its dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotRow {
    /// The dataset on its host.
    pub dataset: DatasetName,
    /// The snapshot.
    pub snapshot: Snapshot,
}

impl Store {
    /// Takes a report, in one transaction; [`crate::Error::NotFound`] when there is no such system.
    ///
    /// A delta that names nothing costs one update.
    pub async fn apply_report(
        &self,
        system: SystemId,
        report: &Report,
        now: Timestamp,
    ) -> Result<ReportOutcome> {
        dispatch!(self, reports::apply_report(system, report, now))
    }

    /// Everything a host reported; `None` before its first complete report.
    pub async fn inventory(&self, system: SystemId) -> Result<Option<Inventory>> {
        dispatch!(self, inventory::inventory(system))
    }

    /// What a plan needs of a host, and no more: the cost does not depend on how much else it has. `None` as [`Self::inventory`].
    ///
    /// Besides what `needed` names: one dataset of every pool, and the datasets whose own GUIDs are among `datasets`, wherever they
    /// are. Histories come where they are named, of datasets that were set aside, and where a partial receive waits, so that nothing
    /// looks half received that is not; all others are without.
    pub async fn inventory_part(
        &self,
        system: SystemId,
        needed: &Needed,
        datasets: &[Guid],
    ) -> Result<Option<Inventory>> {
        dispatch!(self, inventory_part::inventory_part(system, needed, datasets))
    }

    /// The systems whose newest reports have these snapshots, however old those are, with the datasets that have them; snapshots that
    /// nobody has are left out, and so are systems whose client knows no GUIDs.
    pub async fn holders(&self, snapshots: &[Guid]) -> Result<Holders> {
        dispatch!(self, inventory_part::holders(snapshots))
    }

    /// One dataset of a host.
    pub async fn inventory_dataset(&self, system: SystemId, name: &DatasetName) -> Result<Option<Dataset>> {
        dispatch!(self, inventory::inventory_dataset(system, name))
    }

    /// How many datasets and snapshots a host has.
    pub async fn inventory_sizes(&self, system: SystemId) -> Result<InventorySizes> {
        dispatch!(self, inventory::inventory_sizes(system))
    }

    /// A host's snapshots, newest creation first; `limit` rows after the first `skip`.
    pub async fn snapshots_of(&self, system: SystemId, skip: u64, limit: u64) -> Result<Vec<SnapshotRow>> {
        dispatch!(self, inventory::snapshots_of(system, skip, limit))
    }
}
