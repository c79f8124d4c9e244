//! What the codes mean. Public documentation, the same for every fleet, so that it needs no key.

use axum::response::{IntoResponse as _, Response};
use http::header;
use zfs_sync_api::codes::{ErrorCode, explain};

use crate::{
    error::{Answer, ApiError},
    extract::Segment,
};

/// The page of a code, in Markdown
#[utoipa::path(
    get, path = "/docs/codes/{code}", tag = "description",
    params(("code" = String, Path, description = "`E_…`, `R_…` or `W_…`")),
    responses((status = 200, description = "Markdown", content_type = "text/plain", body = String)),
)]
pub(super) async fn explain_code(Segment(code): Segment) -> Answer<Response> {
    let page = explain(&code).ok_or_else(|| {
        let shown: String = code.chars().take(64).collect();
        ApiError::new(ErrorCode::CodeUnknown, format!("there is no code {shown}"))
            .hint("codes begin with E_, R_ or W_; `zfs-sync explain` without a code lists them all")
    })?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], page).into_response())
}
