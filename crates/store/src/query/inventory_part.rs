use std::collections::{BTreeMap, BTreeSet};

use sqlx::QueryBuilder;
use zfs_sync_core::{guid::Guid, ids::SystemId, inventory::Inventory, name::DatasetName, plan::Needed};

use super::{
    super::{Connection, Db, DbRow, Driver},
    KEYS,
    cells::Cells,
    inventory::{Histories, StoredDataset, dataset_columns, empty_inventory, read_dataset, stored_datasets},
    retention::policies_of,
};
use crate::{Holders, Result};

/// Stands between a replica's name and the time at which it was set aside.
const ASIDE: &str = ".aside-";

pub(crate) async fn inventory_part(
    db: &Db,
    system: SystemId,
    needed: &Needed,
    guids: &[Guid],
) -> Result<Option<Inventory>> {
    let mut transaction = db.begin_read().await?;
    let Some(empty) = empty_inventory(&mut transaction, system).await? else { return Ok(None) };
    let Needed { histories, properties, around } = needed;
    let named: BTreeSet<&DatasetName> = histories.iter().chain(properties).chain(around).collect();
    let named: Vec<&DatasetName> = named.into_iter().collect();
    let mut found = stored_datasets(&mut transaction, system, Some(&named)).await?;
    found.extend(one_of_every_pool(&mut transaction, system).await?);
    found.extend(with_guids(&mut transaction, system, guids).await?);
    found.extend(first_below(&mut transaction, system, around).await?);
    // `A` comes after `@`, and `.` after `-`: everything that begins like this lies between.
    let clones = around.iter().map(|target| (format!("{target}@"), format!("{target}A")));
    found.extend(between(&mut transaction, system, "origin", &clones.collect::<Vec<_>>()).await?);
    let asides = around.iter().map(|target| (format!("{target}{ASIDE}"), format!("{target}.aside.")));
    let asides = between(&mut transaction, system, "name", &asides.collect::<Vec<_>>()).await?;

    let mut whole: BTreeSet<i64> = asides.iter().map(|stored| stored.id).collect();
    found.extend(asides);
    let found: BTreeMap<i64, StoredDataset> = found.into_iter().map(|stored| (stored.id, stored)).collect();
    let with_history =
        |stored: &&StoredDataset| histories.contains(&stored.name) || stored.properties.partial.is_some();
    whole.extend(found.values().filter(with_history).map(|stored| stored.id));
    let mut loaded = Histories::of(&mut transaction, &whole.into_iter().collect::<Vec<_>>()).await?;
    let datasets: BTreeMap<DatasetName, _> =
        found.into_values().map(|stored| (stored.name.clone(), loaded.take(stored))).collect();
    let names: Vec<&DatasetName> = datasets.keys().collect();
    let retention = policies_of(&mut transaction, system, Some(&names)).await?;
    Ok(Some(Inventory { datasets, retention, ..empty }))
}

fn read_all(rows: &[DbRow]) -> Result<Vec<StoredDataset>> {
    rows.iter().map(read_dataset).collect()
}

/// One dataset of every pool, in one or two steps each: from each name to the first one that may be of another pool.
///
/// Two, because other pools may come between a pool and what is below it: `tank-old` between `tank` and `tank/media`.
async fn one_of_every_pool(connection: &mut Connection, system: SystemId) -> Result<Vec<StoredDataset>> {
    let statement = concat!(
        "WITH RECURSIVE steps (step) AS (SELECT MIN(name) FROM datasets WHERE system_id = $1 UNION ALL \
         SELECT (SELECT MIN(name) FROM datasets WHERE system_id = $1 AND name > CASE WHEN step = ",
        pool_of!("step"),
        " THEN step ELSE ",
        pool_of!("step"),
        // `~` comes after every character that a name can have.
        " || '/~' END) FROM steps WHERE step IS NOT NULL) SELECT ",
        dataset_columns!(),
        " FROM datasets WHERE system_id = $1 AND name IN (SELECT step FROM steps) ORDER BY name"
    );
    let mut found = read_all(&sqlx::query(statement).bind(system.as_uuid()).fetch_all(connection).await?)?;
    let mut seen = BTreeSet::new();
    found.retain(|stored| seen.insert(stored.name.pool().to_owned()));
    Ok(found)
}

