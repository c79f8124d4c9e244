//! Decisions that were taken back or replaced: what has not begun because of them does not begin any more.

use zfs_sync_core::{
    group::SyncGroup,
    ids::TransferId,
    plan::{Decision, Step, meant, still_wanted},
};
use zfs_sync_store::{DecisionOutcome, DecisionRow, TransferState};

use super::decisions::decisions;
use crate::{error::Answer, state::AppState};

/// What became of the transfers of a decision that was taken back.
#[derive(Debug, Default)]
pub(crate) struct Withdrawn {
    /// They were queued, and do not start any more.
    pub(crate) dropped: Vec<TransferId>,
    /// They run, and end as they would have: what is half done is worse than either.
    pub(crate) running: Vec<TransferId>,
}

/// Ends a decision and drops what it has queued; `None` when it has ended before. Whoever calls holds the planning lock, so that no plan
/// that knows the decision is carried out afterwards.
pub(crate) async fn withdraw(
    state: &AppState,
    group: &SyncGroup,
    row: &DecisionRow,
) -> Answer<Option<Withdrawn>> {
    // First of all: from here on nothing of it is planned, and a queued step that makes room or destroys is refused when it is leased.
    // So nothing is lost when this process ends before the rest is done.
    if !state.store.finish_decision(row.plan, DecisionOutcome::Withdrawn, state.now()).await? {
        return Ok(None);
    }
    let of_it = |step: &Step| is_about(group, &row.decision, step).then_some("the decision was withdrawn");
    drop_queued(state, group, of_it).await.map(Some)
}

/// Drops what `before`, which `now` has replaced, has queued and `now` does not ask for. Whoever calls holds the planning lock.
pub(crate) async fn replace(
    state: &AppState,
    group: &SyncGroup,
    before: &Decision,
    now: &Decision,
) -> Answer<Withdrawn> {
    let goes_on = |step: &Step| before.winner == now.winner && now.approves(step.target_system, &step.action);
    let dropped = |step: &Step| {
        (is_about(group, before, step) && !goes_on(step))
            .then_some("another decision has taken the place of the one that asked for it")
    };
    drop_queued(state, group, dropped).await
}

/// Drops what is queued and nobody asks for any more: this process may have ended between the end of a decision and of what that had
/// queued. Whoever calls holds the planning lock.
pub(crate) async fn drop_unwanted(state: &AppState, group: &SyncGroup) -> Answer<Withdrawn> {
    let decisions = decisions(state, group.id).await?;
    drop_queued(state, group, |step| still_wanted(Some(group), &decisions, step).err()).await
}

fn is_about(group: &SyncGroup, decision: &Decision, step: &Step) -> bool {
    let about = meant(group, step);
    decision.targets.contains(&step.target_system)
        && about.is_some_and(|(home, dataset)| home == decision.home && dataset == decision.dataset)
}

/// Drops the queued transfers of a group for which `why` has an answer.
async fn drop_queued(
    state: &AppState,
    group: &SyncGroup,
    why: impl Fn(&Step) -> Option<&'static str>,
) -> Answer<Withdrawn> {
    let mut withdrawn = Withdrawn::default();
    for transfer in state.store.unfinished_transfers(group.id).await? {
        let Some(why) = why(&transfer.step) else { continue };
        let dropped = transfer.state == TransferState::Queued
            && state.store.supersede_transfer(transfer.id, why, state.now()).await?;
        if dropped {
            tracing::info!(transfer = %transfer.id, "dropped: {why}");
            let data = serde_json::json!({ "transfer_id": transfer.id, "sync_group_id": group.id, "state": "stale" });
            state.events.publish("transfer_changed", data).await;
            withdrawn.dropped.push(transfer.id);
        } else {
            withdrawn.running.push(transfer.id);
        }
    }
    Ok(withdrawn)
}
