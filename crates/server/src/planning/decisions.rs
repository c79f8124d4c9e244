//! Decisions that people have taken and that are still being carried out.

use zfs_sync_core::{
    group::SyncGroup,
    ids::{GroupId, SystemId},
    plan::{Decision, ReplicaReport},
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
            left.take_out(|target| no_winner || gone(target));
        }
        let stay = left.targets.len();
        left.take_out_arrived(group, replicas);
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
