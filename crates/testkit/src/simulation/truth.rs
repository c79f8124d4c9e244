//! What really is on every host, and what became of every snapshot that ever was.

use std::collections::BTreeMap;

use zfs_sync_core::{guid::Guid, ids::SystemId, name::DatasetName, plan::Step};
use zfs_sync_zfs::memory::{CountedDataset, Host};

use super::witness::Basis;

/// Who changed a host.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cause<'a> {
    /// A person with a shell, or a restore from a backup.
    Operator,
    /// An execution of this step.
    Step(&'a Step, &'a Basis),
    /// Looking after holds.
    Janitor,
}

/// A snapshot by identity and place.
type Copy = (Guid, Guid);

#[derive(Debug, Default)]
pub(super) struct Truth {
    /// Content of every snapshot that ever was.
    content: BTreeMap<Guid, u64>,
    /// Per host: dataset GUID and snapshot GUID, with a name for sentences.
    hosts: BTreeMap<SystemId, BTreeMap<Copy, String>>,
    /// When an operator last took a copy away, by host.
    taken: BTreeMap<Guid, BTreeMap<SystemId, u64>>,
    /// Snapshots that were destroyed by steps.
    pub(super) destroyed: u64,
    /// Copies that a policy destroyed although, unknown to the witness, an operator had just destroyed the other one.
    pub(super) races: u64,
}

impl Truth {
    /// Looks at a host after something happened there. `Err` says which rule was broken.
    pub(super) fn observe(
        &mut self,
        system: SystemId,
        host: &Host,
        cause: Cause<'_>,
        now: u64,
    ) -> Result<(), String> {
        let name = host.name();
        let mut present: BTreeMap<Copy, String> = BTreeMap::new();
        for CountedDataset { name: dataset, guid, snapshots, .. } in host.census() {
            for snapshot in snapshots {
                let known = *self.content.entry(snapshot.guid).or_insert(snapshot.content);
                if known != snapshot.content {
                    return Err(format!(
                        "{dataset}@{} on {name} has GUID {} and not its content (after {cause:?})",
                        snapshot.label, snapshot.guid
                    ));
                }
                present.insert((guid, snapshot.guid), format!("{dataset}@{}", snapshot.label));
            }
        }
        let before = self.hosts.insert(system, present.clone()).unwrap_or_default();
        let gone: Vec<(Guid, String)> = before
            .into_iter()
            .filter(|(copy, _)| !present.contains_key(copy))
            .map(|((_, guid), name)| (guid, name))
            .collect();
        for (guid, label) in gone {
            match cause {
                Cause::Operator => {
                    self.taken.entry(guid).or_default().insert(system, now);
                }
                Cause::Janitor => {
                    return Err(format!("{label} on {name} vanished while holds were looked after"));
                }
                Cause::Step(step, basis) => {
                    self.judge(system, guid, &format!("{label} on {name}"), step, basis)?;
                }
            }
        }
        Ok(())
    }

    /// A step destroyed a snapshot: it must be listed, and by policy alone never the last copy.
    fn judge(
        &mut self,
        system: SystemId,
        guid: Guid,
        what: &str,
        step: &Step,
        basis: &Basis,
    ) -> Result<(), String> {
        if system != step.target_system || !step.action.destroys().iter().any(|lost| lost.guid == guid) {
            return Err(format!("{what} was destroyed by a step that does not list it"));
        }
        self.destroyed += 1;
        if basis.by_person || self.copies(guid) > 0 {
            return Ok(());
        }
        // The only other copy went in the time between a report and this moment: no report can exclude that.
        let unknown = self.taken.get(&guid).is_some_and(|taken| {
            let mut taken = taken.iter().filter(|(id, _)| **id != system);
            taken.any(|(id, at)| basis.looked_at.get(id).is_none_or(|looked_at| at >= looked_at))
        });
        if unknown {
            self.races += 1;
            return Ok(());
        }
        Err(format!("{what} was the last copy, and a policy destroyed it"))
    }

    /// How many copies there are.
    fn copies(&self, guid: Guid) -> usize {
        self.hosts.values().flat_map(BTreeMap::keys).filter(|(_, snapshot)| *snapshot == guid).count()
    }

    /// What is called how on a host, by the GUIDs of its snapshots.
    pub(super) fn snapshots_of(host: &Host, dataset: &DatasetName) -> Option<Vec<Guid>> {
        let found = host.census().into_iter().find(|found| found.name == *dataset)?;
        Some(found.snapshots.iter().map(|snapshot| snapshot.guid).collect())
    }
}
