//! Events that another witness on the same database has written.

use crate::{error::Answer, state::AppState};

pub(super) async fn pass(state: &AppState) -> Answer<()> {
    state.events.rows_until(state.store.newest_event_id().await?);
    Ok(())
}
