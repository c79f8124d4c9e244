use std::collections::BTreeMap;

use sqlx::QueryBuilder;
use zfs_sync_core::{ids::SystemId, name::DatasetName, retention::Retention};

use super::{
    super::{Connection, Db, DbRow, Driver},
    BATCH, KEYS,
    cells::{Cells, json_text},
};
use crate::Result;

/// All of a system, or those of `names`.
pub(super) async fn policies_of(
    connection: &mut Connection,
    system: SystemId,
    names: Option<&[&DatasetName]>,
) -> Result<BTreeMap<DatasetName, Retention>> {
    let Some(names) = names else {
        let rows = sqlx::query("SELECT dataset, policy FROM retention_policies WHERE system_id = $1")
            .bind(system.as_uuid())
            .fetch_all(connection)
            .await?;
        return rows.iter().map(read).collect();
    };
    let mut policies = BTreeMap::new();
    for batch in names.chunks(KEYS) {
        let mut query: QueryBuilder<Driver> =
            QueryBuilder::new("SELECT dataset, policy FROM retention_policies WHERE system_id = ");
        query.push_bind(system.as_uuid()).push(" AND dataset IN (");
        let mut list = query.separated(", ");
        for name in batch {
            list.push_bind(name.as_str());
        }
        query.push(")");
        for row in query.build().persistent(false).fetch_all(&mut *connection).await? {
            let (name, retention) = read(&row)?;
            policies.insert(name, retention);
        }
    }
    Ok(policies)
}

fn read(row: &DbRow) -> Result<(DatasetName, Retention)> {
    let cells = Cells::new(row, "retention_policies", "dataset");
    Ok((cells.parse("dataset")?, cells.json("policy")?))
}

/// Answers for which datasets something was different. Compared as text, so that a row that can not be read is replaced, too.
pub(super) async fn replace_policies(
    connection: &mut Connection,
    system: SystemId,
    policies: &BTreeMap<DatasetName, Retention>,
) -> Result<Vec<DatasetName>> {
    let rows = sqlx::query("SELECT dataset, policy FROM retention_policies WHERE system_id = $1")
        .bind(system.as_uuid())
        .fetch_all(&mut *connection)
        .await?;
    let stored = rows.iter().map(|row| {
        let cells = Cells::new(row, "retention_policies", "dataset");
        Ok((cells.get::<String>("dataset")?, cells.get::<String>("policy")?))
    });
    let stored: BTreeMap<String, String> = stored.collect::<Result<_>>()?;
    let new: BTreeMap<&str, String> =
        policies.iter().map(|(name, policy)| (name.as_str(), json_text(policy))).collect();
    let gone: Vec<&String> = stored.keys().filter(|name| !new.contains_key(name.as_str())).collect();
    let different: Vec<(&str, String)> =
        new.into_iter().filter(|(name, policy)| stored.get(*name) != Some(policy)).collect();
    for batch in gone.chunks(KEYS) {
        let mut query: QueryBuilder<Driver> =
            QueryBuilder::new("DELETE FROM retention_policies WHERE system_id = ");
        query.push_bind(system.as_uuid()).push(" AND dataset IN (");
        let mut list = query.separated(", ");
        for name in batch {
            list.push_bind(name.as_str());
        }
        query.push(")");
        query.build().persistent(false).execute(&mut *connection).await?;
    }
    for batch in different.chunks(BATCH) {
        let mut query: QueryBuilder<Driver> =
            QueryBuilder::new("INSERT INTO retention_policies (system_id, dataset, policy) ");
        query.push_values(batch, |mut row, (dataset, policy)| {
            row.push_bind(system.as_uuid()).push_bind(*dataset).push_bind(policy);
        });
        query.push(" ON CONFLICT (system_id, dataset) DO UPDATE SET policy = excluded.policy");
        query.build().persistent(false).execute(&mut *connection).await?;
    }
    let names = gone.into_iter().map(String::as_str).chain(different.iter().map(|(name, _)| *name));
    // A name that is none names nothing that could be planned.
    Ok(names.filter_map(|name| name.parse().ok()).collect())
}

pub(crate) async fn retention_policies(
    db: &Db,
    system: SystemId,
    names: Option<&[&DatasetName]>,
) -> Result<BTreeMap<DatasetName, Retention>> {
    let mut connection = db.reader().acquire().await?;
    policies_of(&mut connection, system, names).await
}
