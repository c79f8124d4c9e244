//! Conflicts: replicas that do not follow their source, kept from when they began until they are over.
//!
//! [`Store::store_replicas`] opens and resolves them in the transaction that stores the replicas, so that a conflict is never without
//! its replica, and never outlives it unseen.

use std::collections::BTreeMap;

use zfs_sync_core::{
    ids::{ConflictId, GroupId, SystemId},
    name::DatasetName,
    plan::{Conflict, ConflictKind, ReplicaKey, Severity},
    time::Timestamp,
};

use crate::{Result, Store, store::dispatch};

/// One conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConflictRow {
    /// Its identity.
    pub id: ConflictId,
    /// The group of its replica.
    pub group: GroupId,
    /// Its replica.
    pub replica: ReplicaKey,
    /// What kind.
    pub kind: ConflictKind,
    /// How bad.
    pub severity: Severity,
    /// Both sides, as the planner last saw them; of a resolved one, as they were before.
    pub detail: Conflict,
    /// Why nothing is done for the replica, `R_…`.
    pub reason: Option<String>,
    /// When it was first seen; it keeps this while it is open, whatever kind it becomes.
    pub since: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it was over; `None` while it is open.
    pub resolved_at: Option<Timestamp>,
    /// Until then nobody wants to hear of it.
    pub ignored_until: Option<Timestamp>,
    /// Who said so.
    pub ignored_by: Option<String>,
    /// Why.
    pub note: Option<String>,
}

/// Open or over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConflictStanding {
    /// Not resolved; ignored ones are open as well.
    #[default]
    Open,
    /// Resolved.
    Resolved,
    /// Both.
    All,
}

/// Which conflicts to list; what is `None` or empty does not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConflictFilter {
    /// Of this group.
    pub group: Option<GroupId>,
    /// Open ones unless something else is said.
    pub standing: ConflictStanding,
    /// Of one of these kinds.
    pub kinds: Vec<ConflictKind>,
    /// That bad.
    pub severities: Vec<Severity>,
    /// With this system as source or target.
    pub system: Option<SystemId>,
    /// With this dataset as logical name, source or target.
    pub dataset: Option<DatasetName>,
    /// At most so many.
    pub limit: Option<u64>,
}

/// How many open conflicts there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConflictCount {
    /// All open ones.
    pub open: u64,
    /// Those of them that are ignored now.
    pub ignored: u64,
}

/// What became of a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConflictChange {
    /// It was not there before.
    Opened,
    /// It is of another kind, or as bad as it was not before.
    Changed,
    /// It is over.
    Resolved,
}

/// A conflict that came, changed or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConflictTransition {
    /// Which one.
    pub id: ConflictId,
    /// What kind it is, or was.
    pub kind: ConflictKind,
    /// How bad it is, or was.
    pub severity: Severity,
    /// What became of it.
    pub change: ConflictChange,
}

impl Store {
    /// Conflicts, the newest first.
    pub async fn conflicts(&self, filter: &ConflictFilter) -> Result<Vec<ConflictRow>> {
        dispatch!(self, conflicts::conflicts(filter))
    }

    /// The conflict with this identity.
    pub async fn conflict(&self, id: ConflictId) -> Result<Option<ConflictRow>> {
        dispatch!(self, conflicts::conflict(id))
    }

    /// Ignores an open conflict until then, or no longer (`None`), and answers what it is now.
    ///
    /// One that gets worse meanwhile is not ignored any more: somebody else has to look at that. [`crate::Error::NotFound`] when there
    /// is no such conflict, [`crate::Error::Conflict`] when it is resolved.
    pub async fn ignore_conflict(
        &self,
        id: ConflictId,
        until: Option<Timestamp>,
        by: &str,
        note: Option<&str>,
    ) -> Result<ConflictRow> {
        dispatch!(self, conflicts::ignore_conflict(id, until, by, note))
    }

    /// Open conflicts by kind and severity, of one group or of all; `now` decides which are ignored.
    pub async fn conflict_counts(
        &self,
        group: Option<GroupId>,
        now: Timestamp,
    ) -> Result<BTreeMap<(ConflictKind, Severity), ConflictCount>> {
        dispatch!(self, conflicts::conflict_counts(group, now))
    }

    /// Forgets conflicts that were resolved before this; answers how many.
    pub async fn prune_conflicts(&self, before: Timestamp) -> Result<u64> {
        dispatch!(self, conflicts::prune_conflicts(before))
    }
}
