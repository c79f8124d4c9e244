//! What agents say of their pools.

use std::collections::BTreeMap;

use zfs_sync_core::{health::PoolHealth, ids::SystemId, time::Timestamp};

use crate::{Result, Store, store::dispatch};

/// The pools of one system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolHealthRow {
    /// All of them.
    pub pools: Vec<PoolHealth>,
    /// When its agent said so.
    pub reported_at: Timestamp,
}

impl Store {
    /// Replaces what is known of a system's pools; [`crate::Error::NotFound`] when there is no such system.
    pub async fn set_pool_health(
        &self,
        system: SystemId,
        pools: &[PoolHealth],
        now: Timestamp,
    ) -> Result<()> {
        dispatch!(self, pool_health::set_pool_health(system, pools, now))
    }

    /// What is known of every system's pools; systems that have said nothing are left out.
    pub async fn pool_health(&self) -> Result<BTreeMap<SystemId, PoolHealthRow>> {
        dispatch!(self, pool_health::pool_health())
    }
}
