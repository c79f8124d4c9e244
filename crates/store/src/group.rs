//! Sync groups.

use serde_json::Value;
use zfs_sync_core::{
    flow::{Compression, RateLimit, Transport},
    group::SyncGroup,
    ids::{GroupId, SystemId},
    time::Timestamp,
};

use crate::{Result, Store, store::dispatch};

/// One sync group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRow {
    /// What the planner reads.
    pub group: SyncGroup,
    /// For people.
    pub description: Option<String>,
    /// A JSON object of the client's own.
    pub extra_metadata: Value,
    /// From the v1 contract, in seconds.
    pub sync_interval_seconds: u64,
    /// Bandwidth of its transfers on each executor.
    pub limit: Option<RateLimit>,
    /// Compression between systems.
    pub compression: Compression,
    /// By what its transfers reach the other side.
    pub transport: Transport,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// 1 at first, one more with every change.
    pub revision: u64,
}

/// What a group has beyond [`SyncGroup`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSettings {
    /// For people.
    pub description: Option<String>,
    /// A JSON object of the client's own.
    pub extra_metadata: Value,
    /// From the v1 contract, in seconds.
    pub sync_interval_seconds: u64,
    /// Bandwidth of its transfers on each executor.
    pub limit: Option<RateLimit>,
    /// Compression between systems.
    pub compression: Compression,
    /// By what its transfers reach the other side.
    pub transport: Transport,
}

impl Default for GroupSettings {
    fn default() -> Self {
        Self {
            description: None,
            extra_metadata: Value::Object(serde_json::Map::new()),
            sync_interval_seconds: 3600,
            limit: None,
            compression: Compression::Off,
            transport: Transport::Auto,
        }
    }
}

impl Store {
    /// Stores a group; [`crate::Error::Conflict`] when its name is taken, [`crate::Error::NotFound`] when a member does not exist.
    pub async fn insert_group(
        &self,
        group: &SyncGroup,
        settings: &GroupSettings,
        now: Timestamp,
    ) -> Result<GroupRow> {
        dispatch!(self, groups::insert_group(group, settings, now))
    }

    /// The group with this identity.
    pub async fn group(&self, id: GroupId) -> Result<Option<GroupRow>> {
        dispatch!(self, groups::group(id))
    }

    /// The group with this name.
    pub async fn group_by_name(&self, name: &str) -> Result<Option<GroupRow>> {
        dispatch!(self, groups::group_by_name(name))
    }

    /// All groups by name.
    pub async fn groups(&self) -> Result<Vec<GroupRow>> {
        dispatch!(self, groups::groups())
    }

    /// The groups a system is in, by name.
    pub async fn groups_of_system(&self, system: SystemId) -> Result<Vec<GroupRow>> {
        dispatch!(self, groups::groups_of_system(system))
    }

    /// The groups that at least one of these systems is in.
    pub async fn groups_of_systems(&self, systems: &[SystemId]) -> Result<Vec<GroupRow>> {
        dispatch!(self, groups::groups_of_systems(systems))
    }

    /// Replaces a group's definition; errors as [`Self::insert_group`], and [`crate::Error::NotFound`] when there is none.
    pub async fn update_group(
        &self,
        group: &SyncGroup,
        settings: &GroupSettings,
        now: Timestamp,
    ) -> Result<GroupRow> {
        dispatch!(self, groups::update_group(group, settings, now))
    }

    /// Removes a group with its replicas; false when there is none.
    ///
    /// Its queued transfers are cancelled, its running ones are asked to stop; both stay as history.
    pub async fn delete_group(&self, id: GroupId, now: Timestamp) -> Result<bool> {
        dispatch!(self, groups::delete_group(id, now))
    }
}
