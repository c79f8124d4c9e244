//! Looks at this host, no more than needed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use zfs_sync_core::{
    inventory::{Dataset, HistoryDigest},
    name::DatasetName,
    retention::Retention,
    time::{Clock, Timestamp},
};
use zfs_sync_zfs::{
    command::Scope,
    error::{Error, Kind},
    features::{Ability, Features},
    inventory::{DatasetRow, History, ensure_pools_answer, list_datasets, read_history},
    runner::Runner,
};

use crate::sanoid;

/// `snapshots_changed` counts whole seconds: a second snapshot in the same one does not move it. A history read so soon
/// after the change is read again next time.
const SAME_SECOND: i64 = 2;

/// `snapshots_changed` knows nothing of bookmarks, renames and holds. A history that is older is read again.
const REFRESH: Duration = Duration::from_mins(5);

/// The share of datasets that one scan refreshes at most: due ones that were read together drift apart, and no scan is long. With scans
/// a minute apart each history is read again within half an hour.
const REFRESH_SHARE: usize = 30;

/// So many histories are always read one by one.
const FEW: usize = 4;

/// Datasets in one listing of histories. A host with a million snapshots would print a hundred megabytes at once; so it costs a few more
/// processes, and a listing of everything is for small hosts.
const LISTING: usize = 128;

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
    sanoid: Option<sanoid::Policies>,
}

impl Scanner {
    /// A scanner that has not looked yet.
    pub fn new(runner: Arc<dyn Runner>, features: Features, clock: Arc<dyn Clock>) -> Self {
        Self {
            runner,
            features,
            clock,
            seen: BTreeMap::new(),
            marked: BTreeSet::new(),
            complete: false,
            sanoid: None,
        }
    }

    /// Looks at sanoid's configuration too.
    #[must_use]
    pub fn with_sanoid(self, files: sanoid::Files) -> Self {
        Self { sanoid: Some(sanoid::Policies::new(files)), ..self }
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

    /// What the host's snapshot tool keeps, by dataset.
    pub(super) fn retention(&self) -> &BTreeMap<DatasetName, Retention> {
        static NOTHING: BTreeMap<DatasetName, Retention> = BTreeMap::new();
        self.sanoid.as_ref().map_or(&NOTHING, sanoid::Policies::found)
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
                    if let Some(sanoid) = &mut self.sanoid {
                        sanoid.look(self.seen.keys()).await;
                    }
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
        // Where exact lists are missing, what stands in for them takes one dataset or all.
        let exact = self.features.can(Ability::ExactLists);
        let all_at_once = rows.len() <= LISTING || !exact;
        let histories = if due.len() > FEW && due.len() * 4 > rows.len() && all_at_once {
            read_history(runner, &Scope::Everything, &self.features).await?
        } else {
            let mut histories = History::new();
            let names: Vec<DatasetName> = due.iter().cloned().collect();
            for some in names.chunks(if names.len() > FEW && exact { LISTING } else { 1 }) {
                let scope = match some {
                    [dataset] => Scope::Only(dataset.clone()),
                    _ => Scope::These(some.to_vec()),
                };
                histories.extend(read_history(runner, &scope, &self.features).await?);
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
        let mut due = BTreeSet::new();
        let mut old: Vec<(Timestamp, &DatasetName)> = Vec::new();
        for row in rows {
            let Some(seen) = self.seen.get(&row.name) else {
                due.insert(row.name.clone());
                continue;
            };
            let changed = !self.features.snapshots_changed
                || !seen.quiet
                || seen.changed != row.snapshots_changed
                || seen.dataset.properties.guid != row.properties.guid
                || self.marked.contains(&row.name);
            let age = now.duration_since(seen.read_at);
            if changed {
                due.insert(row.name.clone());
            } else if age.is_negative() || age.unsigned_abs() >= REFRESH {
                old.push((seen.read_at, &row.name));
            }
        }
        // The oldest first: by name, the first ones would be due again before the last ones had their turn.
        old.sort();
        due.extend(old.into_iter().take(rows.len().div_ceil(REFRESH_SHARE)).map(|(_, name)| name.clone()));
        due
    }
}
