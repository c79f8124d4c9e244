//! Tickets: what one agent may do at another one, once.

use jiff::SignedDuration;
use uuid::Uuid;
use zfs_sync_api::v1::certificate::{Purpose, SignedTicket, Ticket};
use zfs_sync_store::{SystemRow, TransferRow};

use crate::{
    error::{Answer, ApiError},
    state::AppState,
};

/// A session begins right after its lease; the rest is for agents that are busy and clocks that differ.
const TICKET_LIFE: SignedDuration = SignedDuration::from_mins(10);

/// A ticket for the executor of `row` at `server`; `None` where that one does not listen.
pub(crate) async fn ticket(
    state: &AppState,
    row: &TransferRow,
    server: &SystemRow,
    purpose: Purpose,
) -> Answer<Option<SignedTicket>> {
    let Some(listener) = &server.listener else { return Ok(None) };
    let now = state.now();
    let ticket = Ticket {
        nonce: Uuid::new_v4(),
        purpose,
        transfer: row.id,
        generation: row.generation,
        client: row.executor,
        server: server.id,
        instance: listener.instance,
        step: row.step.clone(),
        issued_at: now,
        expires_at: now.checked_add(TICKET_LIFE).map_err(ApiError::internal)?,
    };
    state.authority().await?.sign(&ticket).map(Some)
}
