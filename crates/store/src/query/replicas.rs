use std::collections::{BTreeMap, BTreeSet};

use sqlx::QueryBuilder;
use zfs_sync_core::{
    guid::Guid,
    ids::{GroupId, SystemId},
    name::DatasetName,
    plan::{ReplicaKey, ReplicaState},
    time::Timestamp,
};

use super::{
    super::{Connection, Db, DbRow, Driver},
    BATCH, KEYS,
    cells::{Cells, json_text},
    conflict_rows::Conflicts,
    groups,
};
use crate::{ConflictTransition, Error, ReplicaRow, ReplicaTransition, Result, error::Constraints as _};

/// A replica as it is stored; the report stays text, because an older version may have written it.
#[derive(Debug, PartialEq, Eq)]
struct Stored {
    source_system: SystemId,
    source: DatasetName,
    target: DatasetName,
    state: ReplicaState,
    reason: Option<String>,
    report: String,
    newest_common_creation: Option<i64>,
    snapshot_lag: u32,
    source_guid: Option<i64>,
    since: Timestamp,
}

fn read_stored(row: &DbRow) -> Result<(ReplicaKey, Stored)> {
    let cells = Cells::new(row, "replicas", "dataset");
    let stored = Stored {
        source_system: cells.id("source_system_id")?,
        source: cells.parse("source")?,
        target: cells.parse("target")?,
        state: cells.named("state", ReplicaState::from_name)?,
        reason: cells.get("reason")?,
        report: cells.get("report")?,
        newest_common_creation: cells.get("newest_common_creation")?,
        snapshot_lag: cells.small("snapshot_lag")?,
        source_guid: cells.get("source_guid")?,
        since: cells.time("since")?,
    };
    let key = ReplicaKey {
        home: cells.id("home_system_id")?,
        dataset: cells.parse("dataset")?,
        target_system: cells.id("target_system_id")?,
    };
    Ok((key, stored))
}

fn wanted(replica: &ReplicaRow, old: Option<&Stored>, now: Timestamp) -> Result<Stored> {
    let same_state = old.filter(|old| old.state == replica.state);
    // As it will be read: equal to what is stored when nothing has changed.
    let now = Timestamp::from_millisecond(now.as_millisecond()).map_err(|_| Error::Inconsistency {
        table: "replicas",
        column: "since",
        row: replica.dataset.to_string(),
    })?;
    let remembered = replica.report.remembered.as_ref();
    Ok(Stored {
        source_system: replica.source_system,
        source: replica.source.clone(),
        target: replica.target.clone(),
        state: replica.state,
        reason: replica.reason.clone(),
        report: json_text(&replica.report),
        newest_common_creation: replica.newest_common_creation,
        snapshot_lag: replica.snapshot_lag,
        source_guid: remembered.map(|remembered| remembered.source_guid).map(Guid::to_sql),
        since: same_state.map_or(now, |old| old.since),
    })
}

/// All replicas of a group, or those of some logical datasets.
async fn stored(
    connection: &mut Connection,
    group: GroupId,
    scope: Option<&BTreeSet<DatasetName>>,
) -> Result<BTreeMap<ReplicaKey, Stored>> {
    let Some(scope) = scope else {
        let statement = concat!("SELECT ", replica_columns!(), " FROM replicas WHERE group_id = $1");
        let rows = sqlx::query(statement).bind(group.as_uuid()).fetch_all(connection).await?;
        return rows.iter().map(read_stored).collect();
    };
    let mut replicas = BTreeMap::new();
    for batch in scope.iter().collect::<Vec<_>>().chunks(KEYS) {
        let mut query: QueryBuilder<Driver> =
            QueryBuilder::new(concat!("SELECT ", replica_columns!(), " FROM replicas WHERE group_id = "));
        query.push_bind(group.as_uuid()).push(" AND dataset IN (");
        let mut list = query.separated(", ");
        for dataset in batch {
            list.push_bind(dataset.as_str());
        }
        query.push(")");
        for row in query.build().persistent(false).fetch_all(&mut *connection).await? {
            let (key, stored) = read_stored(&row)?;
            replicas.insert(key, stored);
        }
    }
    Ok(replicas)
}

