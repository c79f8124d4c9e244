//! Starting steps: by the planner for groups that start by themselves, by a person for any.

use uuid::Uuid;
use zfs_sync_core::{
    group::SyncGroup,
    ids::TransferId,
    plan::{Reason, Step},
};
use zfs_sync_store::NewTransfer;

use super::{Fleet, PlanError, Planned, Scope, group::Ready, plan_group};
use crate::{error::Answer, state::AppState};

/// What was started.
#[derive(Debug)]
pub(crate) struct Executed {
    /// The plan that was made after the start, so that it shows what runs.
    pub(crate) planned: Planned,
    /// Transfers that were queued now.
    pub(crate) queued: Vec<TransferId>,
    /// Steps whose transfer was queued or ran already.
    pub(crate) already_running: u32,
}

/// Queues one step; `None` when an unfinished transfer for its target exists and is not to be replaced.
pub(crate) async fn enqueue(
    state: &AppState,
    group: &SyncGroup,
    ready: &Ready,
) -> Answer<Option<TransferId>> {
    let Ready { executor, step, instead_of, .. } = ready;
    if let Some(waiting) = instead_of {
        state.store.supersede_transfer(*waiting, "another step takes its place", state.now()).await?;
    }
    let id = TransferId::from_uuid(Uuid::now_v7());
    let new =
        NewTransfer { id, group: group.id, executor: *executor, step: step.clone(), estimated_bytes: None };
    let queued = state.store.enqueue_transfer(&new, state.now()).await?;
    if queued {
        let Step { source, target, .. } = step;
        tracing::info!(transfer = %id, dataset.name = %target, "queued {source} to {target}");
        let data = serde_json::json!({ "transfer_id": id, "sync_group_id": group.id, "state": "queued" });
        state.events.publish("transfer_changed", data).await;
        state.wake.system(*executor);
    }
    Ok(queued.then_some(id))
}

/// Starts every step of `planned`, those that were held back too: a person has decided.
pub(crate) async fn execute(
    state: &AppState,
    fleet: &mut Fleet,
    group: &SyncGroup,
    scope: &Scope,
    planned: &Planned,
) -> Result<Executed, PlanError> {
    let running = |replica: &&_| {
        let replica: &zfs_sync_core::plan::ReplicaReport = replica;
        replica.reason == Some(Reason::TransferRunning)
    };
    let running = planned.report.replicas.iter().filter(running).count();
    let mut already_running = u32::try_from(running).unwrap_or(u32::MAX);
    let mut queued = Vec::new();
    for ready in &planned.ready {
        match enqueue(state, group, ready).await? {
            Some(id) => queued.push(id),
            None => already_running += 1,
        }
    }
    for (executor, step, waiting) in &planned.held_back {
        let ready = Ready { executor: *executor, step: step.clone(), by_itself: true, instead_of: None };
        if let Some(id) = enqueue(state, group, &ready).await? {
            queued.push(id);
        } else {
            // It waits for its next attempt: that is now.
            state.store.retry_transfer(waiting.transfer, state.now()).await?;
            state.wake.system(*executor);
            already_running += 1;
        }
    }
    let planned = plan_group(state, fleet, group, scope.clone()).await?;
    Ok(Executed { planned, queued, already_running })
}
