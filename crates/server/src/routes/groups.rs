//! Sync groups.

use axum::{
    Json,
    extract::{Path, State},
};
use http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;
use zfs_sync_api::{
    codes::ErrorCode,
    v1::group::{AddMember, CreateGroup, Group, UpdateGroup},
};
use zfs_sync_core::{
    group::{GroupMode, Mapping, MappingError, SyncGroup},
    ids::{GroupId, SystemId},
    pattern::DatasetPattern,
};
use zfs_sync_store::{Error as StoreError, GroupRow, GroupSettings};

use crate::{
    auth::Actor,
    error::{Answer, ApiError, Fields},
    extract::{Body, Id, identifier},
    state::AppState,
    views::{self, Directory, show_group},
};

/// More patterns or members than this come from a script that went wild.
const MOST_ENTRIES: usize = 10_000;
/// Ten years.
const LONGEST_INTERVAL: u64 = 10 * 366 * 24 * 3600;

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

/// Lists of texts out of a request, parsed; what is wrong is noted.
struct Reader<'a> {
    state: &'a AppState,
    fields: Fields,
}

impl Reader<'_> {
    /// A system by id or host name.
    async fn system(&mut self, pointer: &str, text: &str) -> Answer<Option<SystemId>> {
        if let Some(row) = views::system_named(self.state, text).await? {
            return Ok(Some(row.id));
        }
        let shown: String = text.chars().take(64).collect();
        let detail = format!("there is no system `{shown}`; `zfs-sync system list` shows all");
        self.fields.add(pointer, ErrorCode::SystemNotFound, detail);
        Ok(None)
    }

    async fn systems(&mut self, pointer: &str, texts: &[String]) -> Answer<Vec<SystemId>> {
        let mut systems = Vec::new();
        if self.fits(pointer, texts) {
            for (index, text) in texts.iter().enumerate() {
                systems.extend(self.system(&format!("{pointer}/{index}"), text).await?);
            }
        }
        Ok(systems)
    }

    fn fits(&mut self, pointer: &str, texts: &[String]) -> bool {
        let fits = texts.len() <= MOST_ENTRIES;
        if !fits {
            self.fields.add(pointer, ErrorCode::ValueRange, format!("at most {MOST_ENTRIES} entries"));
        }
        fits
    }

    fn patterns(&mut self, pointer: &str, texts: &[String]) -> Vec<DatasetPattern> {
        if !self.fits(pointer, texts) {
            return Vec::new();
        }
        let parsed = texts.iter().enumerate().filter_map(|(index, text)| {
            self.fields.parse(format!("{pointer}/{index}"), ErrorCode::PatternInvalid, text)
        });
        parsed.collect()
    }

    fn mappings(&mut self, texts: &[String]) -> Vec<Mapping> {
        let mut mappings = Vec::new();
        if self.fits("/mappings", texts) {
            for (index, text) in texts.iter().enumerate() {
                match text.parse::<Mapping>() {
                    Ok(mapping) => mappings.push(mapping),
                    Err(error) => {
                        let code = match &error {
                            MappingError::Form => ErrorCode::ValueInvalid,
                            MappingError::Name { .. } => ErrorCode::NameInvalid,
                        };
                        self.fields.add(format!("/mappings/{index}"), code, error.to_string());
                    }
                }
            }
        }
        mappings
    }

    fn interval(&mut self, seconds: u64) -> u64 {
        if !(1..=LONGEST_INTERVAL).contains(&seconds) {
            let detail = format!("between 1 and {LONGEST_INTERVAL} seconds");
            self.fields.add("/sync_interval_seconds", ErrorCode::ValueRange, detail);
        }
        seconds
    }

    fn metadata(&mut self, value: Option<Value>) -> Option<Value> {
        let value = value.filter(|value| !value.is_null());
        if value.as_ref().is_some_and(|value| !value.is_object()) {
            self.fields.add("/extra_metadata", ErrorCode::ValueInvalid, "this is a JSON object, or absent");
        }
        value
    }

    fn description(&mut self, text: Option<String>) -> Option<String> {
        if text.as_ref().is_some_and(|text| text.chars().count() > 1000) {
            self.fields.add("/description", ErrorCode::ValueInvalid, "at most 1000 characters");
        }
        text
    }

    /// Everything that was noted, or else what the definition as a whole gets wrong.
    fn finish(self, group: &SyncGroup, pointers: Pointers) -> Answer<()> {
        // What could not be parsed is missing from the definition: its problems would only repeat that.
        self.fields.finish(ErrorCode::GroupInvalid)?;
        let mut fields = Fields::default();
        for problem in group.problems() {
            let code = ErrorCode::from_code(problem.code).unwrap_or(ErrorCode::GroupInvalid);
            fields.add(pointers.of(&problem.pointer), code, problem.detail);
        }
        fields.finish(ErrorCode::GroupInvalid)
    }
}

/// How the request names its fields.
#[derive(Clone, Copy)]
struct Pointers {
    systems: &'static str,
    source_of_truth: &'static str,
}

impl Pointers {
    fn new(old_systems: bool, old_source: bool) -> Self {
        Self {
            systems: if old_systems { "/system_ids" } else { "/systems" },
            source_of_truth: if old_source { "/hub_system_id" } else { "/source_of_truth" },
        }
    }

