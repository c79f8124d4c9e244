use std::collections::BTreeMap;

use sqlx::QueryBuilder;
use zfs_sync_core::{
    ids::{GroupId, SystemId},
    name::DatasetName,
    plan::ReplicaState,
    time::Timestamp,
};

use super::{
    super::{Connection, Db, DbRow, Driver},
    BATCH, KEYS,
    cells::{Cells, count_of, json_text},
    groups,
};
use crate::{Error, ReplicaFilter, ReplicaRow, ReplicaTransition, Result, error::Constraints as _};

macro_rules! columns {
    () => {
        "group_id, target_system_id, source, source_system_id, target, state, reason, report, newest_common_creation, \
         snapshot_lag, since"
    };
}

fn read(row: &DbRow) -> Result<ReplicaRow> {
    let cells = Cells::new(row, "replicas", "source");
    Ok(ReplicaRow {
        group: cells.id("group_id")?,
        target_system: cells.id("target_system_id")?,
        source_system: cells.id("source_system_id")?,
        source: cells.parse("source")?,
        target: cells.parse("target")?,
        state: cells.named("state", ReplicaState::from_name)?,
        reason: cells.get("reason")?,
        report: cells.json("report")?,
        newest_common_creation: cells.get("newest_common_creation")?,
        snapshot_lag: cells.small("snapshot_lag")?,
        since: cells.time("since")?,
    })
}

/// What identifies a replica within its group.
type Key = (SystemId, DatasetName);

/// A replica as it is stored; the report stays text, because an older version may have written it.
#[derive(Debug, PartialEq, Eq)]
struct Stored {
    source_system: SystemId,
    target: DatasetName,
    state: ReplicaState,
    reason: Option<String>,
    report: String,
    newest_common_creation: Option<i64>,
    snapshot_lag: u32,
    since: Timestamp,
}

fn read_stored(row: &DbRow) -> Result<(Key, Stored)> {
    let cells = Cells::new(row, "replicas", "source");
    let stored = Stored {
        source_system: cells.id("source_system_id")?,
        target: cells.parse("target")?,
        state: cells.named("state", ReplicaState::from_name)?,
        reason: cells.get("reason")?,
        report: cells.get("report")?,
        newest_common_creation: cells.get("newest_common_creation")?,
        snapshot_lag: cells.small("snapshot_lag")?,
        since: cells.time("since")?,
    };
    Ok(((cells.id("target_system_id")?, cells.parse("source")?), stored))
}

fn wanted(replica: &ReplicaRow, old: Option<&Stored>, now: Timestamp) -> Result<Stored> {
    let same_state = old.filter(|old| old.state == replica.state);
    // As it will be read: equal to what is stored when nothing has changed.
    let now = Timestamp::from_millisecond(now.as_millisecond()).map_err(|_| Error::Inconsistency {
        table: "replicas",
        column: "since",
        row: replica.source.to_string(),
    })?;
    Ok(Stored {
        source_system: replica.source_system,
        target: replica.target.clone(),
        state: replica.state,
        reason: replica.reason.clone(),
        report: json_text(&replica.report),
        newest_common_creation: replica.newest_common_creation,
        snapshot_lag: replica.snapshot_lag,
        since: same_state.map_or(now, |old| old.since),
    })
}

pub(crate) async fn store_replicas(
    db: &Db,
    group: GroupId,
    replicas: &[ReplicaRow],
    now: Timestamp,
) -> Result<Vec<ReplicaTransition>> {
    let mut transaction = db.begin_write().await?;
    groups::lock(&mut transaction, group).await?;
    let statement = concat!("SELECT ", columns!(), " FROM replicas WHERE group_id = $1");
    let rows = sqlx::query(statement).bind(group.as_uuid()).fetch_all(&mut *transaction).await?;
    let mut old = rows.iter().map(read_stored).collect::<Result<BTreeMap<Key, Stored>>>()?;

    let mut changed: BTreeMap<Key, Stored> = BTreeMap::new();
    let mut transitions = Vec::new();
    let named: BTreeMap<Key, &ReplicaRow> =
        replicas.iter().map(|replica| ((replica.target_system, replica.source.clone()), replica)).collect();
    for (key, replica) in named {
        let before = old.remove(&key);
        let after = wanted(replica, before.as_ref(), now)?;
        if before.as_ref() == Some(&after) {
            continue;
        }
        let old_state = before.map(|before| before.state);
        if old_state != Some(after.state) {
            transitions.push(ReplicaTransition {
                group,
                target_system: key.0,
                source_system: after.source_system,
                source: key.1.clone(),
                target: after.target.clone(),
                old: old_state,
                new: Some(after.state),
                reason: after.reason.clone(),
            });
        }
        changed.insert(key, after);
    }
    for ((target_system, source), gone) in &old {
        transitions.push(ReplicaTransition {
            group,
            target_system: *target_system,
            source_system: gone.source_system,
            source: source.clone(),
            target: gone.target.clone(),
            old: Some(gone.state),
            new: None,
            reason: None,
        });
    }

    upsert(&mut transaction, group, &changed.into_iter().collect::<Vec<_>>()).await?;
    delete(&mut transaction, group, &old.into_keys().collect::<Vec<_>>()).await?;
    transaction.commit().await?;
    Ok(transitions)
}

