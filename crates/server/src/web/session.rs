//! Signing in: a key becomes a session, and the browser keeps only that.
//!
//! The cookie is `HttpOnly` and `SameSite=Strict`: scripts do not see it, and other sites' pages can not use it. The session's text is
//! random and stored as a hash; it ends after twelve hours, with its key, or by signing out.

use std::time::Duration;

use axum::{
    Form,
    extract::{FromRequestParts, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use zfs_sync_api::v1::key::Role;
use zfs_sync_core::ids::KeyId;

use super::page::{LoginTemplate, page};
use crate::{
    auth::{self, secret},
    state::AppState,
};

const COOKIE: &str = "zfs_sync_session";
const LIFETIME: Duration = Duration::from_hours(12);

/// Somebody with a session: viewer, operator or admin.
#[derive(Clone, Debug)]
pub(super) struct Viewer {
    /// The key that was signed in with.
    pub(super) key: KeyId,
    /// The key's name.
    pub(super) key_name: String,
    /// What it may do.
    pub(super) role: Role,
}

/// No session: browsers go to the login page, which is also what the live script recognises.
#[derive(Debug)]
pub(super) struct NoSession;

impl IntoResponse for NoSession {
    fn into_response(self) -> Response {
        Redirect::to("/login").into_response()
    }
}

impl FromRequestParts<AppState> for Viewer {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Response> {
        let Some(text) = cookie(&parts.headers) else { return Err(NoSession.into_response()) };
        let now = state.clock.now();
        match state.store.session(secret::hash(&text), now).await {
            Ok(Some(key)) => match Role::from_name(&key.role) {
                Some(role) if role >= Role::Viewer => Ok(Self { key: key.id, key_name: key.name, role }),
                _ => Err(NoSession.into_response()),
            },
            Ok(None) => Err(NoSession.into_response()),
            Err(error) => {
                tracing::error!(error = %error, "could not look up a session");
                Err((
                    StatusCode::SERVICE_UNAVAILABLE,
                    "The witness's database does not answer (E_DB_UNAVAILABLE). Try again in a moment.",
                )
                    .into_response())
            }
        }
    }
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            (name == COOKIE).then(|| value.to_owned())
        })
}

fn set_cookie(value: &str, age: Duration) -> String {
    format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}", age.as_secs())
}

/// `GET /login`.
pub(super) async fn login_page() -> Response {
    page(&LoginTemplate { error: None })
}

#[derive(Deserialize)]
pub(super) struct LoginForm {
    key: SecretString,
}

/// `POST /login`.
pub(super) async fn login(State(state): State<AppState>, Form(form): Form<LoginForm>) -> Response {
    let refused = |text: &str| {
        let mut response = page(&LoginTemplate { error: Some(text.to_owned()) });
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        response
    };
    let caller = match auth::authenticate_key(&state, form.key.expose_secret().trim()).await {
        Ok(caller) => caller,
        Err(error) => {
            tracing::warn!(code = %error.code(), "a sign-in was refused");
            return refused("This key is unknown, expired or revoked (E_KEY_INVALID).");
        }
    };
    if caller.role < Role::Viewer {
        return refused(
            "A system's key reports for its system and does not open the dashboard (E_FORBIDDEN). Use a viewer's, operator's or admin's key.",
        );
    }
    let session = secret::mint(secret::Kind::Session);
    let expires = state.clock.now() + LIFETIME;
    if let Err(error) = state.store.insert_session(session.hash, caller.key, expires).await {
        tracing::error!(error = %error, "could not store a session");
        return refused("The witness's database does not answer (E_DB_UNAVAILABLE). Try again in a moment.");
    }
    ([(header::SET_COOKIE, set_cookie(session.secret.expose_secret(), LIFETIME))], Redirect::to("/dashboard"))
        .into_response()
}

/// `POST /logout`.
pub(super) async fn logout(State(state): State<AppState>, headers: HeaderMap) -> Response {
    if let Some(text) = cookie(&headers)
        && let Err(error) = state.store.delete_session(secret::hash(&text)).await
    {
        tracing::error!(error = %error, "could not end a session");
    }
    ([(header::SET_COOKIE, set_cookie("", Duration::ZERO))], Redirect::to("/login")).into_response()
}
