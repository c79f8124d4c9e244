//! Questions asked before something happens. Answers are the types of [`zfs_sync_core::whatif`].

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /whatif/destroy`: may these be deleted, all of them together? Nothing is deleted.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct WhatIfDestroy {
    /// `SYSTEM:DATASET@SNAPSHOT`, the system by host name or id.
    pub snapshots: Vec<String>,
}
