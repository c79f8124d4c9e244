//! What a strategy would come to for one replica in conflict.

use std::collections::BTreeSet;

use zfs_sync_core::{
    group::{Strategy, SyncGroup},
    plan::{self, Proposal, Refusal, ReplicaKey},
};

use super::{Fleet, PlanError, Scope, facts::Facts, queue::Queue};
use crate::state::AppState;

/// Proposes from the present state. Changes nothing.
pub(crate) async fn propose(
    state: &AppState,
    fleet: &mut Fleet,
    group: &SyncGroup,
    key: &ReplicaKey,
    strategy: Strategy,
) -> Result<Result<Proposal, Refusal>, PlanError> {
    let Queue { running, unreachable, .. } = Queue::load(state, fleet, group).await?;
    let scope = Scope::Datasets(BTreeSet::from([key.dataset.clone()]));
    let mut facts = Facts::load(state, fleet, group, scope).await?;
    facts.running = running;
    facts.unreachable = unreachable;
    let key = key.clone();
    tokio::task::spawn_blocking(move || facts.with_input(|input| plan::propose(input, &key, strategy)))
        .await
        .map_err(|source| PlanError::Panicked { group: group.name.clone(), source })
}
