//! What no plan may do, whoever made it. Checked in tests and again before steps are queued.
//!
//! Nothing here asks the planner's own comparison: every rule is read off the inventories a second time.

use std::collections::BTreeSet;

use super::{
    planner::{Input, SystemView},
    step::{Action, Base, Plan, Send, Step, TargetOrigin},
};
use crate::{
    group::{GroupMode, Profile},
    guid::{Guid, Txg},
    ids::SystemId,
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

const LISTED: &str = "what a plan destroys is what its steps destroy";
pub(super) const EXACT: &str = "a target goes back to a snapshot of its own, over exactly what is listed";
const PAUSED: &str = "a disabled group does nothing";
const ONE_STEP: &str = "one step a replica";
const DIRECTION: &str = "data flows as the group says";
const FRESH: &str = "nothing is done on missing or old reports";
const RUNNING: &str = "a replica with a transfer is left alone";
const BASE: &str = "an incremental base is on both sides and older than what is sent";
const FULL: &str = "a full stream never meets existing data";
const PARTIAL: &str = "only the interrupted receive that is there is continued or discarded";
const ENCRYPTED: &str = "an encrypted source is sent raw";
const PARENTS: &str = "only missing ancestors are created";
const ASIDE: &str = "a target is set aside alone, to a free name in its pool";
const RENAME: &str = "a replica is renamed in its pool, to a free name";

/// All rules that `plan` breaks, given what it was made from.
pub fn check(plan: &Plan, input: &Input<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let of_steps: Vec<(SystemId, &DatasetName, Guid)> = plan
        .steps
        .iter()
        .flat_map(|step| {
            step.action.destroys().iter().map(move |lost| (step.target_system, &step.target, lost.guid))
        })
        .collect();
    let listed: Vec<(SystemId, &DatasetName, Guid)> =
        plan.destroys.iter().map(|lost| (lost.system, &lost.dataset, lost.casualty.guid)).collect();
    if of_steps != listed {
        let detail = format!("{} are listed, {} are in steps", listed.len(), of_steps.len());
        violations.push(Violation { rule: LISTED, detail });
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
        look.running(input);
        let Some((home, logical)) = look.direction(input) else { continue };
        if let Some((source, target)) = look.reports(input) {
            look.data(plan, input, source, target);
            look.approvals(input, &Subject { home, logical, source, target });
        }
    }
    violations
}

/// What a step is about, and what both sides are known to have.
pub(super) struct Subject<'a> {
    pub(super) home: SystemId,
    pub(super) logical: DatasetName,
    pub(super) source: &'a Inventory,
    pub(super) target: &'a Inventory,
}

/// Checks one step.
pub(super) struct Look<'a> {
    pub(super) step: &'a Step,
    violations: &'a mut Vec<Violation>,
}

impl<'a> Look<'a> {
    pub(super) fn demand(&mut self, holds: bool, rule: &'static str) {
        if !holds {
            let Step { source, target, target_system, .. } = self.step;
            self.violations
                .push(Violation { rule, detail: format!("{source} to {target} on {target_system}") });
        }
    }

    /// The home and the logical dataset that the step is about.
    fn direction(&mut self, input: &Input<'_>) -> Option<(SystemId, DatasetName)> {
        let (group, step) = (input.group, self.step);
        let members = [step.source_system, step.target_system].iter().all(|id| group.members.contains(id));
        let of_home = |home: SystemId| {
            group
                .logical_names(home, &step.target, step.target_system)
                .into_iter()
                .map(move |logical| (home, logical))
        };
        let classic = group.homes().into_iter().map(|home| (home, step.source.clone()));
        let classic = classic.filter(|_| group.profile == Profile::Classic);
        let mut meant: Vec<(SystemId, DatasetName)> = group
            .homes()
            .into_iter()
            .flat_map(of_home)
            .chain(classic)
            .filter(|(home, logical)| {
                group.selects(logical)
                    && group.name_on(*home, logical, step.source_system).as_ref() == Ok(&step.source)
            })
            .collect();
        // Where two names map to one, it is the one that there is.
        meant.sort_by_key(|(home, logical)| {
            let inventory = input.systems.get(home).and_then(|view| view.inventory);
            !inventory.is_some_and(|inventory| inventory.datasets.contains_key(logical))
        });
        let edges = group.edges();
        let meant = meant.into_iter().find(|(home, logical)| {
            let to_target = |source: SystemId| {
                edges.iter().any(|edge| {
                    edge.home == *home && edge.source == source && edge.target == step.target_system
                })
            };
            let decided = input.decisions.iter().any(|decision| {
                decision.home == *home
                    && decision.dataset == *logical
                    && decision.winner == step.source_system
                    && decision.targets.contains(&step.target_system)
            });
            // Some policies may choose another member to follow.
            let policy = group.on_divergence.strategy();
            let turned = group.allow_destroy && policy.is_some_and(crate::group::Strategy::chooses);
            to_target(step.source_system) || decided || turned || self.stands_in(input, *home, logical)
        });
        let allowed = meant.is_some();
        self.demand(members && allowed, DIRECTION);
        meant.filter(|_| members)
    }

