//! Who calls: keys in headers, sessions in cookies.

pub(crate) mod access;
pub(crate) mod secret;
pub(crate) mod session;

use axum::extract::FromRequestParts;
use http::{HeaderMap, Method, header, request::Parts};
use jiff::SignedDuration;
use uuid::Uuid;
use zfs_sync_api::{codes::ErrorCode, v1::key::Role};
use zfs_sync_core::{
    ids::{KeyId, SystemId},
    time::Timestamp,
};
use zfs_sync_store::{KeyRow, NewKey};

use self::secret::{Kind, Minted};
use crate::{
    error::{Answer, ApiError},
    request::Origin,
    state::AppState,
};

/// Whose key came with the request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) key: KeyId,
    /// The key's name.
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Set for [`Role::System`] only.
    pub(crate) system: Option<SystemId>,
}

/// A caller and where the request came from: what the audit log wants to know.
#[derive(Clone, Debug)]
pub(crate) struct Actor {
    pub(crate) caller: Option<Caller>,
    pub(crate) origin: Origin,
}

impl Actor {
    /// `key:ops-laptop`; `token` for an enrolment.
    pub(crate) fn name(&self) -> String {
        self.caller.as_ref().map_or_else(|| "token".to_owned(), |caller| format!("key:{}", caller.name))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Answer<Self> {
        parts.extensions.get::<Self>().cloned().ok_or_else(key_needed)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Actor {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Answer<Self> {
        Ok(Self { caller: parts.extensions.get().cloned(), origin: Origin::of(&parts.extensions) })
    }
}

fn key_needed() -> ApiError {
    ApiError::new(ErrorCode::AuthRequired, "API key required")
        .hint("send it as `X-API-Key: …` or as `Authorization: Bearer …`")
}

fn key_invalid() -> ApiError {
    ApiError::new(ErrorCode::KeyInvalid, "Invalid API key")
        .hint("`zfs-sync explain E_KEY_INVALID` says what to do")
}

/// The key in the headers, if there is one.
fn key_in(headers: &HeaderMap) -> Option<&str> {
    if let Some(value) = headers.get("x-api-key") {
        return Some(value.to_str().unwrap_or_default().trim());
    }
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// Whoever sent the request.
pub(crate) async fn authenticate(state: &AppState, method: &Method, headers: &HeaderMap) -> Answer<Caller> {
    if let Some(key) = key_in(headers) {
        return authenticate_key(state, key).await;
    }
    // Browsers send a cookie whoever made them ask: it may read here, and change only through the dashboard's own forms.
    if access::is_safe(method)
        && let Some(caller) = session::authenticate(state, headers).await?
    {
        return Ok(caller);
    }
    Err(key_needed())
}

/// The owner of a key.
pub(crate) async fn authenticate_key(state: &AppState, key: &str) -> Answer<Caller> {
    let prefix = secret::prefix(Kind::Key, key).ok_or_else(key_invalid)?;
    let row = state.store.key_by_prefix(prefix).await?.ok_or_else(key_invalid)?;
    let now = state.now();
    if !secret::matches(key, &row.hash) || !row.is_valid(now) {
        return Err(key_invalid());
    }
    // To the minute, so that reading does not cost a write each time.
    let noted = row.last_used_at.is_some_and(|at| now.duration_since(at) < SignedDuration::from_secs(60));
    if !noted {
        state.store.touch_key(row.id, now).await?;
    }
    caller(row)
}

fn caller(row: KeyRow) -> Answer<Caller> {
    let role = Role::from_name(&row.role).ok_or_else(key_invalid)?;
    let system = if role == Role::System { Some(row.system.ok_or_else(key_invalid)?) } else { None };
    Ok(Caller { key: row.id, name: row.name, role, system })
}

/// A key to store.
pub(crate) fn new_key(
    minted: &Minted,
    name: &str,
    role: Role,
    system: Option<SystemId>,
    expires_at: Option<Timestamp>,
) -> NewKey {
    NewKey {
        id: KeyId::from_uuid(Uuid::now_v7()),
        name: name.to_owned(),
        role: role.as_str().to_owned(),
        system,
        prefix: minted.prefix.clone(),
        hash: minted.hash,
        expires_at,
    }
}

impl Caller {
    /// An error unless this is the system's own key or a person's with enough of a role (which the table has checked).
    pub(crate) fn only_for(&self, system: SystemId) -> Answer<()> {
        match self.system {
            Some(own) if own != system => {
                Err(access::forbidden(self, "the key of the system that it concerns"))
            }
            _ => Ok(()),
        }
    }
}
