//! Is a step that was queued a while ago still what its group asks for?

use zfs_sync_core::{
    group::{Profile, Strategy, SyncGroup},
    ids::SystemId,
    name::DatasetName,
    plan::{Action, Decision, Step},
};

/// `Err` says in words why the step must not start any more.
pub(crate) fn still_wanted(
    group: Option<&SyncGroup>,
    decisions: &[Decision],
    step: &Step,
) -> Result<(), &'static str> {
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
    if decisions.is_empty() && !receives {
        return Err("data flows the other way in the group now");
    }
    if approved(group, &decisions, step) {
        Ok(())
    } else {
        Err("nobody asks for this any more: the decision was withdrawn, or the group's policy changed")
    }
}

/// The home and logical dataset that the step is about.
fn meant(group: &SyncGroup, step: &Step) -> Option<(SystemId, DatasetName)> {
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
fn approved(group: &SyncGroup, decisions: &[&Decision], step: &Step) -> bool {
    let policy = group.on_divergence.strategy();
    let by_policy = match &step.action {
        Action::Send(_) => return true,
        // Nobody decides that for one replica.
        Action::FollowRename { .. } => return group.follow_renames,
        // Policies that would roll back set aside where nothing is common.
        Action::SetAside { .. } => policy.is_some(),
        Action::RollBack { .. } => group.allow_destroy && policy.is_some_and(Strategy::is_destructive),
        Action::DestroySnapshots { .. } => group.allow_destroy && group.mirror_deletes.is_some(),
    };
    by_policy || decisions.iter().any(|decision| decision.approves(step.target_system, &step.action))
}