    fn of(self, pointer: &str) -> String {
        match pointer.strip_prefix("/systems") {
            Some(rest) => format!("{}{rest}", self.systems),
            None if pointer == "/source_of_truth" => self.source_of_truth.to_owned(),
            // A mapping is one text in requests.
            None => pointer.trim_end_matches("/from").trim_end_matches("/to").to_owned(),
        }
    }
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
    let mut reader = Reader { state: &state, fields: Fields::default() };
    let old_systems = body.systems.is_empty() && body.system_ids.is_some();
    let old_source = body.source_of_truth.is_none() && body.hub_system_id.is_some();
    let pointers = Pointers::new(old_systems, old_source);
    let listed = if old_systems { body.system_ids.unwrap_or_default() } else { body.systems };
    let members = reader.systems(pointers.systems, &listed).await?;
    let mut source = None;
    if let Some(text) = body.source_of_truth.or(body.hub_system_id) {
        source = reader.system(pointers.source_of_truth, &text).await?;
    } else {
        let detail = "name the member whose history the others follow; data flows one way, from it";
        reader.fields.add(pointers.source_of_truth, ErrorCode::FieldRequired, detail);
    }
    // The old service has no selection: a group of its form covers everything.
    let everything =
        if old_systems && body.datasets.is_empty() { vec!["**".to_owned()] } else { body.datasets };
    let group = SyncGroup {
        id: GroupId::from_uuid(Uuid::now_v7()),
        name: body.name,
        enabled: body.enabled.unwrap_or(true),
        mode: GroupMode::OneWay,
        source_of_truth: source.unwrap_or(SystemId::from_uuid(Uuid::nil())),
        members,
        include: reader.patterns("/datasets", &everything),
        exclude: reader.patterns("/exclude", &body.exclude),
        mappings: reader.mappings(&body.mappings),
        auto: body.auto,
        on_divergence: body.on_divergence,
    };
    let settings = GroupSettings {
        description: reader.description(body.description),
        extra_metadata: reader.metadata(body.extra_metadata).unwrap_or_else(|| json!({})),
        sync_interval_seconds: body.sync_interval_seconds.map_or(3600, |seconds| reader.interval(seconds)),
    };
    reader.finish(&group, pointers)?;
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
    let inventory = state.store.inventory(row.group.source_of_truth).await?;
    let warnings = inventory.map(|inventory| views::doubts(&row.group, &inventory)).unwrap_or_default();
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
    let GroupRow { mut group, description, extra_metadata, sync_interval_seconds, .. } =
        existing(&state, id).await?;
    let before = group.clone();
    let mut settings = GroupSettings { description, extra_metadata, sync_interval_seconds };
    let mut reader = Reader { state: &state, fields: Fields::default() };
    let pointers = Pointers::new(
        body.systems.is_none() && body.system_ids.is_some(),
        body.source_of_truth.is_none() && body.hub_system_id.is_some(),
    );
    if let Some(name) = body.name {
        group.name = name;
    }
    if let Some(listed) = body.systems.or(body.system_ids) {
        group.members = reader.systems(pointers.systems, &listed).await?;
    }
    if let Some(text) = body.source_of_truth.or(body.hub_system_id)
        && let Some(source) = reader.system(pointers.source_of_truth, &text).await?
    {
        group.source_of_truth = source;
    }
    if let Some(texts) = body.datasets {
        group.include = reader.patterns("/datasets", &texts);
    }
    if let Some(texts) = body.exclude {
        group.exclude = reader.patterns("/exclude", &texts);
    }
    if let Some(texts) = body.mappings {
        group.mappings = reader.mappings(&texts);
    }
    group.enabled = body.enabled.unwrap_or(group.enabled);
    group.auto = body.auto.unwrap_or(group.auto);
    group.on_divergence = body.on_divergence.unwrap_or(group.on_divergence);
    if let Some(text) = reader.description(body.description) {
        settings.description = Some(text).filter(|text| !text.is_empty());
    }
    if let Some(value) = reader.metadata(body.extra_metadata) {
        settings.extra_metadata = value;
    }
    if let Some(seconds) = body.sync_interval_seconds {
        settings.sync_interval_seconds = reader.interval(seconds);
    }
    reader.finish(&group, pointers)?;
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
    let detail = json!({ "before": before, "after": group });
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
    let mut reader = Reader { state: &state, fields: Fields::default() };
    let system = reader.system("/system_id", &body.system_id).await?;
    reader.fields.finish(ErrorCode::GroupInvalid)?;
    let Some(system) = system.filter(|system| !row.group.members.contains(system)) else {
        return stored(&state, row).await;
    };
    let mut group = row.group.clone();
    group.members.push(system);
    replace(&state, &actor, "group.add_member", &row.group, &group, &settings_of(&row)).await
}

fn settings_of(row: &GroupRow) -> GroupSettings {
    GroupSettings {
        description: row.description.clone(),
        extra_metadata: row.extra_metadata.clone(),
        sync_interval_seconds: row.sync_interval_seconds,
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
        let reader = Reader { state: &state, fields: Fields::default() };
        reader.finish(&group, Pointers::new(false, false))?;
        let _ =
            replace(&state, &actor, "group.remove_member", &row.group, &group, &settings_of(&row)).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
