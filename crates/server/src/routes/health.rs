//! Liveness and readiness. Open: load balancers have no key.

use axum::{Json, extract::State};
use zfs_sync_api::{
    codes::ErrorCode,
    v1::health::{Health, Liveness, Readiness},
};

use crate::{
    error::{Answer, ApiError},
    state::AppState,
};

const SERVICE: &str = "zfs-sync";

/// The service and its version
#[utoipa::path(get, path = "/health", tag = "health", responses((status = 200, body = Health)))]
pub(super) async fn get_health(State(state): State<AppState>) -> Json<Health> {
    // Always 200, as the old service answers: whoever asks for readiness has an address for that.
    let database = if state.store.ping().await.is_ok() { "connected" } else { "unavailable" };
    Json(Health {
        status: "healthy".into(),
        service: SERVICE.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        database: database.into(),
    })
}

/// The process answers
#[utoipa::path(get, path = "/health/live", tag = "health", responses((status = 200, body = Liveness)))]
pub(super) async fn get_liveness() -> Json<Liveness> {
    Json(Liveness { status: "alive".into() })
}

/// The process answers and its database does too
#[utoipa::path(get, path = "/health/ready", tag = "health", responses((status = 200, body = Readiness)))]
pub(super) async fn get_readiness(State(state): State<AppState>) -> Answer<Json<Readiness>> {
    if state.shutdown.is_cancelled() {
        return Err(ApiError::new(ErrorCode::Unavailable, "the witness is shutting down"));
    }
    if let Err(error) = state.store.ping().await {
        tracing::warn!(error = &error as &dyn std::error::Error, "the database does not answer");
        return Err(ApiError::new(ErrorCode::DatabaseUnavailable, "Database not available"));
    }
    Ok(Json(Readiness { status: "ready".into(), database: "connected".into(), service: SERVICE.into() }))
}
