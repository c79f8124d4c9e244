//! Checking, planning and executing a group.

use std::collections::BTreeSet;

use axum::{Json, extract::State};
use serde_json::json;
use zfs_sync_api::{
    codes::ErrorCode,
    v1::sync::{CheckAnswer, ExecuteAnswer, PlanAnswer, PlanRequest, PlannedStep},
};
use zfs_sync_core::plan::{KeepBoth, ReplicaState};
use zfs_sync_store::GroupRow;

use super::groups;
use crate::{
    auth::Actor,
    command_line,
    error::{Answer, ApiError},
    extract::{OptionalBody, Segment},
    planning::{self, Fleet, Planned},
    state::AppState,
    views::{self, Directory},
};

/// The group in the path, by id or name.
async fn named(state: &AppState, text: &str) -> Answer<GroupRow> {
    let row = match text.parse() {
        Ok(id) => state.store.group(id).await?,
        Err(_) => state.store.group_by_name(text).await?,
    };
    row.ok_or_else(|| groups::not_found(text.chars().take(64).collect::<String>()))
}

async fn warnings(
    state: &AppState,
    fleet: &mut Fleet,
    row: &GroupRow,
) -> Answer<Vec<zfs_sync_api::v1::group::Note>> {
    let inventory = fleet.inventory(state, row.group.source_of_truth).await?;
    Ok(inventory.map(|inventory| views::doubts(&row.group, &inventory)).unwrap_or_default())
}

/// Replicas that a person wants set aside, each checked to be one of the group's.
async fn keep_both(
    state: &AppState,
    row: &GroupRow,
    texts: &[String],
    planned: &Planned,
) -> Answer<BTreeSet<KeepBoth>> {
    let mut decided = BTreeSet::new();
    for (index, text) in texts.iter().enumerate() {
        let pointer = format!("/keep_both/{index}");
        let (dataset, system) = views::selector(text, &pointer)?;
        let Some(system) = views::system_named(state, system).await? else {
            let detail = format!("there is no system {system}");
            return Err(ApiError::at(pointer, ErrorCode::SystemNotFound, detail));
        };
        let matching = planned.report.replicas.iter().filter(|replica| {
            replica.target_system == system.id && (replica.target == dataset || replica.source == dataset)
        });
        let targets: Vec<_> =
            matching.map(|replica| KeepBoth { system: system.id, target: replica.target.clone() }).collect();
        if targets.is_empty() {
            let detail =
                format!("group {} has no replica of {dataset} on {}", row.group.name, system.hostname);
            return Err(ApiError::at(pointer, ErrorCode::ReplicaNotFound, detail));
        }
        decided.extend(targets);
    }
    Ok(decided)
}

async fn planned(
    state: &AppState,
    fleet: &mut Fleet,
    row: &GroupRow,
    request: &PlanRequest,
) -> Answer<Planned> {
    let first = planning::plan_group(state, fleet, &row.group, BTreeSet::new()).await?;
    if request.keep_both.is_empty() {
        return Ok(first);
    }
    let decided = keep_both(state, row, &request.keep_both, &first).await?;
    Ok(planning::plan_group(state, fleet, &row.group, decided).await?)
}

/// Plans a group now and says how it stands; starts nothing
#[utoipa::path(
    post, path = "/sync/{group}/check", tag = "sync",
    params(("group" = String, Path, description = "Id or name")), responses((status = 200, body = CheckAnswer)),
)]
pub(super) async fn check_group(
    State(state): State<AppState>,
    Segment(group): Segment,
) -> Answer<Json<CheckAnswer>> {
    let row = named(&state, &group).await?;
    let _one_at_a_time = state.planning.lock().await;
    let mut fleet = Fleet::load(&state).await?;
    let planned = planning::plan_group(&state, &mut fleet, &row.group, BTreeSet::new()).await?;
    let warnings = warnings(&state, &mut fleet, &row).await?;
    let suppressed = planned.not_acted_on();
    planning::keep(&state, &fleet, &row.group, planned.report.replicas).await?;
    let replicas = views::replicas(&state, Some(row.group.id)).await?;
    let mut counts = std::collections::BTreeMap::new();
    for replica in &replicas {
        *counts.entry(replica.state.as_str().to_owned()).or_default() += 1;
    }
    let in_sync =
        !replicas.is_empty() && replicas.iter().all(|replica| replica.state == ReplicaState::InSync);
    Ok(Json(CheckAnswer {
        group_id: row.group.id.as_uuid(),
        group: row.group.name,
        counts,
        in_sync,
        suppressed,
        warnings,
        replicas,
        as_of: fleet.now,
    }))
}

