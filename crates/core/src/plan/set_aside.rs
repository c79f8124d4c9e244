//! Keeping a diverged target: it gets another name, whole, and the replica is seeded anew.

use super::{pair::Pair, survey::Survey};
use crate::{
    inventory::{Dataset, Inventory},
    name::{DatasetName, MAX_NAME_LENGTH, NameError},
};

/// Stands between a replica's name and the time at which it was set aside.
pub(super) const INFIX: &str = ".aside-";

/// True for a name that [`new_name`] has made, and for what lies below such a one. It is what somebody wanted out of the way: no group
/// copies it, although its patterns may match.
pub(super) fn is_aside(name: &DatasetName) -> bool {
    name.as_str().split('/').any(|component| {
        let time = component.rsplit_once(INFIX).map(|(_, time)| time.split('-').next().unwrap_or_default());
        time.is_some_and(|time| {
            let form = |(place, byte): (usize, u8)| match place {
                8 => byte == b'T',
                15 => byte == b'Z',
                _ => byte.is_ascii_digit(),
            };
            time.len() == 16 && time.bytes().enumerate().all(form)
        })
    })
}

/// What was set aside from a dataset.
pub(super) fn asides_of<'a>(
    inventory: &'a Inventory,
    name: &DatasetName,
) -> impl Iterator<Item = &'a Dataset> + use<'a> {
    let prefix = format!("{name}{INFIX}");
    let first: Option<DatasetName> = prefix.parse().ok();
    let from_there = first.into_iter().flat_map(|first| inventory.datasets.range(first..));
    let datasets = from_there.map(|(_, dataset)| dataset);
    datasets.take_while(move |dataset| dataset.name.as_str().starts_with(&prefix))
}

/// Why a target can not be set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// A pool's root can not be renamed.
    PoolRoot,
    /// A dataset below would go along.
    Below(DatasetName),
    /// The new name, or that of a snapshot under it, would be longer than ZFS allows.
    TooLong(NameError),
}

/// A free name beside the target.
pub(super) fn new_name(
    survey: &Survey<'_>,
    pair: &Pair<'_>,
    target: &Dataset,
) -> Result<DatasetName, Obstacle> {
    if target.name.parent().is_none() {
        return Err(Obstacle::PoolRoot);
    }
    if let Some(below) = survey.below(&pair.target, &target.name) {
        return Err(Obstacle::Below(below.clone()));
    }
    let stem = format!("{}{INFIX}{}", target.name, survey.input.now.strftime("%Y%m%dT%H%M%SZ"));
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
        let exists = pair.target.dataset(&name).is_some();
        if !exists && !survey.is_target(pair.home, &name, pair.target.id) {
            return Ok(name);
        }
        candidate = format!("{stem}-{number}");
        number += 1;
    }
}
