//! Plans that were looked at: showing them again, and applying them.

use std::collections::BTreeSet;

use axum::{Json, extract::State};
use serde_json::json;
use zfs_sync_api::{
    codes::ErrorCode,
    v1::plan::{ApplyAnswer, Plan},
};
use zfs_sync_core::{
    group::SyncGroup,
    ids::{PlanId, TransferId},
    plan::Decision,
};
use zfs_sync_store::{Error as StoreError, PlanRow};

use super::{conflicts, groups};
use crate::{
    auth::Actor,
    error::{Answer, ApiError},
    extract::Id,
    planning::{self, Fleet, PlanError, Scope},
    state::AppState,
    views::{self, Directory, casualties, show_plan},
};

async fn row(state: &AppState, id: PlanId) -> Answer<PlanRow> {
    state.store.plan(id).await?.ok_or_else(|| {
        ApiError::new(ErrorCode::PlanNotFound, format!("there is no plan {id}"))
            .hint("`zfs-sync conflict resolve CONFLICT --strategy STRATEGY --dry-run` makes one")
    })
}

/// One plan, with every snapshot that it destroys
#[utoipa::path(
    get, path = "/plans/{plan_id}", tag = "conflicts", params(("plan_id" = uuid::Uuid, Path)),
    responses((status = 200, body = Plan)),
)]
pub(crate) async fn find_plan(State(state): State<AppState>, Id(id): Id<PlanId>) -> Answer<Json<Plan>> {
    show_plan(&state, row(&state, id).await?).await.map(Json)
}

/// Applies a plan, once, and only while it would do the same to the same effect
#[utoipa::path(
    post, path = "/plans/{plan_id}/apply", tag = "conflicts", params(("plan_id" = uuid::Uuid, Path)),
    responses((status = 200, body = ApplyAnswer)),
)]
pub(crate) async fn apply_plan(
    State(state): State<AppState>,
    actor: Actor,
    Id(id): Id<PlanId>,
) -> Answer<Json<ApplyAnswer>> {
    let plan = row(&state, id).await?;
    let group = state.store.group(plan.group).await?;
    let group = group.ok_or_else(|| groups::not_found(plan.group))?.group;
    let _one_at_a_time = state.planning.lock().await;
    let mut fleet = Fleet::load(&state).await?;
    apply(&state, &mut fleet, &actor, &group, plan).await.map(Json)
}

fn applied(plan: &PlanRow) -> ApiError {
    let by = plan.applied_by.as_deref().unwrap_or("somebody");
    ApiError::new(ErrorCode::PlanApplied, format!("the plan {} was applied already, by {by}", plan.id))
        .hint(format!("`zfs-sync plan show {}` says when", plan.id))
}

fn stale(why: &str) -> ApiError {
    let detail = format!("things have changed since the plan was made ({why}); nothing was done");
    ApiError::new(ErrorCode::PlanStale, detail).hint("make a new plan, look at it, and apply that one")
}

/// Compares the plan with the present state, decides, and starts what comes first. Whoever calls holds the planning lock.
pub(super) async fn apply(
    state: &AppState,
    fleet: &mut Fleet,
    actor: &Actor,
    group: &SyncGroup,
    plan: PlanRow,
) -> Answer<ApplyAnswer> {
    if plan.applied_at.is_some() {
        return Err(applied(&plan));
    }
    match conflicts::propose(state, fleet, group, &plan.replica, plan.strategy).await? {
        // What may be destroyed is compared as well: the list that was seen is the list that is approved.
        Ok(now) if now.plan.fingerprint == plan.fingerprint && now.decision == plan.proposal.decision => {}
        Ok(_) => return Err(stale("a snapshot, a write, a transfer or a policy")),
        Err(refusal) => return Err(stale(&refusal.to_string())),
    }
    let lost = casualties(state, group.id, &plan.proposal).await?;
    if !lost.missing.is_empty() {
        return Err(stale("snapshots that it lists are gone"));
    }
    let replaced = planning::decisions(state, group.id).await?;
    let directory = Directory::load(state).await?;
    let destroys = views::destroyed(state, &lost.destroys, &directory).await?;
    let decision = match state.store.apply_plan(plan.id, &actor.name(), state.now()).await {
        Ok(row) => row.decision,
        Err(StoreError::NotFound { .. }) => {
            return Err(ApiError::new(ErrorCode::PlanNotFound, format!("there is no plan {}", plan.id)));
        }
        Err(StoreError::Conflict { .. }) => return Err(applied(&row(state, plan.id).await?)),
        Err(error) => return Err(error.into()),
    };
    // From here on the decision stands: whatever happens to this process, planning again carries it out.
    let same = |earlier: &&Decision| earlier.home == decision.home && earlier.dataset == decision.dataset;
    for earlier in replaced.iter().filter(same) {
        if let Err(error) = planning::replace(state, group, earlier, &decision).await {
            let id = plan.id;
            tracing::error!(plan = %id, error = &error as &dyn std::error::Error, "could not drop what the decision before plan {id} had queued");
        }
    }
    let detail = json!({
        "strategy": plan.strategy,
        "decision": decision,
        "destroys": destroys,
        "fingerprint": plan.fingerprint,
    });
    state.audit(actor, "plan.apply", format!("plan:{}", plan.id), detail).await;
    let queued = match start(state, fleet, group, &decision).await {
        Ok(queued) => queued,
        Err(error) => {
            let id = plan.id;
            tracing::error!(plan = %id, error = &error as &dyn std::error::Error, "could not start what plan {id} decides");
            Vec::new()
        }
    };
    state.wake.groups_changed([group.id]);
    Ok(ApplyAnswer { plan_id: plan.id, decision, queued })
}

/// Queues what the decision's targets can do now.
async fn start(
    state: &AppState,
    fleet: &mut Fleet,
    group: &SyncGroup,
    decision: &Decision,
) -> Result<Vec<TransferId>, PlanError> {
    let scope = Scope::Datasets(BTreeSet::from([decision.dataset.clone()]));
    let mut planned = planning::plan_group(state, fleet, group, scope.clone()).await?;
    // Other replicas of the dataset were not asked about.
    planned.ready.retain(|ready| decision.targets.contains(&ready.step.target_system));
    planned.held_back.retain(|(_, step, _)| decision.targets.contains(&step.target_system));
    let executed = planning::execute(state, fleet, group, &scope, &planned).await?;
    planning::keep(state, fleet, group, &scope, executed.planned.report.replicas).await?;
    Ok(executed.queued)
}
