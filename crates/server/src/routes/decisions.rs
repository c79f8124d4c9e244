//! Decisions: taking one back.

use std::collections::BTreeSet;

use axum::{Json, extract::State};
use serde_json::json;
use zfs_sync_api::{codes::ErrorCode, v1::conflict::WithdrawAnswer};
use zfs_sync_core::{group::SyncGroup, ids::ConflictId, name::DatasetName};

use super::groups;
use crate::{
    auth::Actor,
    error::{Answer, ApiError},
    extract::Id,
    planning::{self, Fleet, PlanError, Scope},
    state::AppState,
    views::{self, Directory, Standing},
};

fn nothing_decided(id: ConflictId) -> ApiError {
    let detail = format!(
        "no decision about the conflict {id} stands: none was made, it is carried out, or it was withdrawn already"
    );
    ApiError::new(ErrorCode::NoDecision, detail)
        .hint(format!("`zfs-sync conflict show {id}` says how it stands"))
}

/// Takes back what was decided about a conflict; what runs is not cut off
#[utoipa::path(
    post, path = "/conflicts/{conflict_id}/withdraw", tag = "conflicts", params(("conflict_id" = uuid::Uuid, Path)),
    responses((status = 200, body = WithdrawAnswer)),
)]
pub(crate) async fn withdraw_decision(
    State(state): State<AppState>,
    actor: Actor,
    Id(id): Id<ConflictId>,
) -> Answer<Json<WithdrawAnswer>> {
    let conflict = views::conflict(&state, id).await?;
    let group = state.store.group(conflict.group).await?;
    let group = group.ok_or_else(|| groups::not_found(conflict.group))?.group;
    let _one_at_a_time = state.planning.lock().await;
    let standing = Standing::load(&state, [group.id]).await?;
    let row = standing.about(&conflict).ok_or_else(|| nothing_decided(id))?;
    let withdrawn = planning::withdraw(&state, &group, row).await?.ok_or_else(|| nothing_decided(id))?;
    let directory = Directory::load(&state).await?;
    let answer = WithdrawAnswer {
        plan_id: row.plan,
        decision: row.decision.clone(),
        targets: row.decision.targets.iter().map(|target| directory.hostname(*target)).collect(),
        dropped: withdrawn.dropped,
        running: withdrawn.running,
    };
    let detail = json!({
        "plan_id": answer.plan_id,
        "decision": answer.decision,
        "decided_by": row.created_by,
        "dropped": answer.dropped,
        "running": answer.running,
    });
    state.audit(&actor, "decision.withdraw", format!("conflict:{id}"), detail).await;
    tell(&state, id, &group, &answer).await;
    if let Err(error) = plan_again(&state, &group, &row.decision.dataset).await {
        tracing::error!(conflict = %id, error = &error as &dyn std::error::Error, "could not plan what is left of conflict {id}");
    }
    state.wake.groups_changed([group.id]);
    Ok(Json(answer))
}

async fn tell(state: &AppState, id: ConflictId, group: &SyncGroup, answer: &WithdrawAnswer) {
    let WithdrawAnswer { plan_id, decision, targets, .. } = answer;
    tracing::info!(
        plan = %plan_id, group.name = %group.name, dataset.name = %decision.dataset,
        "what was decided about {} was withdrawn", decision.dataset
    );
    let data = json!({
        "conflict_id": id,
        "plan_id": plan_id,
        "sync_group_id": group.id,
        "sync_group": group.name,
        "dataset": decision.dataset,
        "systems": targets,
    });
    state.events.publish("decision_withdrawn", data).await;
}

/// How the replicas stand without it. What may start by itself is for the planner to start.
async fn plan_again(state: &AppState, group: &SyncGroup, dataset: &DatasetName) -> Result<(), PlanError> {
    let mut fleet = Fleet::load(state).await?;
    let scope = Scope::Datasets(BTreeSet::from([dataset.clone()]));
    let planned = planning::plan_group(state, &mut fleet, group, scope.clone()).await?;
    planning::keep(state, &fleet, group, &scope, planned.report.replicas).await?;
    Ok(())
}
