//! Replica states as the planner last saw them, kept so that lists and counts need no planning.

use std::collections::{BTreeMap, BTreeSet};

use zfs_sync_core::{
    guid::Guid,
    ids::{GroupId, SystemId},
    name::DatasetName,
    plan::{ReplicaKey, ReplicaReport, ReplicaState},
    time::Timestamp,
};

use crate::{ConflictTransition, Result, Store, store::dispatch};

/// One replica: (group, home, logical dataset, target system).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaRow {
    /// The group it belongs to.
    pub group: GroupId,
    /// The member whose names logical datasets have.
    pub home: SystemId,
    /// The logical dataset.
    pub dataset: DatasetName,
    /// Who should receive it.
    pub target_system: SystemId,
    /// Whom the target follows.
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
            home: report.home,
            dataset: report.dataset.clone(),
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

    /// What identifies it within its group.
    pub fn key(&self) -> ReplicaKey {
        ReplicaKey { home: self.home, dataset: self.dataset.clone(), target_system: self.target_system }
    }
}

/// A replica that came, went or changed its state, or whose conflict did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaTransition {
    /// The group it belongs to.
    pub group: GroupId,
    /// The member whose names logical datasets have.
    pub home: SystemId,
    /// The logical dataset.
    pub dataset: DatasetName,
    /// Who should receive it.
    pub target_system: SystemId,
    /// Whom the target follows.
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
    /// What became of its conflict.
    pub conflict: Option<ConflictTransition>,
}

impl ReplicaTransition {
    /// False when only its conflict changed.
    pub fn state_changed(&self) -> bool {
        self.old != self.new
    }
}

/// Which replicas to list; what is `None` or empty does not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaFilter {
    /// Of this group.
    pub group: Option<GroupId>,
    /// With this system as source or target.
    pub system: Option<SystemId>,
    /// With this system as target.
    pub target_system: Option<SystemId>,
    /// With this dataset as source or target.
    pub dataset: Option<DatasetName>,
    /// Of one of these logical datasets; an empty set finds nothing.
    pub datasets: Option<BTreeSet<DatasetName>>,
    /// With one of these datasets as target; at most a few hundred.
    pub targets: Vec<DatasetName>,
    /// With this dataset, or one below it, as target.
    pub target_within: Option<DatasetName>,
    /// Whose source had one of these dataset GUIDs when it was last remembered.
    pub source_guids: Vec<Guid>,
    /// In one of these states.
    pub states: Vec<ReplicaState>,
    /// For which nothing is done for one of these reasons, `R_…`.
    pub reasons: Vec<String>,
    /// Only what comes after this one in the order of the list, for the next page.
    pub after: Option<(GroupId, ReplicaKey)>,
    /// At most so many.
    pub limit: Option<u64>,
}

/// What is known of a group's replicas as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaSummary {
    /// How many are in each state; states without any are left out.
    pub states: BTreeMap<ReplicaState, u64>,
    /// For how many nothing is done for each reason, `R_…`.
    pub reasons: BTreeMap<String, u64>,
    /// `creation` of the oldest of their newest common snapshots, in seconds since 1970: how old the oldest recovery point is.
    /// Replicas without any do not count.
    pub oldest_common_creation: Option<i64>,
}

impl Store {
    /// Makes these the group's replicas: writes what differs, removes what is not among them, opens and resolves their
    /// conflicts, answers what changed its state and which conflicts came and went.
    ///
    /// With a `scope` this is about the replicas of these logical datasets alone; all others stay, and rows of others are passed
    /// over. Every row's `group` is taken as `group`, and its `since` only where the state is new.
    ///
    /// A conflict is open while the replica's report has one. It is resolved when the report has none any more and the replica is
    /// neither unknown nor syncing nor paused: then it was not looked at. It is resolved as well when the replica is gone.
    ///
    /// [`crate::Error::NotFound`] when there is no such group or system.
    pub async fn store_replicas(
        &self,
        group: GroupId,
        scope: Option<&BTreeSet<DatasetName>>,
        replicas: &[ReplicaRow],
        now: Timestamp,
    ) -> Result<Vec<ReplicaTransition>> {
        dispatch!(self, replicas::store_replicas(group, scope, replicas, now))
    }

    /// Replicas by group, logical dataset, home and target system.
    pub async fn replicas(&self, filter: &ReplicaFilter) -> Result<Vec<ReplicaRow>> {
        dispatch!(self, replica_lists::replicas(filter))
    }

    /// How many replicas are in each state, of one group or of all; states without any are left out.
    pub async fn replica_counts(&self, group: Option<GroupId>) -> Result<BTreeMap<ReplicaState, u64>> {
        dispatch!(self, replica_lists::replica_counts(group))
    }

    /// Every group's replicas in numbers; groups without replicas are left out.
    pub async fn replica_summaries(&self) -> Result<BTreeMap<GroupId, ReplicaSummary>> {
        dispatch!(self, replica_lists::replica_summaries())
    }
}
