//! Templates and what every page shows.

use askama::Template;
use axum::{
    http::StatusCode,
    response::{Html, IntoResponse as _, Response},
};
use zfs_sync_api::v1::{group::Group, sync::Status};
use zfs_sync_core::{plan::ReplicaState, time::Timestamp};

use super::{
    row::{GroupRow, MatrixRow, ReplicaRow, SystemRow, TransferRow, WhyRow},
    session::Viewer,
};

/// Renders a template; a failure is our fault and says so.
pub(super) fn page(template: &impl Template) -> Response {
    match template.render() {
        Ok(text) => Html(text).into_response(),
        Err(error) => {
            tracing::error!(error = %error, "could not render a page");
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                "This page could not be made (E_INTERNAL). The log of the witness says why.",
            )
                .into_response()
        }
    }
}

/// What stands around every page.
#[derive(Debug)]
pub(super) struct Frame {
    /// Which page, for the navigation.
    pub(super) page: &'static str,
    /// Where it lives, to fetch it again.
    pub(super) path: String,
    /// Who looks.
    pub(super) key_name: String,
    /// With which role.
    pub(super) role: &'static str,
    /// When it was made.
    pub(super) as_of: String,
    /// By which version.
    pub(super) version: &'static str,
}

impl Frame {
    pub(super) fn new(page: &'static str, path: impl Into<String>, viewer: Viewer, now: Timestamp) -> Self {
        let as_of = now.strftime("%Y-%m-%d %H:%M:%S").to_string();
        let role = viewer.role.as_str();
        Self {
            page,
            path: path.into(),
            key_name: viewer.key_name,
            role,
            as_of,
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

#[derive(Debug, Template)]
#[template(path = "login.html")]
pub(super) struct LoginTemplate {
    pub(super) error: Option<String>,
}

#[derive(Debug, Template)]
#[template(path = "overview.html")]
pub(super) struct OverviewTemplate {
    pub(super) frame: Frame,
    pub(super) sentence: String,
    pub(super) status: Status,
    pub(super) replicas: Vec<(ReplicaState, u64)>,
    pub(super) attention: Vec<ReplicaRow>,
    pub(super) running: Vec<TransferRow>,
    pub(super) first_steps: bool,
}

#[derive(Debug, Template)]
#[template(path = "systems.html")]
pub(super) struct SystemsTemplate {
    pub(super) frame: Frame,
    pub(super) rows: Vec<SystemRow>,
}

#[derive(Debug, Template)]
#[template(path = "groups.html")]
pub(super) struct GroupsTemplate {
    pub(super) frame: Frame,
    pub(super) rows: Vec<GroupRow>,
}

#[derive(Debug, Template)]
#[template(path = "group.html")]
pub(super) struct GroupTemplate {
    pub(super) frame: Frame,
    pub(super) group: Group,
    pub(super) sentence: String,
    pub(super) targets: Vec<String>,
    pub(super) rows: Vec<MatrixRow>,
}

#[derive(Debug, Template)]
#[template(path = "transfers.html")]
pub(super) struct TransfersTemplate {
    pub(super) frame: Frame,
    pub(super) running: Vec<TransferRow>,
    pub(super) finished: Vec<TransferRow>,
}

#[derive(Debug, Template)]
#[template(path = "why.html")]
pub(super) struct WhyTemplate {
    pub(super) frame: Frame,
    pub(super) rows: Vec<WhyRow>,
}
