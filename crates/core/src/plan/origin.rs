//! Clones: what a dataset's history begins with, when it begins in another one.

use crate::{
    inventory::{Dataset, Inventory, Snapshot},
    name::DatasetName,
};

/// The snapshot that a dataset is a clone of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin<'a> {
    /// The dataset that has it.
    pub(super) dataset: &'a DatasetName,
    /// The snapshot.
    pub(super) snapshot: &'a Snapshot,
}

/// The origin of `dataset`, where its system reported it.
pub(super) fn origin_of<'a>(inventory: Option<&'a Inventory>, dataset: &Dataset) -> Option<Origin<'a>> {
    let (name, label) = dataset.properties.origin.as_deref()?.split_once('@')?;
    let name: DatasetName = name.parse().ok()?;
    let dataset = inventory?.datasets.get(&name)?;
    let snapshot = dataset.snapshots.iter().find(|snapshot| snapshot.label.as_str() == label)?;
    Some(Origin { dataset: &dataset.name, snapshot })
}

/// The names of datasets of this system that are clones of a snapshot of `dataset`.
pub(super) fn clones_of(
    inventory: Option<&Inventory>,
    dataset: &DatasetName,
    label: &str,
) -> Option<DatasetName> {
    let origin = format!("{dataset}@{label}");
    let mut all = inventory?.datasets.values();
    all.find(|other| other.properties.origin.as_deref() == Some(&origin)).map(|other| other.name.clone())
}
