//! Conflicts: what they are, what could be done, and not hearing of them for a while.

use axum::{Json, extract::State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;
use uuid::Uuid;
use zfs_sync_api::{
    codes::ErrorCode,
    v1::{
        conflict::{Conflict, ConflictState, IgnoreConflict, ProposePlan},
        plan::Plan,
    },
};
use zfs_sync_core::{
    group::{Strategy, SyncGroup},
    ids::{ConflictId, PlanId},
    plan::{ConflictKind, Decision, Proposal, Refusal, ReplicaKey, Severity},
};
use zfs_sync_store::{ConflictFilter, Error as StoreError, NewPlan, PlanRow};

use super::transfers::{group_in_query, system_in_query};
use crate::{
    auth::Actor,
    error::{Answer, ApiError},
    extract::{Body, Id, Params},
    planning::{self, Fleet},
    state::AppState,
    views::{self, show_one_conflict, show_plan},
};

/// What a page of people's lists holds.
const DEFAULT_LIMIT: u64 = 100;
/// Bytes of a note; more comes from a script that went wild.
const LONGEST_NOTE: usize = 1000;

/// Which conflicts
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ConflictQuery {
    /// Of this group, by id or name.
    sync_group: Option<String>,
    /// With this system as source or target, by id or host name.
    system: Option<String>,
    /// With this dataset as source, target or logical name.
    dataset: Option<String>,
    /// Of this kind: `diverged`, `no_common_base`, …
    kind: Option<String>,
    /// That bad: `low`, `medium`, `high`.
    severity: Option<String>,
    /// `open` (when absent), `ignored`, `resolved` or `all`.
    state: Option<String>,
    /// At most so many, newest first; 100 when absent.
    limit: Option<u64>,
}

fn one_of(pointer: &str, what: &str, names: &[&str]) -> ApiError {
    ApiError::at(pointer, ErrorCode::ValueInvalid, format!("{what} is one of {}", names.join(", ")))
}

/// Conflicts, newest first
#[utoipa::path(
    get, path = "/conflicts", tag = "conflicts", params(ConflictQuery), responses((status = 200, body = Vec<Conflict>)),
)]
pub(super) async fn list_conflicts(
    State(state): State<AppState>,
    Params(query): Params<ConflictQuery>,
) -> Answer<Json<Vec<Conflict>>> {
    let mut filter = ConflictFilter {
        limit: Some(query.limit.unwrap_or(DEFAULT_LIMIT).min(i64::MAX.cast_unsigned())),
        ..ConflictFilter::default()
    };
    if let Some(text) = query.sync_group {
        filter.group = Some(group_in_query(&state, "?sync_group", &text).await?);
    }
    if let Some(text) = query.system {
        filter.system = Some(system_in_query(&state, &text).await?);
    }
    if let Some(text) = query.dataset {
        let dataset = text.parse().map_err(|error: zfs_sync_core::name::NameError| {
            ApiError::at("?dataset", ErrorCode::NameInvalid, error.to_string())
                .hint("write the dataset as `zfs list` does, for example tank/media")
        })?;
        filter.dataset = Some(dataset);
    }
    if let Some(text) = query.kind {
        let names = ConflictKind::ALL.map(ConflictKind::as_str);
        filter.kinds = vec![ConflictKind::from_name(&text).ok_or_else(|| one_of("?kind", "a kind", &names))?];
    }
    if let Some(text) = query.severity {
        let severity = Severity::from_name(&text);
        let severity =
            severity.ok_or_else(|| one_of("?severity", "a severity", &["low", "medium", "high"]))?;
        filter.severities = vec![severity];
    }
    let wanted = match query.state.as_deref() {
        None => Some(ConflictState::Open),
        Some("all") => None,
        Some(text) => {
            let names = ["open", "ignored", "resolved", "all"];
            Some(ConflictState::from_name(text).ok_or_else(|| one_of("?state", "a state", &names))?)
        }
    };
    views::conflicts(&state, filter, wanted).await.map(Json)
}

/// One conflict
#[utoipa::path(
    get, path = "/conflicts/{conflict_id}", tag = "conflicts", params(("conflict_id" = uuid::Uuid, Path)),
    responses((status = 200, body = Conflict)),
)]
pub(super) async fn find_conflict(
    State(state): State<AppState>,
    Id(id): Id<ConflictId>,
) -> Answer<Json<Conflict>> {
    let row = views::conflict(&state, id).await?;
    show_one_conflict(&state, row).await.map(Json)
}

/// What a strategy would do, kept as a plan that can be applied; changes nothing else
#[utoipa::path(
    post, path = "/conflicts/{conflict_id}/plan", tag = "conflicts", params(("conflict_id" = uuid::Uuid, Path)),
    request_body = ProposePlan, responses((status = 201, body = Plan)),
)]
pub(crate) async fn propose_plan(
    State(state): State<AppState>,
    actor: Actor,
    Id(id): Id<ConflictId>,
    Body(body): Body<ProposePlan>,
) -> Answer<(StatusCode, Json<Plan>)> {
    let conflict = views::conflict(&state, id).await?;
    if conflict.resolved_at.is_some() {
        return Err(ApiError::new(ErrorCode::ConflictResolved, "the conflict is over")
            .hint("`zfs-sync conflict list` shows what is still open"));
    }
    let group = state.store.group(conflict.group).await?;
    let group = group.ok_or_else(|| super::groups::not_found(conflict.group))?.group;
    let mut fleet = Fleet::load(&state).await?;
    let row = store_proposal(&state, &mut fleet, &actor, &group, &conflict.replica, body.strategy).await;
    let row = row.map_err(|error| match error.code() {
        ErrorCode::StrategyRefused => {
            let detail = error.problem().detail_text();
            error
                .field("/strategy", ErrorCode::StrategyRefused, detail)
                .hint(format!("`zfs-sync conflict show {id}` lists what each strategy comes to"))
        }
        _ => error,
    })?;
    Ok((StatusCode::CREATED, Json(show_plan(&state, row).await?)))
}

