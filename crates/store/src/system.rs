//! Registered hosts.

use serde_json::Value;
use zfs_sync_core::{flow::RateLimit, ids::SystemId, name::HostName, time::Timestamp};

use crate::{Listener, Result, Store, store::dispatch};

/// One registered host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemRow {
    /// Its identity.
    pub id: SystemId,
    /// Its name, unique.
    pub hostname: HostName,
    /// Free text of the v1 contract, `linux` for example.
    pub platform: String,
    /// Free text of the v1 contract; `online` after every sign of life.
    pub connectivity_status: String,
    /// Where others reach it by ssh.
    pub ssh_hostname: Option<HostName>,
    /// As whom.
    pub ssh_user: Option<String>,
    /// On which port.
    pub ssh_port: u16,
    /// A JSON object of the client's own.
    pub extra_metadata: Value,
    /// The agent's version, once it has said so.
    pub agent_version: Option<String>,
    /// The version of OpenZFS, once the agent has said so.
    pub zfs_version: Option<String>,
    /// The operating system, once the agent has said so.
    pub os: Option<String>,
    /// The host's clock minus the witness's, in milliseconds.
    pub clock_offset_ms: Option<i64>,
    /// How often the agent looks at its datasets, in milliseconds.
    pub inventory_interval_ms: Option<u64>,
    /// Where its agent listens for other agents; `None`: it does not.
    pub listener: Option<Listener>,
    /// Until when its newest certificate is valid; `None`: it has none.
    pub certificate_expires_at: Option<Timestamp>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When its registration last changed.
    pub updated_at: Timestamp,
    /// The newest sign of life.
    pub last_seen: Option<Timestamp>,
    /// When its inventory was last known completely; `None` before the first complete report.
    pub inventory_as_of: Option<Timestamp>,
    /// The moment that the inventory shows at the earliest, whenever it was reported; `None`: the agent has not said.
    pub inventory_looked_at: Option<Timestamp>,
    /// The sequence number of the newest accepted report; `None` before the first.
    pub inventory_sequence: Option<u64>,
    /// When somebody last asked for a report.
    pub report_wanted_at: Option<Timestamp>,
    /// Bandwidth of all transfers that it takes part in.
    pub limit: Option<RateLimit>,
}

impl SystemRow {
    /// What has happened before this moment is in the inventory, as far as the agent tells: of one that does not say when it looked, what
    /// happened before its report arrived. Good enough for what does no harm when it is wrong.
    pub fn inventory_shows(&self) -> Option<Timestamp> {
        self.inventory_looked_at.or(self.inventory_as_of)
    }

    /// True when a report was asked for, and nobody has looked since.
    pub fn report_wanted(&self) -> bool {
        self.report_wanted_at.is_some_and(|wanted| self.inventory_shows().is_none_or(|shown| wanted > shown))
    }
}

/// A host to register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSystem {
    /// Its identity.
    pub id: SystemId,
    /// Its name, unique.
    pub hostname: HostName,
    /// Free text.
    pub platform: String,
    /// Free text; `unknown` by convention.
    pub connectivity_status: String,
    /// Where others reach it by ssh.
    pub ssh_hostname: Option<HostName>,
    /// As whom.
    pub ssh_user: Option<String>,
    /// On which port.
    pub ssh_port: u16,
    /// A JSON object of the client's own.
    pub extra_metadata: Value,
}

/// What changes of a registration; `None` leaves a field as it is, `Some(None)` clears it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SystemChange {
    /// Its name.
    pub hostname: Option<HostName>,
    /// Free text.
    pub platform: Option<String>,
    /// Free text.
    pub connectivity_status: Option<String>,
    /// Where others reach it by ssh.
    pub ssh_hostname: Option<Option<HostName>>,
    /// As whom.
    pub ssh_user: Option<Option<String>>,
    /// On which port.
    pub ssh_port: Option<u16>,
    /// The v1 contract lets clients set it.
    pub last_seen: Option<Option<Timestamp>>,
    /// Replaces the whole object.
    pub extra_metadata: Option<Value>,
    /// Bandwidth of all transfers that it takes part in.
    pub limit: Option<Option<RateLimit>>,
}

/// What a sign of life says; `None` leaves what is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SystemSeen {
    /// The agent's version.
    pub agent_version: Option<String>,
    /// The version of OpenZFS.
    pub zfs_version: Option<String>,
    /// The operating system.
    pub os: Option<String>,
    /// Replaces the whole object.
    pub extra_metadata: Option<Value>,
    /// The host's clock minus the witness's, in milliseconds.
    pub clock_offset_ms: Option<i64>,
    /// How often the agent looks at its datasets, in milliseconds.
    pub inventory_interval_ms: Option<u64>,
}

impl Store {
    /// Registers a host; [`crate::Error::Conflict`] when the name is taken.
    pub async fn create_system(&self, new: &NewSystem, now: Timestamp) -> Result<SystemRow> {
        dispatch!(self, systems::create_system(new, now))
    }

    /// The host with this identity.
    pub async fn system(&self, id: SystemId) -> Result<Option<SystemRow>> {
        dispatch!(self, systems::system(id))
    }

    /// Those of these systems that there are.
    pub async fn systems_by_id(&self, ids: &[SystemId]) -> Result<Vec<SystemRow>> {
        dispatch!(self, systems::systems_by_id(ids))
    }

    /// The host with this name.
    pub async fn system_by_hostname(&self, hostname: &str) -> Result<Option<SystemRow>> {
        dispatch!(self, systems::system_by_hostname(hostname))
    }

    /// Hosts by name; `limit` rows after the first `skip`.
    pub async fn systems(&self, skip: u64, limit: u64) -> Result<Vec<SystemRow>> {
        dispatch!(self, systems::systems(skip, limit))
    }

    /// Changes a registration; [`crate::Error::NotFound`] when there is none, [`crate::Error::Conflict`] when the new name is taken.
    pub async fn update_system(
        &self,
        id: SystemId,
        change: &SystemChange,
        now: Timestamp,
    ) -> Result<SystemRow> {
        dispatch!(self, systems::update_system(id, change, now))
    }

    /// Forgets a host with its keys, inventory, replicas and unfinished transfers; false when there is none.
    ///
    /// [`crate::Error::Conflict`] names the groups it is still in.
    pub async fn delete_system(&self, id: SystemId) -> Result<bool> {
        dispatch!(self, systems::delete_system(id))
    }

    /// Notes a sign of life; false when there is no such host.
    pub async fn touch_system(&self, id: SystemId, seen: &SystemSeen, now: Timestamp) -> Result<bool> {
        dispatch!(self, systems::touch_system(id, seen, now))
    }

    /// Asks the host for a report, answered by [`Self::report_wanted`]; false when there is no such host.
    pub async fn want_report(&self, id: SystemId, now: Timestamp) -> Result<bool> {
        dispatch!(self, systems::want_report(id, now))
    }

    /// True when a report was asked for after the newest complete one.
    pub async fn report_wanted(&self, id: SystemId) -> Result<bool> {
        Ok(self.system(id).await?.is_some_and(|system| system.report_wanted()))
    }
}
