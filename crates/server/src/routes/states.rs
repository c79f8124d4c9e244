//! Sync states of the v1 contract: what clients said, beside what the planner sees.
//!
//! Clients may state what they did; it decides nothing, and it is shown only where the planner knows nothing.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use http::StatusCode;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use zfs_sync_api::{
    codes::ErrorCode,
    v1::sync::{SetSyncState, SyncState},
};
use zfs_sync_core::{
    ids::{GroupId, SystemId},
    plan::ReplicaState,
};
use zfs_sync_store::{Error as StoreError, ReplicaFilter, ReplicaRow, SyncStateRow};

use super::groups;
use crate::{
    auth::{Actor, Caller},
    error::{Answer, ApiError, Fields},
    extract::{Id, OptionalBody, Page, Params},
    state::AppState,
    views::Directory,
};

/// What `zfs` and `ssh` say fits many times over; more would let a client fill the database, one row for each name it makes up.
const LONGEST_MESSAGE: usize = 16 * 1024;

fn stated(row: SyncStateRow) -> SyncState {
    SyncState {
        id: row.id,
        sync_group_id: row.group.as_uuid(),
        dataset: row.dataset,
        system_id: row.system.as_uuid(),
        status: row.status,
        last_sync: row.last_sync,
        last_check: row.last_check,
        error_message: row.error_message,
        extra_metadata: json!({}),
        created_at: row.created_at,
        updated_at: row.updated_at,
    }
}

/// The same replica has the same identity in every answer.
fn identity(row: &ReplicaRow) -> Uuid {
    let digest = Sha256::digest(format!("{} {} {}", row.group, row.target_system, row.source));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// A replica in the words of the v1 contract, which has none for what is not known or paused.
fn planned(row: &ReplicaRow, directory: &Directory) -> SyncState {
    let (status, is_error) = match row.state {
        ReplicaState::InSync => ("in_sync", false),
        ReplicaState::Syncing => ("syncing", false),
        ReplicaState::Diverged => ("conflict", true),
        ReplicaState::Unknown => ("error", true),
        ReplicaState::Behind | ReplicaState::NeverSeeded | ReplicaState::Paused => ("out_of_sync", false),
    };
    let reason = row.reason.as_deref().unwrap_or("R_MANUAL_MODE");
    SyncState {
        id: identity(row),
        sync_group_id: row.group.as_uuid(),
        dataset: row.source.to_string(),
        system_id: row.target_system.as_uuid(),
        status: status.to_owned(),
        last_sync: (row.state == ReplicaState::InSync).then_some(row.since),
        last_check: directory.as_of(row.source_system, row.target_system),
        error_message: is_error.then(|| format!("{reason}: {}", row.report.next)),
        extra_metadata: json!({ "state": row.state, "reason": row.reason }),
        created_at: row.since,
        updated_at: row.since,
    }
}

/// By group, dataset and system. What a client stated counts where the planner knows nothing: it must not turn a diverged replica green.
async fn all(state: &AppState, group: Option<GroupId>) -> Answer<Vec<SyncState>> {
    let said = match group {
        Some(group) => state.store.sync_states_of(group).await?,
        None => state.store.sync_states(0, i64::MAX.cast_unsigned()).await?,
    };
    let directory = Directory::load(state).await?;
    let replicas = state.store.replicas(&ReplicaFilter { group, ..ReplicaFilter::default() }).await?;
    let seen = replicas.iter().map(|row| planned(row, &directory));
    let mut shown = BTreeMap::new();
    for one in said.into_iter().map(stated).chain(seen) {
        shown.insert((one.sync_group_id, one.dataset.clone(), one.system_id), one);
    }
    Ok(shown.into_values().collect())
}

/// All states
#[utoipa::path(
    get, path = "/sync/states", tag = "sync", params(Page), responses((status = 200, body = Vec<SyncState>)),
)]
pub(super) async fn list_states(
    State(state): State<AppState>,
    Params(page): Params<Page>,
) -> Answer<Json<Vec<SyncState>>> {
    let skip = usize::try_from(page.skip()).unwrap_or(usize::MAX);
    let limit = usize::try_from(page.limit()).unwrap_or(usize::MAX);
    Ok(Json(all(&state, None).await?.into_iter().skip(skip).take(limit).collect()))
}

/// One state
#[utoipa::path(
    get, path = "/sync/states/{state_id}", tag = "sync", params(("state_id" = uuid::Uuid, Path)),
    responses((status = 200, body = SyncState)),
)]
pub(super) async fn find_state(State(state): State<AppState>, Id(id): Id<Uuid>) -> Answer<Json<SyncState>> {
    if let Some(row) = state.store.sync_state(id).await? {
        return Ok(Json(stated(row)));
    }
    let found = all(&state, None).await?.into_iter().find(|one| one.id == id);
    found.map(Json).ok_or_else(|| ApiError::new(ErrorCode::NotFound, "Sync state not found"))
}

