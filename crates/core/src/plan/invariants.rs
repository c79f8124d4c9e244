//! What no plan may do, whoever made it. Checked in tests and again before steps are queued.
//!
//! Nothing here asks the planner's own comparison: every rule is read off the inventories a second time.

use std::collections::BTreeSet;

use super::{
    planner::{Input, SystemView},
    step::{Action, Base, Plan, Send, Step},
};
use crate::{
    guid::{Guid, Txg},
    inventory::{Dataset, Inventory, Snapshot},
    name::DatasetName,
};

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: {detail}")]
pub struct Violation {
    /// Which rule of docs/ARCHITECTURE.md.
    pub rule: &'static str,
    /// Where.
    pub detail: String,
}

const NO_DESTROY: &str = "no step destroys";
const PAUSED: &str = "a disabled group does nothing";
const ONE_STEP: &str = "one step a replica";
const DIRECTION: &str = "data flows from the source of truth to other members";
const FRESH: &str = "nothing is done on missing or old reports";
const RUNNING: &str = "a replica with a transfer is left alone";
const BASE: &str = "an incremental base is on both sides and older than what is sent";
const FULL: &str = "a full stream never meets existing data";
const PARTIAL: &str = "only the interrupted receive that is there is continued or discarded";
const ENCRYPTED: &str = "an encrypted source is sent raw";
const PARENTS: &str = "only missing ancestors are created";
const ASIDE: &str = "a target is set aside alone, to a free name in its pool";

/// All rules that `plan` breaks, given what it was made from.
pub fn check(plan: &Plan, input: &Input<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    if !plan.destroys.is_empty() {
        let detail = format!("{} snapshots are listed", plan.destroys.len());
        violations.push(Violation { rule: NO_DESTROY, detail });
    }
    if plan.group != input.group.id || (!input.group.enabled && !plan.steps.is_empty()) {
        violations.push(Violation {
            rule: PAUSED,
            detail: format!("{} steps for {}", plan.steps.len(), plan.group),
        });
    }
    let mut replicas = BTreeSet::new();
    for step in &plan.steps {
        let mut look = Look { step, violations: &mut violations };
        look.demand(replicas.insert((step.target_system, &step.target)), ONE_STEP);
        look.direction(input);
        look.running(input);
        if let Some((source, target)) = look.reports(input) {
            look.data(plan, input, source, target);
        }
    }
    violations
}

/// Checks one step.
struct Look<'a> {
    step: &'a Step,
    violations: &'a mut Vec<Violation>,
}

impl<'a> Look<'a> {
    fn demand(&mut self, holds: bool, rule: &'static str) {
        if !holds {
            let Step { source, target, target_system, .. } = self.step;
            self.violations
                .push(Violation { rule, detail: format!("{source} to {target} on {target_system}") });
        }
    }

    fn direction(&mut self, input: &Input<'_>) {
        let (group, step) = (input.group, self.step);
        let from_truth = step.source_system == group.source_of_truth && group.selects(&step.source);
        let to_member =
            step.target_system != group.source_of_truth && group.members.contains(&step.target_system);
        let mapped = group.map(&step.source).is_ok_and(|mapped| mapped == step.target);
        self.demand(from_truth && to_member && mapped, DIRECTION);
    }

    fn running(&mut self, input: &Input<'_>) {
        let step = self.step;
        let same = |running: &super::Running| {
            running.target_system == step.target_system && running.target == step.target
        };
        self.demand(!input.running.iter().any(same), RUNNING);
    }

    /// Both inventories, when both may be acted on.
    fn reports(&mut self, input: &Input<'a>) -> Option<(&'a Inventory, &'a Inventory)> {
        let usable = |view: &SystemView<'a>| if view.fresh { view.inventory } else { None };
        let source = input.systems.get(&self.step.source_system).and_then(usable);
        let target = input.systems.get(&self.step.target_system).and_then(usable);
        self.demand(source.is_some() && target.is_some(), FRESH);
        source.zip(target)
    }

