//! What a plan may move away or destroy: only what a person or the group's policy has approved, and nothing that is protected.

use super::{
    copies::{Copies, Place, Standing},
    invariants::{EXACT, Look, Subject},
    planner::{Decision, Input, SystemView},
    report::ReplicaKey,
    step::{Action, Step},
};
use crate::{
    group::{GroupMode, Strategy},
    guid::Guid,
    inventory::Dataset,
};

const APPROVED: &str =
    "nothing is moved or destroyed that neither a person nor the group's policy has approved";
const GUARDED: &str = "what is held, cloned, common, or by policy the last copy is not destroyed";

impl Look<'_> {
    /// What is moved away or destroyed was approved, and nothing protects it.
    pub(super) fn approvals(&mut self, input: &Input<'_>, subject: &Subject<'_>) {
        let step = self.step;
        if matches!(step.action, Action::Send(_)) {
            return;
        }
        if matches!(step.action, Action::FollowRename { .. }) {
            self.demand(input.group.follow_renames, APPROVED);
            return;
        }
        let Some(target) = subject.target.datasets.get(&step.target) else {
            self.demand(false, EXACT);
            return;
        };
        let by_person = input.decisions.iter().any(|decision| self.is_decided(decision, subject));
        self.demand(by_person || self.is_policy(input, subject), APPROVED);
        for lost in step.action.destroys() {
            self.loss(input, subject, target, lost.guid, by_person);
        }
    }

    /// True when a person has decided it.
    fn is_decided(&self, decision: &Decision, subject: &Subject<'_>) -> bool {
        decision.home == subject.home
            && decision.dataset == subject.logical
            && decision.approves(self.step.target_system, &self.step.action)
    }

    /// True when the group's policy asks for it by itself.
    fn is_policy(&self, input: &Input<'_>, subject: &Subject<'_>) -> bool {
        let (group, step) = (input.group, self.step);
        let is_worked_on = match group.mode {
            GroupMode::Mesh => true,
            GroupMode::Local => false,
            _ => step.target_system == subject.home,
        };
        let is_truth = is_worked_on && group.mode != GroupMode::Mesh;
        let policy = group.on_divergence.strategy();
        let destructive = group.allow_destroy && policy.is_some_and(Strategy::is_destructive);
        match &step.action {
            Action::SetAside { .. } => !is_truth && (destructive || policy == Some(Strategy::KeepBoth)),
            Action::RollBack { discards, .. } => destructive && (*discards == 0 || !is_worked_on),
            Action::DestroySnapshots { .. } => group.allow_destroy && group.mirror_deletes.is_some(),
            Action::Send(_) | Action::FollowRename { .. } => true,
        }
    }

    fn loss(
        &mut self,
        input: &Input<'_>,
        subject: &Subject<'_>,
        target: &Dataset,
        lost: Guid,
        by_person: bool,
    ) {
        let step = self.step;
        let Some(snapshot) = target.snapshot(lost) else {
            self.demand(false, EXACT);
            return;
        };
        let source = subject.source.datasets.get(&step.source);
        let common = source.is_some_and(|source| source.snapshot(lost).is_some());
        let key = ReplicaKey {
            home: subject.home,
            dataset: subject.logical.clone(),
            target_system: step.target_system,
        };
        let remembered = input.memory.get(&key).and_then(|remembered| remembered.common);
        let ours = u32::from(remembered == Some(lost) && matches!(step.action, Action::RollBack { .. }));
        let origin = format!("{}@{}", step.target, snapshot.label);
        let cloned =
            subject.target.datasets.values().any(|other| other.properties.origin.as_deref() == Some(&origin));
        self.demand(!common && snapshot.holds <= ours && !cloned, GUARDED);
        // A person may give up the last copy of what stands in a target's way, having seen it listed; never what was merely deleted at
        // the source, because another copy is what makes that harmless.
        let may_be_last = by_person && matches!(step.action, Action::RollBack { .. });
        self.demand(may_be_last || is_elsewhere(input, subject, step, target.properties.guid, lost), GUARDED);
    }
}

/// True when a copy that comes before the target's stays, of all that the fleet and the members' own inventories tell of.
fn is_elsewhere(input: &Input<'_>, subject: &Subject<'_>, step: &Step, own: Guid, lost: Guid) -> bool {
    let mut copies: Copies = input.holders.get(&lost).cloned().unwrap_or_default();
    for (id, SystemView { inventory, fresh, .. }) in input.systems {
        let name = input.group.name_on(subject.home, &subject.logical, *id).ok();
        let dataset = inventory.zip(name).and_then(|(inventory, name)| inventory.datasets.get(&name));
        let Some(dataset) = dataset.filter(|dataset| dataset.snapshot(lost).is_some()) else { continue };
        let standing = if *fresh { Standing::Stays } else { Standing::Unheard };
        copies.keep(Place { system: *id, dataset: dataset.properties.guid }, standing);
    }
    input.dooms(lost).for_each(|system| copies.doom(system));
    copies.is_kept_before(Place { system: step.target_system, dataset: own })
}
