//! Plans to end a conflict, with everything that they would cost.

use std::collections::BTreeSet;

use zfs_sync_api::v1::plan::{Discarded, Kept, Plan};
use zfs_sync_core::{
    group::GroupMode,
    guid::Guid,
    ids::{GroupId, SystemId},
    name::DatasetName,
    plan::{Action, Casualty, Decision, Destroy, Proposal},
    size::ByteCount,
};
use zfs_sync_store::{ConflictFilter, PlanRow, ReplicaFilter, ReplicaRow};

use super::{Directory, destroyed, planned_step};
use crate::{error::Answer, state::AppState};

/// How long a plan is good, in words.
const NOTE: &str = "It can be applied once, and only while it would do the same: no new snapshot on the replica, no write there, no other copy gone.";

/// The replicas of a decision's dataset, as last planned.
async fn replicas(state: &AppState, group: GroupId, decision: &Decision) -> Answer<Vec<ReplicaRow>> {
    let filter = ReplicaFilter {
        group: Some(group),
        datasets: Some(BTreeSet::from([decision.dataset.clone()])),
        ..ReplicaFilter::default()
    };
    let rows = state.store.replicas(&filter).await?;
    Ok(rows.into_iter().filter(|row| row.home == decision.home).collect())
}

/// Every snapshot that the first steps destroy or that later ones may: a decision covers all its targets, and some of their steps may
/// have to wait. What is not found any more is in `missing`.
#[derive(Debug, Default)]
pub(crate) struct Casualties {
    pub(crate) destroys: Vec<Destroy>,
    pub(crate) missing: Vec<Guid>,
}

/// What applying a proposal may destroy.
pub(crate) async fn casualties(state: &AppState, group: GroupId, proposal: &Proposal) -> Answer<Casualties> {
    let mut destroys = proposal.plan.destroys.clone();
    let listed = |destroys: &[Destroy]| -> BTreeSet<(SystemId, Guid)> {
        destroys.iter().map(|destroy| (destroy.system, destroy.casualty.guid)).collect()
    };
    let of_steps = listed(&destroys);
    let approved = proposal.decision.may_destroy.iter();
    let approved: BTreeSet<(SystemId, Guid)> =
        approved.flat_map(|(system, guids)| guids.iter().map(|guid| (*system, *guid))).collect();
    // What was approved before and is still to be done.
    let rest: BTreeSet<(SystemId, Guid)> = approved.difference(&of_steps).copied().collect();
    if !rest.is_empty() {
        for row in replicas(state, group, &proposal.decision).await? {
            let system = row.target_system;
            if !rest.iter().any(|(of, _)| *of == system) {
                continue;
            }
            let Some(dataset) = state.store.inventory_dataset(system, &row.target).await? else {
                continue;
            };
            let doomed =
                dataset.snapshots.iter().rev().filter(|snapshot| rest.contains(&(system, snapshot.guid)));
            destroys.extend(doomed.map(|snapshot| Destroy {
                system,
                dataset: dataset.name.clone(),
                casualty: Casualty::from(snapshot),
            }));
        }
    }
    let known = listed(&destroys);
    let missing = approved.difference(&known).map(|(_, guid)| *guid).collect();
    Ok(Casualties { destroys, missing })
}

