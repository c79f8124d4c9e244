//! Destroys snapshots of a target: exactly those that a plan lists, and only while each is what was approved.
//!
//! Everything is looked at before anything is done: one snapshot that is held, cloned from, renamed or in another dataset, and
//! nothing is destroyed at all. Then each is looked at once more in the moment before it goes, by GUID *and* name ([`Doomed`]).
//!
//! `zfs destroy` takes a name. Between the last look and the command, the time of one process start on the host itself, somebody would have to
//! destroy the snapshot and make another one under its very name. Renaming it first to a name that only we use was weighed and left
//! out: the renaming goes by name as well, so that it might take a stranger's snapshot, needs two more commands for each
//! snapshot, and leaves strange names behind where a process dies in between.
//!
//! # Holds
//!
//! A hold stops it, whoever placed it, with one exception: our own hold on the incremental base of this same replica. Where a
//! source was rolled back, the snapshot that was the newest common one is on the list, and the hold protects a base that nobody
//! can send from any more. It is released after the snapshot that takes its place is held, and right before its own goes.
//!
//! # Failure modes
//!
//! Dying between two commands leaves some of the listed snapshots destroyed and the rest untouched; carried out again, the step
//! goes on with what is left. A released hold whose snapshot stays is placed again by [`settle()`](super::settle()) when that
//! snapshot is the base after all. The same holds where the lease may have ended meanwhile ([`fence`](super::fence)).

use std::collections::BTreeMap;

use zfs_sync_api::codes::ErrorCode;
use zfs_sync_core::{
    guid::Guid,
    inventory::{Dataset, Snapshot},
    name::SnapshotName,
    plan::Casualty,
};
use zfs_sync_zfs::{
    command::{Command, Dependents, Doomed, OwnTag, Spared},
    error::Kind,
    inventory::{SnapshotDependents, read_dependents, read_one},
};

use super::{
    Run, Side, Stage,
    failure::Failure,
    holds::{base_hold_of, is_ours, tags},
    settle::hold,
};

/// Listed snapshots that are there, and were found to be free to go.
#[derive(Debug)]
pub(super) struct Checked<'a> {
    casualties: Vec<&'a Casualty>,
    /// Our holds on the base of this replica that stand on some of them.
    releases: BTreeMap<Guid, Vec<OwnTag>>,
}

/// Destroys what a source no longer has.
pub(super) async fn destroy(
    run: &Run<'_>,
    target_guid: Guid,
    keeps: Guid,
    destroys: &[Casualty],
) -> Result<(), Failure> {
    run.watcher.stage(Stage::Preparing);
    let target = &run.step.target;
    let dataset = read(run, target_guid).await?;
    if destroys.iter().any(|casualty| casualty.guid == keeps) {
        let detail = format!("the newest common snapshot of {target} is on the list of what goes");
        return Err(Failure::new(ErrorCode::PlanUnsafe, detail));
    }
    let Some(kept) = dataset.snapshot(keeps) else {
        return Err(Failure::stale(format!("{target} lacks the newest common snapshot")));
    };
    let present: Vec<&Casualty> =
        destroys.iter().filter(|casualty| dataset.snapshot(casualty.guid).is_some()).collect();
    let newest = dataset.newest().map(|snapshot| snapshot.guid);
    if let Some(newest) = present.iter().find(|casualty| Some(casualty.guid) == newest) {
        return Err(Failure::stale(format!("@{} is the newest snapshot of {target} now", newest.label)));
    }
    let from = dataset.properties.partial.as_ref().and_then(|partial| partial.from_guid);
    if let Some(base) = present.iter().find(|casualty| Some(casualty.guid) == from) {
        let detail = format!("an interrupted receive into {target} starts from @{}", base.label);
        return Err(Failure::new(ErrorCode::PartialState, detail));
    }
    let checked = check(run, &dataset, present).await?;
    run.check_cancelled()?;
    hold_instead(run, &dataset, kept, &checked).await?;
    run.watcher.stage(Stage::Destroying);
    for casualty in &checked.casualties {
        destroy_checked(run, &checked, casualty).await?;
    }
    run.watcher.stage(Stage::Verifying);
    let after = read(run, target_guid).await?;
    match destroys.iter().find(|casualty| after.snapshot(casualty.guid).is_some()) {
        None => Ok(()),
        Some(left) => Err(Failure::stale(format!("{target}@{} is still there", left.label))),
    }
}

/// The target, when it is the dataset that the plan was made for.
pub(super) async fn read(run: &Run<'_>, target_guid: Guid) -> Result<Dataset, Failure> {
    let (runner, target) = (run.sides.target, &run.step.target);
    let found = read_one(runner, target, run.sides.target_features).await;
    let found =
        found.map_err(|error| Failure::command(&format!("read {target} on {}", runner.host()), &error))?;
    match found {
        Some((dataset, _)) if dataset.properties.guid == target_guid => Ok(dataset),
        Some(_) => Err(Failure::stale(format!("{target} is another dataset than when it was planned"))),
        None => Err(Failure::stale(format!("{target} does not exist any more"))),
    }
}

