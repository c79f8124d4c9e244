//! Checking, planning and executing a group.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State};
use serde_json::json;
use zfs_sync_api::{
    codes::ErrorCode,
    v1::sync::{Change, CheckAnswer, ExecuteAnswer, PlanAnswer, PlanRequest, Standing},
};
use zfs_sync_core::{
    group::{Strategy, SyncGroup},
    ids::{GroupId, TransferId},
    plan::{ReplicaKey, ReplicaReport, ReplicaState},
};
use zfs_sync_store::{GroupRow, ReplicaFilter, ReplicaRow};

use super::{conflicts, groups, plans};
use crate::{
    auth::Actor,
    error::{Answer, ApiError},
    extract::{OptionalBody, Segment},
    planning::{self, Fleet, Planned, Scope},
    state::AppState,
    views::{self, Directory},
};

/// Plans that are made, one after the other, to set one replica aside: reports of a busy system come about once a second.
const ATTEMPTS: u32 = 3;

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
    let mut inventories = Vec::new();
    for home in row.group.homes() {
        inventories.extend(fleet.inventory(state, home).await?);
    }
    Ok(views::doubts_of(&row.group, &inventories.iter().map(Arc::as_ref).collect::<Vec<_>>()))
}

/// Replicas that a person wants set aside, each one of the group's and in conflict.
async fn keep_both(
    state: &AppState,
    row: &GroupRow,
    texts: &[String],
    planned: &Planned,
) -> Answer<Vec<ReplicaKey>> {
    let mut decided: Vec<ReplicaKey> = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let pointer = format!("/keep_both/{index}");
        let (dataset, system) = views::selector(text, &pointer)?;
        let Some(system) = views::system_named(state, system).await? else {
            let detail = format!("there is no system {system}");
            return Err(ApiError::at(pointer, ErrorCode::SystemNotFound, detail));
        };
        let matching: Vec<&ReplicaReport> = planned
            .report
            .replicas
            .iter()
            .filter(|replica| {
                let names = [&replica.target, &replica.source, &replica.dataset];
                replica.target_system == system.id && names.contains(&&dataset)
            })
            .collect();
        if matching.is_empty() {
            let detail =
                format!("group {} has no replica of {dataset} on {}", row.group.name, system.hostname);
            return Err(ApiError::at(pointer, ErrorCode::ReplicaNotFound, detail)
                .hint(format!("`zfs-sync group show {}` lists what is replicated", row.group.name)));
        }
        let in_conflict = matching.into_iter().filter(|replica| replica.conflict.is_some());
        let keys: Vec<ReplicaKey> = in_conflict.map(ReplicaReport::key).collect();
        if keys.is_empty() {
            let detail = format!(
                "{dataset} on {} is not in conflict, so there are no two histories to keep; nothing was started",
                system.hostname
            );
            return Err(ApiError::at(pointer, ErrorCode::NoConflict, detail));
        }
        for key in keys {
            if !decided.contains(&key) {
                decided.push(key);
            }
        }
    }
    Ok(decided)
}

/// What was kept of each replica when the group was last planned, and what is new.
fn changes(before: Vec<ReplicaRow>, after: &[ReplicaReport], directory: &Directory) -> Vec<Change> {
    let mut before: BTreeMap<ReplicaKey, ReplicaRow> =
        before.into_iter().map(|row| (row.key(), row)).collect();
    let was = |row: &ReplicaRow| Standing { state: row.state, reason: row.reason.clone() };
    let is = |replica: &ReplicaReport| Standing {
        state: replica.state,
        reason: replica.reason.map(|reason| reason.code().to_owned()),
    };
    let mut changes = Vec::new();
    for replica in after {
        let (old, new) = (before.remove(&replica.key()).as_ref().map(was), Some(is(replica)));
        if old != new {
            changes.push(Change {
                dataset: replica.dataset.to_string(),
                target_system: directory.hostname(replica.target_system),
                target: replica.target.to_string(),
                before: old,
                after: new,
            });
        }
    }
    let gone = before.into_values().map(|row| Change {
        dataset: row.dataset.to_string(),
        target_system: directory.hostname(row.target_system),
        target: row.target.to_string(),
        before: Some(was(&row)),
        after: None,
    });
    changes.extend(gone);
    changes.sort_by(|a, b| (&a.dataset, &a.target_system).cmp(&(&b.dataset, &b.target_system)));
    changes
}