    /// True when the sender is a clean replica of the member that the target follows, or comes before it in a chain.
    fn stands_in(&self, input: &Input<'_>, home: SystemId, logical: &DatasetName) -> bool {
        let step = self.step;
        let dataset = |system: SystemId| {
            let name = input.group.name_on(home, logical, system).ok()?;
            input.systems.get(&system)?.inventory?.datasets.get(&name)
        };
        let Some(sender) = dataset(step.source_system) else { return false };
        let place = |system: SystemId| input.group.members.iter().position(|member| *member == system);
        if input.group.mode == GroupMode::Chain && place(step.source_system) < place(step.target_system) {
            return true;
        }
        let followed = input.group.edges().into_iter();
        let mut followed = followed.filter(|edge| edge.home == home && edge.target == step.target_system);
        let clean = sender.properties.written == 0;
        clean
            && followed.any(|edge| {
                let source = dataset(edge.source);
                source.zip(newest(sender)).is_some_and(|(source, head)| source.snapshot(head).is_some())
            })
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
        let proves = |source: &Dataset, guid: Guid| {
            source.snapshot(guid).is_some() || source.bookmarks.iter().any(|bookmark| bookmark.guid == guid)
        };
        match &step.action {
            Action::Send(send) => {
                self.send(send, source, target);
                let within = |parent: &DatasetName| step.target.is_within(parent) && *parent != step.target;
                let missing = |parent: &DatasetName| !target.datasets.contains_key(parent);
                self.demand(
                    send.create_parents.iter().all(|parent| within(parent) && missing(parent)),
                    PARENTS,
                );
            }
            Action::RollBack { to, target_guid, target_newest, destroys, discards, .. } => {
                let exact = existing.is_some_and(|dataset| {
                    let newer = dataset.snapshots.iter().rev().take_while(|snapshot| snapshot.guid != *to);
                    dataset.properties.guid == *target_guid
                        && newest(dataset) == Some(*target_newest)
                        && dataset.snapshot(*to).is_some()
                        && proves(source, *to)
                        && dataset.properties.written == *discards
                        && newer.map(|snapshot| snapshot.guid).eq(destroys.iter().map(|lost| lost.guid))
                });
                self.demand(exact, EXACT);
            }
            Action::DestroySnapshots { target_guid, keeps, destroys } => {
                let exact = existing.is_some_and(|dataset| {
                    dataset.properties.guid == *target_guid
                        && newest(dataset) == Some(*keeps)
                        && source.snapshot(*keeps).is_some()
                        && !destroys.is_empty()
                        && destroys.iter().all(|lost| lost.guid != *keeps)
                });
                self.demand(exact, EXACT);
            }
            Action::FollowRename { rename_from, target_guid, target_newest } => {
                let same = target.datasets.get(rename_from).is_some_and(|dataset| {
                    dataset.properties.guid == *target_guid && newest(dataset) == *target_newest
                });
                let free = existing.is_none() && rename_from.pool() == step.target.pool();
                let known = target_newest.is_some_and(|head| source.snapshot(head).is_some());
                self.demand(same && free && known, RENAME);
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

    fn send(&mut self, send: &Send, source: &Dataset, on_target_system: &Inventory) {
        let target = on_target_system.datasets.get(&self.step.target);
        let to = &send.to;
        let is_to = |snapshot: &Snapshot| snapshot.guid == to.guid && snapshot.createtxg == to.createtxg;
        self.demand(source.snapshots.iter().any(is_to), BASE);
        self.demand(target.and_then(newest) == send.target_newest, BASE);
        self.demand(send.raw || !source.properties.encrypted, ENCRYPTED);
        // Either nothing is there, or only what an interrupted first receive has left.
        let unfinished = |dataset: &Dataset| {
            dataset.snapshots.is_empty() && (send.resume || send.discard_partial.is_some())
        };
        if let Some(base) = &send.base {
            let on_source = knows(source, base);
            let of_clone = |origin: &TargetOrigin| {
                let there = on_target_system.datasets.get(&origin.dataset);
                origin.guid == base.point().guid
                    && there.is_some_and(|dataset| dataset.snapshot(origin.guid).is_some())
            };
            let on_target = match &send.target_origin {
                Some(origin) => target.is_none_or(&unfinished) && of_clone(origin),
                // A stream from another dataset's snapshot is received as a clone, and only as that.
                None => {
                    target.and_then(newest) == Some(base.point().guid) && !matches!(base, Base::Origin { .. })
                }
            };
            self.demand(on_source && on_target && base.point().createtxg < send.to.createtxg, BASE);
            self.demand(matches!(base, Base::Snapshot(_)) || send.snapshots == 1, BASE);
        } else {
            self.demand(target.is_none_or(unfinished), FULL);
        }
        let partial = target.and_then(|dataset| dataset.properties.partial.as_ref());
        let continued = !send.resume
            || partial.is_some_and(|partial| {
                partial.to_guid == send.to.guid
                    && partial.is_of(&self.step.source)
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
        // The origin's dataset is looked up where the clone is: its name and the snapshot's are in the clone's own properties.
        Base::Origin { dataset, point } => {
            source.properties.origin.as_deref() == Some(&format!("{dataset}@{}", point.label))
        }
        Base::Bookmark(_) => source.bookmarks.iter().any(|bookmark| same(bookmark.guid, bookmark.createtxg)),
    }
}
