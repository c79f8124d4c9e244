//! Both sides of a step, as they are now.

use zfs_sync_core::{
    guid::Guid,
    inventory::{Dataset, Snapshot},
    name::{DatasetName, SnapshotName},
};
use zfs_sync_zfs::{
    command::Scope,
    error::Error,
    features::Features,
    inventory::{ensure_pools_answer, list_datasets, read_one},
    runner::Runner,
};

use super::{Sides, failure::Failure};
use zfs_sync_core::plan::Step;

/// What was read of both datasets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) source: Option<Dataset>,
    pub(super) target: Option<Dataset>,
    /// The target's resume token.
    pub(super) token: Option<String>,
}

impl View {
    /// Reads both datasets by their planned names.
    pub(super) async fn read(step: &Step, sides: &Sides<'_>) -> Result<Self, Failure> {
        let (source, target) = tokio::join!(
            read_one(sides.source, &step.source, sides.source_features),
            read_one(sides.target, &step.target, sides.target_features),
        );
        let source = source.map_err(|error| unread(&step.source, sides.source, &error))?;
        let target = target.map_err(|error| unread(&step.target, sides.target, &error))?;
        let (target, token) = target.map_or((None, None), |(dataset, token)| (Some(dataset), token));
        Ok(Self { source: source.map(|(dataset, _)| dataset), target, token })
    }

    /// As [`Self::read`], but a source dataset that was renamed is found by its GUID: our holds went along with it.
    pub(super) async fn read_wherever(step: &Step, sides: &Sides<'_>) -> Result<Self, Failure> {
        let mut view = Self::read(step, sides).await?;
        let as_planned = |dataset: &Dataset| dataset.properties.guid == step.source_guid;
        if view.source.as_ref().is_some_and(as_planned) {
            return Ok(view);
        }
        let found = find(sides.source, sides.source_features, step.source_guid).await;
        view.source = found.map_err(|error| unread(&step.source, sides.source, &error))?;
        Ok(view)
    }

    /// True when the target has this snapshot.
    pub(super) fn has_arrived(&self, guid: Guid) -> bool {
        self.target.as_ref().is_some_and(|target| target.snapshot(guid).is_some())
    }
}

pub(super) fn unread(dataset: &DatasetName, runner: &dyn Runner, error: &Error) -> Failure {
    Failure::command(&format!("read {dataset} on {}", runner.host()), error)
}

async fn find(runner: &dyn Runner, features: &Features, guid: Guid) -> Result<Option<Dataset>, Error> {
    let rows = list_datasets(runner, &Scope::Everything, features).await?;
    let Some(row) = rows.into_iter().find(|row| row.properties.guid == guid) else {
        // The listing leaves out what is on a pool that does not answer.
        ensure_pools_answer(runner).await?;
        return Ok(None);
    };
    Ok(read_one(runner, &row.name, features).await?.map(|(dataset, _)| dataset))
}

/// A snapshot's present full name.
pub(super) fn name_of(dataset: &Dataset, snapshot: &Snapshot) -> Result<SnapshotName, Failure> {
    dataset.name.snapshot(&snapshot.label).map_err(|error| Failure::name(&error))
}