/// One plan, with every casualty by name.
pub(crate) async fn show_plan(state: &AppState, row: PlanRow) -> Answer<Plan> {
    let directory = Directory::load(state).await?;
    let PlanRow { proposal, replica, .. } = &row;
    let replicas = replicas(state, row.group, &proposal.decision).await?;
    let Casualties { destroys, missing } = casualties(state, row.group, proposal).await?;
    let name_on = |system: SystemId| {
        replicas.iter().find(|row| row.target_system == system).map_or(&replica.dataset, |row| &row.target)
    };
    let discards = proposal.decision.may_discard.iter().filter(|(_, bytes)| **bytes > 0);
    let discards = discards.map(|(system, bytes)| Discarded {
        system: directory.hostname(*system),
        dataset: name_on(*system).to_string(),
        bytes: *bytes,
    });
    let conflicts = ConflictFilter {
        group: Some(row.group),
        dataset: Some(replica.dataset.clone()),
        ..ConflictFilter::default()
    };
    let conflict = state.store.conflicts(&conflicts).await?.into_iter().find(|one| one.replica == *replica);
    let mut note = NOTE.to_owned();
    if row.applied_at.is_some() {
        "It was applied, and can not be applied again.".clone_into(&mut note);
    } else if !missing.is_empty() {
        note = format!(
            "{} snapshots of it are not reported any more: it can not be applied any more.",
            missing.len()
        );
    }
    if row.applied_at.is_none() {
        note += &replaced(state, row.group, &proposal.decision, &directory).await?;
    }
    let decided = state.store.decision(row.id).await?;
    let outcome = decided.and_then(|decided| decided.outcome).map(|outcome| outcome.as_str().to_owned());
    let winner = proposal.decision.winner;
    let followed = replicas.iter().find(|row| row.source_system == winner);
    let followed = match followed {
        Some(row) => row.source.clone(),
        None => winner_name(state, row.group, &proposal.decision).await?,
    };
    Ok(Plan {
        id: row.id,
        group_id: row.group,
        group: directory.group(row.group),
        conflict_id: conflict.map(|conflict| conflict.id),
        dataset: replica.dataset.to_string(),
        target_system: directory.hostname(replica.target_system),
        target: name_on(replica.target_system).to_string(),
        strategy: row.strategy,
        winner: directory.hostname(winner),
        steps: proposal.plan.steps.iter().map(|step| planned_step(step, &directory)).collect(),
        destroys: destroyed(state, &destroys, &directory).await?,
        discards: discards.collect(),
        keeps: keeps(proposal, &followed, &directory),
        fingerprint: row.fingerprint.0.clone(),
        note,
        created_at: row.created_at,
        created_by: row.created_by.clone(),
        applied_at: row.applied_at,
        applied_by: row.applied_by.clone(),
        outcome,
        decision: proposal.decision.clone(),
    })
}

/// What was decided otherwise about other replicas of the dataset, and would not be carried out any more.
async fn replaced(state: &AppState, group: GroupId, new: &Decision, directory: &Directory) -> Answer<String> {
    let standing = state.store.decisions(group).await?;
    let old = standing.into_iter().map(|row| row.decision).find(|old| {
        old.home == new.home && old.dataset == new.dataset && (old.winner != new.winner || old.how != new.how)
    });
    let lost: Vec<String> = old
        .iter()
        .flat_map(|old| old.targets.difference(&new.targets))
        .map(|target| directory.hostname(*target))
        .collect();
    if lost.is_empty() {
        return Ok(String::new());
    }
    Ok(format!(
        " It takes the place of what was decided about the replica on {}, as far as that is not done yet.",
        lost.join(", ")
    ))
}

/// The dataset's name on the member that is followed from now on.
async fn winner_name(state: &AppState, group: GroupId, decision: &Decision) -> Answer<DatasetName> {
    let group = state.store.group(group).await?.map(|row| row.group);
    let name = group.and_then(|group| match group.mode {
        GroupMode::Local => None,
        _ => group.name_on(decision.home, &decision.dataset, decision.winner).ok(),
    });
    Ok(name.unwrap_or_else(|| decision.dataset.clone()))
}

/// What is there afterwards: the side that is followed, and what the steps leave of the others.
fn keeps(proposal: &Proposal, followed: &DatasetName, directory: &Directory) -> Vec<Kept> {
    let mut kept = vec![Kept {
        system: directory.hostname(proposal.decision.winner),
        dataset: followed.to_string(),
        detail: "all of it; this is what the replica follows".to_owned(),
    }];
    for step in &proposal.plan.steps {
        let system = directory.hostname(step.target_system);
        let one = match &step.action {
            Action::SetAside { rename_to, .. } => Kept {
                system,
                dataset: rename_to.to_string(),
                detail: format!(
                    "what {} is now, with all its snapshots; the name ends with the time at which it is renamed",
                    step.target
                ),
            },
            Action::RollBack { to_label, discards, .. } => Kept {
                system,
                dataset: step.target.to_string(),
                detail: match discards {
                    0 => format!("everything up to @{to_label}"),
                    bytes => format!(
                        "everything up to @{to_label}, without the {} written since its newest snapshot",
                        ByteCount(*bytes)
                    ),
                },
            },
            Action::DestroySnapshots { destroys, .. } => Kept {
                system,
                dataset: step.target.to_string(),
                detail: format!("its data and all snapshots but the {} that are listed", destroys.len()),
            },
            Action::FollowRename { rename_from, .. } => Kept {
                system,
                dataset: step.target.to_string(),
                detail: format!("what {rename_from} is now, with all its snapshots"),
            },
            Action::Send(_) => continue,
        };
        kept.push(one);
    }
    kept
}