/// Proposes from the present state and keeps what comes of it.
pub(crate) async fn store_proposal(
    state: &AppState,
    fleet: &mut Fleet,
    actor: &Actor,
    group: &SyncGroup,
    replica: &ReplicaKey,
    strategy: Strategy,
) -> Answer<PlanRow> {
    let proposal = match propose(state, fleet, group, replica, strategy).await? {
        Ok(proposal) => proposal,
        Err(refusal) => return Err(refused(strategy, &refusal)),
    };
    let Proposal { plan, .. } = &proposal;
    tracing::info!(
        group.name = %group.name, dataset.name = %replica.dataset, count = plan.destroys.len(),
        "a plan with the strategy {} destroys {} snapshots", strategy.as_str(), plan.destroys.len(),
    );
    let id = PlanId::from_uuid(Uuid::now_v7());
    let new = NewPlan { id, group: group.id, replica: replica.clone(), proposal, created_by: actor.name() };
    match state.store.insert_plan(&new, state.now()).await {
        Ok(row) => Ok(row),
        Err(StoreError::NotFound { .. }) => Err(super::groups::not_found(&group.name)),
        Err(error) => Err(error.into()),
    }
}

/// Proposes from the present state. One decision stands for a dataset at a time: what was decided in the same sense about other replicas of
/// it and is not carried out yet is part of the new one, so that it is not lost.
pub(crate) async fn propose(
    state: &AppState,
    fleet: &mut Fleet,
    group: &SyncGroup,
    replica: &ReplicaKey,
    strategy: Strategy,
) -> Answer<Result<Proposal, Refusal>> {
    let mut answer = planning::propose(state, fleet, group, replica, strategy).await?;
    if let Ok(Proposal { decision: new, .. }) = &mut answer {
        let standing = planning::decisions(state, group.id).await?;
        let same = |old: &&Decision| {
            old.home == new.home
                && old.dataset == new.dataset
                && old.winner == new.winner
                && old.how == new.how
        };
        if let Some(old) = standing.iter().find(same) {
            new.targets.extend(&old.targets);
            for (system, guids) in &old.may_destroy {
                new.may_destroy.entry(*system).or_default().extend(guids);
            }
            for (system, bytes) in &old.may_discard {
                new.may_discard.entry(*system).or_insert(*bytes);
            }
            for (system, guid) in &old.may_move {
                new.may_move.entry(*system).or_insert(*guid);
            }
        }
    }
    Ok(answer)
}

/// Why there is no plan with a strategy, for the person who asked.
pub(crate) fn refused(strategy: Strategy, refusal: &Refusal) -> ApiError {
    match refusal {
        Refusal::NoConflict => {
            ApiError::new(ErrorCode::NoConflict, "the replica is not in conflict; nothing has to be decided")
                .hint("`zfs-sync why DATASET@SYSTEM` says how it stands")
        }
        Refusal::Obstacle(why) => {
            let detail = format!("{} can not be used here: {why}", strategy.as_str());
            ApiError::new(ErrorCode::StrategyRefused, detail)
                .hint("`zfs-sync conflict show` lists what each strategy comes to")
        }
    }
}

/// Leaves a conflict out of lists until a time, or no longer
#[utoipa::path(
    post, path = "/conflicts/{conflict_id}/ignore", tag = "conflicts", params(("conflict_id" = uuid::Uuid, Path)),
    request_body = IgnoreConflict, responses((status = 200, body = Conflict)),
)]
pub(crate) async fn ignore_conflict(
    State(state): State<AppState>,
    actor: Actor,
    Id(id): Id<ConflictId>,
    Body(body): Body<IgnoreConflict>,
) -> Answer<Json<Conflict>> {
    if body.note.as_ref().is_some_and(|note| note.len() > LONGEST_NOTE) {
        return Err(ApiError::at("/note", ErrorCode::ValueInvalid, format!("at most {LONGEST_NOTE} bytes")));
    }
    let now = state.now();
    if body.until.is_some_and(|until| until <= now) {
        return Err(ApiError::at("/until", ErrorCode::ValueRange, "this time has passed; name one to come")
            .hint(format!("to hear of the conflict again: `zfs-sync conflict unignore {id}`")));
    }
    let row = match state.store.ignore_conflict(id, body.until, &actor.name(), body.note.as_deref()).await {
        Ok(row) => row,
        Err(StoreError::NotFound { .. }) => {
            return Err(views::no_conflict(id));
        }
        Err(StoreError::Conflict { what }) => {
            return Err(ApiError::new(ErrorCode::ConflictResolved, what)
                .hint("`zfs-sync conflict list` shows what is still open"));
        }
        Err(error) => return Err(error.into()),
    };
    let action = if body.until.is_some() { "conflict.ignore" } else { "conflict.unignore" };
    let detail = json!({ "until": body.until, "note": body.note, "kind": row.kind });
    state.audit(&actor, action, format!("conflict:{id}"), detail).await;
    show_one_conflict(&state, row).await.map(Json)
}
