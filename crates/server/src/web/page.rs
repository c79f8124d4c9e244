//! Templates and what every page shows.

use askama::Template;
use axum::{
    http::StatusCode,
    response::{Html, IntoResponse as _, Response},
};
use zfs_sync_api::v1::{key::Role, sync::Status};
use zfs_sync_core::plan::ReplicaState;

use super::{
    row::{ReplicaRow, SystemRow, TransferRow},
    session::Viewer,
};
use crate::{error::Answer, state::AppState};

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
    /// True when they may decide: apply plans, ignore conflicts.
    pub(super) decides: bool,
    /// Conflicts that wait for a decision.
    pub(super) conflicts: u64,
    /// When it was made.
    pub(super) as_of: String,
    /// By which version.
    pub(super) version: &'static str,
}

impl Frame {
    pub(super) async fn load(
        state: &AppState,
        page: &'static str,
        path: impl Into<String>,
        viewer: Viewer,
    ) -> Answer<Self> {
        let now = state.now();
        let counts = state.store.conflict_counts(None, now).await?;
        Ok(Self {
            page,
            path: path.into(),
            key_name: viewer.key_name,
            role: viewer.role.as_str(),
            decides: viewer.role >= Role::Operator,
            conflicts: counts.values().map(|count| count.open.saturating_sub(count.ignored)).sum(),
            as_of: now.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            version: env!("CARGO_PKG_VERSION"),
        })
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
    /// Replicas whose content or properties are not those of their sources.
    pub(super) differing: u64,
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
#[template(path = "transfers.html")]
pub(super) struct TransfersTemplate {
    pub(super) frame: Frame,
    pub(super) running: Vec<TransferRow>,
    pub(super) finished: Vec<TransferRow>,
}
