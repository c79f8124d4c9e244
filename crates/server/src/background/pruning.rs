//! What is old enough to be forgotten.

use crate::{error::Answer, state::AppState};

pub(super) async fn pass(state: &AppState) -> Answer<()> {
    let now = state.now();
    if let Ok(before) = now.checked_sub(state.settings.event_retention) {
        state.store.prune_events(before).await?;
    }
    state.store.prune_sessions(now).await?;
    Ok(())
}
