//! Renames a diverged target out of the way, whole.

use zfs_sync_core::{guid::Guid, inventory::Dataset, name::DatasetName};
use zfs_sync_zfs::{
    command::{Command, Scope},
    error::Kind,
    inventory::{list_datasets, read_one},
};

use super::{Run, Side, Stage, failure::Failure};

pub(super) async fn execute(
    run: &Run<'_>,
    rename_to: &DatasetName,
    target_guid: Guid,
    target_newest: Option<Guid>,
) -> Result<(), Failure> {
    run.watcher.stage(Stage::Preparing);
    let (runner, features) = (run.sides.target, run.sides.target_features);
    let target = &run.step.target;
    let read = async |dataset: &DatasetName| {
        let found = read_one(runner, dataset, features).await;
        let doing = || format!("read {dataset} on {}", runner.host());
        Ok::<_, Failure>(
            found.map_err(|error| Failure::command(&doing(), &error))?.map(|(dataset, _)| dataset),
        )
    };
    let is_it = |dataset: &Dataset| dataset.properties.guid == target_guid;
    let (present, aside) = (read(target).await?, read(rename_to).await?);
    if aside.as_ref().is_some_and(is_it) {
        // Done by an attempt whose end nobody heard of.
        return Ok(());
    }
    if aside.is_some() {
        return Err(Failure::stale(format!("{rename_to} exists")));
    }
    let Some(present) = present.filter(is_it) else {
        return Err(Failure::stale(format!("{target} is not the dataset that was to be set aside")));
    };
    if present.newest().map(|snapshot| snapshot.guid) != target_newest {
        return Err(Failure::stale(format!("{target} has another newest snapshot than when it was planned")));
    }
    let tree = list_datasets(runner, &Scope::Tree(target.clone()), features).await;
    let tree = tree.map_err(|error| Failure::command(&format!("list what is below {target}"), &error))?;
    if let Some(below) = tree.iter().find(|row| row.name != *target) {
        return Err(Failure::stale(format!("{} lies below {target} and would go along", below.name)));
    }
    run.check_cancelled()?;
    // The hold on its newest common snapshot goes along and stays: it is what a person needs who wants to go back.
    let rename = Command::Rename { from: target.clone(), to: rename_to.clone() };
    match run.run(Side::Target, rename).await {
        Ok(()) => {}
        Err(error) if matches!(error.kind, Kind::AlreadyExists | Kind::NotFound) => {
            return Err(Failure::stale(format!(
                "could not rename {target}: {}",
                super::failure::in_words(&error)
            )));
        }
        Err(error) => return Err(Failure::command(&format!("rename {target} to {rename_to}"), &error)),
    }
    run.watcher.stage(Stage::Verifying);
    match read(rename_to).await? {
        Some(aside) if is_it(&aside) => Ok(()),
        Some(_) | None => Err(Failure::stale(format!("{rename_to} is not there after renaming"))),
    }
}
