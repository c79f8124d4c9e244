//! Decisions that people have taken and that are still being carried out.

use zfs_sync_core::{
    ids::GroupId,
    plan::{Decision, Reason, ReplicaReport, ReplicaState},
};
use zfs_sync_store::DecisionOutcome;

use crate::{error::Answer, state::AppState};

/// The group's unfinished decisions.
pub(crate) async fn decisions(state: &AppState, group: GroupId) -> Answer<Vec<Decision>> {
    let rows = state.store.decisions(group).await?;
    Ok(rows.into_iter().map(|row| row.decision).collect())
}

/// Ends the decisions whose targets have all arrived.
pub(crate) async fn settle_decisions(
    state: &AppState,
    group: GroupId,
    replicas: &[ReplicaReport],
) -> Answer<bool> {
    let mut settled = false;
    for row in state.store.decisions(group).await? {
        if is_fulfilled(&row.decision, replicas) {
            state.store.finish_decision(row.plan, DecisionOutcome::Fulfilled, state.now()).await?;
            tracing::info!(plan = %row.plan, dataset.name = %row.decision.dataset, "the decision is carried out");
            settled = true;
        }
    }
    Ok(settled)
}

fn is_fulfilled(decision: &Decision, replicas: &[ReplicaReport]) -> bool {
    let arrived = |replica: &ReplicaReport| {
        replica.state == ReplicaState::InSync
            && replica.step.is_none()
            && replica.reason == Some(Reason::NoNewSnapshot)
    };
    !decision.targets.is_empty()
        && decision.targets.iter().all(|target| {
            let mut of_target = replicas.iter().filter(|replica| {
                replica.home == decision.home
                    && replica.dataset == decision.dataset
                    && replica.target_system == *target
                    && replica.source_system == decision.winner
            });
            of_target.next().is_some_and(arrived)
        })
}
