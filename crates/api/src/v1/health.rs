//! Liveness and readiness.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /health`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Always `healthy` when anything answers.
    pub status: String,
    /// The service's name.
    pub service: String,
    /// Its version.
    pub version: String,
    /// `connected`.
    pub database: String,
}

/// `GET /health/live`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Liveness {
    /// `alive`.
    pub status: String,
}

/// `GET /health/ready`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// `ready`.
    pub status: String,
    /// `connected`.
    pub database: String,
    /// The service's name.
    pub service: String,
}
