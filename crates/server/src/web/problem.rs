//! Pages that could not be made, in plain words with the code.

use askama::Template;
use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::page::page;
use crate::error::ApiError;

/// The answer of a page.
pub(super) type Answer = Result<Response, Failure>;

/// Why there is no such page, or why what was asked for was not done.
#[derive(Debug)]
pub(super) struct Failure(ApiError);

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl From<zfs_sync_store::Error> for Failure {
    fn from(error: zfs_sync_store::Error) -> Self {
        Self(error.into())
    }
}

#[derive(Debug, Template)]
#[template(path = "problem.html")]
struct ProblemTemplate {
    code: String,
    detail: String,
    hint: Option<String>,
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let status = StatusCode::from_u16(error.code().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status.is_server_error() {
            tracing::error!(error = &error as &dyn std::error::Error, "could not make a page");
        }
        let mut response = page(&ProblemTemplate {
            code: error.code().to_string(),
            detail: error.problem().detail_text(),
            hint: error.problem().hint.clone(),
        });
        *response.status_mut() = status;
        response
    }
}
