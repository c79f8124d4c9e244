//! Is a step that was queued a while ago still what its group asks for?

use super::{
    planner::Decision,
    step::{Action, Step},
};
use crate::{
    group::{GroupMode, Profile, Strategy, SyncGroup},
    ids::SystemId,
    name::DatasetName,
};

/// Whose word a step stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// A person's, who has seen what it destroys and discards.
    Person,
    /// The group's policy alone, or it needs nobody's word.
    Policy,
}

impl Word {
    /// True when nobody but a system that keeps another copy makes it harmless that the step destroys one.
    ///
    /// A person may give up the last copy of what stands in a target's way, having seen it listed. Never of what was merely deleted at the
    /// source: approving that more is carried over than a brake lets pass is no word about last copies.
    pub const fn needs_another_copy(self, action: &Action) -> bool {
        match action {
            Action::DestroySnapshots { .. } => true,
            Action::RollBack { .. } => matches!(self, Self::Policy),
            Action::Send(_) | Action::SetAside { .. } | Action::FollowRename { .. } => false,
        }
    }
}

/// `Err` says in words why the step must not start any more.
pub fn still_wanted(
    group: Option<&SyncGroup>,
    decisions: &[Decision],
    step: &Step,
) -> Result<Word, &'static str> {
    let Some(group) = group else { return Err("its group was deleted") };
    if !group.enabled {
        return Err("its group was disabled");
    }
    if !group.members.contains(&step.source_system) {
        return Err("the source is no longer a member of the group");
    }
    if !group.members.contains(&step.target_system) {
        return Err("the target is no longer a member of the group");
    }
    let Some((home, dataset)) = meant(group, step) else {
        return Err("the group no longer selects the dataset, or maps it to another name now");
    };
    let decided = |decision: &&Decision| {
        decision.home == home && decision.dataset == dataset && decision.targets.contains(&step.target_system)
    };
    let decisions: Vec<&Decision> = decisions.iter().filter(decided).collect();
    let receives = group.edges().iter().any(|edge| edge.home == home && edge.target == step.target_system);
    if decisions.is_empty() && !receives && !may_turn_around(group) {
        return Err("data flows the other way in the group now");
    }
    approved(group, &decisions, step, home)
        .ok_or("nobody asks for this any more: the decision was withdrawn, or the group's policy changed")
}

/// True when the group's policy may choose anybody to be followed, so that data may flow any way.
fn may_turn_around(group: &SyncGroup) -> bool {
    group.allow_destroy && group.on_divergence.strategy().is_some_and(Strategy::chooses)
}

/// The home and logical dataset that the step is about.
pub fn meant(group: &SyncGroup, step: &Step) -> Option<(SystemId, DatasetName)> {
    let named = |home: SystemId| {
        let names = group.logical_names(home, &step.target, step.target_system).into_iter();
        let classic = (group.profile == Profile::Classic).then(|| step.source.clone());
        names.chain(classic).map(move |dataset| (home, dataset))
    };
    group.homes().into_iter().flat_map(named).find(|(home, dataset)| {
        group.selects(dataset)
            && group.name_on(*home, dataset, step.source_system).as_ref() == Ok(&step.source)
    })
}

/// What makes room or destroys needs somebody's word for as long as it has not started.
fn approved(group: &SyncGroup, decisions: &[&Decision], step: &Step, home: SystemId) -> Option<Word> {
    let policy = group.on_divergence.strategy();
    let destructive = group.allow_destroy && policy.is_some_and(Strategy::is_destructive);
    let is_truth = !matches!(group.mode, GroupMode::Mesh | GroupMode::Local) && step.target_system == home;
    let is_worked_on = is_truth || group.mode == GroupMode::Mesh;
    let by_policy = match &step.action {
        Action::Send(_) => return Some(Word::Policy),
        // Nobody decides that for one replica.
        Action::FollowRename { .. } => return group.follow_renames.then_some(Word::Policy),
        // Policies that would roll back set aside where nothing is common.
        Action::SetAside { .. } => !is_truth && (destructive || policy == Some(Strategy::KeepBoth)),
        // What was written where people work is worth as much as a snapshot, and only a person gives it up.
        Action::RollBack { discards, .. } => destructive && (*discards == 0 || !is_worked_on),
        Action::DestroySnapshots { .. } => group.allow_destroy && group.mirror_deletes.is_some(),
    };
    let by_person = decisions.iter().any(|decision| decision.approves(step.target_system, &step.action));
    by_person.then_some(Word::Person).or_else(|| by_policy.then_some(Word::Policy))
}
