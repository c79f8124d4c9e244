//! API keys of people and scripts.

use axum::{Json, extract::State};
use http::StatusCode;
use jiff::SignedDuration;
use serde_json::json;
use zfs_sync_api::{
    codes::ErrorCode,
    v1::key::{CreateKey, CreatedKey, Key, Role},
};
use zfs_sync_core::ids::KeyId;
use zfs_sync_store::KeyRow;

use crate::{
    auth::{
        Actor, Caller, new_key,
        secret::{Kind, mint},
    },
    error::{Answer, ApiError},
    extract::{Body, Id},
    state::AppState,
};

/// A thousand years: longer times overflow calendars, and say nothing.
const LONGEST_SECONDS: u64 = 1000 * 366 * 24 * 3600;

fn shown(row: KeyRow) -> Answer<Key> {
    // A role that this version does not know is a fault of the database's content.
    let role = Role::from_name(&row.role)
        .ok_or_else(|| ApiError::new(ErrorCode::Internal, "a stored key has a role that is not known"))?;
    Ok(Key {
        id: row.id,
        name: row.name,
        role,
        system_id: row.system,
        prefix: row.prefix,
        created_at: row.created_at,
        expires_at: row.expires_at,
        last_used_at: row.last_used_at,
    })
}

/// All keys that are not revoked, without their secrets
#[utoipa::path(get, path = "/keys", tag = "keys", responses((status = 200, body = Vec<Key>)))]
pub(super) async fn list_keys(State(state): State<AppState>) -> Answer<Json<Vec<Key>>> {
    let keys = state.store.keys().await?;
    keys.into_iter().filter(|row| row.revoked_at.is_none()).map(shown).collect::<Answer<_>>().map(Json)
}

/// Makes a key; it is shown this once
#[utoipa::path(
    post, path = "/keys", tag = "keys", request_body = CreateKey,
    responses((status = 201, body = CreatedKey)),
)]
pub(super) async fn create_key(
    State(state): State<AppState>,
    actor: Actor,
    Body(body): Body<CreateKey>,
) -> Answer<(StatusCode, Json<CreatedKey>)> {
    let name = body.name.trim();
    if name.is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control) {
        let detail = "a key's name has 1 to 64 printable characters";
        return Err(ApiError::at("/name", ErrorCode::ValueInvalid, detail));
    }
    if body.role == Role::System {
        let detail = "a system's key comes with the system: enrol it, or rotate its key";
        return Err(ApiError::at("/role", ErrorCode::ValueInvalid, detail));
    }
    let now = state.now();
    let expires_at = match body.expires_in_seconds {
        None => None,
        Some(seconds @ 1..=LONGEST_SECONDS) => {
            let after = SignedDuration::from_secs(i64::try_from(seconds).map_err(ApiError::internal)?);
            Some(now.checked_add(after).map_err(ApiError::internal)?)
        }
        Some(_) => {
            let detail = format!("a key lasts between 1 and {LONGEST_SECONDS} seconds");
            return Err(ApiError::at("/expires_in_seconds", ErrorCode::ValueRange, detail));
        }
    };
    let minted = mint(Kind::Key);
    let row = state.store.insert_key(&new_key(&minted, name, body.role, None, expires_at), now).await?;
    let detail = json!({ "role": body.role.as_str(), "prefix": row.prefix });
    state.audit(&actor, "key.create", format!("key:{name}"), detail).await;
    Ok((StatusCode::CREATED, Json(CreatedKey { key: shown(row)?, api_key: minted.expose() })))
}

/// Revokes a key at once, with its sessions
#[utoipa::path(
    delete, path = "/keys/{key_id}", tag = "keys", params(("key_id" = uuid::Uuid, Path)),
    responses((status = 204)),
)]
pub(super) async fn revoke_key(
    State(state): State<AppState>,
    actor: Actor,
    caller: Caller,
    Id(id): Id<KeyId>,
) -> Answer<StatusCode> {
    let keys = state.store.keys().await?;
    let now = state.now();
    let row = keys.iter().find(|row| row.id == id && row.revoked_at.is_none());
    let Some(row) = row else {
        return Err(ApiError::new(ErrorCode::NotFound, format!("there is no key {id}")));
    };
    let is_admin = |row: &&KeyRow| row.role == Role::Admin.as_str() && row.is_valid(now);
    if is_admin(&row) && keys.iter().filter(is_admin).count() == 1 {
        let detail = "this is the last administrator's key: without it nobody could make another";
        return Err(
            ApiError::new(ErrorCode::Forbidden, detail).hint("make another administrator's key first")
        );
    }
    state.store.revoke_key(id, now).await?;
    let detail = json!({ "prefix": row.prefix, "own": caller.key == id });
    state.audit(&actor, "key.revoke", format!("key:{}", row.name), detail).await;
    Ok(StatusCode::NO_CONTENT)
}
