//! What stands on a target system around a replica's place.

use super::{
    pair::{Pair, Side},
    set_aside::is_aside,
    survey::Survey,
};
use crate::{
    group::GroupMode,
    ids::SystemId,
    inventory::{Dataset, DatasetKind, Inventory},
    name::DatasetName,
};

/// What stands between a first receive and the datasets above it.
#[derive(Debug)]
pub(super) enum ParentProblem {
    /// It must be received first, or is about to be moved.
    NotReady(DatasetName),
    /// Nothing can be received below a volume.
    Volume(DatasetName),
}

impl<'a> Survey<'a> {
    /// True when an existing dataset of this home is kept under this name on the member.
    pub(super) fn is_target(&self, home: SystemId, name: &DatasetName, member: SystemId) -> bool {
        !self.sources_of(home, name, member).is_empty()
    }

    /// The existing logical datasets that are received under this name.
    fn sources_of(&self, home: SystemId, name: &DatasetName, member: SystemId) -> Vec<DatasetName> {
        let logical = self.input.group.logical_names(home, name, member);
        let mesh = self.input.group.mode == GroupMode::Mesh;
        let exists = |dataset: &DatasetName| {
            if mesh {
                let others = self.sides.keys().filter(|other| **other != member);
                others.copied().any(|other| self.dataset_on(home, dataset, other).is_some())
            } else {
                self.dataset_on(home, dataset, home).is_some()
            }
        };
        logical.into_iter().filter(|dataset| !is_aside(dataset) && exists(dataset)).collect()
    }

    /// The logical datasets that map to this pair's target when there are several. Two homes never share a place: their prefixes lie
    /// apart ([`crate::group::SyncGroup::problems`]).
    pub(super) fn rivals(&self, pair: &Pair<'a>) -> Vec<DatasetName> {
        let Ok(target) = &pair.mapped else { return Vec::new() };
        let sources = self.sources_of(pair.home, target, pair.target.id);
        if sources.len() > 1 { sources } else { Vec::new() }
    }

    /// A dataset below `name` that the system has or is receiving.
    pub(super) fn below(&self, side: &Side<'a>, name: &DatasetName) -> Option<&'a DatasetName> {
        let reported = side.inventory.and_then(|inventory| datasets_below(inventory, name).next());
        let coming = || {
            let running = self.running.keys().filter(|(system, _)| *system == side.id);
            running.map(|(_, target)| *target).find(|target| *target != name && target.is_within(name))
        };
        reported.or_else(coming)
    }

    /// The ancestors of a pair's target that must be made, topmost first.
    pub(super) fn missing_parents(
        &self,
        pair: &Pair<'a>,
        target: &DatasetName,
    ) -> Result<Vec<DatasetName>, ParentProblem> {
        let side = &pair.target;
        let mut missing = Vec::new();
        let mut next = target.parent();
        while let Some(ancestor) = next {
            next = ancestor.parent();
            let renamed = self.running.get(&(side.id, &ancestor)).is_some_and(|running| running.renames);
            match side.dataset(&ancestor) {
                Some(dataset) if dataset.properties.kind == DatasetKind::Volume => {
                    return Err(ParentProblem::Volume(ancestor));
                }
                Some(dataset) if half_received(dataset) => return Err(ParentProblem::NotReady(ancestor)),
                Some(_) if renamed || self.moving.contains(&(side.id, ancestor.clone())) => {
                    return Err(ParentProblem::NotReady(ancestor));
                }
                Some(_) => {}
                None if self.is_target(pair.home, &ancestor, side.id) => {
                    return Err(ParentProblem::NotReady(ancestor));
                }
                // A pool's root comes with the pool, whether it was reported or not.
                None if next.is_none() => {}
                None => missing.push(ancestor),
            }
        }
        missing.reverse();
        Ok(missing)
    }
}

/// True while the first receive of a dataset has not ended: nothing can be received below it.
fn half_received(dataset: &Dataset) -> bool {
    dataset.snapshots.is_empty() && dataset.properties.partial.is_some()
}

/// The datasets below this one, in order.
pub(super) fn datasets_below<'a>(
    inventory: &'a Inventory,
    name: &DatasetName,
) -> impl Iterator<Item = &'a DatasetName> {
    // A space is the smallest character of names, so this is the smallest name below; where it is too long, there is none.
    let smallest = name.join(" ").ok();
    let from_there = smallest.map(|smallest| inventory.datasets.range(smallest..).map(|(below, _)| below));
    let name = name.clone();
    from_there.into_iter().flatten().take_while(move |below| below.is_within(&name))
}
