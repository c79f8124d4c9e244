//! Names of systems and groups, read once for one answer.

use std::collections::BTreeMap;

use zfs_sync_core::{
    ids::{GroupId, SystemId},
    time::Timestamp,
};
use zfs_sync_store::SystemRow;

use crate::{error::Answer, state::AppState};

/// All systems and the names of all groups.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) systems: BTreeMap<SystemId, SystemRow>,
    groups: BTreeMap<GroupId, String>,
}

impl Directory {
    pub(crate) async fn load(state: &AppState) -> Answer<Self> {
        let systems = all_systems(state).await?;
        let groups = state.store.groups().await?;
        let groups = groups.into_iter().map(|row| (row.group.id, row.group.name)).collect();
        Ok(Self { systems, groups })
    }

    /// The system's name; its identity where it is gone.
    pub(crate) fn hostname(&self, id: SystemId) -> String {
        self.systems.get(&id).map_or_else(|| id.to_string(), |system| system.hostname.to_string())
    }

    /// The group's name; its identity where it is gone.
    pub(crate) fn group(&self, id: GroupId) -> String {
        self.groups.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }

    /// When the older of both systems' reports was complete; `None` where one never was.
    pub(crate) fn as_of(&self, one: SystemId, other: SystemId) -> Option<Timestamp> {
        let of = |id| self.systems.get(&id).and_then(|system: &SystemRow| system.inventory_as_of);
        Some(of(one)?.min(of(other)?))
    }
}

/// Every system, by identity.
pub(crate) async fn all_systems(state: &AppState) -> Answer<BTreeMap<SystemId, SystemRow>> {
    let rows = state.store.systems(0, i64::MAX.cast_unsigned()).await?;
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}
