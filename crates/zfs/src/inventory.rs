//! What is on a host, as far as replication looks at it.
//!
//! Datasets and their histories are two listings, not one atomic look: a dataset that only one of them names was made or destroyed between
//! them, and the next inventory tells.

use std::collections::BTreeMap;

use zfs_sync_core::{
    inventory::{Bookmark, Dataset, Snapshot},
    name::DatasetName,
};

pub use crate::parse::{DatasetRow, History, SnapshotDependents};
use crate::{
    command::{Command, Dependents, Scope},
    error::{Error, Kind},
    features::{Ability, Features},
    parse,
    runner::Runner,
};

/// Times that a dataset is read because its name went to another one while it was read.
const ATTEMPTS: usize = 3;

/// Reads datasets with their whole history, by name.
pub async fn read(runner: &dyn Runner, scope: &Scope, features: &Features) -> Result<Vec<Dataset>, Error> {
    let rows = list_datasets(runner, scope, features).await?;
    let history = read_history(runner, scope, features).await?;
    Ok(assemble(rows, history))
}

/// Reads datasets without their history: one line each, however many snapshots there are.
pub async fn list_datasets(
    runner: &dyn Runner,
    scope: &Scope,
    features: &Features,
) -> Result<Vec<DatasetRow>, Error> {
    if !features.can(Ability::ExactLists) {
        let command = Command::GetTree { scope: scope.clone(), snapshots: false };
        let output = runner.run(&command).await?;
        let rows = parse::tree_datasets(&output.stdout);
        return rows.map_err(|what| Error::unparsable(runner.host(), &command, &what));
    }
    let columns = features.list_columns();
    let command = Command::ListDatasets { scope: scope.clone(), columns };
    let output = runner.run(&command).await?;
    parse::datasets(&output.stdout, columns).map_err(|what| Error::unparsable(runner.host(), &command, &what))
}

/// Fails with [`Kind::PoolUnavailable`] while an imported pool is suspended.
///
/// A listing of everything leaves the datasets of a suspended pool out, with exit status 0 and without a word (seen on OpenZFS 2.3.9),
/// so that only this question tells a pool that does not answer from datasets that are gone.
pub async fn ensure_pools_answer(runner: &dyn Runner) -> Result<(), Error> {
    let command = Command::ListPools;
    let output = runner.run(&command).await?;
    let pools =
        parse::pools(&output.stdout).map_err(|what| Error::unparsable(runner.host(), &command, &what))?;
    match pools.iter().find(|pool| pool.health == "SUSPENDED") {
        None => Ok(()),
        Some(pool) => Err(Error {
            host: runner.host().to_owned(),
            command: command.display_line(),
            status: "says that a pool does not answer".to_owned(),
            stderr: format!("cannot list '{}': pool I/O is currently suspended", pool.name),
            kind: Kind::PoolUnavailable,
        }),
    }
}

/// Reads snapshots and bookmarks. Datasets that have none do not occur.
pub async fn read_history(
    runner: &dyn Runner,
    scope: &Scope,
    features: &Features,
) -> Result<BTreeMap<DatasetName, (Vec<Snapshot>, Vec<Bookmark>)>, Error> {
    if !features.can(Ability::ExactLists) {
        let command = Command::GetTree { scope: scope.clone(), snapshots: true };
        let output = runner.run(&command).await?;
        let history = parse::tree_history(&output.stdout);
        return history.map_err(|what| Error::unparsable(runner.host(), &command, &what));
    }
    let command = Command::ListHistory { scope: scope.clone() };
    let output = runner.run(&command).await?;
    parse::history(&output.stdout).map_err(|what| Error::unparsable(runner.host(), &command, &what))
}

/// Reads what stands in the way of destroying snapshots: holds and clones. Empty when the dataset or snapshot does not exist.
pub async fn read_dependents(runner: &dyn Runner, of: Dependents) -> Result<Vec<SnapshotDependents>, Error> {
    let command = Command::ListDependents { of };
    let Some(output) = unless_missing(runner.run(&command).await)? else { return Ok(Vec::new()) };
    parse::dependents(&output.stdout).map_err(|what| Error::unparsable(runner.host(), &command, &what))
}

