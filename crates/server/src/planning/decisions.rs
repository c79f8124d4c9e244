//! Decisions that people have taken and that are still being carried out.

use std::collections::BTreeSet;

use zfs_sync_core::{
    group::{GroupMode, SyncGroup},
    ids::{GroupId, SystemId},
    plan::{Decision, Reason, ReplicaReport, ReplicaState},
};
use zfs_sync_store::DecisionOutcome;

use crate::{error::Answer, state::AppState};

/// The group's unfinished decisions.
pub(crate) async fn decisions(state: &AppState, group: GroupId) -> Answer<Vec<Decision>> {
    let rows = state.store.decisions(group).await?;
    Ok(rows.into_iter().map(|row| row.decision).collect())
}

/// Takes the targets that have arrived, and those that have left the group, out of the group's decisions, and ends those that nobody is
/// left of; true when something has changed. Whoever calls holds the planning lock.
pub(crate) async fn settle_decisions(
    state: &AppState,
    group: &SyncGroup,
    replicas: &[ReplicaReport],
) -> Answer<bool> {
    let mut settled = false;
    for row in state.store.decisions(group.id).await? {
        let decision = &row.decision;
        let mut left = decision.clone();
        // What was read before the lock was taken may know less than whoever decided.
        let known = |group: &SyncGroup| {
            decision.targets.iter().chain([&decision.winner]).all(|id| group.members.contains(id))
        };
        if !known(group)
            && let Some(group) = state.store.group(group.id).await?.map(|row| row.group)
        {
            let gone = |target: &SystemId| !group.members.contains(target);
            // Nobody can follow a winner that is gone.
            let no_winner = gone(&decision.winner);
            take_out(&mut left, |target| no_winner || gone(target));
        }
        let stay = left.targets.len();
        take_arrived(group, &mut left, replicas);
        if left.targets == decision.targets {
            continue;
        }
        settled = true;
        let (plan, dataset) = (row.plan, &decision.dataset);
        if !left.targets.is_empty() {
            state.store.narrow_decision(plan, &left).await?;
            tracing::info!(%plan, dataset.name = %dataset, "the decision is carried out in part");
            continue;
        }
        let outcome = if stay > 0 { DecisionOutcome::Fulfilled } else { DecisionOutcome::Withdrawn };
        state.store.finish_decision(plan, outcome, state.now()).await?;
        tracing::info!(%plan, dataset.name = %dataset, outcome = outcome.as_str(), "the decision has ended");
    }
    Ok(settled)
}

/// Takes out those targets that are at the winner's newest snapshot. They follow as the group says from then on, and so must never come
/// before whom they follow there: who is still to go back to the winner would take them along the other way.
fn take_arrived(group: &SyncGroup, left: &mut Decision, replicas: &[ReplicaReport]) {
    loop {
        let arrived = |target: &SystemId| has_arrived(left, *target, replicas);
        let out: BTreeSet<SystemId> = if group.mode == GroupMode::Mesh {
            // Whom a mesh follows depends on what all members have, so they arrive together.
            if left.targets.iter().all(arrived) { left.targets.clone() } else { BTreeSet::new() }
        } else {
            let edges = group.edges();
            let is_free = |target: &&SystemId| {
                let mut onto = edges.iter().filter(|edge| edge.home == left.home && edge.target == **target);
                onto.all(|edge| edge.source == **target || !left.targets.contains(&edge.source))
            };
            left.targets.iter().filter(|target| arrived(target)).filter(is_free).copied().collect()
        };
        if out.is_empty() {
            return;
        }
        take_out(left, |target| out.contains(target));
    }
}

fn take_out(decision: &mut Decision, goes: impl Fn(&SystemId) -> bool) {
    decision.targets.retain(|target| !goes(target));
    decision.may_destroy.retain(|target, _| !goes(target));
    decision.may_discard.retain(|target, _| !goes(target));
    decision.may_move.retain(|target, _| !goes(target));
}

fn has_arrived(decision: &Decision, target: SystemId, replicas: &[ReplicaReport]) -> bool {
    let mut of_target = replicas.iter().filter(|replica| {
        replica.home == decision.home
            && replica.dataset == decision.dataset
            && replica.target_system == target
            && replica.source_system == decision.winner
    });
    of_target.next().is_some_and(|replica| {
        replica.state == ReplicaState::InSync
            && replica.step.is_none()
            && replica.reason == Some(Reason::NoNewSnapshot)
    })
}