async fn upsert(connection: &mut Connection, group: GroupId, rows: &[(Key, Stored)]) -> Result<()> {
    for batch in rows.chunks(BATCH) {
        let mut query: QueryBuilder<Driver> =
            QueryBuilder::new(concat!("INSERT INTO replicas (", columns!(), ") "));
        query.push_values(batch, |mut row, ((target_system, source), stored)| {
            row.push_bind(group.as_uuid())
                .push_bind(target_system.as_uuid())
                .push_bind(source.as_str())
                .push_bind(stored.source_system.as_uuid())
                .push_bind(stored.target.as_str())
                .push_bind(stored.state.as_str())
                .push_bind(&stored.reason)
                .push_bind(&stored.report)
                .push_bind(stored.newest_common_creation)
                .push_bind(i64::from(stored.snapshot_lag))
                .push_bind(stored.since.as_millisecond());
        });
        query.push(
            " ON CONFLICT (group_id, target_system_id, source) DO UPDATE SET \
             source_system_id = excluded.source_system_id, target = excluded.target, state = excluded.state, \
             reason = excluded.reason, report = excluded.report, \
             newest_common_creation = excluded.newest_common_creation, snapshot_lag = excluded.snapshot_lag, \
             since = excluded.since",
        );
        let done = query.build().persistent(false).execute(&mut *connection).await;
        done.reference(|| Error::NotFound { what: "system" })?;
    }
    Ok(())
}

async fn delete(connection: &mut Connection, group: GroupId, keys: &[Key]) -> Result<()> {
    for batch in keys.chunks(KEYS) {
        let mut query: QueryBuilder<Driver> = QueryBuilder::new("DELETE FROM replicas WHERE group_id = ");
        query.push_bind(group.as_uuid()).push(" AND (target_system_id, source) IN (");
        query.push_values(batch, |mut row, (target_system, source)| {
            row.push_bind(target_system.as_uuid()).push_bind(source.as_str());
        });
        query.push(")");
        query.build().persistent(false).execute(&mut *connection).await?;
    }
    Ok(())
}

pub(crate) async fn replicas(db: &Db, filter: &ReplicaFilter) -> Result<Vec<ReplicaRow>> {
    let ReplicaFilter { group, system, dataset, states, limit } = filter;
    let mut query: QueryBuilder<Driver> =
        QueryBuilder::new(concat!("SELECT ", columns!(), " FROM replicas WHERE TRUE"));
    if let Some(group) = group {
        query.push(" AND group_id = ").push_bind(group.as_uuid());
    }
    if let Some(system) = system {
        query.push(" AND (target_system_id = ").push_bind(system.as_uuid());
        query.push(" OR source_system_id = ").push_bind(system.as_uuid()).push(")");
    }
    if let Some(dataset) = dataset {
        query.push(" AND (source = ").push_bind(dataset.as_str());
        query.push(" OR target = ").push_bind(dataset.as_str()).push(")");
    }
    if !states.is_empty() {
        query.push(" AND state IN (");
        let mut list = query.separated(", ");
        for state in states {
            list.push_bind(state.as_str());
        }
        query.push(")");
    }
    query.push(" ORDER BY group_id, source, target_system_id LIMIT ");
    query.push_bind(limit.map_or(i64::MAX, count_of));
    let rows = query.build().fetch_all(db.reader()).await?;
    rows.iter().map(read).collect()
}

pub(crate) async fn replica_counts(db: &Db, group: Option<GroupId>) -> Result<BTreeMap<ReplicaState, u64>> {
    let mut query: QueryBuilder<Driver> = QueryBuilder::new("SELECT state, COUNT(*) AS many FROM replicas");
    if let Some(group) = group {
        query.push(" WHERE group_id = ").push_bind(group.as_uuid());
    }
    query.push(" GROUP BY state");
    let rows = query.build().fetch_all(db.reader()).await?;
    let count = |row| {
        let cells = Cells::new(row, "replicas", "state");
        Ok((cells.named("state", ReplicaState::from_name)?, cells.bits("many")?))
    };
    rows.iter().map(count).collect()
}
