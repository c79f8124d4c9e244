use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use sqlx::QueryBuilder;
use zfs_sync_core::{
    guid::{Guid, Txg},
    ids::SystemId,
    inventory::{Bookmark, Dataset, DatasetProperties, HistoryDigest, Inventory, Snapshot},
    name::DatasetName,
};

use super::{
    super::{Connection, Db, DbRow, Driver},
    KEYS,
    cells::{Cells, count_of},
    retention::policies_of,
};
use crate::{InventorySizes, Result, SnapshotRow};

macro_rules! dataset_columns {
    () => {
        "id, name, digest, guid, kind, createtxg, written, used, referenced, available, readonly, mounted, encrypted, \
         origin, partial"
    };
}
pub(super) use dataset_columns;

/// A dataset's row, without its history.
#[derive(Debug)]
pub(super) struct StoredDataset {
    pub(super) id: i64,
    pub(super) name: DatasetName,
    pub(super) digest: HistoryDigest,
    pub(super) properties: DatasetProperties,
}

pub(super) fn read_dataset(row: &DbRow) -> Result<StoredDataset> {
    let cells = Cells::new(row, "datasets", "name");
    let properties = DatasetProperties {
        guid: Guid::from_sql(cells.get("guid")?),
        kind: cells.word("kind")?,
        createtxg: Txg::from_sql(cells.get("createtxg")?),
        written: cells.bits("written")?,
        used: cells.bits("used")?,
        referenced: cells.bits("referenced")?,
        available: cells.bits("available")?,
        readonly: cells.get("readonly")?,
        mounted: cells.get("mounted")?,
        encrypted: cells.get("encrypted")?,
        origin: cells.get("origin")?,
        partial: cells.json_option("partial")?,
    };
    Ok(StoredDataset {
        id: cells.get("id")?,
        name: cells.parse("name")?,
        digest: HistoryDigest(cells.get("digest")?),
        properties,
    })
}

fn read_snapshot(row: &DbRow) -> Result<Snapshot> {
    let cells = Cells::new(row, "snapshots", "guid");
    Ok(Snapshot {
        guid: Guid::from_sql(cells.get("guid")?),
        createtxg: Txg::from_sql(cells.get("createtxg")?),
        label: cells.parse("label")?,
        creation: cells.get("creation")?,
        used: cells.bits("used")?,
        referenced: cells.bits("referenced")?,
        holds: cells.small("holds")?,
    })
}

fn read_bookmark(row: &DbRow) -> Result<Bookmark> {
    let cells = Cells::new(row, "bookmarks", "label");
    Ok(Bookmark {
        guid: Guid::from_sql(cells.get("guid")?),
        createtxg: Txg::from_sql(cells.get("createtxg")?),
        label: cells.parse("label")?,
        creation: cells.get("creation")?,
    })
}

/// All datasets of a system, or those of `names`.
pub(super) async fn stored_datasets(
    connection: &mut Connection,
    system: SystemId,
    names: Option<&[&DatasetName]>,
) -> Result<Vec<StoredDataset>> {
    let Some(names) = names else {
        let statement = concat!("SELECT ", dataset_columns!(), " FROM datasets WHERE system_id = $1");
        let rows = sqlx::query(statement).bind(system.as_uuid()).fetch_all(connection).await?;
        return rows.iter().map(read_dataset).collect();
    };
    let mut datasets = Vec::with_capacity(names.len());
    for batch in names.chunks(KEYS) {
        let mut query: QueryBuilder<Driver> =
            QueryBuilder::new(concat!("SELECT ", dataset_columns!(), " FROM datasets WHERE system_id = "));
        query.push_bind(system.as_uuid()).push(" AND name IN (");
        let mut list = query.separated(", ");
        for name in batch {
            list.push_bind(name.as_str());
        }
        query.push(")");
        for row in query.build().persistent(false).fetch_all(&mut *connection).await? {
            datasets.push(read_dataset(&row)?);
        }
    }
    Ok(datasets)
}

/// Everything below some datasets, by their rows' ids.
#[derive(Debug, Default)]
pub(super) struct Histories {
    pub(super) snapshots: BTreeMap<i64, Vec<Snapshot>>,
    pub(super) bookmarks: BTreeMap<i64, Vec<Bookmark>>,
}

macro_rules! snapshots_where {
    ($condition:literal) => {
        concat!(
            "SELECT dataset_id, guid, createtxg, label, creation, used, referenced, holds FROM snapshots WHERE dataset_id ",
            $condition
        )
    };
}

macro_rules! bookmarks_where {
    ($condition:literal) => {
        concat!(
            "SELECT dataset_id, guid, createtxg, label, creation FROM bookmarks WHERE dataset_id ",
            $condition
        )
    };
}

impl Histories {
    /// Of these datasets.
    pub(super) async fn of(connection: &mut Connection, datasets: &[i64]) -> Result<Self> {
        let mut histories = Self::default();
        for batch in datasets.chunks(KEYS) {
            for (text, bookmarks) in [(snapshots_where!("IN ("), false), (bookmarks_where!("IN ("), true)] {
                let mut query: QueryBuilder<Driver> = QueryBuilder::new(text);
                let mut list = query.separated(", ");
                for id in batch {
                    list.push_bind(id);
                }
                query.push(")");
                let statement = query.build().persistent(false);
                let mut rows = statement.fetch(&mut *connection);
                while let Some(row) = rows.try_next().await? {
                    if bookmarks { histories.add_bookmark(&row)? } else { histories.add_snapshot(&row)? }
                }
            }
        }
        Ok(histories)
    }

