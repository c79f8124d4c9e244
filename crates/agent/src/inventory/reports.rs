//! What of this host the witness does not know yet.

use std::collections::{BTreeMap, BTreeSet};

use zfs_sync_api::v1::agent::{History, InventoryAnswer, InventoryReport, ReportedDataset};
use zfs_sync_core::{
    inventory::{DatasetProperties, HistoryDigest},
    name::DatasetName,
    retention::Retention,
};

use super::scanner::{Scanner, Seen};

/// Snapshots and bookmarks in one report: some two megabytes. What does not fit follows in the next report at once.
const HISTORY_LIMIT: usize = 10_000;

/// What the witness has heard and confirmed.
#[derive(Debug)]
pub struct Reports {
    sequence: u64,
    /// The report it confirmed last; `None`: the next one names everything.
    base: Option<u64>,
    told: BTreeMap<DatasetName, Told>,
    told_retention: BTreeMap<DatasetName, Retention>,
    /// Histories it asked for.
    needed: BTreeSet<DatasetName>,
}

#[derive(Debug)]
struct Told {
    properties: DatasetProperties,
    digest: HistoryDigest,
}

impl Reports {
    /// Nothing was told yet. Sequences begin after `sequence`, which must be higher than any that an earlier run of this
    /// agent has used.
    pub const fn new(sequence: u64) -> Self {
        Self {
            sequence,
            base: None,
            told: BTreeMap::new(),
            told_retention: BTreeMap::new(),
            needed: BTreeSet::new(),
        }
    }

    /// The next report names everything.
    pub fn resync(&mut self) {
        self.base = None;
        self.needed.clear();
    }

    /// True when a report would say something.
    pub fn has_news(&self, scanner: &Scanner) -> bool {
        let seen = scanner.seen();
        self.base.is_none()
            || self.told_retention != *scanner.retention()
            || self.needed.iter().any(|name| seen.contains_key(name))
            || self.told.keys().any(|name| !seen.contains_key(name))
            || seen.iter().any(|(name, seen)| self.is_news(name, seen))
    }

    /// The next report about what `scanner` has seen.
    pub fn next(&mut self, scanner: &Scanner) -> InventoryReport {
        self.sequence += 1;
        let seen = scanner.seen();
        if self.base.is_none() {
            // Digests only: the witness may well have the histories, and asks for those it lacks.
            let datasets = seen.values().map(|seen| reported(seen, None)).collect();
            return InventoryReport {
                sequence: self.sequence,
                base: None,
                datasets,
                removed: Vec::new(),
                retention: Some(scanner.retention().clone()),
            };
        }
        let mut datasets = Vec::new();
        let mut room = HISTORY_LIMIT;
        for (name, seen) in seen {
            if !self.wants_history(name, seen) {
                if self.is_news(name, seen) {
                    datasets.push(reported(seen, None));
                }
                continue;
            }
            let size = seen.dataset.snapshots.len() + seen.dataset.bookmarks.len();
            // One that alone is too large goes alone.
            if size <= room || room == HISTORY_LIMIT {
                room = room.saturating_sub(size.max(1));
                datasets.push(reported(seen, Some(history(seen))));
            }
        }
        let removed = self.told.keys().filter(|name| !seen.contains_key(*name)).cloned().collect();
        let retention = scanner.retention();
        let retention = (self.told_retention != *retention).then(|| retention.clone());
        InventoryReport { sequence: self.sequence, base: self.base, datasets, removed, retention }
    }

    /// Takes the witness's answer to `report`. Without an answer nothing changes: if the report has arrived all the same,
    /// the witness will not know the next one's base and ask for everything.
    pub fn answered(&mut self, report: &InventoryReport, answer: &InventoryAnswer) {
        let InventoryAnswer { accepted, resync, need } = answer;
        if *resync || !*accepted {
            self.resync();
            return;
        }
        if report.base.is_none() {
            self.told.clear();
        }
        for dataset in &report.datasets {
            let ReportedDataset { name, properties, digest, history } = dataset;
            if history.is_some() {
                self.needed.remove(name);
            }
            let told = Told { properties: properties.clone(), digest: digest.clone() };
            self.told.insert(name.clone(), told);
        }
        for name in &report.removed {
            self.told.remove(name);
            self.needed.remove(name);
        }
        if let Some(retention) = &report.retention {
            self.told_retention.clone_from(retention);
        }
        self.needed.extend(need.iter().cloned());
        self.base = Some(report.sequence);
    }

    fn is_news(&self, name: &DatasetName, seen: &Seen) -> bool {
        self.told.get(name).is_none_or(|told| {
            told.digest != seen.digest || !told.properties.same_for_report(&seen.dataset.properties)
        })
    }

    /// The witness asked for it, or can not have it.
    fn wants_history(&self, name: &DatasetName, seen: &Seen) -> bool {
        self.needed.contains(name) || self.told.get(name).is_none_or(|told| told.digest != seen.digest)
    }
}

fn reported(seen: &Seen, history: Option<History>) -> ReportedDataset {
    ReportedDataset {
        name: seen.dataset.name.clone(),
        properties: seen.dataset.properties.clone(),
        digest: seen.digest.clone(),
        history,
    }
}

fn history(seen: &Seen) -> History {
    History { snapshots: seen.dataset.snapshots.clone(), bookmarks: seen.dataset.bookmarks.clone() }
}

#[cfg(test)]
mod tests;