/// What would be done now, step by step; changes nothing
#[utoipa::path(
    post, path = "/sync/{group}/plan", tag = "sync",
    params(("group" = String, Path, description = "Id or name")), request_body = PlanRequest,
    responses((status = 200, body = PlanAnswer)),
)]
pub(super) async fn plan_group(
    State(state): State<AppState>,
    Segment(group): Segment,
    OptionalBody(body): OptionalBody<PlanRequest>,
) -> Answer<Json<PlanAnswer>> {
    let row = named(&state, &group).await?;
    let mut fleet = Fleet::load(&state).await?;
    let planned = planned(&state, &mut fleet, &row, &body.unwrap_or_default()).await?;
    let warnings = warnings(&state, &mut fleet, &row).await?;
    let directory = Directory::load(&state).await?;
    let steps = planned.plan.steps.iter().map(|step| PlannedStep {
        source_system: directory.hostname(step.source_system),
        target_system: directory.hostname(step.target_system),
        source: step.source.to_string(),
        target: step.target.to_string(),
        summary: views::summary(step, &directory),
        commands: command_line::of_step(step, &directory.systems),
    });
    Ok(Json(PlanAnswer {
        group_id: row.group.id.as_uuid(),
        group: row.group.name.clone(),
        steps: steps.collect(),
        destroys: planned.plan.destroys.iter().map(ToString::to_string).collect(),
        suppressed: planned.suppressed(),
        fingerprint: planned.plan.fingerprint.0,
        warnings,
    }))
}

/// Starts what is to be done now, also what was parked: a person has decided
#[utoipa::path(
    post, path = "/sync/{group}/execute", tag = "sync",
    params(("group" = String, Path, description = "Id or name")), request_body = PlanRequest,
    responses((status = 200, body = ExecuteAnswer)),
)]
pub(super) async fn execute_group(
    State(state): State<AppState>,
    actor: Actor,
    Segment(group): Segment,
    OptionalBody(body): OptionalBody<PlanRequest>,
) -> Answer<Json<ExecuteAnswer>> {
    let request = body.unwrap_or_default();
    let row = named(&state, &group).await?;
    let _one_at_a_time = state.planning.lock().await;
    let mut fleet = Fleet::load(&state).await?;
    let planned = planned(&state, &mut fleet, &row, &request).await?;
    if request.fingerprint.as_ref().is_some_and(|seen| *seen != planned.plan.fingerprint.0) {
        let detail = "things have changed since the plan was made; nothing was started";
        return Err(
            ApiError::at("/fingerprint", ErrorCode::PlanStale, detail).hint("look at the new plan first")
        );
    }
    let executed = planning::execute(&state, &mut fleet, &row.group, &planned).await?;
    let suppressed = executed.planned.suppressed();
    planning::keep(&state, &fleet, &row.group, executed.planned.report.replicas).await?;
    state.wake.groups_changed([row.group.id]);
    let detail = json!({
        "queued": executed.queued,
        "keep_both": request.keep_both,
        "fingerprint": planned.plan.fingerprint.0,
    });
    state.audit(&actor, "group.execute", format!("group:{}", row.group.name), detail).await;
    Ok(Json(ExecuteAnswer {
        group_id: row.group.id.as_uuid(),
        queued: executed.queued,
        already_running: executed.already_running,
        suppressed,
    }))
}