/// Reads one dataset with its history and its resume token; `None` when it does not exist.
///
/// Both are of the same dataset: its GUID is looked at again after the history was read. When the name went to another dataset meanwhile,
/// all is read again; [`Kind::Busy`] when that happens each time.
pub async fn read_one(
    runner: &dyn Runner,
    dataset: &DatasetName,
    features: &Features,
) -> Result<Option<(Dataset, Option<String>)>, Error> {
    let scope = Scope::Only(dataset.clone());
    for _ in 0..ATTEMPTS {
        let Some(before) = row_of(runner, dataset, features).await? else { return Ok(None) };
        let Some(history) = unless_missing(read_history(runner, &scope, features).await)? else {
            return Ok(None);
        };
        let Some(after) = row_of(runner, dataset, features).await? else { return Ok(None) };
        if before.properties.guid == after.properties.guid {
            // The first row, not the second: with a snapshot taken since the history was read, that one would say that nothing was
            // written since a snapshot which is not the newest any more.
            let token = before.resume_token.clone();
            return Ok(assemble(vec![before], history).into_iter().next().map(|dataset| (dataset, token)));
        }
    }
    let columns = features.list_columns();
    Err(Error {
        host: runner.host().to_owned(),
        command: Command::ListDatasets { scope, columns }.display_line(),
        status: "names another dataset each time".to_owned(),
        stderr: format!("'{dataset}' is being renamed"),
        kind: Kind::Busy,
    })
}

/// One dataset without its history; `None` when it does not exist.
async fn row_of(
    runner: &dyn Runner,
    dataset: &DatasetName,
    features: &Features,
) -> Result<Option<DatasetRow>, Error> {
    let rows = unless_missing(list_datasets(runner, &Scope::Only(dataset.clone()), features).await)?;
    Ok(rows.into_iter().flatten().find(|row| row.name == *dataset))
}

/// Puts datasets and their histories together, by name.
pub fn assemble(rows: Vec<DatasetRow>, mut history: History) -> Vec<Dataset> {
    let mut datasets: Vec<_> = rows
        .into_iter()
        .map(|row| {
            let (snapshots, bookmarks) = history.remove(&row.name).unwrap_or_default();
            let mut dataset = Dataset { name: row.name, properties: row.properties, snapshots, bookmarks };
            dataset.sort();
            dataset
        })
        .collect();
    datasets.sort_by(|a, b| a.name.cmp(&b.name));
    datasets
}

