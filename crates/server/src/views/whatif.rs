//! Questions asked before something happens: everything that is known of the fleet, and what follows from it.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use zfs_sync_api::v1::whatif::SystemLost;
use zfs_sync_core::{
    group::SyncGroup,
    ids::SystemId,
    inventory::Inventory,
    name::SnapshotName,
    plan::SystemView,
    time::Timestamp,
    whatif::{self, Extent, Loss, SystemLoss, Verdict},
};

use crate::{
    error::{Answer, ApiError},
    planning::Fleet,
    state::AppState,
};

/// What is known of one system.
struct Known {
    name: String,
    inventory: Option<Arc<Inventory>>,
    fresh: bool,
}

/// Everything that was reported, owned, so that thinking about it can leave the async threads.
struct Everything {
    groups: Vec<SyncGroup>,
    systems: BTreeMap<SystemId, Known>,
    now: Timestamp,
}

impl Everything {
    /// Copies are found wherever they are, so that every inventory is read: for a question that a person asks now and then.
    async fn load(state: &AppState) -> Answer<Self> {
        let mut fleet = Fleet::load(state).await?;
        let mut systems = BTreeMap::new();
        for id in fleet.systems.keys().copied().collect::<Vec<_>>() {
            let inventory = fleet.inventory(state, id).await?;
            let known = Known { name: fleet.hostname(id), inventory, fresh: fleet.is_fresh(state, id) };
            systems.insert(id, known);
        }
        let groups = state.store.groups().await?.into_iter().map(|row| row.group).collect();
        Ok(Self { groups, systems, now: fleet.now })
    }

    fn ask<T>(
        &self,
        question: impl FnOnce(&[&SyncGroup], &BTreeMap<SystemId, SystemView<'_>>, Timestamp) -> T,
    ) -> T {
        let groups: Vec<&SyncGroup> = self.groups.iter().collect();
        let systems = self.systems.iter().map(|(id, known)| {
            let Known { name, inventory, fresh } = known;
            (*id, SystemView { name, inventory: inventory.as_deref(), fresh: *fresh })
        });
        question(&groups, &systems.collect(), self.now)
    }
}

/// What the loss of a system would mean; lists at most so many datasets.
pub(crate) async fn system_lost(state: &AppState, lost: SystemId, limit: u64) -> Answer<SystemLost> {
    let everything = Everything::load(state).await?;
    let ask = move || everything.ask(|groups, systems, now| whatif::system_lost(groups, systems, lost, now));
    let loss = tokio::task::spawn_blocking(ask).await.map_err(ApiError::internal)?;
    Ok(in_numbers(loss, usize::try_from(limit).unwrap_or(usize::MAX)))
}

const fn extent(extent: Extent) -> &'static str {
    match extent {
        Extent::Nothing => "nothing",
        Extent::OldSnapshots => "old_snapshots",
        Extent::Recent => "recent",
        Extent::Everything => "everything",
    }
}

/// Counts all datasets, and keeps `most` of those that lose most.
fn in_numbers(mut loss: SystemLoss, most: usize) -> SystemLost {
    let bytes_lost = loss.bytes_lost();
    let datasets = loss.losses.len() as u64;
    let mut extents: BTreeMap<String, u64> = BTreeMap::new();
    for one in &loss.losses {
        *extents.entry(extent(one.extent).to_owned()).or_default() += 1;
    }
    if loss.losses.len() > most {
        // Stable: among equals the first by name stay.
        loss.losses.sort_by_key(|one: &Loss| Reverse((one.extent, !one.doubts.is_empty(), one.bytes_lost)));
        loss.losses.truncate(most);
        loss.losses.sort_by(|one, other| one.dataset.cmp(&other.dataset));
    }
    SystemLost { datasets, extents, bytes_lost, loss }
}

/// Whether these snapshots can be deleted, all of them together.
pub(crate) async fn destroy(state: &AppState, asked: Vec<(SystemId, SnapshotName)>) -> Answer<Vec<Verdict>> {
    let everything = Everything::load(state).await?;
    let ask = move || everything.ask(|groups, systems, now| whatif::destroy(groups, systems, &asked, now));
    tokio::task::spawn_blocking(ask).await.map_err(ApiError::internal)
}
