//! Leases whose time is over: the transfer goes back to the queue, the verification begins anew.

use crate::{
    error::Answer,
    routes::verifications::{MOST_ATTEMPTS, changed},
    state::AppState,
};

pub(super) async fn pass(state: &AppState) -> Answer<()> {
    let expired = state.store.expire_leases(state.now()).await?;
    for row in &expired {
        tracing::warn!(
            transfer = %row.id, generation = row.generation,
            "the lease on transfer {} has expired; it is {} now", row.id, row.state.as_str(),
        );
        state.wake.system(row.executor);
    }
    if !expired.is_empty() {
        state.wake.transfers_changed(&expired);
    }
    for row in state.store.expire_verifications(MOST_ATTEMPTS, state.now()).await? {
        tracing::warn!(
            verification = %row.id, attempts = row.attempts,
            "an agent of verification {} is silent; it is {} now", row.id, row.state.as_str(),
        );
        changed(state, &row).await;
    }
    Ok(())
}
