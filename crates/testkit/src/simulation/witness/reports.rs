//! Inventories, as the store takes them in.

use std::collections::BTreeSet;

use zfs_sync_api::v1::agent::{InventoryAnswer, InventoryReport};
use zfs_sync_core::{ids::SystemId, inventory::Dataset, name::DatasetName, time::Timestamp};

use super::Witness;

impl Witness {
    pub(super) fn apply_report(
        &mut self,
        system: SystemId,
        report: &InventoryReport,
        looked_at: u64,
        now: Timestamp,
    ) -> InventoryAnswer {
        let resync = || InventoryAnswer { accepted: false, resync: true, need: Vec::new(), now: Some(now) };
        let Some(known) = self.systems.get_mut(&system) else { return resync() };
        if report.base.is_some() && report.base != known.sequence {
            return resync();
        }
        let first = known.as_of.is_none();
        let was_wanted = known.is_report_wanted();
        let mut changed = first;
        let named: BTreeSet<&DatasetName> = report.datasets.iter().map(|dataset| &dataset.name).collect();
        let before = known.inventory.datasets.len();
        if report.base.is_none() {
            known.inventory.datasets.retain(|name, _| named.contains(name));
            known.needed.clear();
        } else {
            for name in report.removed.iter().filter(|name| !named.contains(name)) {
                known.inventory.datasets.remove(name);
                known.needed.remove(name);
            }
        }
        changed |= known.inventory.datasets.len() != before;
        known.digests.retain(|name, _| known.inventory.datasets.contains_key(name));
        for dataset in &report.datasets {
            known.needed.remove(&dataset.name);
            let old = known.inventory.datasets.get_mut(&dataset.name);
            let same_digest = known.digests.get(&dataset.name) == Some(&dataset.digest);
            match (&dataset.history, old) {
                (Some(history), _) => {
                    let mut stored = Dataset {
                        name: dataset.name.clone(),
                        properties: dataset.properties.clone(),
                        snapshots: history.snapshots.clone(),
                        bookmarks: history.bookmarks.clone(),
                    };
                    stored.sort();
                    known.digests.insert(dataset.name.clone(), stored.history_digest());
                    changed = true;
                    known.inventory.datasets.insert(dataset.name.clone(), stored);
                }
                (None, Some(old)) if same_digest => {
                    changed |= !old.properties.same_for_report(&dataset.properties);
                    old.properties = dataset.properties.clone();
                }
                (None, _) => {
                    known.needed.insert(dataset.name.clone());
                }
            }
        }
        known.sequence = Some(report.sequence);
        known.shows = match (report.looked_at.filter(|at| *at <= now), report.base) {
            (Some(at), _) if known.needed.is_empty() => Some(at),
            (at, None) => known.shows.min(at),
            (_, Some(_)) => known.shows,
        };
        if known.needed.is_empty() {
            known.as_of = Some(now);
            known.inventory.as_of = now;
            known.looked_at = known.looked_at.max(looked_at);
        }
        let need = known.needed.iter().cloned().collect();
        if changed || was_wanted {
            self.dirty.extend(self.groups_of(system).collect::<Vec<_>>());
        }
        InventoryAnswer { accepted: true, resync: false, need, now: Some(now) }
    }
}
