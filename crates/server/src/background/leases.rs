//! Leases whose time is over: the transfer goes back to the queue.

use crate::{error::Answer, state::AppState};

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
    Ok(())
}
