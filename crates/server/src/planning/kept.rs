//! Does another system still keep what a step destroys by the group's policy alone?
//!
//! When it was planned, one did. A queued step may wait for long, for example for an agent that is down, and in the meantime a person may
//! have given up just that copy, with every reason to believe that it is theirs to give up.

use std::collections::{BTreeMap, BTreeSet};

use zfs_sync_core::{
    guid::Guid,
    ids::SystemId,
    plan::{Casualty, Step},
};
use zfs_sync_store::TransferFilter;

use super::{
    Fleet,
    facts::{Places, doomed},
};
use crate::{error::Answer, state::AppState};

/// What the witness knows of a system's copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It is there, and nobody is about to destroy it.
    Stays,
    /// A decision that stands or a transfer that is not over destroys it; or one has ended, and the system has not reported since.
    Doomed,
    /// The system's newest report is too old to rely on.
    Unheard,
}

/// The copies of each snapshot, by system.
type Copies = BTreeMap<Guid, BTreeMap<SystemId, Standing>>;

/// All systems, the datasets that groups keep, and the copies that nobody may rely on.
#[derive(Debug)]
struct Known {
    fleet: Fleet,
    places: Places,
    doomed: BTreeSet<(SystemId, Guid)>,
}

/// What may be relied on, read when the first step needs it.
///
/// It holds for steps that were leased before it was read: whatever is decided later knows that they run.
#[derive(Debug, Default)]
pub(crate) struct Keepers {
    known: Option<Known>,
}

impl Keepers {
    /// Why the step would destroy a last copy, in words; `None` when it does not.
    pub(crate) async fn why_last(&mut self, state: &AppState, step: &Step) -> Answer<Option<String>> {
        let asked: Vec<Guid> = step.action.destroys().iter().map(|lost| lost.guid).collect();
        if asked.is_empty() {
            return Ok(None);
        }
        let Known { fleet, places, doomed } = match &mut self.known {
            Some(known) => known,
            unknown => unknown.insert(load(state).await?),
        };
        // After what dooms them: a copy that is destroyed in between is doomed, or not among these any more.
        let holders = state.store.holders(&asked).await?;
        let standing = |guid: Guid, system: SystemId| {
            if doomed.contains(&(system, guid)) {
                Standing::Doomed
            } else if fleet.is_heard(state, system) {
                Standing::Stays
            } else {
                Standing::Unheard
            }
        };
        let copies = holders.into_iter().map(|(guid, systems)| {
            let kept = systems.into_iter().filter(|(system, names)| places.keep(*system, names));
            (guid, kept.map(|(system, _)| (system, standing(guid, system))).collect())
        });
        let lost = first_lost(step, &copies.collect());
        Ok(lost.map(|(casualty, blame)| {
            words(casualty, blame.map(|(system, standing)| (fleet.hostname(system), standing)))
        }))
    }
}

async fn load(state: &AppState) -> Answer<Known> {
    let (fleet, places) = (Fleet::load(state).await?, Places::load(state).await?);
    let mut doomed = doomed(state).await?;
    // What a step has destroyed, wholly or in part, is still among what its system has reported before.
    let reports = fleet.systems.iter().filter(|(id, _)| fleet.is_heard(state, **id));
    let finished_since = reports.filter_map(|(_, system)| system.inventory_as_of).min();
    let finished = TransferFilter { unfinished: Some(false), finished_since, ..TransferFilter::default() };
    let ended = if finished_since.is_some() { state.store.transfers(&finished).await? } else { Vec::new() };
    for row in ended.iter().filter(|row| row.started_at.is_some()) {
        let reported = fleet.systems.get(&row.target_system).and_then(|system| system.inventory_as_of);
        if row.finished_at >= reported {
            doomed.extend(row.step.action.destroys().iter().map(|lost| (row.target_system, lost.guid)));
        }
    }
    Ok(Known { fleet, places, doomed })
}

/// The first snapshot of a step that no other system keeps, and whose copy disappoints, when there is one.
///
/// As in the planner, of all systems that have a snapshot the first one keeps it, so that they do not all destroy it at once, each relying
/// on the others.
fn first_lost<'a>(step: &'a Step, copies: &Copies) -> Option<(&'a Casualty, Option<(SystemId, Standing)>)> {
    step.action.destroys().iter().find_map(|lost| {
        let before = || copies.get(&lost.guid).into_iter().flat_map(|of| of.range(..step.target_system));
        let kept = before().any(|(_, standing)| *standing == Standing::Stays);
        (!kept).then(|| (lost, before().next().map(|(system, standing)| (*system, *standing))))
    })
}

