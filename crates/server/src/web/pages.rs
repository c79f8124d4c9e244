//! The pages.

use axum::{
    extract::{Path, Query, State},
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;
use zfs_sync_core::ids::GroupId;

use super::{
    page::{
        Frame, GroupTemplate, GroupsTemplate, OverviewTemplate, SystemsTemplate, TransfersTemplate,
        WhyTemplate, page,
    },
    row::{GroupRow, MatrixRow, ReplicaRow, SystemRow, TransferRow, WhyRow, by_severity, counts_in_words},
    session::Viewer,
};
use crate::{error::ApiError, state::AppState, views};

type Answer = Result<Response, Failure>;

/// A page that could not be made: plain words with the code.
#[derive(Debug)]
pub(super) struct Failure(ApiError);

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl axum::response::IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.code().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, format!("{} ({})", self.0.problem().detail_text(), self.0.code())).into_response()
    }
}

/// `GET /dashboard`.
pub(super) async fn overview(viewer: Viewer, State(state): State<AppState>) -> Answer {
    let now = state.clock.now();
    let status = views::status(&state).await?;
    let running = views::transfers(&state, &views::unfinished_transfers(20)).await?;
    let attention: Vec<ReplicaRow> =
        status.attention.iter().cloned().map(|replica| ReplicaRow::new(replica, now)).collect();
    let sentence = match attention.len() {
        0 => format!("Nothing needs you. {}.", counts_in_words(&status.replicas)),
        1 => format!("One replica needs you. {}.", counts_in_words(&status.replicas)),
        many => format!("{many} replicas need you. {}.", counts_in_words(&status.replicas)),
    };
    Ok(page(&OverviewTemplate {
        frame: Frame::new("overview", "/dashboard", viewer, now),
        sentence,
        replicas: by_severity(&status.replicas),
        attention,
        running: running.into_iter().map(|transfer| TransferRow::new(transfer, now)).collect(),
        first_steps: status.replicas.is_empty(),
        status,
    }))
}

/// `GET /dashboard/systems`.
pub(super) async fn systems(viewer: Viewer, State(state): State<AppState>) -> Answer {
    let now = state.clock.now();
    let rows = views::systems(&state).await?.into_iter().map(|system| SystemRow::new(system, now)).collect();
    Ok(page(&SystemsTemplate { frame: Frame::new("systems", "/dashboard/systems", viewer, now), rows }))
}

/// `GET /dashboard/groups`.
pub(super) async fn groups(viewer: Viewer, State(state): State<AppState>) -> Answer {
    let rows = views::groups(&state).await?.into_iter().map(GroupRow::new).collect();
    Ok(page(&GroupsTemplate {
        frame: Frame::new("groups", "/dashboard/groups", viewer, state.clock.now()),
        rows,
    }))
}

/// `GET /dashboard/groups/{id}`.
pub(super) async fn group(viewer: Viewer, State(state): State<AppState>, Path(id): Path<GroupId>) -> Answer {
    let now = state.clock.now();
    let group = views::group(&state, id).await?;
    let replicas = views::replicas(&state, Some(id)).await?;
    let targets: Vec<String> = group
        .systems
        .iter()
        .filter(|member| member.id != group.source_of_truth)
        .map(|member| member.hostname.clone())
        .collect();
    Ok(page(&GroupTemplate {
        frame: Frame::new("groups", format!("/dashboard/groups/{id}"), viewer, now),
        sentence: format!("{}.", counts_in_words(&group.replicas)),
        rows: MatrixRow::matrix(replicas, &targets, now),
        targets,
        group,
    }))
}

/// `GET /dashboard/transfers`.
pub(super) async fn transfers(viewer: Viewer, State(state): State<AppState>) -> Answer {
    let now = state.clock.now();
    let rows =
        |transfers: Vec<_>| transfers.into_iter().map(|transfer| TransferRow::new(transfer, now)).collect();
    let running = rows(views::transfers(&state, &views::unfinished_transfers(200)).await?);
    let finished = rows(views::transfers(&state, &views::finished_transfers(100)).await?);
    Ok(page(&TransfersTemplate {
        frame: Frame::new("transfers", "/dashboard/transfers", viewer, now),
        running,
        finished,
    }))
}

#[derive(Debug, Deserialize)]
pub(super) struct WhyQuery {
    replica: String,
}

/// `GET /dashboard/why?replica=DATASET@SYSTEM`.
pub(super) async fn why(
    viewer: Viewer,
    State(state): State<AppState>,
    Query(query): Query<WhyQuery>,
    uri: axum::http::Uri,
) -> Answer {
    let now = state.clock.now();
    let rows = views::explain(&state, &query.replica)
        .await?
        .into_iter()
        .map(|replica| WhyRow::new(replica, now))
        .collect();
    Ok(page(&WhyTemplate { frame: Frame::new("", uri.to_string(), viewer, now), rows }))
}