async fn kept(state: &AppState, group: GroupId) -> Answer<Vec<ReplicaRow>> {
    Ok(state.store.replicas(&ReplicaFilter { group: Some(group), ..ReplicaFilter::default() }).await?)
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
    let planned = planning::plan_group(&state, &mut fleet, &row.group, Scope::All).await?;
    let warnings = warnings(&state, &mut fleet, &row).await?;
    let suppressed = planned.not_acted_on();
    planning::keep(&state, &fleet, &row.group, &Scope::All, planned.report.replicas).await?;
    let replicas = views::replicas(&state, Some(row.group.id)).await?;
    let mut counts = BTreeMap::new();
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
    let request = body.unwrap_or_default();
    let mut fleet = Fleet::load(&state).await?;
    let planned = planning::plan_group(&state, &mut fleet, &row.group, Scope::All).await?;
    let mut steps = planned.plan.steps.clone();
    let mut destroys = planned.plan.destroys.clone();
    // What the decisions would do that `execute` is to take, in front of the rest.
    for key in keep_both(&state, &row, &request.keep_both, &planned).await?.into_iter().rev() {
        let proposal = planning::propose(&state, &mut fleet, &row.group, &key, Strategy::KeepBoth).await?;
        let proposal = proposal.map_err(|refusal| conflicts::refused(Strategy::KeepBoth, &refusal))?;
        steps.splice(
            0..0,
            proposal.plan.steps.into_iter().filter(|step| step.target_system == key.target_system),
        );
        destroys.extend(proposal.plan.destroys);
    }
    let warnings = warnings(&state, &mut fleet, &row).await?;
    let directory = Directory::load(&state).await?;
    let changes = if request.diff {
        Some(changes(kept(&state, row.group.id).await?, &planned.report.replicas, &directory))
    } else {
        None
    };
    Ok(Json(PlanAnswer {
        group_id: row.group.id.as_uuid(),
        group: row.group.name.clone(),
        steps: steps.iter().map(|step| views::planned_step(step, &directory)).collect(),
        destroys: views::destroyed(&state, &destroys, &directory).await?,
        suppressed: planned.suppressed(),
        fingerprint: planned.plan.fingerprint.0,
        warnings,
        changes,
    }))
}

/// Decides that both are kept, by a plan that nobody has looked at: what was reported between its making and its application is no reason to
/// ask anybody again. Whoever calls holds the planning lock.
async fn set_aside(
    state: &AppState,
    fleet: &mut Fleet,
    actor: &Actor,
    group: &SyncGroup,
    key: &ReplicaKey,
) -> Answer<Vec<TransferId>> {
    let mut attempt = 1;
    loop {
        let plan = conflicts::store_proposal(state, fleet, actor, group, key, Strategy::KeepBoth).await?;
        match plans::apply(state, fleet, actor, group, plan).await {
            Err(error) if error.code() == ErrorCode::PlanStale && attempt < ATTEMPTS => attempt += 1,
            applied => return applied.map(|applied| applied.queued),
        }
    }
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
    let planned = planning::plan_group(&state, &mut fleet, &row.group, Scope::All).await?;
    if request.fingerprint.as_ref().is_some_and(|seen| *seen != planned.plan.fingerprint.0) {
        let detail = "things have changed since the plan was made; nothing was started";
        return Err(
            ApiError::at("/fingerprint", ErrorCode::PlanStale, detail).hint("look at the new plan first")
        );
    }
    // All that is wrong with the request is told before anything is decided.
    let keys = keep_both(&state, &row, &request.keep_both, &planned).await?;
    let mut queued: Vec<TransferId> = Vec::new();
    for key in &keys {
        queued.extend(set_aside(&state, &mut fleet, &actor, &row.group, key).await?);
    }
    let planned = if keys.is_empty() {
        planned
    } else {
        planning::plan_group(&state, &mut fleet, &row.group, Scope::All).await?
    };
    let executed = planning::execute(&state, &mut fleet, &row.group, &Scope::All, &planned).await?;
    let suppressed = executed.planned.suppressed();
    planning::keep(&state, &fleet, &row.group, &Scope::All, executed.planned.report.replicas).await?;
    state.wake.groups_changed([row.group.id]);
    // What a decision started runs by now.
    let started = u32::try_from(queued.len()).unwrap_or(u32::MAX);
    queued.extend(executed.queued);
    let detail = json!({
        "queued": queued,
        "keep_both": request.keep_both,
        "fingerprint": planned.plan.fingerprint.0,
    });
    state.audit(&actor, "group.execute", format!("group:{}", row.group.name), detail).await;
    Ok(Json(ExecuteAnswer {
        group_id: row.group.id.as_uuid(),
        queued,
        already_running: executed.already_running.saturating_sub(started),
        suppressed,
    }))
}
