use std::collections::BTreeMap;

use sqlx::QueryBuilder;
use zfs_sync_core::{
    ids::{ConflictId, GroupId},
    plan::{ConflictKind, ReplicaKey, Severity},
    time::Timestamp,
};

use super::{
    super::{Db, DbRow, Driver},
    cells::{Cells, count_of, moment},
};
use crate::{ConflictCount, ConflictFilter, ConflictRow, ConflictStanding, Error, Result};

macro_rules! columns {
    () => {
        "id, group_id, dataset, home_system_id, target_system_id, kind, severity, detail, reason, since, updated_at, \
         resolved_at, ignored_until, ignored_by, note"
    };
}

fn read(row: &DbRow) -> Result<ConflictRow> {
    let cells = Cells::new(row, "conflicts", "id");
    Ok(ConflictRow {
        id: cells.id("id")?,
        group: cells.id("group_id")?,
        replica: ReplicaKey {
            home: cells.id("home_system_id")?,
            dataset: cells.parse("dataset")?,
            target_system: cells.id("target_system_id")?,
        },
        kind: cells.named("kind", ConflictKind::from_name)?,
        severity: cells.named("severity", Severity::from_name)?,
        detail: cells.json("detail")?,
        reason: cells.get("reason")?,
        since: cells.time("since")?,
        updated_at: cells.time("updated_at")?,
        resolved_at: cells.time_option("resolved_at")?,
        ignored_until: cells.time_option("ignored_until")?,
        ignored_by: cells.get("ignored_by")?,
        note: cells.get("note")?,
    })
}

pub(crate) async fn conflicts(db: &Db, filter: &ConflictFilter) -> Result<Vec<ConflictRow>> {
    let ConflictFilter { group, standing, kinds, severities, system, dataset, limit } = filter;
    let mut query: QueryBuilder<Driver> =
        QueryBuilder::new(concat!("SELECT ", columns!(), " FROM conflicts WHERE TRUE"));
    if let Some(group) = group {
        query.push(" AND group_id = ").push_bind(group.as_uuid());
    }
    match standing {
        ConflictStanding::Open => query.push(" AND resolved_at IS NULL"),
        ConflictStanding::Resolved => query.push(" AND resolved_at IS NOT NULL"),
        ConflictStanding::All => &mut query,
    };
    if !kinds.is_empty() {
        query.push(" AND kind IN (");
        let mut list = query.separated(", ");
        for kind in kinds {
            list.push_bind(kind.as_str());
        }
        query.push(")");
    }
    if !severities.is_empty() {
        query.push(" AND severity IN (");
        let mut list = query.separated(", ");
        for severity in severities {
            list.push_bind(severity.as_str());
        }
        query.push(")");
    }
    if let Some(system) = system {
        query.push(" AND (source_system_id = ").push_bind(system.as_uuid());
        query.push(" OR target_system_id = ").push_bind(system.as_uuid()).push(")");
    }
    if let Some(dataset) = dataset {
        query.push(" AND (dataset = ").push_bind(dataset.as_str());
        query.push(" OR source = ").push_bind(dataset.as_str());
        query.push(" OR target = ").push_bind(dataset.as_str()).push(")");
    }
    query.push(" ORDER BY since DESC, id DESC LIMIT ");
    query.push_bind(limit.map_or(i64::MAX, count_of));
    let rows = query.build().fetch_all(db.reader()).await?;
    rows.iter().map(read).collect()
}

pub(crate) async fn conflict(db: &Db, id: ConflictId) -> Result<Option<ConflictRow>> {
    let statement = concat!("SELECT ", columns!(), " FROM conflicts WHERE id = $1");
    let row = sqlx::query(statement).bind(id.as_uuid()).fetch_optional(db.reader()).await?;
    row.as_ref().map(read).transpose()
}

pub(crate) async fn ignore_conflict(
    db: &Db,
    id: ConflictId,
    until: Option<Timestamp>,
    by: &str,
    note: Option<&str>,
) -> Result<ConflictRow> {
    let mut transaction = db.begin_write().await?;
    let statement = concat!("SELECT ", columns!(), " FROM conflicts WHERE id = $1", for_update!());
    let row = sqlx::query(statement).bind(id.as_uuid()).fetch_optional(&mut *transaction).await?;
    let conflict = read(&row.ok_or(Error::NotFound { what: "conflict" })?)?;
    if conflict.resolved_at.is_some() {
        return Err(Error::Conflict { what: "the conflict is resolved already".to_owned() });
    }
    let statement = concat!(
        "UPDATE conflicts SET ignored_until = $2, ignored_by = $3, note = $4 WHERE id = $1 RETURNING ",
        columns!()
    );
    let row = sqlx::query(statement)
        .bind(id.as_uuid())
        .bind(moment(until))
        .bind(until.map(|_| by))
        .bind(note.filter(|_| until.is_some()))
        .fetch_one(&mut *transaction)
        .await?;
    transaction.commit().await?;
    read(&row)
}

pub(crate) async fn conflict_counts(
    db: &Db,
    group: Option<GroupId>,
    now: Timestamp,
) -> Result<BTreeMap<(ConflictKind, Severity), ConflictCount>> {
    let mut query: QueryBuilder<Driver> =
        QueryBuilder::new("SELECT kind, severity, COUNT(*) AS many, COUNT(CASE WHEN ignored_until > ");
    query.push_bind(now.as_millisecond());
    query.push(" THEN 1 END) AS ignored FROM conflicts WHERE resolved_at IS NULL");
    if let Some(group) = group {
        query.push(" AND group_id = ").push_bind(group.as_uuid());
    }
    query.push(" GROUP BY kind, severity");
    let rows = query.build().fetch_all(db.reader()).await?;
    let count = |row| {
        let cells = Cells::new(row, "conflicts", "kind");
        let kind = cells.named("kind", ConflictKind::from_name)?;
        let severity = cells.named("severity", Severity::from_name)?;
        Ok(((kind, severity), ConflictCount { open: cells.bits("many")?, ignored: cells.bits("ignored")? }))
    };
    rows.iter().map(count).collect()
}

pub(crate) async fn prune_conflicts(db: &Db, before: Timestamp) -> Result<u64> {
    let done = sqlx::query("DELETE FROM conflicts WHERE resolved_at < $1")
        .bind(before.as_millisecond())
        .execute(db.writer())
        .await?;
    Ok(done.rows_affected())
}
