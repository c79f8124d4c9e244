//! From datasets that have changed on a system to the logical datasets that must be planned anew.

use std::collections::{BTreeMap, BTreeSet};

use zfs_sync_core::{
    group::{GroupMode, Profile, SyncGroup},
    ids::{GroupId, SystemId},
    name::DatasetName,
    plan::Reason,
};
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
                let logical = logical_of(group, change.system, &change.name);
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

/// The logical datasets that a dataset of a member stands for, whether it exists or not.
pub(crate) fn logical_of(group: &SyncGroup, system: SystemId, name: &DatasetName) -> BTreeSet<DatasetName> {
    // What was set aside belongs to the name it had.
    let plain = name.as_str().split_once(ASIDE).and_then(|(before, _)| before.parse().ok());
    let names = [Some(name.clone()), plain].into_iter().flatten();
    names.flat_map(|name| named(group, system, &name)).collect()
}

/// Stands between a replica's name and the time at which it was set aside.
const ASIDE: &str = ".aside-";

/// True when the group keeps a logical dataset of its own in this dataset of a system: what is in it is destroyed by nobody without the
/// witness being told. What was set aside waits for somebody to destroy it.
pub(super) fn keeps(group: &SyncGroup, system: SystemId, name: &DatasetName) -> bool {
    group.enabled
        && group.members.contains(&system)
        && !name.as_str().contains(ASIDE)
        && !named(group, system, name).is_empty()
}

/// The logical datasets whose name on the system is this one.
fn named(group: &SyncGroup, system: SystemId, name: &DatasetName) -> BTreeSet<DatasetName> {
    let mut logical = BTreeSet::new();
    for home in group.homes() {
        if home == system || group.mode == GroupMode::Local {
            logical.extend(Some(name.clone()).filter(|name| group.selects(name)));
        }
        if group.mode != GroupMode::ManyToOne || system == group.hub {
            logical.extend(group.logical_names(home, name, system));
        }
    }
    if group.profile == Profile::Classic && system != group.hub {
        logical.extend(classic(group, name));
    }
    logical
}

/// With the classic profile a replica may be in any pool: its path decides. The source's pools are not known here, but those that the
/// patterns name are.
fn classic(group: &SyncGroup, name: &DatasetName) -> Vec<DatasetName> {
    let Some((_, path)) = name.as_str().split_once('/') else { return Vec::new() };
    let pools: BTreeSet<&str> =
        group.include.iter().filter_map(|pattern| pattern.as_str().split('/').next()).collect();
    let names = pools.into_iter().filter(|pool| !pool.contains('*')).map(|pool| format!("{pool}/{path}"));
    names.filter_map(|name| name.parse().ok()).filter(|name| group.selects(name)).collect()
}
