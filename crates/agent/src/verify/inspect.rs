//! What is told of a snapshot without reading its content.

use std::collections::BTreeMap;

use zfs_sync_core::{
    guid::Guid,
    inventory::DatasetKind,
    name::{DatasetName, SnapshotName},
    verify::{Inspected, PROTOCOL},
};
use zfs_sync_zfs::{
    command::{Command, Scope},
    error::{Error, Kind},
    features::Features,
    health::read_pools,
    inventory, parse,
    runner::Runner,
};

use super::{Refusal, refusal};

/// Older snapshots whose order is compared.
const EARLIER: usize = 1000;
/// Of the dataset. Old implementations know the first three only.
const OF_DATASET: [&str; 9] = [
    "type",
    "readonly",
    "compression",
    "recordsize",
    "volblocksize",
    "acltype",
    "xattr",
    "encryption",
    "keystatus",
];
/// Of the snapshot itself: the dataset's may have changed since.
const OF_SNAPSHOT: [&str; 4] = ["volsize", "casesensitivity", "normalization", "utf8only"];

pub(super) async fn inspect(runner: &dyn Runner, snapshot: &SnapshotName) -> Result<Inspected, Refusal> {
    let dataset = snapshot.dataset();
    let features = Features::probe(runner).await?;
    let mut histories = inventory::read_history(runner, &Scope::Only(dataset.clone()), &features).await?;
    let (snapshots, _) = histories.remove(dataset).unwrap_or_default();
    let missing =
        || refusal(Kind::NotFound.code(), format!("there is no snapshot {snapshot} on {}", runner.host()));
    let place = snapshots.iter().position(|found| found.label == *snapshot.label()).ok_or_else(missing)?;
    let found = &snapshots[place];
    let mut earlier: Vec<_> = snapshots.iter().filter(|other| other.createtxg < found.createtxg).collect();
    earlier.sort_by_key(|other| std::cmp::Reverse(other.createtxg));
    let mut properties = of_dataset(runner, dataset).await?;
    properties.extend(of_snapshot(runner, snapshot).await?);
    let kind = match properties.get("type").map(String::as_str) {
        Some("volume") => DatasetKind::Volume,
        Some("filesystem") => DatasetKind::Filesystem,
        other => {
            let detail = format!("{dataset} is of the type {}", other.unwrap_or("-"));
            return Err(refusal(Kind::Unparsable.code(), detail));
        }
    };
    // Beside the point, and no reason to refuse the rest: old implementations, delegation and gates may not tell.
    let pools = read_pools(runner).await.unwrap_or_default();
    let pool = pools.into_iter().find(|pool| pool.name == dataset.pool());
    Ok(Inspected {
        protocol: PROTOCOL,
        guid: found.guid,
        createtxg: found.createtxg,
        creation: found.creation,
        kind,
        earlier: earlier.into_iter().take(EARLIER).map(|other| other.guid).collect(),
        pool,
        properties,
    })
}

/// Which snapshot has this name now.
pub(super) async fn guid(runner: &dyn Runner, snapshot: &SnapshotName) -> Result<Guid, Refusal> {
    let command = Command::GetOfSnapshot { snapshot: snapshot.clone(), properties: vec!["guid".to_owned()] };
    let found = values(runner, &command).await?;
    let guid = found.get("guid").and_then(|text| text.parse().ok());
    guid.ok_or_else(|| refusal(Kind::Unparsable.code(), format!("`zfs get` shows no GUID of {snapshot}")))
}

async fn of_dataset(runner: &dyn Runner, dataset: &DatasetName) -> Result<BTreeMap<String, String>, Error> {
    let get = |names: &[&str]| Command::Get {
        dataset: dataset.clone(),
        properties: names.iter().map(ToString::to_string).collect(),
    };
    match values(runner, &get(&OF_DATASET)).await {
        Err(error) if error.kind == Kind::Unsupported => values(runner, &get(&OF_DATASET[..3])).await,
        other => other,
    }
}

async fn of_snapshot(
    runner: &dyn Runner,
    snapshot: &SnapshotName,
) -> Result<BTreeMap<String, String>, Error> {
    let properties = OF_SNAPSHOT.iter().map(ToString::to_string).collect();
    let command = Command::GetOfSnapshot { snapshot: snapshot.clone(), properties };
    match values(runner, &command).await {
        Err(error) if error.kind == Kind::Unsupported => Ok(BTreeMap::new()),
        other => other,
    }
}

/// What exists, by name.
async fn values(runner: &dyn Runner, command: &Command) -> Result<BTreeMap<String, String>, Error> {
    let output = runner.run(command).await?;
    let found =
        parse::properties(&output.stdout).map_err(|what| Error::unparsable(runner.host(), command, &what))?;
    let found = found.into_iter().filter(|property| property.value != "-");
    Ok(found.map(|property| (property.name, property.value)).collect())
}
