//! Groups: who copies from whom, how each replica stands, and what the group does by itself.

use askama::Template;
use axum::extract::{Path, State};
use zfs_sync_api::v1::group::Group;
use zfs_sync_core::ids::GroupId;

use super::{
    group_row::{Cell, GroupRow, MatrixRow, columns, flow, names, policies},
    page::{Frame, page},
    problem::Answer,
    row::counts_in_words,
    session::Viewer,
    words,
};
use crate::{state::AppState, views};

#[derive(Debug, Template)]
#[template(path = "groups.html")]
struct GroupsTemplate {
    frame: Frame,
    rows: Vec<GroupRow>,
}

#[derive(Debug, Template)]
#[template(path = "group.html")]
struct GroupTemplate {
    frame: Frame,
    group: Group,
    sentence: String,
    mode: &'static str,
    flow: String,
    names: Vec<String>,
    policies: Vec<(&'static str, String)>,
    columns: Vec<String>,
    rows: Vec<MatrixRow>,
}

/// `GET /dashboard/groups`.
pub(super) async fn list(viewer: Viewer, State(state): State<AppState>) -> Answer {
    let rows = views::groups(&state).await?.into_iter().map(GroupRow::new).collect();
    let frame = Frame::load(&state, "groups", "/dashboard/groups", viewer).await?;
    Ok(page(&GroupsTemplate { frame, rows }))
}

/// `GET /dashboard/groups/{id}`.
pub(super) async fn show(viewer: Viewer, State(state): State<AppState>, Path(id): Path<GroupId>) -> Answer {
    let group = views::group(&state, id).await?;
    let replicas = views::replicas(&state, Some(id)).await?;
    let columns = columns(&group);
    Ok(page(&GroupTemplate {
        frame: Frame::load(&state, "groups", format!("/dashboard/groups/{id}"), viewer).await?,
        sentence: format!("{}.", counts_in_words(&group.replicas)),
        mode: words::mode(group.mode),
        flow: flow(&group),
        names: names(&group),
        policies: policies(&group),
        rows: MatrixRow::matrix(&group, replicas, &columns, state.now()),
        columns,
        group,
    }))
}
