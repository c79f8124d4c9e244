//! Takes a target back to a snapshot that it has in common with its source.
//!
//! Every snapshot that is newer must be on the plan's list; they are destroyed one by one ([`removal`](super::removal)), and
//! then `zfs rollback` without `-r` gives up what was written, which ZFS itself refuses while anything newer is left.
//!
//! Two things go without being listed, because they are ours and lead nowhere afterwards: our bookmarks of destroyed snapshots, and
//! an interrupted receive that starts from one of them. A bookmark of somebody else's is left alone, and stops it.
//!
//! # Failure modes
//!
//! The oldest goes first and the newest last, with our bookmarks before it: as long as it is there, `written` counts exactly what
//! nobody approved ([`super::written`]), and is looked at right before it goes.
//!
//! Dying before the newest goes leaves fewer snapshots than listed. The same step, carried out again, goes on: what is there must be
//! part of the list. Dying between the newest and the rollback leaves a target whose approved content and whatever came later
//! are one: the same step is stale then, unless no more is there than it may give up anyway, and a new plan sees a target that was
//! written to.

use zfs_sync_api::codes::ErrorCode;
use zfs_sync_core::{
    guid::Guid,
    inventory::{Bookmark, Dataset, Snapshot},
    plan::{Casualty, Protection},
    size::ByteCount,
};
use zfs_sync_zfs::{
    command::{Command, OwnBookmark},
    error::Kind,
};

use super::{
    Run, Side, Stage,
    failure::{Failure, in_words},
    removal::{Checked, check, destroy_checked, hold_instead, read},
    send::discard_partial,
    view::name_of,
    written::{self, Before},
};

/// One rollback, as planned.
#[derive(Clone, Copy, Debug)]
pub(super) struct RollBack<'a> {
    pub(super) to: Guid,
    pub(super) target_guid: Guid,
    /// In any order.
    pub(super) destroys: &'a [Casualty],
    /// Bytes.
    pub(super) discards: u64,
}

pub(super) async fn execute(run: &Run<'_>, plan: RollBack<'_>) -> Result<(), Failure> {
    run.watcher.stage(Stage::Preparing);
    let dataset = read(run, plan.target_guid).await?;
    let to = goal(run, &plan, &dataset)?;
    let newer = newer(run, &plan, &dataset, to)?;
    written::check(run, plan.discards, &dataset)?;
    let bookmarks = own_bookmarks(run, &dataset, to)?;
    let checked = check(run, &dataset, newer.clone()).await?;
    run.check_cancelled()?;
    hold_instead(run, &dataset, to, &checked).await?;
    if newer.is_empty() && bookmarks.is_empty() && dataset.properties.written == 0 {
        // Done by an attempt whose end nobody heard of.
        return Ok(());
    }
    if let Some(partial) = &dataset.properties.partial
        && newer.iter().any(|casualty| Some(casualty.guid) == partial.from_guid)
    {
        discard_partial(run, partial).await?;
    }
    run.watcher.stage(Stage::Destroying);
    let (newest, older) = match newer.split_last() {
        Some((newest, older)) => (Some(*newest), older),
        None => (None, &[][..]),
    };
    for casualty in older {
        destroy_checked(run, &checked, casualty).await?;
    }
    for bookmark in bookmarks {
        destroy_bookmark(run, bookmark).await?;
    }
    let before = match newest {
        Some(newest) => Some(destroy_newest(run, &plan, &checked, newest).await?),
        None => None,
    };
    roll_back(run, &plan, before).await
}

/// Destroys the last snapshot on the list that is there, when nothing was written since.
async fn destroy_newest(
    run: &Run<'_>,
    plan: &RollBack<'_>,
    checked: &Checked<'_>,
    newest: &Casualty,
) -> Result<Before, Failure> {
    // Destroying the others may have taken minutes.
    let dataset = read(run, plan.target_guid).await?;
    let since_goal = written::since(run, &dataset, goal(run, plan, &dataset)?).await?;
    let dataset = read(run, plan.target_guid).await?;
    check_newest(run, &dataset, newest.guid)?;
    let before = Before::new(run, plan.discards, since_goal, &dataset)?;
    destroy_checked(run, checked, newest).await?;
    Ok(before)
}

