//! Everything a plan is made from, read from the store: all of a group, or just what a few datasets need.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use zfs_sync_core::{
    group::{GroupMode, Profile, SyncGroup},
    guid::Guid,
    ids::SystemId,
    inventory::{Dataset, Inventory},
    name::DatasetName,
    plan::{
        self, Copies, Decision, Input, Needed, Plan, Remembered, ReplicaKey, ReplicaReport, Report, Running,
        SystemView,
    },
    time::Timestamp,
};
use zfs_sync_store::ReplicaFilter;

use super::{Fleet, decisions::decisions, kept::copies};
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
    pub(super) decisions: Vec<Decision>,
    memory: BTreeMap<ReplicaKey, Remembered>,
    holders: BTreeMap<Guid, Copies>,
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
        let parts = match &scope {
            Scope::All => None,
            Scope::Datasets(datasets) => parts(state, group, datasets).await?,
        };
        let (scope, inventories, memory) = match parts {
            Some((inventories, memory)) => (scope, inventories, memory),
            None => (Scope::All, whole(state, fleet, group).await?, memory(state, group, None, &[]).await?),
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
        facts.holders = facts.holders(state).await?;
        Ok(facts)
    }

    /// Who else in the fleet has what a policy of the group might destroy.
    async fn holders(&self, state: &AppState) -> Answer<BTreeMap<Guid, Copies>> {
        if !self.group.allow_destroy {
            return Ok(BTreeMap::new());
        }
        let asked: Vec<Guid> = self.doubtful().into_iter().collect();
        copies(state, &asked).await
    }

    /// What targets have and not every member has in its dataset of the same lineage: nothing else is ever destroyed by policy.
    fn doubtful(&self) -> BTreeSet<Guid> {
        let targets = self.group.targets();
        let of_targets = self.systems.iter().filter(|(id, _)| targets.contains(id));
        let mut doubtful = BTreeSet::new();
        for (target, known) in of_targets {
            for dataset in known.inventory.iter().flat_map(|inventory| inventory.datasets.values()) {
                let everywhere = self.everywhere(*target, dataset);
                let guids = dataset.snapshots.iter().map(|snapshot| snapshot.guid);
                doubtful.extend(guids.filter(|guid| !everywhere.contains(guid)));
            }
        }
        doubtful
    }

    /// The snapshots of a target's dataset that every member has in its own dataset of the same lineage.
    fn everywhere(&self, target: SystemId, dataset: &Dataset) -> BTreeSet<Guid> {
        // The classic profile looks for a replica in every pool.
        if self.group.profile == Profile::Classic {
            return BTreeSet::new();
        }
        let mut everywhere: BTreeSet<Guid> = dataset.snapshots.iter().map(|snapshot| snapshot.guid).collect();
        for (home, logical) in lineages(&self.group, target, &dataset.name) {
            let members = self.group.members.iter().filter(|member| {
                self.group.mode != GroupMode::ManyToOne || **member == home || **member == self.group.hub
            });
            for member in members {
                let name = self.group.name_on(home, &logical, *member).ok();
                let inventory = self.systems.get(member).and_then(|known| known.inventory.as_ref());
                let there = inventory.zip(name).and_then(|(inventory, name)| inventory.datasets.get(&name));
                let snapshots = there.into_iter().flat_map(|dataset| &dataset.snapshots);
                let there: BTreeSet<Guid> = snapshots.map(|snapshot| snapshot.guid).collect();
                everywhere.retain(|guid| there.contains(guid));
            }
        }
        everywhere
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

/// The logical datasets that this dataset of a target is a replica of, with their homes.
fn lineages(group: &SyncGroup, target: SystemId, name: &DatasetName) -> Vec<(SystemId, DatasetName)> {
    let of_home = |home: SystemId| {
        let names = group.logical_names(home, name, target).into_iter();
        names.map(move |logical| (home, logical))
    };
    group.homes().into_iter().flat_map(of_home).collect()
}

type Inventories = BTreeMap<SystemId, Option<Arc<Inventory>>>;

async fn whole(state: &AppState, fleet: &mut Fleet, group: &SyncGroup) -> Answer<Inventories> {
    let mut inventories = BTreeMap::new();
    for member in &group.members {
        inventories.insert(*member, fleet.inventory(state, *member).await?);
    }
    Ok(inventories)
}

/// What the plan of `datasets` looks at, and nothing else: what this costs does not depend on what else the systems have. `None` where a
/// replica may be renamed: everything below it would go along, so everything has to be known.
async fn parts(
    state: &AppState,
    group: &SyncGroup,
    datasets: &BTreeSet<DatasetName>,
) -> Answer<Option<(Inventories, Memory)>> {
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
        let renamed = plan::renames_needed(group, &view, &known, &wanted);
        if group.follow_renames && !renamed.is_subset(&wanted) {
            return Ok(None);
        }
        wanted.extend(renamed);
        if wanted.len() == before {
            return Ok(Some((inventories, known)));
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
