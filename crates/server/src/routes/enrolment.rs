//! How a host becomes a system: an administrator makes a token, the host shows it once.

use axum::{Json, extract::State};
use http::StatusCode;
use jiff::SignedDuration;
use serde_json::json;
use uuid::Uuid;
use zfs_sync_api::{
    codes::ErrorCode,
    v1::key::{CreateEnrolmentToken, CreatedEnrolmentToken, Enrol, Enrolled, EnrolmentToken, Role},
};
use zfs_sync_core::ids::{EnrolmentTokenId, SystemId};
use zfs_sync_store::{EnrolError, NewEnrolmentToken, NewSystem};

use super::systems::{exists, free_text, host_fields};
use crate::{
    auth::{
        Actor, new_key,
        secret::{self, Kind, mint},
    },
    error::{Answer, ApiError, Fields},
    extract::{Body, Id, OptionalBody},
    state::AppState,
};

/// An hour: long enough to walk to the host, short enough to be forgotten safely.
const DEFAULT_SECONDS: u64 = 3600;
const LONGEST_SECONDS: u64 = 30 * 24 * 3600;

/// All enrolment tokens that can still be used, without their secrets
#[utoipa::path(
    get, path = "/enrolment-tokens", tag = "enrolment", responses((status = 200, body = Vec<EnrolmentToken>)),
)]
pub(super) async fn list_enrolment_tokens(
    State(state): State<AppState>,
) -> Answer<Json<Vec<EnrolmentToken>>> {
    let now = state.now();
    let tokens = state.store.enrolment_tokens().await?;
    let usable = tokens
        .into_iter()
        .filter(|row| row.revoked_at.is_none() && row.uses_left > 0 && row.expires_at > now);
    let shown = usable.map(|row| EnrolmentToken {
        id: row.id,
        prefix: row.prefix,
        created_at: row.created_at,
        expires_at: row.expires_at,
        uses_left: row.uses_left,
    });
    Ok(Json(shown.collect()))
}

/// Makes a token that is good for one enrolment; it is shown this once
#[utoipa::path(
    post, path = "/enrolment-tokens", tag = "enrolment", request_body = CreateEnrolmentToken,
    responses((status = 201, body = CreatedEnrolmentToken)),
)]
pub(super) async fn create_enrolment_token(
    State(state): State<AppState>,
    actor: Actor,
    OptionalBody(body): OptionalBody<CreateEnrolmentToken>,
) -> Answer<(StatusCode, Json<CreatedEnrolmentToken>)> {
    let seconds = body.unwrap_or_default().ttl_seconds.unwrap_or(DEFAULT_SECONDS);
    if !(1..=LONGEST_SECONDS).contains(&seconds) {
        let detail = format!("a token lasts between 1 and {LONGEST_SECONDS} seconds (30 days)");
        return Err(ApiError::at("/ttl_seconds", ErrorCode::ValueRange, detail));
    }
    let now = state.now();
    let after = SignedDuration::from_secs(i64::try_from(seconds).map_err(ApiError::internal)?);
    let minted = mint(Kind::Token);
    let new = NewEnrolmentToken {
        id: EnrolmentTokenId::from_uuid(Uuid::now_v7()),
        prefix: minted.prefix.clone(),
        hash: minted.hash,
        created_by: actor.name(),
        expires_at: now.checked_add(after).map_err(ApiError::internal)?,
        uses: 1,
    };
    let row = state.store.insert_enrolment_token(&new, now).await?;
    let detail = json!({ "prefix": row.prefix, "expires_at": row.expires_at });
    state.audit(&actor, "enrolment_token.create", format!("enrolment_token:{}", row.id), detail).await;
    let created = CreatedEnrolmentToken { id: row.id, token: minted.expose(), expires_at: row.expires_at };
    Ok((StatusCode::CREATED, Json(created)))
}

