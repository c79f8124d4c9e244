//! The dashboard: rendered here, refreshed by htmx when the event stream says so, readable when the witness has died.
//!
//! Every page needs a session (see [`session`]); only the login page and the static files are open. What changes something needs an
//! operator's session and one of our own pages (see [`decider`]), and goes through the handlers of the API. Nothing comes from another
//! host, and the content security policy says so.

mod assets;
mod conflict_row;
mod conflicts;
mod decider;
mod group_row;
mod groups;
mod live;
mod page;
mod pages;
mod plans;
mod problem;
mod proofs;
mod prose;
mod row;
mod session;
#[cfg(test)]
mod tests;
mod why;
mod words;

use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Redirect, Response},
    routing::{get, post},
};

use crate::state::AppState;

const POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'";

/// All routes outside the API.
pub(crate) fn router() -> Router<AppState> {
    Router::new()
        .route("/", get(async || Redirect::temporary("/dashboard").into_response()))
        .route("/dashboard", get(pages::overview))
        .route("/dashboard/systems", get(pages::systems))
        .route("/dashboard/groups", get(groups::list))
        .route("/dashboard/groups/{id}", get(groups::show))
        .route("/dashboard/conflicts", get(conflicts::list))
        .route("/dashboard/conflicts/{id}", get(conflicts::show))
        .route("/dashboard/conflicts/{id}/plan", post(conflicts::plan))
        .route("/dashboard/conflicts/{id}/ignore", post(conflicts::ignore))
        .route("/dashboard/conflicts/{id}/unignore", post(conflicts::unignore))
        .route("/dashboard/conflicts/{id}/withdraw", post(conflicts::withdraw))
        .route("/dashboard/plans/{id}", get(plans::show))
        .route("/dashboard/plans/{id}/apply", post(plans::apply))
        .route("/dashboard/transfers", get(pages::transfers))
        .route("/dashboard/verifications", get(proofs::list))
        .route("/dashboard/verifications/{id}", get(proofs::show))
        .route("/dashboard/why", get(why::show))
        .route("/dashboard/live", get(live::stream))
        .route("/login", get(session::login_page).post(session::login))
        .route("/logout", post(session::logout))
        .route("/static/{*path}", get(assets::file))
        .layer(middleware::from_fn(headers))
}

async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    // With `no-referrer` browsers would send `Origin: null` from our own forms.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    // Pages show the fleet; they belong into no cache. Static files say for themselves.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
