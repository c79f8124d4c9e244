//! Is a step that was queued a while ago still what its group asks for?

use zfs_sync_core::{group::SyncGroup, plan::Step};

/// `Err` says in words why the step must not start any more.
pub(crate) fn still_wanted(group: Option<&SyncGroup>, step: &Step) -> Result<(), &'static str> {
    let Some(group) = group else { return Err("its group was deleted") };
    if !group.enabled {
        return Err("its group was disabled");
    }
    if step.source_system != group.source_of_truth {
        return Err("the group has another source of truth now");
    }
    if !group.targets().any(|target| target == step.target_system) {
        return Err("the target is no longer a member of the group");
    }
    if !group.selects(&step.source) {
        return Err("the group no longer selects the dataset");
    }
    if group.map(&step.source).as_ref() != Ok(&step.target) {
        return Err("the group maps the dataset to another name now");
    }
    Ok(())
}
