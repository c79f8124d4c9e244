//! Certificates of systems, and tickets to tidy up.

use axum::{Json, extract::State};
use serde_json::json;
use zfs_sync_api::{
    codes::ErrorCode,
    v1::certificate::{GrantedTicket, IssuedCertificate, Purpose, RequestCertificate, RequestTicket},
};
use zfs_sync_core::ids::SystemId;

use super::{systems::not_found, transfers::not_found as no_such_transfer};
use crate::{
    auth::Actor,
    error::{Answer, ApiError},
    extract::{Body, Id},
    planning::{address, ticket},
    state::AppState,
};

/// Issues a certificate that names this system; its agent renews it by itself
#[utoipa::path(
    post, path = "/systems/{system_id}/certificate", tag = "agent", params(("system_id" = uuid::Uuid, Path)),
    request_body = RequestCertificate, responses((status = 200, body = IssuedCertificate)),
)]
pub(super) async fn issue_certificate(
    State(state): State<AppState>,
    actor: Actor,
    Id(id): Id<SystemId>,
    Body(body): Body<RequestCertificate>,
) -> Answer<Json<IssuedCertificate>> {
    let system = state.store.system(id).await?.ok_or_else(|| not_found(id))?;
    let issued = state.authority().await?.issue(id, &body.csr, state.now())?;
    state.store.set_certificate_end(id, issued.expires_at).await?;
    let detail = json!({ "expires_at": issued.expires_at });
    state.audit(&actor, "system.certificate", format!("system:{}", system.hostname), detail).await;
    // What could not be planned for want of a way may have one now.
    let groups = state.store.groups_of_system(id).await?;
    state.wake.groups_changed(groups.into_iter().map(|row| row.group.id));
    Ok(Json(issued))
}

/// A ticket to tidy up after a transfer that this system executes or has executed
#[utoipa::path(
    post, path = "/systems/{system_id}/ticket", tag = "agent", params(("system_id" = uuid::Uuid, Path)),
    request_body = RequestTicket, responses((status = 200, body = GrantedTicket)),
)]
pub(super) async fn grant_ticket(
    State(state): State<AppState>,
    Id(id): Id<SystemId>,
    Body(body): Body<RequestTicket>,
) -> Answer<Json<GrantedTicket>> {
    let nothing = GrantedTicket { tls: None, ticket: None };
    let row = state.store.transfer(body.transfer_id).await?;
    let row = row.ok_or_else(|| no_such_transfer(body.transfer_id))?;
    if row.executor != id {
        let detail = format!("transfer {} is not executed by this system", row.id);
        return Err(ApiError::new(ErrorCode::Forbidden, detail));
    }
    let other = if row.executor == row.source_system { row.target_system } else { row.source_system };
    if other == id || row.step.action.is_local() {
        return Ok(Json(nothing));
    }
    let Some(other) = state.store.system(other).await? else { return Ok(Json(nothing)) };
    let transport = state.store.group(row.group).await?.map(|row| row.transport).unwrap_or_default();
    let tls = address(&other, transport, state.now()).and_then(|peer| peer.tls);
    let ticket = match &tls {
        Some(_) => ticket(&state, &row, &other, Purpose::Settle).await?,
        None => None,
    };
    Ok(Json(GrantedTicket { tls, ticket }))
}