    /// Of all datasets of a system.
    async fn of_system(connection: &mut Connection, system: SystemId) -> Result<Self> {
        let mut histories = Self::default();
        let statement = snapshots_where!("IN (SELECT id FROM datasets WHERE system_id = $1)");
        let mut rows = sqlx::query(statement).bind(system.as_uuid()).fetch(&mut *connection);
        while let Some(row) = rows.try_next().await? {
            histories.add_snapshot(&row)?;
        }
        drop(rows);
        let statement = bookmarks_where!("IN (SELECT id FROM datasets WHERE system_id = $1)");
        let mut rows = sqlx::query(statement).bind(system.as_uuid()).fetch(connection);
        while let Some(row) = rows.try_next().await? {
            histories.add_bookmark(&row)?;
        }
        drop(rows);
        Ok(histories)
    }

    fn add_snapshot(&mut self, row: &DbRow) -> Result<()> {
        let dataset = Cells::new(row, "snapshots", "guid").get("dataset_id")?;
        self.snapshots.entry(dataset).or_default().push(read_snapshot(row)?);
        Ok(())
    }

    fn add_bookmark(&mut self, row: &DbRow) -> Result<()> {
        let dataset = Cells::new(row, "bookmarks", "label").get("dataset_id")?;
        self.bookmarks.entry(dataset).or_default().push(read_bookmark(row)?);
        Ok(())
    }

    /// Takes one dataset's history out.
    pub(super) fn take(&mut self, stored: StoredDataset) -> Dataset {
        let mut dataset = Dataset {
            name: stored.name,
            properties: stored.properties,
            snapshots: self.snapshots.remove(&stored.id).unwrap_or_default(),
            bookmarks: self.bookmarks.remove(&stored.id).unwrap_or_default(),
        };
        dataset.sort();
        dataset
    }
}

/// A system's inventory without its datasets: how old it is, and whether it has GUIDs. `None` when it has none.
pub(super) async fn empty_inventory(
    connection: &mut Connection,
    system: SystemId,
) -> Result<Option<Inventory>> {
    let row = sqlx::query("SELECT id, inventory_as_of, inventory_without_guids FROM systems WHERE id = $1")
        .bind(system.as_uuid())
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let cells = Cells::new(&row, "systems", "id");
    let Some(as_of) = cells.time_option("inventory_as_of")? else { return Ok(None) };
    let without_guids = cells.get("inventory_without_guids")?;
    Ok(Some(Inventory { without_guids, ..Inventory::empty(as_of) }))
}

pub(crate) async fn inventory(db: &Db, system: SystemId) -> Result<Option<Inventory>> {
    let mut transaction = db.begin_read().await?;
    let Some(empty) = empty_inventory(&mut transaction, system).await? else { return Ok(None) };
    let stored = stored_datasets(&mut transaction, system, None).await?;
    let mut histories = Histories::of_system(&mut transaction, system).await?;
    let datasets = stored.into_iter().map(|stored| (stored.name.clone(), histories.take(stored))).collect();
    let retention = policies_of(&mut transaction, system, None).await?;
    Ok(Some(Inventory { datasets, retention, ..empty }))
}

pub(crate) async fn inventory_dataset(
    db: &Db,
    system: SystemId,
    name: &DatasetName,
) -> Result<Option<Dataset>> {
    let mut transaction = db.begin_read().await?;
    let Some(stored) = stored_datasets(&mut transaction, system, Some(&[name])).await?.pop() else {
        return Ok(None);
    };
    let mut histories = Histories::of(&mut transaction, &[stored.id]).await?;
    Ok(Some(histories.take(stored)))
}

pub(crate) async fn inventory_sizes(db: &Db, system: SystemId) -> Result<InventorySizes> {
    let row = sqlx::query(
        "SELECT (SELECT COUNT(*) FROM datasets WHERE system_id = $1) AS datasets, \
         (SELECT COUNT(*) FROM snapshots WHERE dataset_id IN (SELECT id FROM datasets WHERE system_id = $1)) AS snapshots",
    )
    .bind(system.as_uuid())
    .fetch_one(db.reader())
    .await?;
    let cells = Cells::new(&row, "datasets", "datasets");
    Ok(InventorySizes { datasets: cells.bits("datasets")?, snapshots: cells.bits("snapshots")? })
}

pub(crate) async fn snapshots_of(
    db: &Db,
    system: SystemId,
    skip: u64,
    limit: u64,
) -> Result<Vec<SnapshotRow>> {
    let rows = sqlx::query(
        "SELECT d.name AS dataset, s.guid, s.createtxg, s.label, s.creation, s.used, s.referenced, s.holds \
         FROM snapshots s JOIN datasets d ON d.id = s.dataset_id WHERE d.system_id = $1 \
         ORDER BY s.creation DESC, d.name, s.createtxg DESC, s.guid LIMIT $2 OFFSET $3",
    )
    .bind(system.as_uuid())
    .bind(count_of(limit))
    .bind(count_of(skip))
    .fetch_all(db.reader())
    .await?;
    let read = |row| {
        let dataset = Cells::new(row, "snapshots", "guid").parse("dataset")?;
        Ok(SnapshotRow { dataset, snapshot: read_snapshot(row)? })
    };
    rows.iter().map(read).collect()
}
