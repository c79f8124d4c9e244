//! From datasets that have changed on a system to the logical datasets that must be planned anew.

use std::collections::{BTreeMap, BTreeSet};

use zfs_sync_core::{group::SyncGroup, ids::GroupId, name::DatasetName, plan::Reason};
use zfs_sync_store::{ChangedDataset, ReplicaFilter};

use crate::{error::Answer, state::AppState};

/// Reasons that another dataset's change may end.
const WAITS_FOR_OTHERS: [Reason; 5] = [
    Reason::DependsOnParent,
    Reason::OriginFirst,
    Reason::UpstreamFirst,
    Reason::SetAsideHasChildren,
    Reason::SourceRenamed,
];

/// What is to be planned anew, by group.
#[derive(Debug, Default)]
pub(crate) struct Changes(BTreeMap<GroupId, BTreeSet<DatasetName>>);

impl Changes {
    /// Takes what is known of one group.
    pub(crate) fn take(&mut self, group: GroupId) -> BTreeSet<DatasetName> {
        self.0.remove(&group).unwrap_or_default()
    }

    pub(crate) fn add(&mut self, group: GroupId, datasets: impl IntoIterator<Item = DatasetName>) {
        let mut datasets = datasets.into_iter().peekable();
        if datasets.peek().is_some() {
            self.0.entry(group).or_default().extend(datasets);
        }
    }

    /// What reports have changed, for every group that the systems are in.
    pub(crate) async fn reported(
        &mut self,
        state: &AppState,
        groups: &[&SyncGroup],
        changed: &[ChangedDataset],
    ) -> Answer<()> {
        for group in groups {
            let mut structural = false;
            for change in changed.iter().filter(|change| group.members.contains(&change.system)) {
                let logical = group.logical_of(change.system, &change.name);
                structural |= change.structural && (!logical.is_empty() || is_above_target(group, change));
                self.add(group.id, logical);
            }
            if structural {
                let filter = ReplicaFilter {
                    group: Some(group.id),
                    reasons: WAITS_FOR_OTHERS.iter().map(|reason| reason.code().to_owned()).collect(),
                    ..ReplicaFilter::default()
                };
                let waiting = state.store.replicas(&filter).await?;
                self.add(group.id, waiting.into_iter().map(|row| row.dataset));
            }
        }
        Ok(())
    }
}

/// A parent that is no replica itself may be what a first receive lacks.
fn is_above_target(group: &SyncGroup, change: &ChangedDataset) -> bool {
    let mappings = group.mappings.iter().chain(group.member_mappings.values().flatten());
    mappings.into_iter().any(|mapping| mapping.to.is_within(&change.name))
}
