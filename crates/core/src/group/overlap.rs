//! What is wrong between groups: two that receive into one dataset, data that comes back to where it came from.
//!
//! Only definitions are compared, not what the systems hold: a group that is made today also decides about the datasets of tomorrow.

mod cycle;
mod flow;
mod target;
#[cfg(test)]
mod tests;

use self::{
    cycle::{Cycle, cycles},
    flow::{Flows, Route},
    target::{SharedTarget, shared_targets},
};
use super::{GroupProblem, SyncGroup};
use crate::{ids::SystemId, pattern::meet::Work};

/// Places in patterns that are looked at, at most, for one group and for one question; some tenths of a second. Groups as people
/// make them need a thousandth of it.
const WORK: usize = 20_000_000;
const WORK_EACH: usize = 2_000_000;

/// Everything in `group` that does not go together with the other groups, enabled or not: `E_GROUP_OVERLAP`, `E_GROUP_CYCLE`,
/// `E_MAPPING_NESTED`. An earlier definition of the same group may be among `others`.
///
/// Each problem is shown with datasets that have it. They are exact: where patterns can not meet, nothing is reported.
pub fn clashes(
    group: &SyncGroup,
    others: &[&SyncGroup],
    name_of: impl Fn(SystemId) -> String,
) -> Vec<GroupProblem> {
    let flows = Flows::new(group, others);
    let mut work = Work::new(WORK, WORK_EACH);
    let shared = shared_targets(&flows, &mut work).into_iter().map(|shared| shared.problem(&flows, &name_of));
    let mut problems: Vec<_> = shared.collect();
    problems.extend(cycles(&flows, &mut work).into_iter().map(|cycle| cycle.problem(&flows, &name_of)));
    problems
}

/// `group prod`, with a word about one that rests.
fn called(group: &SyncGroup) -> String {
    let rests = if group.enabled { "" } else { ", disabled" };
    format!("group {}{rests}", group.name)
}

/// The pattern that selects what a route carries.
fn selected_by(group: &SyncGroup, route: &Route) -> String {
    let pattern = group.include.iter().find(|pattern| pattern.matches(&route.logical));
    pattern.map_or_else(|| route.logical.to_string(), ToString::to_string)
}

impl SharedTarget {
    fn problem(&self, flows: &Flows<'_>, name_of: &impl Fn(SystemId) -> String) -> GroupProblem {
        let (own, other) = (&flows.all[self.own.0], &flows.all[self.other.0]);
        let target = format!("{} {}", name_of(own.edge.target), self.own.1.target);
        let from = |(index, route): &(usize, Route)| {
            let flow = &flows.all[*index];
            let pattern = selected_by(flow.group, route);
            format!("{} {} ({}, by `{pattern}`)", name_of(flow.edge.source), route.source, called(flow.group))
        };
        let detail = format!(
            "{target} would be received from {} and from {}: two histories can not live in one dataset. Give this group a target of \
             its own by a mapping, exclude these datasets, or change or delete group {}",
            from(&self.own),
            from(&self.other),
            other.group.name
        );
        GroupProblem { pointer: own.field.clone(), code: "E_GROUP_OVERLAP", detail }
    }
}

impl Cycle {
    fn problem(&self, flows: &Flows<'_>, name_of: &impl Fn(SystemId) -> String) -> GroupProblem {
        let first = &flows.all[self.hops[0].0];
        let begin = format!("{} {}", name_of(first.edge.source), self.hops[0].1.source);
        let hops = self.hops.iter().map(|(index, route)| {
            let flow = &flows.all[*index];
            format!(" → {} {} ({})", name_of(flow.edge.target), route.target, called(flow.group))
        });
        let path = [begin].into_iter().chain(hops).collect::<String>();
        let pointer = first.field.clone();
        if let Some(place) = &self.grows_in {
            let system = name_of(first.edge.source);
            let detail = format!(
                "copies would be copied again, deeper with each round: {path} → … Exclude what arrives in `{place}` on {system} where it \
                 is sent on, or choose a target outside of what {system} sends"
            );
            return GroupProblem { pointer, code: "E_MAPPING_NESTED", detail };
        }
        let detail = format!(
            "data would come back to where it came from: {path}. Exclude these datasets in one of the groups or map them to another \
             target; if each system is to receive what the others write, make one group of mode `mesh`"
        );
        GroupProblem { pointer, code: "E_GROUP_CYCLE", detail }
    }
}
