//! The rows of a report: batches, never row by row.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::QueryBuilder;
use zfs_sync_core::{
    ids::SystemId,
    inventory::{Bookmark, Dataset, DatasetProperties, HistoryDigest, Snapshot},
    name::DatasetName,
};

use super::{
    super::{Connection, Driver},
    BATCH, KEYS,
    cells::{Cells, json_text, word_text},
    inventory::Histories,
};
use crate::Result;

/// A dataset whose history has come, in the form in which it is stored: every GUID and every bookmark once.
pub(super) struct Arrived<'a> {
    pub(super) name: &'a DatasetName,
    snapshots: BTreeMap<i64, &'a Snapshot>,
    bookmarks: BTreeMap<&'a str, &'a Bookmark>,
}

impl<'a> Arrived<'a> {
    pub(super) fn new(
        name: &'a DatasetName,
        (snapshots, bookmarks): &'a (Vec<Snapshot>, Vec<Bookmark>),
    ) -> Self {
        Self {
            name,
            snapshots: snapshots.iter().map(|snapshot| (snapshot.guid.to_sql(), snapshot)).collect(),
            bookmarks: bookmarks.iter().map(|bookmark| (bookmark.label.as_str(), bookmark)).collect(),
        }
    }

    /// The digest of what is stored, whatever the report claims: a later comparison is with this.
    pub(super) fn digest(&self, properties: &DatasetProperties) -> HistoryDigest {
        let mut dataset = Dataset {
            name: self.name.clone(),
            properties: properties.clone(),
            snapshots: self.snapshots.values().copied().cloned().collect(),
            bookmarks: self.bookmarks.values().copied().cloned().collect(),
        };
        dataset.sort();
        dataset.history_digest()
    }
}

/// A dataset's row to write.
pub(super) struct DatasetUpsert<'a> {
    pub(super) name: &'a DatasetName,
    pub(super) digest: HistoryDigest,
    pub(super) properties: &'a DatasetProperties,
}

