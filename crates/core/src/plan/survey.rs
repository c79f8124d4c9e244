//! What is known of a group as a whole: single replicas are decided from it.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use super::{
    compare::{Comparison, compare},
    planner::Input,
    reason::Reason,
    set_aside,
};
use crate::{
    ids::{SystemId, TransferId},
    inventory::{Dataset, DatasetKind, Inventory},
    name::{DatasetName, NameError},
};

/// One system, also when nothing is known of it.
#[derive(Debug)]
pub(super) struct Side<'a> {
    pub(super) id: SystemId,
    pub(super) name: Cow<'a, str>,
    pub(super) inventory: Option<&'a Inventory>,
    pub(super) fresh: bool,
}

impl<'a> Side<'a> {
    pub(super) fn new(input: &Input<'a>, id: SystemId) -> Self {
        match input.systems.get(&id) {
            Some(view) => {
                Self { id, name: Cow::Borrowed(view.name), inventory: view.inventory, fresh: view.fresh }
            }
            None => Self { id, name: Cow::Owned(id.to_string()), inventory: None, fresh: false },
        }
    }
}

/// One replica: a selected dataset and a target system.
#[derive(Debug)]
pub(super) struct Pair<'a> {
    pub(super) source: &'a Side<'a>,
    pub(super) target: &'a Side<'a>,
    pub(super) source_dataset: &'a Dataset,
    pub(super) mapped: Result<DatasetName, NameError>,
    pub(super) target_dataset: Option<&'a Dataset>,
    /// `None` when the target has no name or its system never reported.
    pub(super) comparison: Option<Comparison>,
}

impl Pair<'_> {
    /// Why the target, as it is, can take nothing.
    fn conflict(&self) -> Option<Reason> {
        self.comparison.as_ref().and_then(|comparison| comparison.relation.conflict())
    }
}

/// What stands between a first receive and the datasets above it.
#[derive(Debug)]
pub(super) enum ParentProblem {
    /// It must be received first, or is about to be moved.
    NotReady(DatasetName),
    /// Nothing can be received below a volume.
    Volume(DatasetName),
}

#[derive(Debug)]
pub(super) struct Survey<'a> {
    pub(super) input: &'a Input<'a>,
    /// By source name, then target system.
    pub(super) pairs: Vec<Pair<'a>>,
    /// How many datasets the patterns select; `None` when the source of truth has never reported.
    pub(super) selected: Option<usize>,
    /// Target names, with the source names that map to them.
    sources_of: BTreeMap<DatasetName, Vec<&'a DatasetName>>,
    running: BTreeMap<(SystemId, &'a DatasetName), TransferId>,
    pools: BTreeMap<SystemId, BTreeSet<&'a str>>,
    moving: BTreeSet<(SystemId, DatasetName)>,
}