fn words(lost: &Casualty, blame: Option<(String, Standing)>) -> String {
    let label = &lost.label;
    match blame {
        Some((name, Standing::Unheard)) => {
            format!("{label} would be lost: {name}, which has it, has not reported for too long")
        }
        Some((name, Standing::Doomed | Standing::Stays)) => {
            format!("{label} would be lost: the copy on {name} is to be destroyed as well")
        }
        None => format!("{label} would be lost: the copy that was to stay on another system is gone"),
    }
}

#[cfg(test)]
mod tests {
    use zfs_sync_core::{
        inventory::DatasetKind,
        plan::{Action, Receiver},
    };

    use super::*;

    fn system(number: u128) -> SystemId {
        SystemId::from_uuid(uuid::Uuid::from_u128(number))
    }

    /// On system 3, of these snapshots.
    fn destroying(guids: &[u64]) -> Step {
        let casualty = |guid: &u64| Casualty {
            guid: Guid::new(*guid),
            label: format!("s{guid}").parse().unwrap(),
            creation: 0,
            used: 0,
            referenced: 0,
        };
        let target = "backup/media".parse().unwrap();
        Step {
            source_system: system(1),
            target_system: system(3),
            source: "tank/media".parse().unwrap(),
            receiver: Receiver::new(system(3), &target),
            target,
            kind: DatasetKind::Filesystem,
            source_guid: Guid::new(1),
            action: Action::DestroySnapshots {
                target_guid: Guid::new(2),
                keeps: Guid::new(3),
                destroys: guids.iter().map(casualty).collect(),
            },
        }
    }

    fn copies(all: &[(u64, u128, Standing)]) -> Copies {
        let mut copies = Copies::new();
        for (guid, of, standing) in all {
            copies.entry(Guid::new(*guid)).or_default().insert(system(*of), *standing);
        }
        copies
    }

    fn lost(guids: &[u64], all: &[(u64, u128, Standing)]) -> Option<String> {
        let step = destroying(guids);
        let lost = first_lost(&step, &copies(all));
        lost.map(|(casualty, blame)| {
            words(casualty, blame.map(|(id, standing)| (format!("nas{}", id.as_uuid().as_u128()), standing)))
        })
    }

    use Standing::{Doomed, Stays, Unheard};

    #[test]
    fn a_copy_on_a_system_before_it_is_enough() {
        assert_eq!(lost(&[7], &[(7, 2, Stays), (7, 3, Stays)]), None);
        assert_eq!(lost(&[7], &[(7, 1, Doomed), (7, 2, Stays)]), None);
        assert_eq!(lost(&[7, 8], &[(7, 2, Stays), (8, 1, Stays)]), None);
        assert_eq!(lost(&[], &[]), None);
    }

    #[test]
    fn its_own_copy_and_those_behind_it_do_not_count() {
        let gone = "s7 would be lost: the copy that was to stay on another system is gone";
        assert_eq!(lost(&[7], &[]).unwrap(), gone);
        assert_eq!(lost(&[7], &[(7, 3, Stays)]).unwrap(), gone);
        assert_eq!(lost(&[7], &[(7, 3, Stays), (7, 4, Stays)]).unwrap(), gone, "4 may rely on 3");
    }

    #[test]
    fn a_copy_that_goes_or_is_not_heard_of_keeps_nothing() {
        let doomed = "s7 would be lost: the copy on nas2 is to be destroyed as well";
        assert_eq!(lost(&[7], &[(7, 2, Doomed), (7, 3, Doomed)]).unwrap(), doomed);
        let unheard = "s7 would be lost: nas2, which has it, has not reported for too long";
        assert_eq!(lost(&[7], &[(7, 2, Unheard), (7, 3, Doomed)]).unwrap(), unheard);
    }

    #[test]
    fn each_of_them_must_be_kept() {
        let gone = "s8 would be lost: the copy that was to stay on another system is gone";
        assert_eq!(lost(&[7, 8], &[(7, 2, Stays), (7, 3, Stays), (8, 3, Stays)]).unwrap(), gone);
    }
}
