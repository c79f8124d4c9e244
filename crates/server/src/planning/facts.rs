//! Everything a plan is made from, read from the store: all of a group, or just what a few datasets need.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use zfs_sync_core::{
    group::{Profile, SyncGroup},
    guid::Guid,
    ids::SystemId,
    inventory::Inventory,
    name::DatasetName,
    plan::{
        self, Decision, Input, Needed, Plan, Remembered, ReplicaKey, ReplicaReport, Report, Running,
        SystemView,
    },
    time::Timestamp,
};
use zfs_sync_store::{ReplicaFilter, TransferFilter};

use super::{Fleet, decisions::decisions};
use crate::{error::Answer, state::AppState};

/// How much of a group is planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All of it.
    All,
    /// These logical datasets.
    Datasets(BTreeSet<DatasetName>),
}

impl Scope {
    pub(crate) const fn datasets(&self) -> Option<&BTreeSet<DatasetName>> {
        match self {
            Self::All => None,
            Self::Datasets(datasets) => Some(datasets),
        }
    }
}

/// What is known of one system.
#[derive(Clone, Debug)]
pub(super) struct Known {
    name: String,
    inventory: Option<Arc<Inventory>>,
    fresh: bool,
}

/// Everything a plan is made from, owned, so that planning can leave the async threads.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) group: SyncGroup,
    systems: BTreeMap<SystemId, Known>,
    scope: Scope,
    pub(super) running: Vec<Running>,
    pub(super) unreachable: BTreeSet<(SystemId, SystemId)>,
    decisions: Vec<Decision>,
    memory: BTreeMap<ReplicaKey, Remembered>,
    holders: BTreeMap<Guid, BTreeSet<SystemId>>,
    now: Timestamp,
}

impl Facts {
    pub(super) async fn load(
        state: &AppState,
        fleet: &mut Fleet,
        group: &SyncGroup,
        scope: Scope,
    ) -> Answer<Self> {
        // The classic profile looks for a replica in every pool, which can not be narrowed down.
        let scope = if group.profile == Profile::Classic { Scope::All } else { scope };
        let (inventories, memory) = match &scope {
            Scope::All => (whole(state, fleet, group).await?, memory(state, group, None, &[]).await?),
            Scope::Datasets(datasets) => parts(state, group, datasets).await?,
        };
        let systems = inventories.into_iter().map(|(id, inventory)| {
            (id, Known { name: fleet.hostname(id), inventory, fresh: fleet.is_fresh(state, id) })
        });
        let mut facts = Self {
            group: group.clone(),
            systems: systems.collect(),
            memory,
            scope,
            running: Vec::new(),
            unreachable: BTreeSet::new(),
            decisions: decisions(state, group.id).await?,
            holders: BTreeMap::new(),
            now: fleet.now,
        };
        facts.holders = facts.holders(state, fleet).await?;
        Ok(facts)
    }

    /// Who else in the fleet has what a policy of the group might destroy.
    async fn holders(&self, state: &AppState, fleet: &Fleet) -> Answer<BTreeMap<Guid, BTreeSet<SystemId>>> {
        if !self.group.allow_destroy {
            return Ok(BTreeMap::new());
        }
        let targets = self.group.targets();
        let doubtful: BTreeSet<Guid> = self
            .systems
            .iter()
            .filter(|(id, _)| targets.contains(id))
            .filter_map(|(_, known)| known.inventory.as_ref())
            .flat_map(|inventory| inventory.datasets.values())
            .flat_map(|dataset| &dataset.snapshots)
            .map(|snapshot| snapshot.guid)
            .collect();
        let sources = self.systems.values().filter_map(|known| known.inventory.as_ref());
        let mut seen: BTreeMap<Guid, u32> = BTreeMap::new();
        for snapshot in
            sources.flat_map(|inventory| inventory.datasets.values()).flat_map(|dataset| &dataset.snapshots)
        {
            *seen.entry(snapshot.guid).or_default() += 1;
        }
        // What every member still has is not in question.
        let everywhere = u32::try_from(self.systems.len()).unwrap_or(u32::MAX);
        let asked: Vec<Guid> = doubtful
            .into_iter()
            .filter(|guid| seen.get(guid).is_none_or(|count| *count < everywhere))
            .collect();
        let mut holders = state.store.holders(&asked).await?;
        if holders.is_empty() {
            return Ok(holders);
        }
        let doomed = doomed(state).await?;
        for (guid, systems) in &mut holders {
            systems.retain(|system| fleet.is_fresh(state, *system) && !doomed.contains(&(*system, *guid)));
        }
        Ok(holders)
    }

