//! Gives holds the name of the replica that they now protect.
//!
//! A receiver is the digest of system and dataset name, so a replica that is renamed is another receiver, and what lies below it
//! too. Nobody would ever release holds under the former names: mirrored deletions and people would find them in the way. The
//! source's bookmark under the former name is out of reach here; it costs nothing.

use zfs_sync_core::{
    inventory::Snapshot,
    name::{DatasetName, SnapshotName},
    plan::Receiver,
};
use zfs_sync_zfs::{
    command::{Command, OwnTag, Scope},
    error::{Error, Kind},
    inventory::read_history,
};

use super::{
    Run, Side,
    failure::Failure,
    holds::{base_hold_of, tags},
    settle::SWEEP_LIMIT,
};

/// For everything at and below `root`, which was called `from`. Failures are warnings: the replica is in its place.
pub(super) async fn rehold(run: &Run<'_>, from: &DatasetName, root: &DatasetName) {
    if let Err(error) = try_rehold(run, from, root).await {
        run.warn_failure(Failure::command(&format!("rename our holds below {root}"), &error));
    }
}

async fn try_rehold(run: &Run<'_>, from: &DatasetName, root: &DatasetName) -> Result<(), Error> {
    let history =
        read_history(run.sides.target, &Scope::Tree(root.clone()), run.sides.target_features).await?;
    for (dataset, (snapshots, _)) in &history {
        let below = dataset.strip_prefix(root).unwrap_or_default();
        let Ok(former) = from.join(below) else { continue };
        let system = run.step.target_system;
        let (former, present) = (Receiver::new(system, &former), Receiver::new(system, dataset));
        let held = snapshots.iter().rev().filter(|snapshot| snapshot.holds > 0).take(SWEEP_LIMIT);
        for Snapshot { label, .. } in held {
            let Ok(snapshot) = dataset.snapshot(label) else { continue };
            for tag in tags(run, Side::Target, &snapshot).await? {
                if let Some(tag) = base_hold_of(&former, &tag) {
                    replace(run, &snapshot, tag, &former, &present).await?;
                }
            }
        }
    }
    Ok(())
}

/// The new one is in place before the old one goes.
async fn replace(
    run: &Run<'_>,
    snapshot: &SnapshotName,
    tag: OwnTag,
    former: &Receiver,
    present: &Receiver,
) -> Result<(), Error> {
    let renamed = tag.strip_suffix(former.as_str()).map(|rest| format!("{rest}{}", present.as_str()));
    let Some(renamed) = renamed.and_then(|renamed| OwnTag::new(renamed).ok()) else { return Ok(()) };
    let hold = Command::Hold { tag: renamed, snapshot: snapshot.clone() };
    match run.run(Side::Target, hold).await {
        Err(error) if error.kind != Kind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    match run.run(Side::Target, Command::Release { tag, snapshot: snapshot.clone() }).await {
        Err(error) if error.kind != Kind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