pub(super) async fn upsert_datasets(
    connection: &mut Connection,
    system: SystemId,
    upserts: &[DatasetUpsert<'_>],
) -> Result<Vec<(DatasetName, i64)>> {
    let mut ids = Vec::with_capacity(upserts.len());
    for batch in upserts.chunks(BATCH) {
        let mut query: QueryBuilder<Driver> = QueryBuilder::new(
            "INSERT INTO datasets (system_id, name, digest, guid, kind, createtxg, written, used, referenced, available, \
             readonly, mounted, encrypted, origin, partial) ",
        );
        query.push_values(batch, |mut row, upsert| {
            let properties = upsert.properties;
            row.push_bind(system.as_uuid())
                .push_bind(upsert.name.as_str())
                .push_bind(&upsert.digest.0)
                .push_bind(properties.guid.to_sql())
                .push_bind(word_text(&properties.kind))
                .push_bind(properties.createtxg.to_sql())
                .push_bind(properties.written.cast_signed())
                .push_bind(properties.used.cast_signed())
                .push_bind(properties.referenced.cast_signed())
                .push_bind(properties.available.cast_signed())
                .push_bind(properties.readonly)
                .push_bind(properties.mounted)
                .push_bind(properties.encrypted)
                .push_bind(&properties.origin)
                .push_bind(properties.partial.as_ref().map(json_text));
        });
        query.push(
            " ON CONFLICT (system_id, name) DO UPDATE SET digest = excluded.digest, guid = excluded.guid, \
             kind = excluded.kind, createtxg = excluded.createtxg, written = excluded.written, used = excluded.used, \
             referenced = excluded.referenced, available = excluded.available, readonly = excluded.readonly, \
             mounted = excluded.mounted, encrypted = excluded.encrypted, origin = excluded.origin, \
             partial = excluded.partial RETURNING id, name",
        );
        for row in query.build().persistent(false).fetch_all(&mut *connection).await? {
            let cells = Cells::new(&row, "datasets", "name");
            ids.push((cells.parse("name")?, cells.get("id")?));
        }
    }
    Ok(ids)
}

pub(super) async fn delete_datasets(connection: &mut Connection, ids: &[i64]) -> Result<()> {
    for batch in ids.chunks(KEYS) {
        let mut query: QueryBuilder<Driver> = QueryBuilder::new("DELETE FROM datasets WHERE id IN (");
        let mut list = query.separated(", ");
        for id in batch {
            list.push_bind(id);
        }
        query.push(")");
        query.build().persistent(false).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Writes what differs from what is stored, removes what is gone. Datasets of `known` have something stored.
pub(super) async fn replace_histories(
    connection: &mut Connection,
    ids: &BTreeMap<DatasetName, i64>,
    known: &[i64],
    arrived: &[Arrived<'_>],
) -> Result<()> {
    let old = Histories::of(connection, known).await?;
    let mut new_snapshots = Vec::new();
    let mut gone_snapshots = Vec::new();
    let mut new_bookmarks = Vec::new();
    let mut gone_bookmarks = Vec::new();
    for history in arrived {
        let id = ids[history.name];
        let mut snapshots = history.snapshots.clone();
        for stored in old.snapshots.get(&id).into_iter().flatten() {
            match snapshots.get(&stored.guid.to_sql()) {
                None => gone_snapshots.push((id, stored.guid.to_sql())),
                Some(same) if *same == stored => {
                    snapshots.remove(&stored.guid.to_sql());
                }
                Some(_) => {}
            }
        }
        new_snapshots.extend(snapshots.into_values().map(|snapshot| (id, snapshot)));
        let mut bookmarks = history.bookmarks.clone();
        for stored in old.bookmarks.get(&id).into_iter().flatten() {
            match bookmarks.get(stored.label.as_str()) {
                None => gone_bookmarks.push((id, stored.label.as_str())),
                Some(same) if *same == stored => {
                    bookmarks.remove(stored.label.as_str());
                }
                Some(_) => {}
            }
        }
        new_bookmarks.extend(bookmarks.into_values().map(|bookmark| (id, bookmark)));
    }
    delete_children(connection, "snapshots", "guid", &gone_snapshots).await?;
    delete_children(connection, "bookmarks", "label", &gone_bookmarks).await?;
    upsert_snapshots(connection, &new_snapshots).await?;
    upsert_bookmarks(connection, &new_bookmarks).await
}

/// `table` is `snapshots` or `bookmarks`, `key` what names one within its dataset.
async fn delete_children<'q, K>(
    connection: &mut Connection,
    table: &'static str,
    key: &'static str,
    keys: &[(i64, K)],
) -> Result<()>
where
    K: sqlx::Encode<'q, Driver> + sqlx::Type<Driver> + Copy + 'q,
{
    for batch in keys.chunks(KEYS) {
        let mut query: QueryBuilder<Driver> = QueryBuilder::new("DELETE FROM ");
        // SQLite uses no index for pairs: the datasets by themselves keep it from reading the whole table.
        query.push(table).push(" WHERE dataset_id IN (");
        let mut list = query.separated(", ");
        for dataset in batch.iter().map(|(dataset, _)| *dataset).collect::<BTreeSet<_>>() {
            list.push_bind(dataset);
        }
        query.push(") AND (dataset_id, ").push(key).push(") IN (");
        query.push_values(batch, |mut row, (dataset, key)| {
            row.push_bind(*dataset).push_bind(*key);
        });
        query.push(")");
        query.build().persistent(false).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn upsert_snapshots(connection: &mut Connection, rows: &[(i64, &Snapshot)]) -> Result<()> {
    for batch in rows.chunks(BATCH) {
        let mut query: QueryBuilder<Driver> = QueryBuilder::new(
            "INSERT INTO snapshots (dataset_id, guid, createtxg, label, creation, used, referenced, holds) ",
        );
        query.push_values(batch, |mut row, (dataset, snapshot)| {
            row.push_bind(*dataset)
                .push_bind(snapshot.guid.to_sql())
                .push_bind(snapshot.createtxg.to_sql())
                .push_bind(snapshot.label.as_str())
                .push_bind(snapshot.creation)
                .push_bind(snapshot.used.cast_signed())
                .push_bind(snapshot.referenced.cast_signed())
                .push_bind(i64::from(snapshot.holds));
        });
        query.push(
            " ON CONFLICT (dataset_id, guid) DO UPDATE SET createtxg = excluded.createtxg, label = excluded.label, \
             creation = excluded.creation, used = excluded.used, referenced = excluded.referenced, \
             holds = excluded.holds",
        );
        query.build().persistent(batch.len() == BATCH).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn upsert_bookmarks(connection: &mut Connection, rows: &[(i64, &Bookmark)]) -> Result<()> {
    for batch in rows.chunks(BATCH) {
        let mut query: QueryBuilder<Driver> =
            QueryBuilder::new("INSERT INTO bookmarks (dataset_id, label, guid, createtxg, creation) ");
        query.push_values(batch, |mut row, (dataset, bookmark)| {
            row.push_bind(*dataset)
                .push_bind(bookmark.label.as_str())
                .push_bind(bookmark.guid.to_sql())
                .push_bind(bookmark.createtxg.to_sql())
                .push_bind(bookmark.creation);
        });
        query.push(
            " ON CONFLICT (dataset_id, label) DO UPDATE SET guid = excluded.guid, createtxg = excluded.createtxg, \
             creation = excluded.creation",
        );
        query.build().persistent(batch.len() == BATCH).execute(&mut *connection).await?;
    }
    Ok(())
}
