//! Tries what `zfs allow` only promises, on the newest snapshot of a dataset, and takes it back at once.
//!
//! A hold and a bookmark of ours, both called `zfs-sync:probe`. When this process dies between, `hold list` shows them as stale.

use zfs_sync_core::name::DatasetName;
use zfs_sync_zfs::{
    command::{Command, OwnBookmark, OwnTag, Scope},
    delegation::Duty,
    error::{Error, Kind},
    features::Features,
    inventory::read_history,
    runner::Runner,
};

use super::Check;

const NAME: &str = "zfs.probe";

pub(super) async fn check(
    runner: &dyn Runner,
    features: &Features,
    (duty, dataset): (Duty, &DatasetName),
    checks: &mut Vec<Check>,
) {
    let failed = |error: &Error| Check::fail(NAME, error.code(), format!("{dataset}: {error}"));
    let history = match read_history(runner, &Scope::Only(dataset.clone()), features).await {
        Ok(history) => history,
        // Nothing was received yet: nothing can be tried.
        Err(error) if error.kind == Kind::NotFound && duty == Duty::Target => return,
        Err(error) => {
            checks.push(failed(&error));
            return;
        }
    };
    let newest = history.get(dataset).and_then(|(snapshots, _)| snapshots.last());
    let Some(snapshot) = newest.and_then(|newest| dataset.snapshot(&newest.label).ok()) else {
        checks.push(Check::warn(NAME, format!("{dataset} has no snapshot on which anything could be tried")));
        return;
    };
    let tag = OwnTag::new(OwnTag::PROBE).expect("it begins with our prefix");
    let mut tried = vec![
        Command::Hold { tag: tag.clone(), snapshot: snapshot.clone() },
        Command::Release { tag, snapshot: snapshot.clone() },
    ];
    let label = OwnTag::PROBE.parse().expect("letters and a colon");
    let bookmark = dataset.bookmark(&label).ok().and_then(|name| OwnBookmark::new(name).ok());
    if let Some(bookmark) = bookmark.filter(|_| duty == Duty::Source) {
        tried.push(Command::Bookmark { snapshot, label });
        tried.push(Command::DestroyBookmark { bookmark });
    }
    let mut failures = Vec::new();
    for command in tried {
        match runner.run(&command).await {
            Ok(_) => {}
            // Of an earlier probe; and what could not be placed can not be taken back.
            Err(error) if matches!(error.kind, Kind::AlreadyExists | Kind::NotFound) => {}
            Err(error) => failures.push(failed(&error)),
        }
    }
    if failures.is_empty() {
        failures.push(Check::pass(NAME, format!("{dataset}: tried and taken back")));
    }
    checks.extend(failures);
}