async fn with_guids(
    connection: &mut Connection,
    system: SystemId,
    guids: &[Guid],
) -> Result<Vec<StoredDataset>> {
    let mut found = Vec::new();
    for batch in guids.chunks(KEYS) {
        let mut query: QueryBuilder<Driver> =
            QueryBuilder::new(concat!("SELECT ", dataset_columns!(), " FROM datasets WHERE system_id = "));
        query.push_bind(system.as_uuid()).push(" AND guid IN (");
        let mut list = query.separated(", ");
        for guid in batch {
            list.push_bind(guid.to_sql());
        }
        query.push(")");
        found.extend(read_all(&query.build().persistent(false).fetch_all(&mut *connection).await?)?);
    }
    Ok(found)
}

async fn first_below(
    connection: &mut Connection,
    system: SystemId,
    tops: &BTreeSet<DatasetName>,
) -> Result<Vec<StoredDataset>> {
    let mut found = Vec::new();
    for batch in tops.iter().collect::<Vec<_>>().chunks(KEYS) {
        let mut query: QueryBuilder<Driver> = QueryBuilder::new("WITH ranges (low, high) AS (");
        // `0` comes after `/`.
        query.push_values(batch, |mut row, top| {
            row.push_bind(format!("{top}/")).push_bind(format!("{top}0"));
        });
        query.push(concat!(") SELECT ", dataset_columns!(), " FROM datasets WHERE system_id = "));
        query.push_bind(system.as_uuid());
        query.push(" AND name IN (SELECT (SELECT MIN(name) FROM datasets WHERE system_id = ");
        query.push_bind(system.as_uuid()).push(" AND name > low AND name < high) FROM ranges)");
        found.extend(read_all(&query.build().persistent(false).fetch_all(&mut *connection).await?)?);
    }
    Ok(found)
}

/// Datasets whose `column` lies in one of these ranges, the upper end left out.
async fn between(
    connection: &mut Connection,
    system: SystemId,
    column: &'static str,
    ranges: &[(String, String)],
) -> Result<Vec<StoredDataset>> {
    let mut found = Vec::new();
    for batch in ranges.chunks(KEYS) {
        let mut query: QueryBuilder<Driver> = QueryBuilder::new("WITH ranges (low, high) AS (");
        query.push_values(batch, |mut row, (low, high)| {
            row.push_bind(low).push_bind(high);
        });
        query.push(concat!(
            ") SELECT ",
            dataset_columns!(),
            " FROM ranges",
            look_up_datasets!(),
            "system_id = "
        ));
        query.push_bind(system.as_uuid());
        query.push(" AND ").push(column).push(" >= low AND ").push(column).push(" < high").push(looked_up!());
        found.extend(read_all(&query.build().persistent(false).fetch_all(&mut *connection).await?)?);
    }
    Ok(found)
}

pub(crate) async fn holders(db: &Db, snapshots: &[Guid]) -> Result<Holders> {
    let mut holders = Holders::new();
    let mut transaction = db.begin_read().await?;
    let strangers = systems_without_guids(&mut transaction).await?;
    for batch in snapshots.chunks(KEYS) {
        let mut query: QueryBuilder<Driver> = QueryBuilder::new(
            "SELECT guid, (SELECT system_id FROM datasets WHERE id = dataset_id) AS system_id, \
             (SELECT name FROM datasets WHERE id = dataset_id) AS name, \
             (SELECT d.guid FROM datasets d WHERE d.id = dataset_id) AS dataset_guid FROM snapshots WHERE guid IN (",
        );
        let mut list = query.separated(", ");
        for guid in batch {
            list.push_bind(guid.to_sql());
        }
        query.push(")");
        for row in query.build().persistent(false).fetch_all(&mut *transaction).await? {
            let cells = Cells::new(&row, "snapshots", "guid");
            let system = cells.id("system_id")?;
            if !strangers.contains(&system) {
                let of_snapshot = holders.entry(Guid::from_sql(cells.get("guid")?)).or_default();
                let of_system = of_snapshot.entry(system).or_default();
                of_system.insert(cells.parse("name")?, Guid::from_sql(cells.get("dataset_guid")?));
            }
        }
    }
    Ok(holders)
}

/// Systems whose GUIDs are made up: they are nobody's copies.
async fn systems_without_guids(connection: &mut Connection) -> Result<BTreeSet<SystemId>> {
    let rows =
        sqlx::query("SELECT id FROM systems WHERE inventory_without_guids").fetch_all(connection).await?;
    rows.iter().map(|row| Cells::new(row, "systems", "id").id("id")).collect()
}
