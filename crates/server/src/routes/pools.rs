//! Health of pools: told by agents, shown to people.

use axum::{Json, extract::State};
use zfs_sync_api::{
    codes::ErrorCode,
    v1::pool::{PoolReport, SystemPools},
};
use zfs_sync_core::{health::PoolHealth, ids::SystemId};
use zfs_sync_store::Error as StoreError;

use super::systems::not_found;
use crate::{
    error::{Answer, ApiError},
    extract::{Body, Id},
    state::AppState,
    views::Directory,
};

/// A host with more has gone wild.
const MOST_POOLS: usize = 1000;
/// Characters of each text; a real one has a few hundred.
const LONGEST_TEXT: usize = 2000;

/// How the pools of a system are
#[utoipa::path(
    post, path = "/systems/{system_id}/pools", tag = "agent", params(("system_id" = uuid::Uuid, Path)),
    request_body = PoolReport, responses((status = 200, body = SystemPools)),
)]
pub(super) async fn report_pools(
    State(state): State<AppState>,
    Id(id): Id<SystemId>,
    Body(body): Body<PoolReport>,
) -> Answer<Json<SystemPools>> {
    if body.pools.len() > MOST_POOLS {
        return Err(ApiError::at("/pools", ErrorCode::ValueRange, "no host has so many pools"));
    }
    let now = state.now();
    let pools: Vec<PoolHealth> = body.pools.into_iter().map(printable).collect();
    match state.store.set_pool_health(id, &pools, now).await {
        Ok(()) => {}
        Err(StoreError::NotFound { .. }) => return Err(not_found(id)),
        Err(error) => return Err(error.into()),
    }
    let system = state.store.system(id).await?.ok_or_else(|| not_found(id))?.hostname.to_string();
    Ok(Json(SystemPools { system, reported_at: now, pools }))
}

/// Shown in lists, so that it is short and printable whoever wrote the agent.
fn printable(pool: PoolHealth) -> PoolHealth {
    let text =
        |text: String| -> String { text.chars().filter(|c| !c.is_control()).take(LONGEST_TEXT).collect() };
    PoolHealth {
        name: text(pool.name),
        state: text(pool.state),
        problem: pool.problem.map(text),
        scan: pool.scan.map(text),
        scrubbed_at: pool.scrubbed_at,
        scrub_errors: pool.scrub_errors,
        errors: pool.errors.map(text),
    }
}

/// Pools of all systems
#[utoipa::path(
    get, path = "/pools", tag = "systems", responses((status = 200, body = Vec<SystemPools>)),
)]
pub(super) async fn list_pools(State(state): State<AppState>) -> Answer<Json<Vec<SystemPools>>> {
    let directory = Directory::load(&state).await?;
    let rows = state.store.pool_health().await?;
    let show = |(system, row): (SystemId, zfs_sync_store::PoolHealthRow)| SystemPools {
        system: directory.hostname(system),
        reported_at: row.reported_at,
        pools: row.pools,
    };
    let mut shown: Vec<_> = rows.into_iter().map(show).collect();
    shown.sort_by(|one, other| one.system.cmp(&other.system));
    Ok(Json(shown))
}