/// The states of one group
#[utoipa::path(
    get, path = "/sync/groups/{group_id}/states", tag = "sync", params(("group_id" = uuid::Uuid, Path)),
    responses((status = 200, body = Vec<SyncState>)),
)]
pub(super) async fn list_group_states(
    State(state): State<AppState>,
    Id(id): Id<GroupId>,
) -> Answer<Json<Vec<SyncState>>> {
    state.store.group(id).await?.ok_or_else(|| groups::not_found(id))?;
    all(&state, Some(id)).await.map(Json)
}

/// The words of both generations of clients.
fn status(text: &str) -> Option<&'static str> {
    Some(match text {
        "in_sync" | "completed" => "in_sync",
        "out_of_sync" => "out_of_sync",
        "syncing" => "syncing",
        "conflict" => "conflict",
        "error" | "failed" => "error",
        _ => return None,
    })
}

/// States how one dataset of one system stands: in the body, or in the query as the v1 contract has it
#[utoipa::path(
    post, path = "/sync/states", tag = "sync", request_body = Option<SetSyncState>,
    params(
        ("sync_group_id" = Option<uuid::Uuid>, Query), ("dataset" = Option<String>, Query),
        ("system_id" = Option<uuid::Uuid>, Query), ("status" = Option<String>, Query),
        ("error_message" = Option<String>, Query),
    ),
    responses((status = 201, body = SyncState)),
)]
pub(super) async fn set_state(
    State(state): State<AppState>,
    actor: Actor,
    caller: Caller,
    Params(query): Params<SetSyncState>,
    OptionalBody(body): OptionalBody<SetSyncState>,
) -> Answer<(StatusCode, Json<SyncState>)> {
    let in_body = body.is_some();
    let body = body.unwrap_or_default();
    let pointer = |field: &str| if in_body { format!("/{field}") } else { format!("?{field}") };
    let mut fields = Fields::default();
    let mut missing = |field: &str| {
        let detail = format!(
            "`{field}` is required; in older scripts `snapshot_id` stood for the dataset, which is named now"
        );
        fields.add(pointer(field), ErrorCode::FieldRequired, detail);
    };
    let group = body.sync_group_id.or(query.sync_group_id);
    let system = body.system_id.or(query.system_id);
    let dataset = body.dataset.or(query.dataset).filter(|dataset| !dataset.is_empty());
    let said = body.status.or(query.status);
    for (field, is_missing) in [
        ("sync_group_id", group.is_none()),
        ("system_id", system.is_none()),
        ("dataset", dataset.is_none()),
        ("status", said.is_none()),
    ] {
        if is_missing {
            missing(field);
        }
    }
    if dataset.as_ref().is_some_and(|dataset| dataset.len() > zfs_sync_core::name::MAX_NAME_LENGTH) {
        fields.add(pointer("dataset"), ErrorCode::NameInvalid, "a ZFS name has at most 255 bytes");
    }
    let known = said.as_deref().and_then(status);
    if said.is_some() && known.is_none() {
        let detail = "a status is one of in_sync, out_of_sync, syncing, conflict, error";
        fields.add(pointer("status"), ErrorCode::ValueInvalid, detail);
    }
    let message = body.error_message.or(query.error_message);
    if message.as_ref().is_some_and(|message| message.len() > LONGEST_MESSAGE) {
        let detail = format!("at most {LONGEST_MESSAGE} bytes");
        fields.add(pointer("error_message"), ErrorCode::ValueInvalid, detail);
    }
    fields.finish(ErrorCode::BodyInvalid)?;
    let (Some(group), Some(system), Some(dataset), Some(status)) = (group, system, dataset, known) else {
        return Err(ApiError::new(ErrorCode::FieldRequired, "a field is missing"));
    };
    let (group, system) = (GroupId::from_uuid(group), SystemId::from_uuid(system));
    caller.only_for(system)?;
    let stored =
        state.store.set_sync_state(group, &dataset, system, status, message.as_deref(), state.now()).await;
    let row = match stored {
        Ok(row) => row,
        Err(StoreError::NotFound { what: "system" }) => {
            return Err(ApiError::at(
                pointer("system_id"),
                ErrorCode::SystemNotFound,
                "there is no such system",
            ));
        }
        Err(StoreError::NotFound { .. }) => {
            let at = pointer("sync_group_id");
            return Err(ApiError::at(at, ErrorCode::GroupNotFound, "there is no such sync group"));
        }
        Err(error) => return Err(error.into()),
    };
    let detail = json!({ "dataset": dataset, "status": status, "group": group });
    state.audit(&actor, "sync_state.set", format!("system:{system}"), detail).await;
    Ok((StatusCode::CREATED, Json(stated(row))))
}