impl<'a> Survey<'a> {
    pub(super) fn new(input: &'a Input<'a>, source: &'a Side<'a>, targets: &'a [Side<'a>]) -> Self {
        let group = input.group;
        let selected: Option<Vec<&'a Dataset>> = source.inventory.map(|inventory| {
            inventory.datasets.values().filter(|dataset| group.selects(&dataset.name)).collect()
        });
        let mut survey = Self {
            input,
            pairs: Vec::new(),
            selected: selected.as_ref().map(Vec::len),
            sources_of: BTreeMap::new(),
            running: input
                .running
                .iter()
                .map(|running| ((running.target_system, &running.target), running.transfer))
                .collect(),
            pools: targets.iter().map(|side| (side.id, pools_of(side))).collect(),
            moving: BTreeSet::new(),
        };
        for dataset in selected.into_iter().flatten() {
            let mapped = group.map(&dataset.name);
            if let Ok(target) = &mapped {
                survey.sources_of.entry(target.clone()).or_default().push(&dataset.name);
            }
            survey.pairs.extend(targets.iter().map(|side| pair(source, side, dataset, mapped.clone())));
        }
        survey.moving = survey.pairs.iter().filter_map(|pair| survey.moved_by(pair)).collect();
        survey
    }

    /// The dataset that is about to be set aside for this pair.
    fn moved_by(&self, pair: &Pair<'a>) -> Option<(SystemId, DatasetName)> {
        pair.conflict()?;
        let (target, dataset) = (pair.mapped.as_ref().ok()?, pair.target_dataset?);
        let moves = set_aside::is_wanted(self.input, pair.target.id, target)
            && self.rivals(target).is_empty()
            && set_aside::new_name(self, pair.target, dataset).is_ok();
        moves.then(|| (pair.target.id, target.clone()))
    }

    /// True when a dataset of this group is kept under this name on targets.
    pub(super) fn is_target(&self, name: &DatasetName) -> bool {
        self.sources_of.contains_key(name)
    }

    /// The sources that map to this target when there are several.
    pub(super) fn rivals(&self, target: &DatasetName) -> &[&'a DatasetName] {
        match self.sources_of.get(target) {
            Some(sources) if sources.len() > 1 => sources,
            _ => &[],
        }
    }

    pub(super) fn running(&self, system: SystemId, target: &DatasetName) -> Option<TransferId> {
        self.running.get(&(system, target)).copied()
    }

    pub(super) fn has_pool(&self, system: SystemId, pool: &str) -> bool {
        self.pools.get(&system).is_some_and(|pools| pools.contains(pool))
    }

    /// A dataset below `name` that the system has or is receiving.
    pub(super) fn below(&self, side: &Side<'a>, name: &DatasetName) -> Option<&'a DatasetName> {
        let reported = side.inventory.and_then(|inventory| first_below(inventory, name));
        let coming = || {
            let running = self.running.keys().filter(|(system, _)| *system == side.id);
            running.map(|(_, target)| *target).find(|target| *target != name && target.is_within(name))
        };
        reported.or_else(coming)
    }

    /// The ancestors of `target` that must be made, topmost first.
    pub(super) fn missing_parents(
        &self,
        side: &Side<'a>,
        target: &DatasetName,
    ) -> Result<Vec<DatasetName>, ParentProblem> {
        let mut missing = Vec::new();
        let mut next = target.parent();
        while let Some(ancestor) = next {
            next = ancestor.parent();
            match side.inventory.and_then(|inventory| inventory.datasets.get(&ancestor)) {
                Some(dataset) if dataset.properties.kind == DatasetKind::Volume => {
                    return Err(ParentProblem::Volume(ancestor));
                }
                Some(dataset) if half_received(dataset) => return Err(ParentProblem::NotReady(ancestor)),
                Some(_) if self.moving.contains(&(side.id, ancestor.clone())) => {
                    return Err(ParentProblem::NotReady(ancestor));
                }
                Some(_) => {}
                None if self.is_target(&ancestor) => return Err(ParentProblem::NotReady(ancestor)),
                // A pool's root comes with the pool, whether it was reported or not.
                None if next.is_none() => {}
                None => missing.push(ancestor),
            }
        }
        missing.reverse();
        Ok(missing)
    }
}

fn pools_of<'a>(side: &Side<'a>) -> BTreeSet<&'a str> {
    side.inventory
        .into_iter()
        .flat_map(|inventory| inventory.datasets.keys())
        .map(DatasetName::pool)
        .collect()
}

fn pair<'a>(
    source: &'a Side<'a>,
    target: &'a Side<'a>,
    source_dataset: &'a Dataset,
    mapped: Result<DatasetName, NameError>,
) -> Pair<'a> {
    let known = mapped.as_ref().ok().zip(target.inventory);
    let target_dataset = known.and_then(|(name, inventory)| inventory.datasets.get(name));
    let comparison = known.map(|_| compare(source_dataset, target_dataset));
    Pair { source, target, source_dataset, mapped, target_dataset, comparison }
}

/// True while the first receive of a dataset has not ended: nothing can be received below it.
fn half_received(dataset: &Dataset) -> bool {
    dataset.snapshots.is_empty() && dataset.properties.partial.is_some()
}

fn first_below<'a>(inventory: &'a Inventory, name: &DatasetName) -> Option<&'a DatasetName> {
    // A space is the smallest character of names, so this is the smallest name below; where it is too long, there is none.
    let smallest = name.join(" ").ok()?;
    inventory.datasets.range(smallest..).next().map(|(below, _)| below).filter(|below| below.is_within(name))
}