    /// Lets `work` see it as the planner's input.
    pub(super) fn with_input<T>(&self, work: impl FnOnce(&Input<'_>) -> T) -> T {
        let systems = self.systems.iter().map(|(id, system)| {
            let Known { name, inventory, fresh } = system;
            (*id, SystemView { name, inventory: inventory.as_deref(), fresh: *fresh })
        });
        let systems = systems.collect();
        work(&Input {
            group: &self.group,
            systems: &systems,
            scope: self.scope.datasets(),
            running: &self.running,
            decisions: &self.decisions,
            memory: &self.memory,
            unreachable: &self.unreachable,
            holders: &self.holders,
            now: self.now,
        })
    }

    pub(super) fn plan(&self) -> (Plan, Report, Vec<plan::Violation>) {
        self.with_input(|input| {
            let (plan, report) = plan::plan(input);
            let violations = plan::check(&plan, input);
            (plan, report, violations)
        })
    }
}

/// Copies that some group is about to destroy, by a transfer under way or because a person has approved it: nobody may rely on them.
async fn doomed(state: &AppState) -> Answer<BTreeSet<(SystemId, Guid)>> {
    let unfinished = TransferFilter { unfinished: Some(true), ..TransferFilter::default() };
    let mut doomed = BTreeSet::new();
    for row in state.store.transfers(&unfinished).await? {
        doomed.extend(row.step.action.destroys().iter().map(|lost| (row.target_system, lost.guid)));
    }
    for row in state.store.groups().await? {
        for decision in decisions(state, row.group.id).await? {
            for target in &decision.targets {
                doomed.extend(decision.may_destroy.iter().map(|guid| (*target, *guid)));
            }
        }
    }
    Ok(doomed)
}

type Inventories = BTreeMap<SystemId, Option<Arc<Inventory>>>;

async fn whole(state: &AppState, fleet: &mut Fleet, group: &SyncGroup) -> Answer<Inventories> {
    let mut inventories = BTreeMap::new();
    for member in &group.members {
        inventories.insert(*member, fleet.inventory(state, *member).await?);
    }
    Ok(inventories)
}

/// What the plan of `datasets` looks at, and nothing else: what this costs does not depend on what else the systems have.
async fn parts(
    state: &AppState,
    group: &SyncGroup,
    datasets: &BTreeSet<DatasetName>,
) -> Answer<(Inventories, Memory)> {
    let mut wanted = datasets.clone();
    let mut known = memory(state, group, Some(&wanted), &[]).await?;
    loop {
        // Where a source was renamed, it is found by the GUID that is remembered of it.
        let guids: BTreeSet<Guid> = known.values().map(|remembered| remembered.source_guid).collect();
        let guids: Vec<Guid> = guids.into_iter().collect();
        let homes = group.homes();
        let mut inventories = BTreeMap::new();
        for (system, needed) in plan::needed(group, &wanted) {
            let inventory = if needed == Needed::default() {
                None
            } else {
                let guids = if homes.contains(&system) { guids.as_slice() } else { &[] };
                state.store.inventory_part(system, &needed, guids).await?
            };
            inventories.insert(system, inventory.map(Arc::new));
        }
        known = memory(state, group, Some(&wanted), &source_guids(group, &inventories, &wanted)).await?;
        // A clone can not be judged without its origin, which may be a clone itself; nor a renamed dataset without the replica that it
        // has under its old name.
        let before = wanted.len();
        let view = inventories_view(&inventories);
        wanted.extend(plan::origins_needed(group, &view, &wanted));
        wanted.extend(plan::renames_needed(group, &view, &known, &wanted));
        if wanted.len() == before {
            return Ok((inventories, known));
        }
    }
}

fn inventories_view(inventories: &Inventories) -> BTreeMap<SystemId, &Inventory> {
    inventories.iter().filter_map(|(id, inventory)| Some((*id, inventory.as_deref()?))).collect()
}

/// The dataset GUIDs that the scope's datasets have on their homes now.
fn source_guids(group: &SyncGroup, inventories: &Inventories, datasets: &BTreeSet<DatasetName>) -> Vec<Guid> {
    let homes = group.homes().into_iter().filter_map(|home| inventories.get(&home)?.as_deref());
    let there = homes.flat_map(|inventory| datasets.iter().filter_map(|name| inventory.datasets.get(name)));
    there.map(|dataset| dataset.properties.guid).collect()
}

type Memory = BTreeMap<ReplicaKey, Remembered>;

/// What earlier plans remember: of these datasets (`None`: of all), and of replicas whose sources had one of these dataset GUIDs.
async fn memory(
    state: &AppState,
    group: &SyncGroup,
    datasets: Option<&BTreeSet<DatasetName>>,
    source_guids: &[Guid],
) -> Answer<Memory> {
    let base = ReplicaFilter { group: Some(group.id), ..ReplicaFilter::default() };
    let filter = ReplicaFilter { datasets: datasets.cloned(), ..base.clone() };
    let mut rows = state.store.replicas(&filter).await?;
    if !source_guids.is_empty() {
        let source_guids = source_guids.to_vec();
        rows.extend(state.store.replicas(&ReplicaFilter { source_guids, ..base }).await?);
    }
    let remembered = |report: ReplicaReport| {
        let key = report.key();
        report.remembered.map(|remembered| (key, remembered))
    };
    Ok(rows.into_iter().filter_map(|row| remembered(row.report)).collect())
}