/// Looks at all of them, and changes nothing.
pub(super) async fn check<'a>(
    run: &Run<'_>,
    dataset: &Dataset,
    casualties: Vec<&'a Casualty>,
) -> Result<Checked<'a>, Failure> {
    let mut releases = BTreeMap::new();
    if casualties.is_empty() {
        return Ok(Checked { casualties, releases });
    }
    let found = look(run, Dependents::Dataset(dataset.name.clone())).await?;
    for casualty in &casualties {
        match Doomed::new(&dataset.name, casualty, &found) {
            Ok(_) => {}
            Err(Spared::Held { snapshot, .. }) => {
                releases.insert(casualty.guid, own_holds(run, &snapshot).await?);
            }
            Err(spared) => return Err(refuse(&spared)),
        }
    }
    Ok(Checked { casualties, releases })
}

async fn look(run: &Run<'_>, of: Dependents) -> Result<Vec<SnapshotDependents>, Failure> {
    let (runner, target) = (run.sides.target, &run.step.target);
    let found = read_dependents(runner, of).await;
    found.map_err(|error| {
        Failure::command(&format!("list what depends on snapshots of {target} on {}", runner.host()), &error)
    })
}

/// The holds on a snapshot, when all of them are ours for the base of this replica.
async fn own_holds(run: &Run<'_>, snapshot: &SnapshotName) -> Result<Vec<OwnTag>, Failure> {
    let listed = tags(run, Side::Target, snapshot).await;
    let listed =
        listed.map_err(|error| Failure::command(&format!("list the holds of {snapshot}"), &error))?;
    let foreign = |tag: &&String| base_hold_of(&run.step.receiver, tag).is_none();
    let in_the_way: Vec<&str> = listed.iter().filter(foreign).map(String::as_str).collect();
    if in_the_way.is_empty() {
        return Ok(listed.iter().filter_map(|tag| base_hold_of(&run.step.receiver, tag)).collect());
    }
    Err(held(snapshot, &in_the_way))
}

/// What another transfer of ours holds it lets go when it has ended; a person's hold waits for that person.
fn held(snapshot: &SnapshotName, tags: &[&str]) -> Failure {
    Failure::Failed {
        code: ErrorCode::SnapshotHeld.code().to_owned(),
        detail: format!("{snapshot} is held by {}", tags.join(", ")),
        retryable: tags.iter().all(|tag| is_ours(tag)),
    }
}

fn refuse(spared: &Spared) -> Failure {
    match spared {
        Spared::Cloned { .. } => Failure::new(ErrorCode::SnapshotHasClones, spared.to_string()),
        Spared::Held { .. } => Failure::new(ErrorCode::SnapshotHeld, spared.to_string()),
        Spared::Gone(_) | Spared::Renamed { .. } => Failure::stale(spared.to_string()),
    }
}

/// Holds the snapshot that stays. It must succeed where an older hold of ours is to go; otherwise it is for later, and
/// [`settle()`](super::settle()) will see to it.
pub(super) async fn hold_instead(
    run: &Run<'_>,
    dataset: &Dataset,
    stays: &Snapshot,
    checked: &Checked<'_>,
) -> Result<(), Failure> {
    match hold(run, Side::Target, dataset, &[stays], &OwnTag::base(&run.protection)).await {
        Ok(()) => Ok(()),
        Err(protecting) if checked.releases.is_empty() => {
            run.warn_failure(protecting.into());
            Ok(())
        }
        Err(protecting) => Err(protecting.into()),
    }
}

/// Destroys one of those that were checked.
pub(super) async fn destroy_checked(
    run: &Run<'_>,
    checked: &Checked<'_>,
    casualty: &Casualty,
) -> Result<(), Failure> {
    // Whoever says stop means it: what is left is destroyed by nobody. Nor is our hold on it released.
    run.check_may_destroy().await?;
    let name = run.step.target.snapshot(&casualty.label).map_err(|error| Failure::name(&error))?;
    for tag in checked.releases.get(&casualty.guid).into_iter().flatten() {
        release(run, &name, tag).await?;
    }
    destroy_one(run, &name, casualty).await
}

async fn release(run: &Run<'_>, snapshot: &SnapshotName, tag: &OwnTag) -> Result<(), Failure> {
    let release = Command::Release { tag: tag.clone(), snapshot: snapshot.clone() };
    match run.run(Side::Target, release).await {
        Ok(()) => Ok(()),
        Err(error) if error.kind == Kind::NotFound => Ok(()),
        Err(error) => Err(Failure::command(&format!("release our hold on {snapshot}"), &error)),
    }
}

async fn destroy_one(run: &Run<'_>, name: &SnapshotName, casualty: &Casualty) -> Result<(), Failure> {
    let found = look(run, Dependents::Snapshot(name.clone())).await?;
    let doomed = match Doomed::new(&run.step.target, casualty, &found) {
        Ok(doomed) => doomed,
        // Somebody was faster, or its name is another's now; then the name is not touched.
        Err(Spared::Gone(_)) if found.is_empty() => return Ok(()),
        Err(spared) => return Err(refuse(&spared)),
    };
    // Looking may have taken a while.
    run.check_may_destroy().await?;
    match run.run(Side::Target, Command::DestroySnapshot { snapshot: doomed }).await {
        Ok(()) => Ok(()),
        Err(error) if error.kind == Kind::NotFound => Ok(()),
        // 2.1 says no more of a hold that was placed in this moment.
        Err(error) if error.kind == Kind::Busy => {
            let tags = tags(run, Side::Target, name).await.unwrap_or_default();
            if tags.is_empty() {
                return Err(Failure::command(&format!("destroy {name}"), &error));
            }
            Err(held(name, &tags.iter().map(String::as_str).collect::<Vec<_>>()))
        }
        Err(error) => Err(Failure::command(&format!("destroy {name}"), &error)),
    }
}