/// Revokes a token at once
#[utoipa::path(
    delete, path = "/enrolment-tokens/{token_id}", tag = "enrolment",
    params(("token_id" = uuid::Uuid, Path)), responses((status = 204)),
)]
pub(super) async fn revoke_enrolment_token(
    State(state): State<AppState>,
    actor: Actor,
    Id(id): Id<EnrolmentTokenId>,
) -> Answer<StatusCode> {
    if !state.store.revoke_enrolment_token(id, state.now()).await? {
        return Err(ApiError::new(ErrorCode::NotFound, format!("there is no enrolment token {id}")));
    }
    state.audit(&actor, "enrolment_token.revoke", format!("enrolment_token:{id}"), json!({})).await;
    Ok(StatusCode::NO_CONTENT)
}

fn token_invalid() -> ApiError {
    ApiError::new(ErrorCode::TokenInvalid, "this is no enrolment token of this witness")
        .hint("make one with `zfs-sync system token create`")
}

/// Registers a host with the token in the body; its key is shown this once
#[utoipa::path(
    post, path = "/enrol", tag = "enrolment", request_body = Enrol, responses((status = 201, body = Enrolled)),
)]
pub(super) async fn enrol_system(
    State(state): State<AppState>,
    actor: Actor,
    Body(body): Body<Enrol>,
) -> Answer<(StatusCode, Json<Enrolled>)> {
    let now = state.now();
    // The token first: without one, nobody learns which names are taken or allowed.
    let token = body.token.trim();
    let prefix = secret::prefix(Kind::Token, token).ok_or_else(token_invalid)?;
    let row = state.store.enrolment_token_by_prefix(prefix).await?.ok_or_else(token_invalid)?;
    if !secret::matches(token, &row.hash) {
        return Err(token_invalid());
    }
    let mut fields = Fields::default();
    // Where nothing else is said, others reach the host by its name.
    let ssh_hostname = body.ssh_hostname.as_deref().or(Some(&body.hostname));
    let host =
        host_fields(&mut fields, &body.hostname, ssh_hostname, body.ssh_user.as_deref(), body.ssh_port);
    free_text(&mut fields, "/platform", &body.platform);
    fields.finish(ErrorCode::BodyInvalid)?;
    let Some(host) = host else { return Err(ApiError::new(ErrorCode::HostInvalid, "no host name")) };
    let new = NewSystem {
        id: SystemId::from_uuid(Uuid::now_v7()),
        hostname: host.hostname,
        platform: body.platform,
        connectivity_status: "unknown".into(),
        ssh_hostname: host.ssh_hostname,
        ssh_user: host.ssh_user,
        ssh_port: host.ssh_port,
        extra_metadata: json!({}),
    };
    // Before the token is spent: a request that is none leaves it unused.
    let certificate = match &body.csr {
        Some(csr) => Some(state.authority().await?.issue(new.id, csr, now)?),
        None => None,
    };
    let minted = mint(Kind::Key);
    let key = new_key(&minted, new.hostname.as_str(), Role::System, Some(new.id), None);
    let system = match state.store.enrol(row.id, &new, &key, now).await {
        Ok(system) => system,
        Err(EnrolError::Unknown) => return Err(token_invalid()),
        Err(EnrolError::Revoked) => {
            return Err(ApiError::new(ErrorCode::TokenInvalid, "this enrolment token was revoked")
                .hint("make another with `zfs-sync system token create`"));
        }
        Err(EnrolError::Expired) => {
            let detail = format!("this enrolment token expired at {}", row.expires_at);
            return Err(ApiError::new(ErrorCode::TokenExpired, detail)
                .hint("make another with `zfs-sync system token create`"));
        }
        Err(EnrolError::Used) => {
            return Err(ApiError::new(ErrorCode::TokenUsed, "this enrolment token was used already")
                .hint("a token is good for one host; make another with `zfs-sync system token create`"));
        }
        Err(EnrolError::HostnameTaken { id }) => return Err(exists(new.hostname.as_str(), Some(id))),
        Err(EnrolError::Store(error)) => return Err(error.into()),
    };
    let detail = json!({ "token": row.prefix, "hostname": system.hostname });
    state.audit(&actor, "system.enrol", format!("system:{}", system.hostname), detail).await;
    if let Some(certificate) = &certificate {
        state.store.set_certificate_end(system.id, certificate.expires_at).await?;
    }
    let hostname = system.hostname.to_string();
    let enrolled = Enrolled { system_id: system.id, hostname, api_key: minted.expose(), certificate };
    Ok((StatusCode::CREATED, Json(enrolled)))
}
