//! How replicas stand, and why.

use axum::{Json, extract::State};
use serde::Deserialize;
use utoipa::IntoParams;
use zfs_sync_api::v1::{replica::Replica, sync::Status};

use super::transfers::group_in_query;
use crate::{error::Answer, extract::Params, state::AppState, views};

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
}

/// Replicas as they were last planned
#[utoipa::path(
    get, path = "/replicas", tag = "replicas", params(ReplicaQuery),
    responses((status = 200, body = Vec<Replica>)),
)]
pub(super) async fn list_replicas(
    State(state): State<AppState>,
    Params(query): Params<ReplicaQuery>,
) -> Answer<Json<Vec<Replica>>> {
    let group = match query.group {
        Some(text) => Some(group_in_query(&state, "?group", &text).await?),
        None => None,
    };
    views::replicas(&state, group).await.map(Json)
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
