//! Systems: registered ZFS hosts.

use axum::{Json, extract::State};
use http::StatusCode;
use serde_json::{Map, Value, json};
use uuid::Uuid;
use zfs_sync_api::{
    codes::ErrorCode,
    v1::{
        key::Role,
        system::{CreateSystem, HeartbeatAnswer, KeyAnswer, System, UpdateSystem},
    },
};
use zfs_sync_core::{ids::SystemId, name::HostName};
use zfs_sync_store::{Error as StoreError, InventorySizes, NewSystem, SystemChange, SystemRow, SystemSeen};

use crate::{
    auth::{
        Actor, new_key,
        secret::{Kind, mint},
    },
    error::{Answer, ApiError, Fields},
    extract::{self, Body, Id, OptionalBody, Page, RawBody},
    state::AppState,
    views::{show_system, systems_page},
};

pub(super) fn not_found(id: SystemId) -> ApiError {
    ApiError::new(ErrorCode::SystemNotFound, format!("System with ID '{id}' not found"))
        .hint("`zfs-sync system list` shows all")
}

pub(super) fn exists(hostname: &str, id: Option<SystemId>) -> ApiError {
    let which = id.map(|id| format!(" (ID: {id})")).unwrap_or_default();
    let detail = format!("System with hostname '{hostname}' already exists{which}");
    ApiError::at("/hostname", ErrorCode::SystemExists, detail)
}

/// Where a host is and is reached, as checked text.
pub(super) struct Host {
    pub(super) hostname: HostName,
    pub(super) ssh_hostname: Option<HostName>,
    pub(super) ssh_user: Option<String>,
    pub(super) ssh_port: u16,
}

/// Checks the fields that end up in ssh commands; `None` when the name itself is none.
pub(super) fn host_fields(
    fields: &mut Fields,
    hostname: &str,
    ssh_hostname: Option<&str>,
    ssh_user: Option<&str>,
    ssh_port: Option<u16>,
) -> Option<Host> {
    let name = fields.parse("/hostname", ErrorCode::HostInvalid, hostname);
    let ssh_hostname = match ssh_hostname {
        // The same text as the name has its refusal already.
        Some(text) if text != hostname => fields.parse("/ssh_hostname", ErrorCode::HostInvalid, text),
        Some(_) => name.clone(),
        None => None,
    };
    Some(Host {
        hostname: name?,
        ssh_hostname,
        ssh_user: ssh_user.and_then(|user| user_name(fields, user)),
        ssh_port: port(fields, ssh_port.unwrap_or(22)),
    })
}

/// A user name follows the rule of host names, without the colon: it stands in front of an `@`.
fn user_name(fields: &mut Fields, user: &str) -> Option<String> {
    if user.len() <= 64 && !user.contains(':') && user.parse::<HostName>().is_ok() {
        return Some(user.to_owned());
    }
    let detail = "a user name has letters, digits, `.`, `-`, `_`, at most 64, not beginning with `-`";
    fields.add("/ssh_user", ErrorCode::HostInvalid, detail);
    None
}

fn port(fields: &mut Fields, port: u16) -> u16 {
    if port == 0 {
        fields.add("/ssh_port", ErrorCode::ValueRange, "a port is a number from 1 to 65535");
    }
    port
}

/// Free text of the old service: shown, never interpreted.
pub(super) fn free_text(fields: &mut Fields, pointer: &str, text: &str) {
    if text.chars().count() > 128 || text.chars().any(char::is_control) {
        fields.add(pointer, ErrorCode::ValueInvalid, "at most 128 printable characters");
    }
}

fn object(fields: &mut Fields, value: Option<Value>) -> Option<Value> {
    match value {
        None | Some(Value::Null) => None,
        Some(value @ Value::Object(_)) => Some(value),
        Some(_) => {
            fields.add("/extra_metadata", ErrorCode::ValueInvalid, "this is a JSON object, or absent");
            None
        }
    }
}

async fn shown(state: &AppState, row: &SystemRow) -> Answer<System> {
    let sizes = state.store.inventory_sizes(row.id).await?;
    Ok(show_system(row, sizes, &state.settings, state.now()))
}

