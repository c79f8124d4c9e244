//! What groups compare by themselves.

use std::time::Duration;

use axum::{Json, extract::State};
use http::StatusCode;
use serde_json::json;
use zfs_sync_api::{codes::ErrorCode, v1::verification::VerificationSchedule};
use zfs_sync_core::ids::GroupId;
use zfs_sync_store::{Error as StoreError, ScheduleRow};

use crate::{
    auth::Actor,
    error::{Answer, ApiError},
    extract::{Body, Id},
    state::AppState,
};

/// More often than hourly everything would be read all the time.
const SHORTEST_MS: u64 = 3_600_000;
/// Ten years.
const LONGEST_MS: u64 = 10 * 366 * 24 * SHORTEST_MS;

fn shown(row: &ScheduleRow) -> VerificationSchedule {
    VerificationSchedule {
        group_id: Some(row.group),
        every_ms: u64::try_from(row.every.as_millis()).unwrap_or(u64::MAX),
        budget_per_day: row.budget,
        rate: row.rate,
    }
}

fn no_group(id: GroupId) -> ApiError {
    ApiError::new(ErrorCode::GroupNotFound, format!("there is no sync group {id}"))
        .hint("`zfs-sync group list` shows all")
}

/// What groups compare by themselves
#[utoipa::path(
    get, path = "/verification-schedules", tag = "verifications",
    responses((status = 200, body = Vec<VerificationSchedule>)),
)]
pub(super) async fn list_verification_schedules(
    State(state): State<AppState>,
) -> Answer<Json<Vec<VerificationSchedule>>> {
    let rows = state.store.verification_schedules().await?;
    Ok(Json(rows.iter().map(shown).collect()))
}

/// Sets what a group compares by itself
#[utoipa::path(
    put, path = "/sync-groups/{group_id}/verification-schedule", tag = "verifications",
    params(("group_id" = uuid::Uuid, Path)), request_body = VerificationSchedule,
    responses((status = 200, body = VerificationSchedule)),
)]
pub(super) async fn set_verification_schedule(
    State(state): State<AppState>,
    actor: Actor,
    Id(id): Id<GroupId>,
    Body(body): Body<VerificationSchedule>,
) -> Answer<Json<VerificationSchedule>> {
    if !(SHORTEST_MS..=LONGEST_MS).contains(&body.every_ms) {
        let detail = "proofs are renewed hourly at most, and at least every ten years";
        return Err(ApiError::at("/every_ms", ErrorCode::ValueRange, detail));
    }
    if body.budget_per_day == 0 || body.budget_per_day > i64::MAX.cast_unsigned() {
        let detail = "a budget is a number of bytes that a database can store, and more than nothing";
        return Err(ApiError::at("/budget_per_day", ErrorCode::ValueRange, detail));
    }
    if body.rate == Some(0) {
        return Err(ApiError::at("/rate", ErrorCode::ValueRange, "nothing is read at no byte a second"));
    }
    let every = Duration::from_millis(body.every_ms);
    let row = ScheduleRow { group: id, every, budget: body.budget_per_day, rate: body.rate };
    match state.store.set_verification_schedule(&row, state.now()).await {
        Ok(()) => {}
        Err(StoreError::NotFound { .. }) => return Err(no_group(id)),
        Err(error) => return Err(error.into()),
    }
    let detail =
        json!({ "every_ms": body.every_ms, "budget_per_day": body.budget_per_day, "rate": body.rate });
    state.audit(&actor, "verification_schedule.set", format!("group:{id}"), detail).await;
    Ok(Json(shown(&row)))
}

/// A group compares nothing by itself any more
#[utoipa::path(
    delete, path = "/sync-groups/{group_id}/verification-schedule", tag = "verifications",
    params(("group_id" = uuid::Uuid, Path)), responses((status = 204)),
)]
pub(super) async fn delete_verification_schedule(
    State(state): State<AppState>,
    actor: Actor,
    Id(id): Id<GroupId>,
) -> Answer<StatusCode> {
    if state.store.group(id).await?.is_none() {
        return Err(no_group(id));
    }
    if state.store.delete_verification_schedule(id).await? {
        state.audit(&actor, "verification_schedule.delete", format!("group:{id}"), json!({})).await;
    }
    Ok(StatusCode::NO_CONTENT)
}