pub(crate) async fn store_replicas(
    db: &Db,
    group: GroupId,
    scope: Option<&BTreeSet<DatasetName>>,
    replicas: &[ReplicaRow],
    now: Timestamp,
) -> Result<Vec<ReplicaTransition>> {
    let mut transaction = db.begin_write().await?;
    groups::lock(&mut transaction, group).await?;
    let mut old = stored(&mut transaction, group, scope).await?;
    let mut conflicts = Conflicts::of(&mut transaction, group, scope, now).await?;

    let mut changed: BTreeMap<ReplicaKey, Stored> = BTreeMap::new();
    let mut transitions = Vec::new();
    let in_scope = |replica: &&ReplicaRow| scope.is_none_or(|scope| scope.contains(&replica.dataset));
    let named: BTreeMap<ReplicaKey, &ReplicaRow> =
        replicas.iter().filter(in_scope).map(|replica| (replica.key(), replica)).collect();
    for (key, replica) in named {
        let before = old.remove(&key);
        let after = wanted(replica, before.as_ref(), now)?;
        let conflict = conflicts.look_at(&key, replica);
        let same = before.as_ref() == Some(&after);
        let old_state = before.map(|before| before.state);
        if old_state != Some(after.state) || conflict.is_some() {
            transitions.push(transition(group, &key, &after, old_state, Some(after.state), conflict));
        }
        if !same {
            changed.insert(key, after);
        }
    }
    for (key, gone) in &old {
        let conflict = conflicts.gone(key);
        transitions.push(transition(group, key, gone, Some(gone.state), None, conflict));
    }

    upsert(&mut transaction, group, &changed.into_iter().collect::<Vec<_>>()).await?;
    delete(&mut transaction, group, &old.into_keys().collect::<Vec<_>>()).await?;
    conflicts.write(&mut transaction).await?;
    transaction.commit().await?;
    Ok(transitions)
}

fn transition(
    group: GroupId,
    key: &ReplicaKey,
    stored: &Stored,
    old: Option<ReplicaState>,
    new: Option<ReplicaState>,
    conflict: Option<ConflictTransition>,
) -> ReplicaTransition {
    ReplicaTransition {
        group,
        home: key.home,
        dataset: key.dataset.clone(),
        target_system: key.target_system,
        source_system: stored.source_system,
        source: stored.source.clone(),
        target: stored.target.clone(),
        old,
        new,
        reason: stored.reason.clone().filter(|_| new.is_some()),
        conflict,
    }
}

async fn upsert(connection: &mut Connection, group: GroupId, rows: &[(ReplicaKey, Stored)]) -> Result<()> {
    for batch in rows.chunks(BATCH) {
        let mut query: QueryBuilder<Driver> =
            QueryBuilder::new(concat!("INSERT INTO replicas (", replica_columns!(), ") "));
        query.push_values(batch, |mut row, (key, stored)| {
            row.push_bind(group.as_uuid())
                .push_bind(key.dataset.as_str())
                .push_bind(key.home.as_uuid())
                .push_bind(key.target_system.as_uuid())
                .push_bind(stored.source_system.as_uuid())
                .push_bind(stored.source.as_str())
                .push_bind(stored.target.as_str())
                .push_bind(stored.state.as_str())
                .push_bind(&stored.reason)
                .push_bind(&stored.report)
                .push_bind(stored.newest_common_creation)
                .push_bind(i64::from(stored.snapshot_lag))
                .push_bind(stored.source_guid)
                .push_bind(stored.since.as_millisecond());
        });
        query.push(
            " ON CONFLICT (group_id, dataset, home_system_id, target_system_id) DO UPDATE SET \
             source_system_id = excluded.source_system_id, source = excluded.source, target = excluded.target, \
             state = excluded.state, reason = excluded.reason, report = excluded.report, \
             newest_common_creation = excluded.newest_common_creation, snapshot_lag = excluded.snapshot_lag, \
             source_guid = excluded.source_guid, since = excluded.since",
        );
        let done = query.build().persistent(false).execute(&mut *connection).await;
        done.reference(|| Error::NotFound { what: "system" })?;
    }
    Ok(())
}

async fn delete(connection: &mut Connection, group: GroupId, keys: &[ReplicaKey]) -> Result<()> {
    // Up to four variables each.
    for batch in keys.chunks(KEYS / 2) {
        let mut query: QueryBuilder<Driver> = QueryBuilder::new("DELETE FROM replicas WHERE group_id = ");
        // SQLite uses no index for tuples: the datasets by themselves keep it from reading the whole group.
        query.push_bind(group.as_uuid()).push(" AND dataset IN (");
        let mut list = query.separated(", ");
        for dataset in batch.iter().map(|key| &key.dataset).collect::<BTreeSet<_>>() {
            list.push_bind(dataset.as_str());
        }
        query.push(") AND (dataset, home_system_id, target_system_id) IN (");
        query.push_values(batch, |mut row, key| {
            row.push_bind(key.dataset.as_str())
                .push_bind(key.home.as_uuid())
                .push_bind(key.target_system.as_uuid());
        });
        query.push(")");
        query.build().persistent(false).execute(&mut *connection).await?;
    }
    Ok(())
}