/// All systems, by name
#[utoipa::path(
    get, path = "/systems", tag = "systems", params(Page), responses((status = 200, body = Vec<System>)),
)]
pub(super) async fn list_systems(
    State(state): State<AppState>,
    extract::Params(page): extract::Params<Page>,
) -> Answer<Json<Vec<System>>> {
    systems_page(&state, page.skip(), page.limit()).await.map(Json)
}

/// Registers a system; its key is shown this once
#[utoipa::path(
    post, path = "/systems", tag = "systems", request_body = CreateSystem,
    responses((status = 201, body = System)),
)]
pub(super) async fn create_system(
    State(state): State<AppState>,
    actor: Actor,
    Body(body): Body<CreateSystem>,
) -> Answer<(StatusCode, Json<System>)> {
    create(&state, &actor, body).await
}

/// Registers a system, at the address that older documents name
#[utoipa::path(
    post, path = "/systems/register", tag = "systems", request_body = CreateSystem,
    responses((status = 201, body = System)),
)]
pub(super) async fn register_system(
    State(state): State<AppState>,
    actor: Actor,
    Body(body): Body<CreateSystem>,
) -> Answer<(StatusCode, Json<System>)> {
    create(&state, &actor, body).await
}

async fn create(state: &AppState, actor: &Actor, body: CreateSystem) -> Answer<(StatusCode, Json<System>)> {
    let mut fields = Fields::default();
    let (ssh_hostname, ssh_user) = (body.ssh_hostname.as_deref(), body.ssh_user.as_deref());
    let host = host_fields(&mut fields, &body.hostname, ssh_hostname, ssh_user, body.ssh_port);
    let connectivity_status = body.connectivity_status.unwrap_or_else(|| "unknown".into());
    free_text(&mut fields, "/platform", &body.platform);
    free_text(&mut fields, "/connectivity_status", &connectivity_status);
    let extra_metadata = object(&mut fields, body.extra_metadata).unwrap_or_else(|| json!({}));
    fields.finish(ErrorCode::BodyInvalid)?;
    let Some(host) = host else { return Err(ApiError::new(ErrorCode::HostInvalid, "no host name")) };
    let new = NewSystem {
        id: SystemId::from_uuid(Uuid::now_v7()),
        hostname: host.hostname,
        platform: body.platform,
        connectivity_status,
        ssh_hostname: host.ssh_hostname,
        ssh_user: host.ssh_user,
        ssh_port: host.ssh_port,
        extra_metadata,
    };
    let now = state.now();
    let row = match state.store.create_system(&new, now).await {
        Ok(row) => row,
        Err(StoreError::Conflict { .. }) => {
            let other = state.store.system_by_hostname(new.hostname.as_str()).await?;
            return Err(exists(new.hostname.as_str(), other.map(|other| other.id)));
        }
        Err(error) => return Err(error.into()),
    };
    let minted = mint(Kind::Key);
    let key = new_key(&minted, row.hostname.as_str(), Role::System, Some(row.id), None);
    state.store.insert_key(&key, now).await?;
    state.audit(actor, "system.create", format!("system:{}", row.hostname), json!({ "id": row.id })).await;
    let mut system = show_system(&row, InventorySizes::default(), &state.settings, now);
    system.api_key = Some(minted.expose());
    Ok((StatusCode::CREATED, Json(system)))
}

/// One system
#[utoipa::path(
    get, path = "/systems/{system_id}", tag = "systems", params(("system_id" = uuid::Uuid, Path)),
    responses((status = 200, body = System)),
)]
pub(super) async fn find_system(State(state): State<AppState>, Id(id): Id<SystemId>) -> Answer<Json<System>> {
    let row = state.store.system(id).await?.ok_or_else(|| not_found(id))?;
    shown(&state, &row).await.map(Json)
}

