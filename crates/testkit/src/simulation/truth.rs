//! What really is on every host, and what became of every snapshot that ever was.

use std::collections::BTreeMap;

use zfs_sync_core::{
    guid::Guid,
    ids::SystemId,
    name::DatasetName,
    plan::{Action, Step},
};
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

/// Data that is in no snapshot yet.
#[derive(Clone, Copy, Debug, Default)]
struct Written {
    /// `written` of the dataset, with what a destroyed snapshot has left in it.
    counted: u64,
    /// Of that, what people wrote since the newest snapshot.
    fresh: u64,
    newest: Option<Guid>,
    /// A receive that has not ended is nobody's work.
    partial: bool,
}

#[derive(Debug, Default)]
pub(super) struct Truth {
    /// Content of every snapshot that ever was.
    content: BTreeMap<Guid, u64>,
    /// Per host: dataset GUID and snapshot GUID, with a name for sentences.
    hosts: BTreeMap<SystemId, BTreeMap<Copy, String>>,
    /// What people have written and no snapshot has: by host and dataset GUID, with the newest snapshot then.
    written: BTreeMap<SystemId, BTreeMap<Guid, Written>>,
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
        self.count_written(system, host, cause)?;
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

    /// What people wrote and no snapshot has is given up by a rollback alone, and of that no more than it says.
    fn count_written(&mut self, system: SystemId, host: &Host, cause: Cause<'_>) -> Result<(), String> {
        let before = self.written.remove(&system).unwrap_or_default();
        let mut now = BTreeMap::new();
        for found in host.census() {
            let (counted, newest) = (found.written, found.snapshots.last().map(|snapshot| snapshot.guid));
            let old = before.get(&found.guid).copied().unwrap_or_default();
            let fresh = match cause {
                Cause::Operator if newest != old.newest => counted.min(old.fresh),
                Cause::Operator => counted.min(old.fresh + counted.saturating_sub(old.counted)),
                Cause::Step(..) | Cause::Janitor => old.fresh.min(counted),
            };
            // A snapshot that people took has it; nobody else takes any.
            let fresh = if matches!(cause, Cause::Operator) && counted == 0 { 0 } else { fresh };
            now.insert(found.guid, Written { counted, fresh, newest, partial: found.partial });
        }
        if let Cause::Step(step, _) = cause {
            for (guid, old) in before.iter().filter(|(_, old)| old.fresh > 0 && !old.partial) {
                let left = now.get(guid).map_or(0, |written| written.fresh);
                let may_go = match &step.action {
                    Action::RollBack { target_guid, discards, .. } if target_guid == guid => *discards,
                    _ => 0,
                };
                if old.fresh - left > may_go {
                    return Err(format!(
                        "{} bytes that were written on {} and are in no snapshot are gone, and the step gives up {may_go}",
                        old.fresh - left,
                        host.name()
                    ));
                }
            }
        }
        self.written.insert(system, now);
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
