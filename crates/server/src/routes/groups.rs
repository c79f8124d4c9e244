//! Sync groups.

mod reader;

use axum::{
    Json,
    extract::{Path, State},
};
use http::StatusCode;
use serde_json::json;
use uuid::Uuid;
use zfs_sync_api::{
    codes::ErrorCode,
    v1::group::{AddMember, CreateGroup, Group, UpdateGroup},
};
use zfs_sync_core::{
    group::{GroupMode, Profile, SyncGroup},
    ids::{GroupId, SystemId},
};
use zfs_sync_store::{Error as StoreError, GroupRow, GroupSettings};

use self::reader::{Pointers, Reader};
use crate::{
    auth::Actor,
    error::{Answer, ApiError},
    extract::{Body, Id, identifier},
    state::AppState,
    views::{self, Directory, show_group},
};

pub(super) fn not_found(text: impl std::fmt::Display) -> ApiError {
    ApiError::new(ErrorCode::GroupNotFound, format!("Sync group not found: {text}"))
        .hint("`zfs-sync group list` shows all")
}

/// All groups, by name
#[utoipa::path(get, path = "/sync-groups", tag = "groups", responses((status = 200, body = Vec<Group>)))]
pub(super) async fn list_groups(State(state): State<AppState>) -> Answer<Json<Vec<Group>>> {
    views::groups(&state).await.map(Json)
}

/// One group, with every doubt about it
#[utoipa::path(
    get, path = "/sync-groups/{group_id}", tag = "groups", params(("group_id" = uuid::Uuid, Path)),
    responses((status = 200, body = Group)),
)]
pub(super) async fn find_group(State(state): State<AppState>, Id(id): Id<GroupId>) -> Answer<Json<Group>> {
    views::group(&state, id).await.map(Json)
}

/// Makes a group; systems by id or host name
#[utoipa::path(
    post, path = "/sync-groups", tag = "groups", request_body = CreateGroup,
    responses((status = 201, body = Group)),
)]
pub(super) async fn create_group(
    State(state): State<AppState>,
    actor: Actor,
    Body(body): Body<CreateGroup>,
) -> Answer<(StatusCode, Json<Group>)> {
    let old_systems = body.systems.is_empty() && body.system_ids.is_some();
    let old_source = body.source_of_truth.is_none() && body.hub.is_none() && body.hub_system_id.is_some();
    let mut reader = Reader::new(&state, Pointers::new(old_systems, old_source));
    let listed = if old_systems { body.system_ids.unwrap_or_default() } else { body.systems };
    let members = reader.systems(reader.pointers.systems, &listed).await?;
    let first = match body.mode {
        GroupMode::Chain | GroupMode::Mesh | GroupMode::Local => members.first().copied(),
        GroupMode::OneWay | GroupMode::ManyToOne => None,
    };
    let source_of_truth = body.source_of_truth.or(body.hub_system_id);
    let hub = reader.hub(body.mode, body.hub, source_of_truth, first).await?;
    // The old service has no selection: a group of its form covers everything, and its clients get the snapshots that they used to get.
    let old_form = old_systems && body.datasets.is_empty();
    let everything = if old_form { vec!["**".to_owned()] } else { body.datasets };
    let usual = if old_form { Profile::Classic } else { Profile::Standard };
    let group = SyncGroup {
        id: GroupId::from_uuid(Uuid::now_v7()),
        name: body.name,
        enabled: body.enabled.unwrap_or(true),
        mode: body.mode,
        hub: hub.unwrap_or(SystemId::from_uuid(Uuid::nil())),
        members,
        include: reader.patterns("/datasets", &everything),
        exclude: reader.patterns("/exclude", &body.exclude),
        mappings: reader.mappings("/mappings", &body.mappings),
        member_mappings: reader.member_mappings(&body.member_mappings).await?,
        auto: body.auto,
        on_divergence: body.on_divergence,
        allow_destroy: body.allow_destroy,
        mirror_deletes: body.mirror_deletes,
        follow_renames: body.follow_renames,
        profile: body.profile.unwrap_or(usual),
    };
    let settings = GroupSettings {
        description: reader.description(body.description),
        extra_metadata: reader.metadata(body.extra_metadata).unwrap_or_else(|| json!({})),
        sync_interval_seconds: body.sync_interval_seconds.map_or(3600, |seconds| reader.interval(seconds)),
        limit: body.limit,
        compression: body.compression,
        transport: body.transport,
    };
    reader.finish(&group).await?;
    let row = match state.store.insert_group(&group, &settings, state.now()).await {
        Ok(row) => row,
        Err(error) => return Err(refused(&group, error)),
    };
    state.audit(&actor, "group.create", format!("group:{}", group.name), json!({ "id": group.id })).await;
    Ok((StatusCode::CREATED, stored(&state, row).await?))
}