/// Changes what is sent; null clears an address or user
#[utoipa::path(
    put, path = "/systems/{system_id}", tag = "systems", params(("system_id" = uuid::Uuid, Path)),
    request_body = UpdateSystem, responses((status = 200, body = System)),
)]
pub(super) async fn update_system(
    State(state): State<AppState>,
    actor: Actor,
    Id(id): Id<SystemId>,
    RawBody(bytes): RawBody,
) -> Answer<Json<System>> {
    let body: UpdateSystem = extract::parse(&bytes)?;
    // The typed body can not tell a null from a field that was not sent.
    let sent: Map<String, Value> = extract::parse(&bytes)?;
    let cleared = |field: &str| sent.get(field).is_some_and(Value::is_null);
    let mut fields = Fields::default();
    for field in ["hostname", "platform", "connectivity_status", "ssh_port"] {
        if cleared(field) {
            fields.add(format!("/{field}"), ErrorCode::ValueInvalid, "this can be changed, not cleared");
        }
    }
    for (field, text) in [("/platform", &body.platform), ("/connectivity_status", &body.connectivity_status)]
    {
        if let Some(text) = text {
            free_text(&mut fields, field, text);
        }
    }
    let mut host = |pointer: &str, text: Option<String>| {
        text.and_then(|text| fields.parse::<HostName>(pointer, ErrorCode::HostInvalid, &text))
    };
    let hostname = host("/hostname", body.hostname);
    let ssh_hostname = host("/ssh_hostname", body.ssh_hostname).map(Some);
    let ssh_user = body.ssh_user.and_then(|user| user_name(&mut fields, &user)).map(Some);
    let change = SystemChange {
        hostname: hostname.clone(),
        platform: body.platform,
        connectivity_status: body.connectivity_status,
        ssh_hostname: if cleared("ssh_hostname") { Some(None) } else { ssh_hostname },
        ssh_user: if cleared("ssh_user") { Some(None) } else { ssh_user },
        ssh_port: body.ssh_port.map(|number| port(&mut fields, number)),
        last_seen: None,
        extra_metadata: object(&mut fields, body.extra_metadata),
        limit: body.limit,
    };
    fields.finish(ErrorCode::BodyInvalid)?;
    let row = match state.store.update_system(id, &change, state.now()).await {
        Ok(row) => row,
        Err(StoreError::NotFound { .. }) => return Err(not_found(id)),
        Err(StoreError::Conflict { .. }) => {
            return Err(exists(hostname.as_ref().map_or("", HostName::as_str), None));
        }
        Err(error) => return Err(error.into()),
    };
    let changed: Vec<&String> = sent.keys().collect();
    state
        .audit(&actor, "system.update", format!("system:{}", row.hostname), json!({ "fields": changed }))
        .await;
    // Who reaches whom may have changed, and with it who can carry steps out.
    let groups = state.store.groups_of_system(id).await?;
    state.wake.groups_changed(groups.into_iter().map(|row| row.group.id));
    shown(&state, &row).await.map(Json)
}

/// Forgets a system that is in no group: its keys, its inventory. Nothing on the host is touched
#[utoipa::path(
    delete, path = "/systems/{system_id}", tag = "systems", params(("system_id" = uuid::Uuid, Path)),
    responses((status = 204)),
)]
pub(super) async fn delete_system(
    State(state): State<AppState>,
    actor: Actor,
    Id(id): Id<SystemId>,
) -> Answer<StatusCode> {
    let row = state.store.system(id).await?.ok_or_else(|| not_found(id))?;
    match state.store.delete_system(id).await {
        Ok(true) => {}
        Ok(false) => return Err(not_found(id)),
        Err(StoreError::Conflict { what }) => {
            return Err(ApiError::new(ErrorCode::SystemInUse, what)
                .hint("take it out of its groups first; `zfs-sync group list` shows them"));
        }
        Err(error) => return Err(error.into()),
    }
    state.audit(&actor, "system.delete", format!("system:{}", row.hostname), json!({ "id": id })).await;
    Ok(StatusCode::NO_CONTENT)
}

/// A sign of life, with an object of the client's own or without
#[utoipa::path(
    post, path = "/systems/{system_id}/heartbeat", tag = "systems", params(("system_id" = uuid::Uuid, Path)),
    request_body = Option<Object>, responses((status = 200, body = HeartbeatAnswer)),
)]
pub(super) async fn send_heartbeat(
    State(state): State<AppState>,
    Id(id): Id<SystemId>,
    OptionalBody(body): OptionalBody<Value>,
) -> Answer<Json<HeartbeatAnswer>> {
    let extra_metadata = match body {
        None | Some(Value::Null) => None,
        Some(Value::Object(mut object)) => {
            let wrapped = ["metadata", "extra_metadata"]
                .into_iter()
                .find(|name| object.len() == 1 && object.get(*name).is_some_and(Value::is_object));
            match wrapped {
                Some(name) => object.remove(name),
                None => Some(Value::Object(object)),
            }
        }
        Some(_) => {
            return Err(ApiError::at("", ErrorCode::BodyInvalid, "the body is a JSON object, or absent"));
        }
    };
    heartbeat(&state, id, extra_metadata).await
}