/// Nothing was made since.
fn check_newest(run: &Run<'_>, dataset: &Dataset, newest: Guid) -> Result<(), Failure> {
    let target = &run.step.target;
    match dataset.newest() {
        Some(found) if found.guid == newest => Ok(()),
        Some(found) if dataset.snapshot(newest).is_some() => {
            Err(Failure::stale(format!("{target}@{} was made meanwhile", found.label)))
        }
        _ => Err(Failure::stale(format!("somebody destroys snapshots of {target}, too"))),
    }
}

fn goal<'a>(run: &Run<'_>, plan: &RollBack<'_>, dataset: &'a Dataset) -> Result<&'a Snapshot, Failure> {
    let target = &run.step.target;
    let gone = || Failure::stale(format!("the snapshot to take {target} back to is not there any more"));
    dataset.snapshot(plan.to).ok_or_else(gone)
}

/// What is newer than `to`, oldest first. Less than was planned is fine; one that was not planned is not.
fn newer<'a>(
    run: &Run<'_>,
    plan: &RollBack<'a>,
    dataset: &Dataset,
    to: &Snapshot,
) -> Result<Vec<&'a Casualty>, Failure> {
    let newer = dataset.snapshots.iter().skip_while(|snapshot| snapshot.guid != to.guid).skip(1);
    let listed = newer.map(|snapshot| {
        let found = plan.destroys.iter().find(|casualty| casualty.guid == snapshot.guid);
        found.ok_or_else(|| {
            Failure::stale(format!("{}@{} is newer and was not approved", run.step.target, snapshot.label))
        })
    });
    listed.collect()
}

/// Our bookmarks that are newer than `to`. ZFS refuses a rollback past any bookmark.
fn own_bookmarks(run: &Run<'_>, dataset: &Dataset, to: &Snapshot) -> Result<Vec<OwnBookmark>, Failure> {
    let newer = dataset.bookmarks.iter().filter(|bookmark| bookmark.createtxg > to.createtxg);
    let owned = newer.map(|Bookmark { label, .. }| {
        let name = run.step.target.bookmark(label).map_err(|error| Failure::name(&error))?;
        OwnBookmark::new(name).map_err(|error| {
            let prefix = Protection::PREFIX;
            let detail = format!(
                "a bookmark is newer than what {} goes back to, and has not our prefix {prefix}: {error}",
                run.step.target
            );
            Failure::new(ErrorCode::RollbackNewer, detail)
        })
    });
    owned.collect()
}

async fn destroy_bookmark(run: &Run<'_>, bookmark: OwnBookmark) -> Result<(), Failure> {
    run.check_may_destroy().await?;
    let doing = format!("destroy our bookmark {bookmark}");
    match run.run(Side::Target, Command::DestroyBookmark { bookmark }).await {
        Ok(()) => Ok(()),
        Err(error) if error.kind == Kind::NotFound => Ok(()),
        Err(error) => Err(Failure::command(&doing, &error)),
    }
}

async fn roll_back(run: &Run<'_>, plan: &RollBack<'_>, before: Option<Before>) -> Result<(), Failure> {
    let dataset = read(run, plan.target_guid).await?;
    let to = goal(run, plan, &dataset)?;
    check_newest(run, &dataset, to.guid)?;
    match before {
        Some(before) => before.compare(run, &dataset)?,
        None => written::check(run, plan.discards, &dataset)?,
    }
    run.check_may_destroy().await?;
    let name = name_of(&dataset, to)?;
    match run.run(Side::Target, Command::RollBack { to: name.clone() }).await {
        Ok(()) => {}
        Err(error) if matches!(error.kind, Kind::NewerExist | Kind::NotFound) => {
            return Err(Failure::stale(format!("could not go back to {name}: {}", in_words(&error))));
        }
        Err(error) => return Err(Failure::command(&format!("go back to {name}"), &error)),
    }
    run.watcher.stage(Stage::Verifying);
    let after = read(run, plan.target_guid).await?;
    if after.newest().map(|newest| newest.guid) != Some(plan.to) {
        return Err(Failure::stale(format!("{name} is not the newest snapshot after going back to it")));
    }
    if after.properties.written > 0 {
        let written = ByteCount(after.properties.written);
        run.watcher.warn(&format!("{written} were written to {} since it went back", run.step.target));
    }
    Ok(())
}