    fn data(&mut self, plan: &Plan, input: &Input<'_>, source: &Inventory, target: &Inventory) {
        let step = self.step;
        let existing = target.datasets.get(&step.target);
        let Some(source) = source.datasets.get(&step.source) else {
            self.demand(false, DIRECTION);
            return;
        };
        match &step.action {
            Action::Send(send) => {
                self.send(send, source, existing);
                let within = |parent: &DatasetName| step.target.is_within(parent) && *parent != step.target;
                let missing = |parent: &DatasetName| !target.datasets.contains_key(parent);
                self.demand(
                    send.create_parents.iter().all(|parent| within(parent) && missing(parent)),
                    PARENTS,
                );
            }
            Action::SetAside { rename_to, target_guid, target_newest } => {
                let same = existing.is_some_and(|dataset| {
                    dataset.properties.guid == *target_guid && newest(dataset) == *target_newest
                });
                let free = !target.datasets.contains_key(rename_to);
                let same_pool = rename_to.pool() == step.target.pool() && step.target.parent().is_some();
                let alone = !target.datasets.keys().any(|name| lies_below(name, &step.target))
                    && !input.running.iter().any(|running| {
                        running.target_system == step.target_system
                            && lies_below(&running.target, &step.target)
                    })
                    && !plan.steps.iter().any(|other| {
                        other.target_system == step.target_system && lies_below(&other.target, &step.target)
                    });
                self.demand(same && free && same_pool && alone, ASIDE);
            }
        }
    }

    fn send(&mut self, send: &Send, source: &Dataset, target: Option<&Dataset>) {
        let to = &send.to;
        let is_to = |snapshot: &Snapshot| snapshot.guid == to.guid && snapshot.createtxg == to.createtxg;
        self.demand(source.snapshots.iter().any(is_to), BASE);
        self.demand(target.and_then(newest) == send.target_newest, BASE);
        self.demand(send.raw || !source.properties.encrypted, ENCRYPTED);
        if let Some(base) = &send.base {
            let on_source = knows(source, base);
            let on_target = target.and_then(newest) == Some(base.point().guid);
            self.demand(on_source && on_target && base.point().createtxg < send.to.createtxg, BASE);
            self.demand(matches!(base, Base::Snapshot(_)) || send.snapshots == 1, BASE);
        } else {
            // Either nothing is there, or only what an interrupted first receive has left.
            let unfinished = |dataset: &Dataset| {
                dataset.snapshots.is_empty() && (send.resume || send.discard_partial.is_some())
            };
            self.demand(target.is_none_or(unfinished), FULL);
        }
        let partial = target.and_then(|dataset| dataset.properties.partial.as_ref());
        let continued = !send.resume
            || partial.is_some_and(|partial| {
                partial.to_guid == send.to.guid
                    && partial.from_guid == send.base.as_ref().map(|base| base.point().guid)
                    && (partial.raw || !send.raw)
            });
        let discarded = send
            .discard_partial
            .is_none_or(|guid| !send.resume && partial.is_some_and(|partial| partial.to_guid == guid));
        self.demand(continued && discarded, PARTIAL);
    }
}

fn newest(dataset: &Dataset) -> Option<Guid> {
    dataset.snapshots.last().map(|snapshot| snapshot.guid)
}

fn lies_below(name: &DatasetName, above: &DatasetName) -> bool {
    name != above && name.is_within(above)
}

fn knows(source: &Dataset, base: &Base) -> bool {
    let same = |guid: Guid, createtxg: Txg| guid == base.point().guid && createtxg == base.point().createtxg;
    match base {
        Base::Snapshot(_) => source.snapshots.iter().any(|snapshot| same(snapshot.guid, snapshot.createtxg)),
        Base::Bookmark(_) => source.bookmarks.iter().any(|bookmark| same(bookmark.guid, bookmark.createtxg)),
    }
}
