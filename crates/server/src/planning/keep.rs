//! Keeping what a plan said: rows for lists and counts, events for what has changed.

use serde_json::json;
use zfs_sync_core::{
    group::SyncGroup,
    plan::{ReplicaReport, ReplicaState},
};
use zfs_sync_store::{ConflictChange, ReplicaRow, ReplicaTransition};

use super::{Fleet, Scope};
use crate::{error::Answer, state::AppState};

/// Changes that are told one by one. A first plan of ten thousand replicas is one change to look at, not ten thousand rows to store.
const MOST_TOLD: usize = 100;

/// Stores the replicas of the group, or of the part of it that was planned, and tells what changed.
pub(crate) async fn keep(
    state: &AppState,
    fleet: &Fleet,
    group: &SyncGroup,
    scope: &Scope,
    replicas: Vec<ReplicaReport>,
) -> Answer<()> {
    let rows: Vec<ReplicaRow> =
        replicas.into_iter().map(|report| ReplicaRow::new(group.id, report, fleet.now)).collect();
    let transitions = state.store.store_replicas(group.id, scope.datasets(), &rows, fleet.now).await?;
    for transition in transitions.iter().take(MOST_TOLD) {
        tell(state, fleet, group, transition).await;
    }
    let rest = transitions.len().saturating_sub(MOST_TOLD);
    if rest > 0 {
        tracing::info!(group.name = %group.name, count = rest, "{rest} more replicas of {} changed", group.name);
        let data = json!({ "sync_group_id": group.id, "sync_group": group.name, "count": rest });
        state.events.publish("sync_states_changed", data).await;
    }
    // Reasons, recovery points and what a conflict is about change without a transition.
    state.events.changed();
    Ok(())
}

async fn tell(state: &AppState, fleet: &Fleet, group: &SyncGroup, transition: &ReplicaTransition) {
    if transition.state_changed() {
        tell_state(state, fleet, group, transition).await;
    }
    let Some(conflict) = &transition.conflict else { return };
    let ReplicaTransition { target, target_system, .. } = transition;
    // The old service's pages listen to the first and the last of these names.
    let kind = match conflict.change {
        ConflictChange::Opened => "conflict_detected",
        ConflictChange::Changed => "conflict_changed",
        ConflictChange::Resolved => "conflict_resolved",
    };
    let data = json!({
        "conflict_id": conflict.id,
        "sync_group_id": group.id,
        "sync_group": group.name,
        "conflict_type": conflict.kind,
        "severity": conflict.severity,
        "pool": target.pool(),
        "dataset": target,
        "system_hostname": fleet.hostname(*target_system),
    });
    state.events.publish(kind, data).await;
}

async fn tell_state(state: &AppState, fleet: &Fleet, group: &SyncGroup, transition: &ReplicaTransition) {
    let ReplicaTransition { target_system, source_system, source, target, old, new, reason, .. } = transition;
    let system = fleet.hostname(*target_system);
    let data = json!({
        "sync_group_id": group.id,
        "sync_group": group.name,
        "dataset": source,
        "target_dataset": target,
        "source_system": fleet.hostname(*source_system),
        "system_id": target_system,
        "system_hostname": system,
        "old_state": old,
        "state": new,
        "reason": reason,
    });
    tracing::info!(
        group.name = %group.name, dataset.name = %target, host.name = %system,
        "{target} on {system}: {} -> {}",
        old.map_or("not known", ReplicaState::words),
        new.map_or("gone", ReplicaState::words),
    );
    state.events.publish("sync_state_changed", data).await;
}
