//! What is known of all systems, read once for one pass.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use zfs_sync_core::{ids::SystemId, inventory::Inventory, time::Timestamp};
use zfs_sync_store::SystemRow;

use crate::{
    error::Answer,
    state::AppState,
    views::{self, is_fresh},
};

/// Systems, and the inventories that were needed so far.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) now: Timestamp,
    pub(crate) systems: BTreeMap<SystemId, SystemRow>,
    inventories: HashMap<SystemId, Option<Arc<Inventory>>>,
}

impl Fleet {
    pub(crate) async fn load(state: &AppState) -> Answer<Self> {
        let systems = views::all_systems(state).await?;
        Ok(Self { now: state.now(), systems, inventories: HashMap::new() })
    }

    /// Only these systems: what one change costs must not depend on how many others there are.
    pub(crate) async fn of(state: &AppState, ids: &[SystemId]) -> Answer<Self> {
        let rows = state.store.systems_by_id(ids).await?;
        let systems = rows.into_iter().map(|row| (row.id, row)).collect();
        Ok(Self { now: state.now(), systems, inventories: HashMap::new() })
    }

    /// Looks up systems that are to be named.
    pub(crate) async fn know(&mut self, state: &AppState, ids: &[SystemId]) -> Answer<()> {
        let unknown: Vec<SystemId> =
            ids.iter().filter(|id| !self.systems.contains_key(id)).copied().collect();
        if !unknown.is_empty() {
            let rows = state.store.systems_by_id(&unknown).await?;
            self.systems.extend(rows.into_iter().map(|row| (row.id, row)));
        }
        Ok(())
    }

    /// True when the system's newest report may be acted on.
    pub(crate) fn is_fresh(&self, state: &AppState, id: SystemId) -> bool {
        self.systems.get(&id).is_some_and(|row| is_fresh(row, &state.settings, self.now))
    }

    /// What the system reported; `None` before its first complete report.
    pub(crate) async fn inventory(
        &mut self,
        state: &AppState,
        id: SystemId,
    ) -> Answer<Option<Arc<Inventory>>> {
        if let Some(known) = self.inventories.get(&id) {
            return Ok(known.clone());
        }
        let read = state.store.inventory(id).await?.map(Arc::new);
        self.inventories.insert(id, read.clone());
        Ok(read)
    }

    /// The system's name; its identity where it is gone.
    pub(crate) fn hostname(&self, id: SystemId) -> String {
        self.systems.get(&id).map_or_else(|| id.to_string(), |row| row.hostname.to_string())
    }
}