/// A sign of life, as one old client script sends it
#[utoipa::path(
    get, path = "/systems/{system_id}/heartbeat", tag = "systems", params(("system_id" = uuid::Uuid, Path)),
    responses((status = 200, body = HeartbeatAnswer)),
)]
pub(super) async fn send_heartbeat_by_get(
    State(state): State<AppState>,
    Id(id): Id<SystemId>,
) -> Answer<Json<HeartbeatAnswer>> {
    heartbeat(&state, id, None).await
}

async fn heartbeat(
    state: &AppState,
    id: SystemId,
    extra_metadata: Option<Value>,
) -> Answer<Json<HeartbeatAnswer>> {
    let now = state.now();
    let seen = SystemSeen { extra_metadata, ..SystemSeen::default() };
    if !state.store.touch_system(id, &seen, now).await? {
        return Err(not_found(id));
    }
    if let Some(row) = state.store.system(id).await? {
        let data = json!({ "system_id": id, "system_hostname": row.hostname, "last_seen": now });
        state.events.publish("system_heartbeat", data).await;
    }
    Ok(Json(HeartbeatAnswer { system_id: id, last_seen: now, status: "online".into() }))
}

/// Replaces a system's key; the new one is shown this once
#[utoipa::path(
    post, path = "/systems/{system_id}/api-key", tag = "systems", params(("system_id" = uuid::Uuid, Path)),
    responses((status = 200, body = KeyAnswer)),
)]
pub(super) async fn create_api_key(
    State(state): State<AppState>,
    actor: Actor,
    Id(id): Id<SystemId>,
) -> Answer<Json<KeyAnswer>> {
    rotate(&state, &actor, id).await
}

/// Replaces a system's key; the new one is shown this once
#[utoipa::path(
    post, path = "/systems/{system_id}/api-key/rotate", tag = "systems",
    params(("system_id" = uuid::Uuid, Path)), responses((status = 200, body = KeyAnswer)),
)]
pub(super) async fn rotate_api_key(
    State(state): State<AppState>,
    actor: Actor,
    Id(id): Id<SystemId>,
) -> Answer<Json<KeyAnswer>> {
    rotate(&state, &actor, id).await
}

async fn rotate(state: &AppState, actor: &Actor, id: SystemId) -> Answer<Json<KeyAnswer>> {
    let row = state.store.system(id).await?.ok_or_else(|| not_found(id))?;
    let now = state.now();
    let minted = mint(Kind::Key);
    let key = new_key(&minted, row.hostname.as_str(), Role::System, Some(id), None);
    // The new key first: after a failure in between the system still has one that works.
    let kept = state.store.insert_key(&key, now).await?;
    revoke_others(state, id, Some(kept.id)).await?;
    state
        .audit(
            actor,
            "system.rotate_key",
            format!("system:{}", row.hostname),
            json!({ "prefix": kept.prefix }),
        )
        .await;
    Ok(Json(KeyAnswer { api_key: minted.expose(), system_id: id }))
}

async fn revoke_others(
    state: &AppState,
    id: SystemId,
    kept: Option<zfs_sync_core::ids::KeyId>,
) -> Answer<()> {
    for key in state.store.keys().await? {
        if key.system == Some(id) && Some(key.id) != kept && key.revoked_at.is_none() {
            state.store.revoke_key(key.id, state.now()).await?;
        }
    }
    Ok(())
}

/// Revokes a system's key; an administrator can make another
#[utoipa::path(
    delete, path = "/systems/{system_id}/api-key", tag = "systems", params(("system_id" = uuid::Uuid, Path)),
    responses((status = 204)),
)]
pub(super) async fn revoke_api_key(
    State(state): State<AppState>,
    actor: Actor,
    Id(id): Id<SystemId>,
) -> Answer<StatusCode> {
    let row = state.store.system(id).await?.ok_or_else(|| not_found(id))?;
    revoke_others(&state, id, None).await?;
    state.audit(&actor, "system.revoke_key", format!("system:{}", row.hostname), json!({})).await;
    Ok(StatusCode::NO_CONTENT)
}
