//! Looks at this host, no more than needed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use zfs_sync_core::{
    inventory::{Dataset, HistoryDigest},
    name::DatasetName,
    time::{Clock, Timestamp},
};
use zfs_sync_zfs::{
    command::Scope,
    error::{Error, Kind},
    features::Features,
    inventory::{DatasetRow, History, ensure_pools_answer, list_datasets, read_history},
    runner::Runner,
};

/// `snapshots_changed` counts whole seconds: a second snapshot in the same one does not move it. A history read so soon
/// after the change is read again next time.
const SAME_SECOND: i64 = 2;

/// `snapshots_changed` knows nothing of bookmarks, renames and holds. Every history is read again within this time.
const REFRESH: Duration = Duration::from_mins(5);

/// The share of datasets that one scan refreshes at most: due ones that were read together drift apart, and no scan is long.
const REFRESH_SHARE: usize = 30;

/// So many histories are always read one by one. More than that and more than a quarter of all: one listing is cheaper.
const FEW: usize = 4;

/// Times that a scan begins anew because a dataset went away in the middle of it.
const ATTEMPTS: usize = 3;

/// One dataset as it was last read.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) dataset: Dataset,
    pub(super) digest: HistoryDigest,
    changed: Option<i64>,
    /// False when another change in the same second could hide behind `changed`.
    quiet: bool,
    read_at: Timestamp,
}

/// Everything that one scan has read.
#[derive(Debug)]
struct Look {
    now: Timestamp,
    rows: Vec<DatasetRow>,
    due: BTreeSet<DatasetName>,
    histories: History,
}

/// Looks at one host and remembers what it saw.
///
/// Either a scan sees everything and the memory is replaced, or it fails and nothing changes: a partial listing never
/// looks like datasets that are gone.
#[derive(Debug)]
pub struct Scanner {
    runner: Arc<dyn Runner>,
    features: Features,
    clock: Arc<dyn Clock>,
    seen: BTreeMap<DatasetName, Seen>,
    marked: BTreeSet<DatasetName>,
    complete: bool,
}

impl Scanner {
    /// A scanner that has not looked yet.
    pub fn new(runner: Arc<dyn Runner>, features: Features, clock: Arc<dyn Clock>) -> Self {
        Self { runner, features, clock, seen: BTreeMap::new(), marked: BTreeSet::new(), complete: false }
    }

    /// True once a scan has succeeded.
    pub const fn has_looked(&self) -> bool {
        self.complete
    }

    /// The next scan reads this dataset's history, whatever `snapshots_changed` says: we have just made a bookmark there.
    pub fn mark(&mut self, dataset: DatasetName) {
        self.marked.insert(dataset);
    }

    /// What was seen last, by name.
    pub fn datasets(&self) -> impl Iterator<Item = &Dataset> {
        self.seen.values().map(|seen| &seen.dataset)
    }

    pub(super) const fn seen(&self) -> &BTreeMap<DatasetName, Seen> {
        &self.seen
    }

    /// Looks. On an error everything stays as it was seen last.
    pub async fn scan(&mut self) -> Result<(), Error> {
        let mut attempt = 1;
        loop {
            match self.look().await {
                Ok(look) => {
                    self.take(look);
                    return Ok(());
                }
                Err(error) if error.kind == Kind::NotFound && attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    async fn look(&self) -> Result<Look, Error> {
        let runner = &*self.runner;
        let now = self.clock.now();
        let rows = list_datasets(runner, &Scope::Everything, &self.features).await?;
        let due = self.due(&rows, now);
        let histories = if due.len() > FEW && due.len() * 4 > rows.len() {
            read_history(runner, &Scope::Everything).await?
        } else {
            let mut histories = History::new();
            for dataset in &due {
                histories.extend(read_history(runner, &Scope::Only(dataset.clone())).await?);
            }
            histories
        };
        // Last, because a pool that stopped answering anywhere above must not look like one without datasets or snapshots.
        if !self.complete || !due.is_empty() || self.misses_a_dataset(&rows) {
            ensure_pools_answer(runner).await?;
        }
        Ok(Look { now, rows, due, histories })
    }

    fn misses_a_dataset(&self, rows: &[DatasetRow]) -> bool {
        // Every dataset that was not there before is due, so that counts suffice.
        rows.len() < self.seen.len()
    }

    /// From here on nothing can fail. What has not changed is not even copied: it may be a million snapshots.
    fn take(&mut self, look: Look) {
        let Look { now, rows, due, mut histories } = look;
        let names: BTreeSet<&DatasetName> = rows.iter().map(|row| &row.name).collect();
        self.seen.retain(|name, _| names.contains(name));
        for row in rows {
            let DatasetRow { name, properties, snapshots_changed: changed, resume_token: _ } = row;
            if !due.contains(&name)
                && let Some(seen) = self.seen.get_mut(&name)
            {
                seen.dataset.properties = properties;
                continue;
            }
            let (snapshots, bookmarks) = histories.remove(&name).unwrap_or_default();
            let mut dataset = Dataset { name: name.clone(), properties, snapshots, bookmarks };
            dataset.sort();
            let quiet = changed.is_none_or(|changed| changed + SAME_SECOND <= now.as_second());
            let digest = dataset.history_digest();
            self.seen.insert(name, Seen { dataset, digest, changed, quiet, read_at: now });
        }
        self.marked.clear();
        self.complete = true;
    }

    /// The datasets whose history has to be read.
    fn due(&self, rows: &[DatasetRow], now: Timestamp) -> BTreeSet<DatasetName> {
        let mut refreshed = 0;
        let most = rows.len().div_ceil(REFRESH_SHARE);
        let mut is_due = |row: &DatasetRow| {
            let Some(seen) = self.seen.get(&row.name) else { return true };
            let changed = !self.features.snapshots_changed
                || !seen.quiet
                || seen.changed != row.snapshots_changed
                || seen.dataset.properties.guid != row.properties.guid
                || self.marked.contains(&row.name);
            let age = now.duration_since(seen.read_at);
            let old = age.is_negative() || age.unsigned_abs() >= REFRESH;
            if !changed && old && refreshed < most {
                refreshed += 1;
                return true;
            }
            changed
        };
        rows.iter().filter(|row| is_due(row)).map(|row| row.name.clone()).collect()
    }
}
