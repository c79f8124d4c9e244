//! Renames a target: out of the way when it has diverged, or after its source. Nothing is destroyed.

use zfs_sync_api::codes::ErrorCode;
use zfs_sync_core::{guid::Guid, inventory::Dataset, name::DatasetName};
use zfs_sync_zfs::{
    command::{Command, Scope},
    error::Kind,
    inventory::{list_datasets, read_one},
};

use super::{
    Run, Side, Stage,
    failure::{Failure, in_words},
    rehold::rehold,
};

/// One renaming, as planned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rename<'a> {
    pub(super) from: &'a DatasetName,
    pub(super) to: &'a DatasetName,
    pub(super) target_guid: Guid,
    pub(super) target_newest: Option<Guid>,
    /// What lies below goes along; otherwise its presence makes the step stale.
    pub(super) with_what_lies_below: bool,
}

/// Sets a diverged target aside, whole. The hold on its newest common snapshot goes along and stays: it is what a person
/// needs who wants to go back.
pub(super) async fn set_aside(run: &Run<'_>, rename: Rename<'_>) -> Result<(), Failure> {
    execute(run, rename).await
}

/// Renames a replica after its source. What lies below goes along: those are replicas whose sources were renamed too.
pub(super) async fn follow(run: &Run<'_>, rename: Rename<'_>) -> Result<(), Failure> {
    execute(run, rename).await?;
    run.watcher.stage(Stage::Finishing);
    rehold(run, rename.from, rename.to).await;
    Ok(())
}

async fn read(run: &Run<'_>, dataset: &DatasetName) -> Result<Option<Dataset>, Failure> {
    let runner = run.sides.target;
    match read_one(runner, dataset, run.sides.target_features).await {
        Ok(found) => Ok(found.map(|(dataset, _)| dataset)),
        Err(error) => Err(Failure::command(&format!("read {dataset} on {}", runner.host()), &error)),
    }
}

async fn execute(run: &Run<'_>, rename: Rename<'_>) -> Result<(), Failure> {
    let Rename { from, to, target_guid, target_newest, with_what_lies_below } = rename;
    run.watcher.stage(Stage::Preparing);
    let is_it = |dataset: &Dataset| dataset.properties.guid == target_guid;
    let (present, renamed) = (read(run, from).await?, read(run, to).await?);
    if renamed.as_ref().is_some_and(is_it) {
        // Done by an attempt whose end nobody heard of.
        return Ok(());
    }
    if renamed.is_some() {
        return Err(Failure::stale(format!("{to} exists")));
    }
    let Some(present) = present.filter(is_it) else {
        return Err(Failure::stale(format!("{from} is not the dataset that was to be renamed")));
    };
    if present.newest().map(|snapshot| snapshot.guid) != target_newest {
        return Err(Failure::stale(format!("{from} has another newest snapshot than when it was planned")));
    }
    if with_what_lies_below {
        check_parent(run, from, to).await?;
    } else {
        check_nothing_below(run, from).await?;
    }
    // Nothing is destroyed, and yet whoever was told meanwhile that this transfer is over must not find the dataset gone from its place.
    run.check_may_destroy().await?;
    match run.run(Side::Target, Command::Rename { from: from.clone(), to: to.clone() }).await {
        Ok(()) => {}
        Err(error) if matches!(error.kind, Kind::AlreadyExists | Kind::NotFound) => {
            return Err(Failure::stale(format!("could not rename {from}: {}", in_words(&error))));
        }
        Err(error) => return Err(Failure::command(&format!("rename {from} to {to}"), &error)),
    }
    run.watcher.stage(Stage::Verifying);
    match read(run, to).await? {
        Some(renamed) if is_it(&renamed) => Ok(()),
        Some(_) | None => Err(Failure::stale(format!("{to} is not there after renaming"))),
    }
}

/// A missing parent is not made: it may be a replica that another step is about to rename or to seed. Trying again later helps then,
/// and a new plan at once would be the same.
async fn check_parent(run: &Run<'_>, from: &DatasetName, to: &DatasetName) -> Result<(), Failure> {
    let Some(parent) = to.parent() else { return Ok(()) };
    if read(run, &parent).await?.is_some() {
        return Ok(());
    }
    Err(Failure::Failed {
        code: ErrorCode::DatasetNotFound.code().to_owned(),
        detail: format!("{parent} does not exist, so {from} can not be renamed to {to}"),
        retryable: true,
    })
}

async fn check_nothing_below(run: &Run<'_>, target: &DatasetName) -> Result<(), Failure> {
    let tree = list_datasets(run.sides.target, &Scope::Tree(target.clone()), run.sides.target_features).await;
    let tree = tree.map_err(|error| Failure::command(&format!("list what is below {target}"), &error))?;
    match tree.iter().find(|row| row.name != *target) {
        Some(below) => Err(Failure::stale(format!("{} lies below {target} and would go along", below.name))),
        None => Ok(()),
    }
}
