//! Pools, as agents report them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zfs_sync_core::health::PoolHealth;

/// `POST /systems/{id}/pools`: how the pools of a host are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PoolReport {
    /// All that are imported.
    #[schema(value_type = Vec<Object>)]
    pub pools: Vec<PoolHealth>,
}

/// The pools of one system.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SystemPools {
    /// Host name.
    pub system: String,
    /// When its agent said so.
    #[schema(value_type = String, format = DateTime)]
    pub reported_at: Timestamp,
    /// All that were imported then.
    #[schema(value_type = Vec<Object>)]
    pub pools: Vec<PoolHealth>,
}
