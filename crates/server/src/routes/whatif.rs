//! Questions asked before something happens. Nothing is planned or changed.

use axum::{Json, extract::State};
use serde::Deserialize;
use utoipa::IntoParams;
use zfs_sync_api::{
    codes::ErrorCode,
    v1::whatif::{SystemLost, WhatIfDestroy},
};
use zfs_sync_core::{ids::SystemId, name::SnapshotName, whatif::Verdict};

use crate::{
    error::{Answer, ApiError, Fields},
    extract::{Body, Params, Segment},
    state::AppState,
    views,
};

/// A question about more snapshots than this is one about datasets.
const MOST_SNAPSHOTS: usize = 10_000;

/// Datasets that are listed where nothing else is asked for.
const DEFAULT_LIMIT: u64 = 1000;

/// How much is listed
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LossQuery {
    /// At most so many datasets, those that lose most; 1000 when absent. Totals are about all of them.
    limit: Option<u64>,
}

/// What would be lost with a system, dataset by dataset, and what to go on with
#[utoipa::path(
    get, path = "/whatif/system-lost/{system}", tag = "whatif",
    params(("system" = String, Path, description = "Id or host name"), LossQuery),
    responses((status = 200, body = Object)),
)]
pub(super) async fn lose_system(
    State(state): State<AppState>,
    Segment(system): Segment,
    Params(query): Params<LossQuery>,
) -> Answer<Json<SystemLost>> {
    let row = views::system_named(&state, &system).await?.ok_or_else(|| {
        let shown: String = system.chars().take(64).collect();
        ApiError::new(ErrorCode::SystemNotFound, format!("there is no system {shown}"))
            .hint("`zfs-sync system list` shows all")
    })?;
    views::system_lost(&state, row.id, query.limit.unwrap_or(DEFAULT_LIMIT)).await.map(Json)
}

/// Whether snapshots can be deleted, all of them together; deletes nothing
#[utoipa::path(
    post, path = "/whatif/destroy", tag = "whatif", request_body = WhatIfDestroy,
    responses((status = 200, body = Vec<Object>)),
)]
pub(super) async fn destroy_snapshots(
    State(state): State<AppState>,
    Body(body): Body<WhatIfDestroy>,
) -> Answer<Json<Vec<Verdict>>> {
    if body.snapshots.is_empty() || body.snapshots.len() > MOST_SNAPSHOTS {
        let detail = format!("name between 1 and {MOST_SNAPSHOTS} snapshots");
        return Err(ApiError::at("/snapshots", ErrorCode::ValueRange, detail));
    }
    let mut fields = Fields::default();
    let mut asked: Vec<(SystemId, SnapshotName)> = Vec::new();
    for (index, text) in body.snapshots.iter().enumerate() {
        let pointer = format!("/snapshots/{index}");
        // No host name has a colon; snapshots may.
        let Some((system, snapshot)) = text.split_once(':') else {
            let detail = "expected SYSTEM:DATASET@SNAPSHOT, for example nas1:tank/media@monday";
            fields.add(pointer, ErrorCode::SelectorInvalid, detail);
            continue;
        };
        let found = views::system_named(&state, system).await?;
        if found.is_none() {
            let shown: String = system.chars().take(64).collect();
            fields.add(&pointer, ErrorCode::SystemNotFound, format!("there is no system {shown}"));
        }
        let name = fields.parse(&pointer, ErrorCode::NameInvalid, snapshot);
        if let (Some(system), Some(name)) = (found, name) {
            asked.push((system.id, name));
        }
    }
    fields.finish(ErrorCode::ValueInvalid).map_err(|error| {
        error.hint(
            "write SYSTEM:DATASET@SNAPSHOT, for example nas1:tank/media@monday; `zfs-sync system list` shows the systems, \
             `zfs list -t snapshot` there its snapshots",
        )
    })?;
    views::destroy(&state, asked).await.map(Json)
}
