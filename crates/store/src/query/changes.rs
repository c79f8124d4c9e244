use std::collections::{BTreeMap, BTreeSet};

use sqlx::QueryBuilder;
use zfs_sync_core::{ids::SystemId, inventory::DatasetProperties, name::DatasetName, time::Timestamp};

use super::{
    super::{Connection, Db, Driver},
    BATCH, KEYS,
    cells::{Cells, count_of},
};
use crate::{ChangedDataset, Result};

/// The datasets that a report changes; true where what they are has changed.
#[derive(Debug, Default)]
pub(super) struct Changes(BTreeMap<DatasetName, bool>);

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// It appeared or disappeared.
    pub(super) fn structural(&mut self, name: &DatasetName) {
        self.0.insert(name.clone(), true);
    }

    /// Its history or properties are others.
    pub(super) fn between(&mut self, name: &DatasetName, old: &DatasetProperties, new: &DatasetProperties) {
        let same = old.guid == new.guid
            && old.kind == new.kind
            && old.origin == new.origin
            && old.partial == new.partial;
        self.0.insert(name.clone(), !same);
    }

    /// What its host's snapshot tool keeps of it has changed.
    pub(super) fn policy(&mut self, name: DatasetName) {
        self.0.entry(name).or_insert(false);
    }

    /// Puts them on the queue with this revision, and answers whether any had to be.
    pub(super) async fn write(
        self,
        connection: &mut Connection,
        system: SystemId,
        revision: i64,
        now: Timestamp,
    ) -> Result<bool> {
        if self.0.is_empty() || !is_member(connection, system).await? {
            return Ok(false);
        }
        for batch in self.0.into_iter().collect::<Vec<_>>().chunks(BATCH) {
            let mut query: QueryBuilder<Driver> = QueryBuilder::new(
                "INSERT INTO changed_datasets (system_id, name, revision, structural, since) ",
            );
            query.push_values(batch, |mut row, (name, structural)| {
                row.push_bind(system.as_uuid())
                    .push_bind(name.as_str())
                    .push_bind(revision)
                    .push_bind(*structural)
                    .push_bind(now.as_millisecond());
            });
            // It keeps its place in the queue.
            query.push(
                " ON CONFLICT (system_id, name) DO UPDATE SET revision = excluded.revision, \
                 structural = changed_datasets.structural OR excluded.structural",
            );
            query.build().persistent(false).execute(&mut *connection).await?;
        }
        Ok(true)
    }
}

async fn is_member(connection: &mut Connection, system: SystemId) -> Result<bool> {
    let found = sqlx::query("SELECT group_id FROM group_members WHERE system_id = $1 LIMIT 1")
        .bind(system.as_uuid())
        .fetch_optional(connection)
        .await?;
    Ok(found.is_some())
}

pub(crate) async fn changed_datasets(db: &Db, limit: u64) -> Result<Vec<ChangedDataset>> {
    let rows = sqlx::query(
        "SELECT system_id, name, revision, structural FROM changed_datasets ORDER BY since, system_id, name LIMIT $1",
    )
    .bind(count_of(limit))
    .fetch_all(db.reader())
    .await?;
    let read = |row| {
        let cells = Cells::new(row, "changed_datasets", "name");
        Ok(ChangedDataset {
            system: cells.id("system_id")?,
            name: cells.parse("name")?,
            revision: cells.bits("revision")?,
            structural: cells.get("structural")?,
        })
    };
    rows.iter().map(read).collect()
}

pub(crate) async fn forget_changed(db: &Db, changes: &[ChangedDataset]) -> Result<u64> {
    if changes.is_empty() {
        return Ok(0);
    }
    let mut transaction = db.begin_write().await?;
    let mut forgotten = 0;
    // Up to five variables each.
    for batch in changes.chunks(KEYS / 2) {
        let mut query: QueryBuilder<Driver> =
            QueryBuilder::new("DELETE FROM changed_datasets WHERE system_id IN (");
        // SQLite uses no index for tuples: systems and names by themselves keep it from reading the whole queue.
        let mut list = query.separated(", ");
        for system in batch.iter().map(|change| change.system).collect::<BTreeSet<_>>() {
            list.push_bind(system.as_uuid());
        }
        query.push(") AND name IN (");
        let mut list = query.separated(", ");
        for name in batch.iter().map(|change| &change.name).collect::<BTreeSet<_>>() {
            list.push_bind(name.as_str());
        }
        query.push(") AND (system_id, name, revision) IN (");
        query.push_values(batch, |mut row, change| {
            row.push_bind(change.system.as_uuid())
                .push_bind(change.name.as_str())
                .push_bind(change.revision.cast_signed());
        });
        query.push(")");
        forgotten += query.build().persistent(false).execute(&mut *transaction).await?.rows_affected();
    }
    transaction.commit().await?;
    Ok(forgotten)
}