fn refused(group: &SyncGroup, error: StoreError) -> ApiError {
    match error {
        StoreError::Conflict { .. } => {
            let detail = format!("A sync group named '{}' already exists", group.name);
            ApiError::at("/name", ErrorCode::GroupExists, detail)
        }
        StoreError::NotFound { what: "system" } => {
            ApiError::at("/systems", ErrorCode::SystemNotFound, "a system of the group has just been deleted")
        }
        StoreError::NotFound { .. } => not_found(&group.name),
        other => other.into(),
    }
}

/// The answer after a change, which the planner learns of too.
async fn stored(state: &AppState, row: GroupRow) -> Answer<Json<Group>> {
    state.wake.groups_changed([row.group.id]);
    let warnings = views::doubts(state, &row.group).await?;
    show_group(state, row, warnings, &Directory::load(state).await?).await.map(Json)
}

async fn existing(state: &AppState, id: GroupId) -> Answer<GroupRow> {
    state.store.group(id).await?.ok_or_else(|| not_found(id))
}

/// Changes what is sent
#[utoipa::path(
    put, path = "/sync-groups/{group_id}", tag = "groups", params(("group_id" = uuid::Uuid, Path)),
    request_body = UpdateGroup, responses((status = 200, body = Group)),
)]
pub(super) async fn update_group(
    State(state): State<AppState>,
    actor: Actor,
    Id(id): Id<GroupId>,
    Body(body): Body<UpdateGroup>,
) -> Answer<Json<Group>> {
    let row = existing(&state, id).await?;
    let mut settings = settings_of(&row);
    let mut group = row.group;
    let before = group.clone();
    let mut reader = Reader::new(
        &state,
        Pointers::new(
            body.systems.is_none() && body.system_ids.is_some(),
            body.source_of_truth.is_none() && body.hub.is_none() && body.hub_system_id.is_some(),
        ),
    );
    if let Some(name) = body.name {
        group.name = name;
    }
    group.mode = body.mode.unwrap_or(group.mode);
    if let Some(listed) = body.systems.or(body.system_ids) {
        group.members = reader.systems(reader.pointers.systems, &listed).await?;
    }
    let source_of_truth = body.source_of_truth.or(body.hub_system_id);
    if let Some(hub) = reader.hub(group.mode, body.hub, source_of_truth, Some(group.hub)).await? {
        group.hub = hub;
    }
    if let Some(texts) = body.datasets {
        group.include = reader.patterns("/datasets", &texts);
    }
    if let Some(texts) = body.exclude {
        group.exclude = reader.patterns("/exclude", &texts);
    }
    if let Some(texts) = body.mappings {
        group.mappings = reader.mappings("/mappings", &texts);
    }
    if let Some(by_name) = body.member_mappings {
        group.member_mappings = reader.member_mappings(&by_name).await?;
    }
    group.enabled = body.enabled.unwrap_or(group.enabled);
    group.auto = body.auto.unwrap_or(group.auto);
    group.on_divergence = body.on_divergence.unwrap_or(group.on_divergence);
    group.allow_destroy = body.allow_destroy.unwrap_or(group.allow_destroy);
    group.mirror_deletes = body.mirror_deletes.unwrap_or(group.mirror_deletes);
    group.follow_renames = body.follow_renames.unwrap_or(group.follow_renames);
    group.profile = body.profile.unwrap_or(group.profile);
    if let Some(text) = reader.description(body.description) {
        settings.description = Some(text).filter(|text| !text.is_empty());
    }
    if let Some(value) = reader.metadata(body.extra_metadata) {
        settings.extra_metadata = value;
    }
    if let Some(seconds) = body.sync_interval_seconds {
        settings.sync_interval_seconds = reader.interval(seconds);
    }
    settings.limit = body.limit.unwrap_or(settings.limit);
    settings.compression = body.compression.unwrap_or(settings.compression);
    settings.transport = body.transport.unwrap_or(settings.transport);
    reader.finish(&group).await?;
    replace(&state, &actor, "group.update", &before, &group, &settings).await
}

