//! Decisions as they are shown.

use std::collections::{BTreeMap, BTreeSet};

use zfs_sync_api::v1::conflict::Decided;
use zfs_sync_core::ids::GroupId;
use zfs_sync_store::{ConflictRow, DecisionRow};

use super::Directory;
use crate::{error::Answer, state::AppState};

/// Decisions that stand, by group.
#[derive(Debug, Default)]
pub(crate) struct Standing(BTreeMap<GroupId, Vec<DecisionRow>>);

impl Standing {
    /// Those of these groups.
    pub(crate) async fn load(state: &AppState, groups: impl IntoIterator<Item = GroupId>) -> Answer<Self> {
        let mut standing = BTreeMap::new();
        for group in groups.into_iter().collect::<BTreeSet<_>>() {
            standing.insert(group, state.store.decisions(group).await?);
        }
        Ok(Self(standing))
    }

    /// The one about a conflict's replica. A conflict that was over before it was made has nothing to do with it.
    pub(crate) fn about(&self, conflict: &ConflictRow) -> Option<&DecisionRow> {
        let key = &conflict.replica;
        self.0.get(&conflict.group)?.iter().find(|row| {
            row.decision.home == key.home
                && row.decision.dataset == key.dataset
                && row.decision.targets.contains(&key.target_system)
                && conflict.resolved_at.is_none_or(|over| over >= row.created_at)
        })
    }
}

/// One decision.
pub(super) fn show_decision(row: &DecisionRow, directory: &Directory) -> Decided {
    Decided {
        plan_id: row.plan,
        winner: directory.hostname(row.decision.winner),
        targets: row.decision.targets.iter().map(|id| directory.hostname(*id)).collect(),
        decided_at: row.created_at,
        decided_by: row.created_by.clone(),
    }
}
