//! What is old enough to be forgotten.

use jiff::SignedDuration;

use crate::{error::Answer, state::AppState};

/// A plan that nobody has applied in a week describes another world.
const UNAPPLIED_PLANS: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Long enough to be asked about.
const RESOLVED_CONFLICTS: SignedDuration = SignedDuration::from_hours(90 * 24);
/// As long as conflicts; the newest proof of each replica stays.
const ENDED_VERIFICATIONS: SignedDuration = RESOLVED_CONFLICTS;

pub(super) async fn pass(state: &AppState) -> Answer<()> {
    let now = state.now();
    if let Ok(before) = now.checked_sub(state.settings.event_retention) {
        state.store.prune_events(before).await?;
    }
    state.store.prune_sessions(now).await?;
    if let Ok(before) = now.checked_sub(UNAPPLIED_PLANS) {
        state.store.prune_plans(before).await?;
    }
    if let Ok(before) = now.checked_sub(RESOLVED_CONFLICTS) {
        state.store.prune_conflicts(before).await?;
    }
    if let Ok(before) = now.checked_sub(ENDED_VERIFICATIONS) {
        state.store.prune_verifications(before).await?;
    }
    Ok(())
}
