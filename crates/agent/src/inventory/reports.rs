//! What of this host the witness does not know yet.

use std::collections::{BTreeMap, BTreeSet};

use zfs_sync_api::v1::agent::{History, InventoryAnswer, InventoryReport, ReportedDataset};
use zfs_sync_core::{
    inventory::{DatasetProperties, HistoryDigest},
    name::DatasetName,
    retention::Retention,
    time::Timestamp,
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
    /// Of which it is to be told exactly how much was written; see [`Self::tell_exactly`].
    exact: BTreeSet<DatasetName>,
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
            exact: BTreeSet::new(),
        }
    }

    /// The next report names everything.
    pub fn resync(&mut self) {
        self.base = None;
        self.needed.clear();
    }

    /// The next report names this dataset also if nothing but `written` is another than the witness was told.
    ///
    /// Sizes that move with every write are no news by themselves, or a busy host would report all of it each second. But a step that
    /// gives up what was written names the bytes, and is stale when there are more: planned again from the figure of long ago, it would be
    /// stale again, for ever. So whoever has worked on a dataset asks for this once, however it ended: that costs one row for each step,
    /// and leaves nothing to decide about which ends need it.
    pub fn tell_exactly(&mut self, dataset: DatasetName) {
        self.exact.insert(dataset);
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

    /// The next report about what `scanner` has seen, in a look that began at this moment of the witness's clock.
    ///
    /// A report that does not tell all that the look has found must not pass for one that shows this moment: what it leaves out may have been
    /// destroyed, and the witness has it still.
    pub fn next(&mut self, scanner: &Scanner, looked_at: Option<Timestamp>) -> InventoryReport {
        self.sequence += 1;
        let seen = scanner.seen();
        // Otherwise what was told exactly already would be news again with a write long after the step.
        let (exact, told) = (&mut self.exact, &self.told);
        exact.retain(|name| {
            let (seen, told) = (seen.get(name), told.get(name));
            seen.is_some_and(|seen| {
                told.is_none_or(|told| told.properties.written != seen.dataset.properties.written)
            })
        });
        if self.base.is_none() {
            // Digests only: the witness may well have the histories, and asks for those it lacks.
            let datasets = seen.values().map(|seen| reported(seen, None)).collect();
            return InventoryReport {
                sequence: self.sequence,
                base: None,
                datasets,
                removed: Vec::new(),
                retention: Some(scanner.retention().clone()),
                looked_at,
            };
        }
        let mut datasets = Vec::new();
        let mut room = HISTORY_LIMIT;
        let mut later = BTreeSet::new();
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
            } else {
                later.insert(seen.dataset.properties.guid);
            }
        }
        // A renamed dataset keeps its GUID: one report takes it from the old name to the new. Unknown in between, its replicas or its own
        // old name would be planned to be seeded in full; known under both names, it would not be taken for renamed. An old name that
        // waits stays in `told`, so it is news until it is said.
        let gone = |&(name, told): &(&DatasetName, &Told)| {
            !seen.contains_key(name) && !later.contains(&told.properties.guid)
        };
        let removed = self.told.iter().filter(gone).map(|(name, _)| name.clone()).collect();
        let retention = scanner.retention();
        let retention = (self.told_retention != *retention).then(|| retention.clone());
        let looked_at = looked_at.filter(|_| later.is_empty());
        InventoryReport { sequence: self.sequence, base: self.base, datasets, removed, retention, looked_at }
    }

    /// Takes the witness's answer to `report`. Without an answer nothing changes: if the report has arrived all the same,
    /// the witness will not know the next one's base and ask for everything.
    pub fn answered(&mut self, report: &InventoryReport, answer: &InventoryAnswer) {
        let InventoryAnswer { accepted, resync, need, now: _ } = answer;
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
            self.exact.remove(name);
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
        let present = &seen.dataset.properties;
        self.told.get(name).is_none_or(|told| {
            told.digest != seen.digest
                || !told.properties.same_for_report(present)
                || self.exact.contains(name) && told.properties.written != present.written
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
