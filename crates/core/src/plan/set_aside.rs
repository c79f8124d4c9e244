//! Keeping a diverged target: it gets another name, whole, and the replica is seeded anew.

use super::{
    planner::{Input, KeepBoth},
    survey::{Side, Survey},
};
use crate::{
    group::OnDivergence,
    ids::SystemId,
    inventory::Dataset,
    name::{DatasetName, MAX_NAME_LENGTH, NameError},
};

/// Why a target can not be set aside.
#[derive(Debug)]
pub(super) enum Obstacle {
    /// A pool's root can not be renamed.
    PoolRoot,
    /// A dataset below would go along.
    Below(DatasetName),
    /// The new name, or that of a snapshot under it, would be longer than ZFS allows.
    TooLong(NameError),
}

/// True when the group's policy or a person asks for it.
pub(super) fn is_wanted(input: &Input<'_>, system: SystemId, target: &DatasetName) -> bool {
    input.group.on_divergence == OnDivergence::KeepBoth
        || input.keep_both.contains(&KeepBoth { system, target: target.clone() })
}

/// A free name beside the target.
pub(super) fn new_name(
    survey: &Survey<'_>,
    side: &Side<'_>,
    target: &Dataset,
) -> Result<DatasetName, Obstacle> {
    if target.name.parent().is_none() {
        return Err(Obstacle::PoolRoot);
    }
    if let Some(below) = survey.below(side, &target.name) {
        return Err(Obstacle::Below(below.clone()));
    }
    let stem = format!("{}.aside-{}", target.name, survey.input.now.strftime("%Y%m%dT%H%M%SZ"));
    let longest_label =
        target.snapshots.iter().map(|snapshot| snapshot.label.as_str().len() + 1).max().unwrap_or(0);
    let mut candidate = stem.clone();
    let mut number = 2_u64;
    loop {
        let name: DatasetName = candidate.parse().map_err(Obstacle::TooLong)?;
        let length = candidate.len() + longest_label;
        if length > MAX_NAME_LENGTH {
            return Err(Obstacle::TooLong(NameError::TooLong(length)));
        }
        let exists = side.inventory.is_some_and(|inventory| inventory.datasets.contains_key(&name));
        if !exists && !survey.is_target(&name) {
            return Ok(name);
        }
        candidate = format!("{stem}-{number}");
        number += 1;
    }
}