async fn replace(
    state: &AppState,
    actor: &Actor,
    action: &str,
    before: &SyncGroup,
    group: &SyncGroup,
    settings: &GroupSettings,
) -> Answer<Json<Group>> {
    let row = match state.store.update_group(group, settings, state.now()).await {
        Ok(row) => row,
        Err(error) => return Err(refused(group, error)),
    };
    let detail = json!({
        "before": before, "after": group, "limit": row.limit, "compression": row.compression, "transport": row.transport,
    });
    state.audit(actor, action, format!("group:{}", group.name), detail).await;
    stored(state, row).await
}

/// Deletes a group; the data stays, on every system
#[utoipa::path(
    delete, path = "/sync-groups/{group_id}", tag = "groups", params(("group_id" = uuid::Uuid, Path)),
    responses((status = 204)),
)]
pub(super) async fn delete_group(
    State(state): State<AppState>,
    actor: Actor,
    Id(id): Id<GroupId>,
) -> Answer<StatusCode> {
    let row = existing(&state, id).await?;
    if !state.store.delete_group(id, state.now()).await? {
        return Err(not_found(id));
    }
    for member in &row.group.members {
        state.wake.system(*member);
    }
    let detail = json!({ "before": row.group });
    state.audit(&actor, "group.delete", format!("group:{}", row.group.name), detail).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Adds a member; one that is there already stays
#[utoipa::path(
    post, path = "/sync-groups/{group_id}/systems", tag = "groups", params(("group_id" = uuid::Uuid, Path)),
    request_body = AddMember, responses((status = 200, body = Group)),
)]
pub(super) async fn add_member(
    State(state): State<AppState>,
    actor: Actor,
    Id(id): Id<GroupId>,
    Body(body): Body<AddMember>,
) -> Answer<Json<Group>> {
    let row = existing(&state, id).await?;
    let mut reader = Reader::new(&state, Pointers::new(false, false));
    let system = reader.system("/system_id", &body.system_id).await?;
    std::mem::take(&mut reader.fields).finish(ErrorCode::GroupInvalid)?;
    let Some(system) = system.filter(|system| !row.group.members.contains(system)) else {
        return stored(&state, row).await;
    };
    let mut group = row.group.clone();
    group.members.push(system);
    reader.finish(&group).await?;
    replace(&state, &actor, "group.add_member", &row.group, &group, &settings_of(&row)).await
}

fn settings_of(row: &GroupRow) -> GroupSettings {
    GroupSettings {
        description: row.description.clone(),
        extra_metadata: row.extra_metadata.clone(),
        sync_interval_seconds: row.sync_interval_seconds,
        limit: row.limit.clone(),
        compression: row.compression,
        transport: row.transport,
    }
}

/// Takes a member out; its data stays
#[utoipa::path(
    delete, path = "/sync-groups/{group_id}/systems/{member_id}", tag = "groups",
    params(("group_id" = uuid::Uuid, Path), ("member_id" = uuid::Uuid, Path)), responses((status = 204)),
)]
pub(super) async fn remove_member(
    State(state): State<AppState>,
    actor: Actor,
    Path((group, member)): Path<(String, String)>,
) -> Answer<StatusCode> {
    let row = existing(&state, identifier(&group)?).await?;
    let member: SystemId = identifier(&member)?;
    let mut group = row.group.clone();
    group.members.retain(|id| *id != member);
    if group.members.len() < row.group.members.len() {
        group.member_mappings.remove(&member);
        Reader::new(&state, Pointers::new(false, false)).finish(&group).await?;
        let _ =
            replace(&state, &actor, "group.remove_member", &row.group, &group, &settings_of(&row)).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
