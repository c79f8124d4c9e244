//! Which copies in the fleet may be relied on when others are destroyed.
//!
//! The planner asks when it plans, and what begins a step asks again: a queued step may wait for long, for example for an agent that is
//! down, and in the meantime a person may have given up just the copy that made it harmless, with every reason to believe that it is theirs
//! to give up.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use zfs_sync_core::{
    guid::Guid,
    ids::SystemId,
    name::DatasetName,
    plan::{Casualty, Copies, Destroy, LAST_COMMAND, Place, Standing, Step, first_lost},
    time::Timestamp,
};
use zfs_sync_store::{GroupRow, Holders, SystemRow, TransferRow};

use crate::{error::Answer, state::AppState, views::is_heard};

/// The copies of these snapshots, as the whole fleet has reported them. What that costs depends on where they are, not on how large the
/// fleet is.
pub(super) async fn copies(state: &AppState, asked: &[Guid]) -> Answer<BTreeMap<Guid, Copies>> {
    look(state, asked).await.map(|(_, copies)| copies)
}

async fn look(state: &AppState, asked: &[Guid]) -> Answer<(Holders, BTreeMap<Guid, Copies>)> {
    let mut copies = BTreeMap::new();
    let holders = state.store.holders(asked).await?;
    if holders.is_empty() {
        return Ok((holders, copies));
    }
    let systems: BTreeSet<SystemId> = holders.values().flat_map(BTreeMap::keys).copied().collect();
    let known = Known::load(state, systems, asked).await?;
    // Once more, after what dooms them: a copy that is destroyed in between is doomed, or not among these any more.
    let holders = state.store.holders(asked).await?;
    for (guid, systems) in &holders {
        let of_snapshot: &mut Copies = copies.entry(*guid).or_default();
        for (system, datasets) in systems {
            of_snapshot.report(*system);
            // What is in any other dataset nobody has promised to keep; and whoever is in no group must not have others destroy what they
            // have by saying that it has that too.
            let is_kept = |name: &DatasetName| known.groups.iter().any(|row| row.group.keeps(*system, name));
            let kept = datasets.iter().filter(|(name, _)| is_kept(name));
            for (_, dataset) in kept {
                let standing = known.standing(state, *guid, *system);
                of_snapshot.keep(Place { system: *system, dataset: *dataset }, standing);
            }
        }
    }
    Ok((holders, copies))
}

/// For each of these snapshots the systems that would still keep a copy when all of them are destroyed: in a dataset that a group keeps,
/// according to a report that may be relied on.
pub(crate) async fn other_copies(state: &AppState, destroys: &[Destroy]) -> Answer<Vec<BTreeSet<SystemId>>> {
    let asked: BTreeSet<Guid> = destroys.iter().map(|lost| lost.casualty.guid).collect();
    let asked: Vec<Guid> = asked.into_iter().collect();
    let (holders, mut copies) = look(state, &asked).await?;
    for Destroy { system, casualty, .. } in destroys {
        if let Some(of_snapshot) = copies.get_mut(&casualty.guid) {
            of_snapshot.doom(*system);
        }
    }
    let others = |Destroy { system, dataset, casualty }: &Destroy| {
        let own = holders.get(&casualty.guid).and_then(|systems| systems.get(system)?.get(dataset));
        let kept = copies.get(&casualty.guid).zip(own).map(|(copies, own)| copies.kept_beside(*own));
        kept.unwrap_or_default()
    };
    Ok(destroys.iter().map(others).collect())
}

/// Why the step would destroy a last copy, in words; `None` when it does not.
pub(crate) async fn why_last(state: &AppState, step: &Step) -> Answer<Option<String>> {
    let asked: Vec<Guid> = step.action.destroys().iter().map(|lost| lost.guid).collect();
    if asked.is_empty() {
        return Ok(None);
    }
    let copies = copies(state, &asked).await?;
    let Some((casualty, blame)) = first_lost(step, &copies) else { return Ok(None) };
    let blame = match blame {
        Some((system, standing)) => {
            let row = state.store.system(system).await?;
            let tells = row.as_ref().is_none_or(|row| row.inventory_looked_at.is_some());
            let name = row.map_or_else(|| system.to_string(), |row| row.hostname.to_string());
            Some((name, standing, tells))
        }
        None => None,
    };
    Ok(Some(words(casualty, blame)))
}