fn unless_missing<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use zfs_sync_core::{inventory::DatasetKind, time::SystemClock};

    use super::*;
    use crate::{command::ListColumns, memory::Host, runner::scripted::Scripted};

    const ROWS: &str = "tank\t1\tfilesystem\t1\t0\t9\t9\t9\toff\tyes\toff\t-\t-\n\
                        tank/a\t2\tvolume\t5\t0\t9\t9\t9\ton\t-\toff\t-\t-\n";
    const HISTORY: &str = "tank/a@two\t22\t9\t2\t0\t0\t0\n\
                           tank/a@one\t11\t8\t1\t0\t0\t0\n\
                           tank/a#one\t11\t8\t1\t-\t-\t-\n\
                           tank/gone@x\t33\t8\t1\t0\t0\t0\n";

    fn features() -> Features {
        Features {
            userland: "2.1".into(),
            kernel: "2.1".into(),
            snapshots_changed: false,
            resumable: true,
            missing: std::collections::BTreeSet::new(),
        }
    }

    fn commands(scope: &Scope) -> (Command, Command) {
        let columns = ListColumns::Dataset;
        (
            Command::ListDatasets { scope: scope.clone(), columns },
            Command::ListHistory { scope: scope.clone() },
        )
    }

    #[tokio::test]
    async fn datasets_come_with_their_history_in_order() {
        let scope = Scope::Everything;
        let (datasets, history) = commands(&scope);
        let runner = Scripted::new().succeeds(&datasets, ROWS).succeeds(&history, HISTORY);
        let found = read(&runner, &scope, &features()).await.unwrap();
        assert_eq!(found.len(), 2);
        assert!(found[0].snapshots.is_empty());
        let labels: Vec<_> = found[1].snapshots.iter().map(|snapshot| snapshot.label.as_str()).collect();
        assert_eq!(labels, ["one", "two"]);
        assert_eq!(found[1].bookmarks.len(), 1);
    }

    #[tokio::test]
    async fn a_dataset_that_does_not_exist_is_none_and_other_failures_stay_errors() {
        let name: DatasetName = "tank/a".parse().unwrap();
        let (datasets, _) = commands(&Scope::Only(name.clone()));
        let missing = Scripted::new().fails(&datasets, "cannot open 'tank/a': dataset does not exist\n");
        assert_eq!(read_one(&missing, &name, &features()).await.unwrap(), None);
        let denied = Scripted::new().fails(&datasets, "cannot open 'tank/a': permission denied\n");
        assert_eq!(read_one(&denied, &name, &features()).await.unwrap_err().kind, Kind::Permission);
    }

    #[tokio::test]
    async fn a_dataset_that_vanishes_between_both_looks_is_none() {
        let name: DatasetName = "tank/a".parse().unwrap();
        let (datasets, history) = commands(&Scope::Only(name.clone()));
        let runner = Scripted::new()
            .succeeds(&datasets, ROWS)
            .fails(&history, "cannot open 'tank/a': dataset does not exist\n");
        assert_eq!(read_one(&runner, &name, &features()).await.unwrap(), None);
    }

    #[tokio::test]
    async fn one_dataset_comes_alone_and_with_its_token() {
        let name: DatasetName = "tank/a".parse().unwrap();
        let (datasets, history) = commands(&Scope::Only(name.clone()));
        let row = "tank/a\t2\tvolume\t5\t0\t9\t9\t9\ton\t-\toff\t-\t1-0-0-\n";
        let runner = Scripted::new().succeeds(&datasets, row).succeeds(&history, HISTORY);
        let (dataset, token) = read_one(&runner, &name, &features()).await.unwrap().unwrap();
        assert_eq!(dataset.snapshots.len(), 2);
        assert_eq!(token.as_deref(), Some("1-0-0-"));
    }

    #[tokio::test]
    async fn a_dataset_that_gives_its_name_away_between_both_looks_is_not_mixed_with_the_next() {
        let host = Host::new("nas1", Arc::new(SystemClock), 1);
        host.create_pool("tank", 1 << 30).unwrap();
        for (dataset, snapshots) in [("tank/a", 1), ("tank/next", 2)] {
            host.create_dataset(dataset, DatasetKind::Filesystem).unwrap();
            for number in 0..snapshots {
                host.snapshot(&format!("{dataset}@{number}")).unwrap();
            }
        }
        let runner = host.runner();
        let features = Features::probe(&*runner).await.unwrap();
        let next: DatasetName = "tank/next".parse().unwrap();
        let (expected, _) = read_one(&*runner, &next, &features).await.unwrap().unwrap();
        let (other, done) = (host.clone(), AtomicBool::new(false));
        host.faults().fail_next(
            move |command| {
                if matches!(command, Command::ListHistory { .. }) && !done.swap(true, Ordering::Relaxed) {
                    other.rename_dataset("tank/a", "tank/b").unwrap();
                    other.rename_dataset("tank/next", "tank/a").unwrap();
                }
                false
            },
            "never said",
        );
        let name: DatasetName = "tank/a".parse().unwrap();
        let (found, _) = read_one(&*runner, &name, &features).await.unwrap().unwrap();
        assert_eq!(found, Dataset { name, ..expected });
    }

    #[tokio::test]
    async fn a_name_that_never_rests_is_an_error() {
        let host = Host::new("nas1", Arc::new(SystemClock), 1);
        host.create_pool("tank", 1 << 30).unwrap();
        for dataset in ["tank/a", "tank/next"] {
            host.create_dataset(dataset, DatasetKind::Filesystem).unwrap();
        }
        let other = host.clone();
        host.faults().fail_next(
            move |command| {
                if matches!(command, Command::ListHistory { .. }) {
                    other.rename_dataset("tank/a", "tank/b").unwrap();
                    other.rename_dataset("tank/next", "tank/a").unwrap();
                    other.rename_dataset("tank/b", "tank/next").unwrap();
                }
                false
            },
            "never said",
        );
        let runner = host.runner();
        let features = Features::probe(&*runner).await.unwrap();
        let error = read_one(&*runner, &"tank/a".parse().unwrap(), &features).await.unwrap_err();
        assert_eq!(error.kind, Kind::Busy, "{error}");
    }

    #[tokio::test]
    async fn an_output_that_is_no_listing_is_an_error_with_the_command() {
        let scope = Scope::Everything;
        let (datasets, _) = commands(&scope);
        let runner = Scripted::new().succeeds(&datasets, "NAME GUID\n");
        let error = list_datasets(&runner, &scope, &features()).await.unwrap_err();
        assert_eq!(error.kind, Kind::Unparsable);
        assert!(error.command.starts_with("zfs list -Hp"), "{}", error.command);
    }
}
