//! Replica states as the planner last saw them, kept so that lists and counts need no planning.

use std::collections::BTreeMap;

use zfs_sync_core::{
    ids::{GroupId, SystemId},
    name::DatasetName,
    plan::{ReplicaReport, ReplicaState},
    time::Timestamp,
};

use crate::{Result, Store, store::dispatch};

/// One replica: (group, dataset, target system).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaRow {
    /// The group it belongs to.
    pub group: GroupId,
    /// Who should receive it.
    pub target_system: SystemId,
    /// Who should have it.
    pub source_system: SystemId,
    /// The dataset on the source.
    pub source: DatasetName,
    /// The dataset on the target.
    pub target: DatasetName,
    /// How it stands.
    pub state: ReplicaState,
    /// Why nothing is done, `R_…`.
    pub reason: Option<String>,
    /// Everything the planner said.
    pub report: ReplicaReport,
    /// `creation` of the newest snapshot on both sides, in seconds since 1970.
    pub newest_common_creation: Option<i64>,
    /// Source snapshots newer than that.
    pub snapshot_lag: u32,
    /// Since when it is in this state; [`Store::store_replicas`] keeps it while the state stays.
    pub since: Timestamp,
}

impl ReplicaRow {
    /// The row for what the planner said.
    pub fn new(group: GroupId, report: ReplicaReport, now: Timestamp) -> Self {
        Self {
            group,
            target_system: report.target_system,
            source_system: report.source_system,
            source: report.source.clone(),
            target: report.target.clone(),
            state: report.state,
            reason: report.reason.map(|reason| reason.code().to_owned()),
            newest_common_creation: report.newest_common.as_ref().map(|point| point.creation),
            snapshot_lag: report.snapshot_lag,
            since: now,
            report,
        }
    }
}

/// A replica that came, went or changed its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaTransition {
    /// The group it belongs to.
    pub group: GroupId,
    /// Who should receive it.
    pub target_system: SystemId,
    /// Who should have it.
    pub source_system: SystemId,
    /// The dataset on the source.
    pub source: DatasetName,
    /// The dataset on the target.
    pub target: DatasetName,
    /// `None`: it was not known before.
    pub old: Option<ReplicaState>,
    /// `None`: it is gone.
    pub new: Option<ReplicaState>,
    /// Why nothing is done now, `R_…`.
    pub reason: Option<String>,
}

/// Which replicas to list; what is `None` or empty does not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaFilter {
    /// Of this group.
    pub group: Option<GroupId>,
    /// With this system as source or target.
    pub system: Option<SystemId>,
    /// With this dataset as source or target.
    pub dataset: Option<DatasetName>,
    /// In one of these states.
    pub states: Vec<ReplicaState>,
    /// At most so many.
    pub limit: Option<u64>,
}

impl Store {
    /// Makes these the group's replicas: writes what differs, removes what is not among them, answers what changed its state.
    ///
    /// Every row's `group` is taken as `group`, and its `since` only where the state is new. [`crate::Error::NotFound`]
    /// when there is no such group or system.
    pub async fn store_replicas(
        &self,
        group: GroupId,
        replicas: &[ReplicaRow],
        now: Timestamp,
    ) -> Result<Vec<ReplicaTransition>> {
        dispatch!(self, replicas::store_replicas(group, replicas, now))
    }

    /// Replicas by group, source dataset and target system.
    pub async fn replicas(&self, filter: &ReplicaFilter) -> Result<Vec<ReplicaRow>> {
        dispatch!(self, replicas::replicas(filter))
    }

    /// How many replicas are in each state, of one group or of all; states without any are left out.
    pub async fn replica_counts(&self, group: Option<GroupId>) -> Result<BTreeMap<ReplicaState, u64>> {
        dispatch!(self, replicas::replica_counts(group))
    }
}
