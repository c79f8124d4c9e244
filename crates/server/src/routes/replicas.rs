//! How replicas stand, and why.

use axum::{Json, extract::State};
use serde::Deserialize;
use utoipa::IntoParams;
use zfs_sync_api::{
    codes::ErrorCode,
    v1::{
        replica::{Replica, ReplicaPage},
        sync::Status,
    },
};
use zfs_sync_store::ReplicaFilter;

use super::{cursor, transfers::group_in_query};
use crate::{
    error::{Answer, ApiError},
    extract::Params,
    state::AppState,
    views::{self, Directory},
};

/// Replicas on a page where nothing else is asked for: a few megabytes.
const DEFAULT_LIMIT: u64 = 1000;
/// Replicas on a page at most.
const MOST: u64 = 10_000;

/// The fleet in numbers, and what needs attention
#[utoipa::path(get, path = "/status", tag = "status", responses((status = 200, body = Status)))]
pub(super) async fn get_status(State(state): State<AppState>) -> Answer<Json<Status>> {
    views::status(&state).await.map(Json)
}

/// Which replicas
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ReplicaQuery {
    /// Of this group, by id or name; of all when absent.
    group: Option<String>,
    /// At most so many, from 1 to 10000; 1000 when absent.
    limit: Option<u64>,
    /// `next_cursor` of the page before; the first page when absent.
    cursor: Option<String>,
}

/// Replicas as they were last planned, page by page
#[utoipa::path(
    get, path = "/replicas", tag = "replicas", params(ReplicaQuery),
    responses((status = 200, body = ReplicaPage)),
)]
pub(super) async fn list_replicas(
    State(state): State<AppState>,
    Params(query): Params<ReplicaQuery>,
) -> Answer<Json<ReplicaPage>> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MOST).contains(&limit) {
        let detail = format!("a page has between 1 and {MOST} replicas");
        return Err(ApiError::at("?limit", ErrorCode::ValueRange, detail));
    }
    let after = query.cursor.as_deref().map(cursor::read).transpose()?;
    let group = match query.group {
        Some(text) => Some(group_in_query(&state, "?group", &text).await?),
        None => None,
    };
    // One more tells whether there is another page.
    let filter = ReplicaFilter { group, after, limit: Some(limit + 1), ..ReplicaFilter::default() };
    let mut rows = state.store.replicas(&filter).await?;
    let shown = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > shown;
    rows.truncate(shown);
    let next_cursor = rows.last().filter(|_| more).map(cursor::after);
    let directory = Directory::load(&state).await?;
    let items = rows.into_iter().map(|row| views::replica(row, &directory)).collect();
    Ok(Json(ReplicaPage { items, next_cursor }))
}

/// Which replica
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WhyQuery {
    /// `DATASET@SYSTEM`: the dataset by its name on the target or on the source, the system by host name or id.
    replica: String,
}

/// Why a replica is as it is, in every group that has it
#[utoipa::path(
    get, path = "/why", tag = "replicas", params(WhyQuery), responses((status = 200, body = Vec<Replica>)),
)]
pub(super) async fn explain_replica(
    State(state): State<AppState>,
    Params(query): Params<WhyQuery>,
) -> Answer<Json<Vec<Replica>>> {
    views::explain(&state, &query.replica).await.map(Json)
}
