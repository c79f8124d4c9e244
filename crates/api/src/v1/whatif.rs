//! Questions asked before something happens. Answers are made of the types of [`zfs_sync_core::whatif`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zfs_sync_core::whatif::SystemLoss;

/// `POST /whatif/destroy`: may these be deleted, all of them together? Nothing is deleted.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct WhatIfDestroy {
    /// `SYSTEM:DATASET@SNAPSHOT`, the system by host name or id.
    pub snapshots: Vec<String>,
}

/// `GET /whatif/system-lost/{system}` answers this. The totals are about all datasets, whether they are listed or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemLost {
    /// Datasets that the system has reported.
    pub datasets: u64,
    /// How many of them lose how much: `nothing`, `old_snapshots`, `recent`, `everything`. What there is none of is left out.
    pub extents: BTreeMap<String, u64>,
    /// Bytes that vanish at least.
    pub bytes_lost: u64,
    /// What it means. `losses` lists at most as many datasets as were asked for: those that lose most, by name.
    #[serde(flatten)]
    pub loss: SystemLoss,
}