/// What is known of the systems that have a copy.
#[derive(Debug)]
struct Known {
    systems: BTreeMap<SystemId, SystemRow>,
    groups: Vec<GroupRow>,
    doomed: BTreeSet<(SystemId, Guid)>,
}

impl Known {
    async fn load(state: &AppState, systems: BTreeSet<SystemId>, asked: &[Guid]) -> Answer<Self> {
        let systems: Vec<SystemId> = systems.into_iter().collect();
        let groups = state.store.groups_of_systems(&systems).await?;
        let known = state.store.systems_by_id(&systems).await?;
        let known: BTreeMap<SystemId, SystemRow> = known.into_iter().map(|row| (row.id, row)).collect();
        let mut doomed = BTreeSet::new();
        // Decisions first: what one has queued is among the transfers that are read then.
        for decision in state.store.decisions_giving_up(asked).await? {
            for (target, guids) in &decision.decision.may_destroy {
                doomed.extend(guids.iter().map(|guid| (*target, *guid)));
            }
        }
        let now = state.now();
        let heard = known.values().filter(|row| is_heard(row, &state.settings, now));
        // What has finished before was over by then, whoever was at it.
        let longest = LAST_COMMAND
            .checked_add(SignedDuration::try_from(state.settings.lease).unwrap_or(SignedDuration::MAX));
        let longest = longest.unwrap_or(SignedDuration::MAX);
        let looked_at = heard.filter_map(|row| row.inventory_looked_at).min();
        let finished_since = looked_at.map(|at| at.checked_sub(longest).unwrap_or(Timestamp::MIN));
        for row in state.store.destroying_transfers(&systems, finished_since).await? {
            let looked_at = known.get(&row.target_system).and_then(|system| system.inventory_looked_at);
            if is_unconfirmed(&row, looked_at) {
                doomed.extend(row.step.action.destroys().iter().map(|lost| (row.target_system, lost.guid)));
            }
        }
        Ok(Self { systems: known, groups, doomed })
    }

    fn standing(&self, state: &AppState, guid: Guid, system: SystemId) -> Standing {
        if self.doomed.contains(&(system, guid)) {
            Standing::Doomed
        } else if self.systems.get(&system).is_some_and(|row| is_heard(row, &state.settings, state.now())) {
            Standing::Stays
        } else {
            Standing::Unheard
        }
    }
}

/// True until its system was looked at after the transfer could have done anything more. What a step has destroyed, wholly or in part, is still
/// in any earlier look, whenever that is reported; and what becomes of a lease says nothing of what its executor is still at.
fn is_unconfirmed(row: &TransferRow, looked_at: Option<Timestamp>) -> bool {
    let Some(over_at) = row.over_at() else { return true };
    row.acts_until.is_some() && looked_at.is_none_or(|looked_at| looked_at <= over_at)
}

fn words(lost: &Casualty, blame: Option<(String, Standing, bool)>) -> String {
    let label = &lost.label;
    match blame {
        Some((name, Standing::Unheard, true)) => {
            format!("{label} would be lost: {name}, which has it, has not reported for too long")
        }
        Some((name, Standing::Unheard, false)) => {
            format!(
                "{label} would be lost: the agent of {name}, which has it, does not say when it looked; it is of an earlier version"
            )
        }
        Some((name, Standing::Doomed | Standing::Stays, _)) => {
            format!("{label} would be lost: the copy on {name} is to be destroyed as well")
        }
        None => format!("{label} would be lost: the copy that was to stay on another system is gone"),
    }
}
