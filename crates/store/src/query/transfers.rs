use std::collections::BTreeMap;

use sqlx::QueryBuilder;
use zfs_sync_core::{
    ids::{GroupId, SystemId, TransferId},
    time::Timestamp,
};

use super::{
    super::{Connection, Db, DbRow, Driver},
    KEYS,
    cells::{Cells, bits, count_of, json_text},
    groups,
};
use crate::{
    NewTransfer, ParkedReplica, Result, TransferFilter, TransferRow, TransferState, error::Constraints as _,
};

macro_rules! columns {
    () => {
        "id, group_id, source_system_id, target_system_id, executor_id, source, target, step, state, generation, attempts, \
         next_attempt_at, lease_until, cancel_requested, cancelled_by, bytes, total, rate, stage, resumed_from, flow, began_at_byte, \
         transport, transport_note, error_code, error_detail, created_at, started_at, updated_at, finished_at, acts_until"
    };
}
pub(super) use columns;

pub(super) fn read(row: &DbRow) -> Result<TransferRow> {
    let cells = Cells::new(row, "transfers", "id");
    Ok(TransferRow {
        id: cells.id("id")?,
        group: cells.id("group_id")?,
        source_system: cells.id("source_system_id")?,
        target_system: cells.id("target_system_id")?,
        executor: cells.id("executor_id")?,
        source: cells.parse("source")?,
        target: cells.parse("target")?,
        step: cells.json("step")?,
        state: cells.named("state", TransferState::from_name)?,
        generation: cells.bits("generation")?,
        attempts: cells.small("attempts")?,
        next_attempt_at: cells.time("next_attempt_at")?,
        lease_until: cells.time_option("lease_until")?,
        cancel_requested: cells.get("cancel_requested")?,
        cancelled_by: cells.get("cancelled_by")?,
        bytes: cells.bits("bytes")?,
        total: cells.bits_option("total")?,
        rate: cells.bits_option("rate")?,
        stage: cells.get("stage")?,
        resumed_from: cells.bits_option("resumed_from")?,
        flow: cells.json_option("flow")?,
        began_at_byte: cells.bits_option("began_at_byte")?,
        transport: cells.get("transport")?,
        transport_note: cells.get("transport_note")?,
        error_code: cells.get("error_code")?,
        error_detail: cells.get("error_detail")?,
        created_at: cells.time("created_at")?,
        started_at: cells.time_option("started_at")?,
        updated_at: cells.time("updated_at")?,
        finished_at: cells.time_option("finished_at")?,
        acts_until: cells.time_option("acts_until")?,
    })
}

/// The transfer, locked until the transaction ends.
pub(super) async fn lock(connection: &mut Connection, id: TransferId) -> Result<Option<TransferRow>> {
    let statement = concat!("SELECT ", columns!(), " FROM transfers WHERE id = $1", for_update!());
    let row = sqlx::query(statement).bind(id.as_uuid()).fetch_optional(connection).await?;
    row.as_ref().map(read).transpose()
}

pub(crate) async fn enqueue_transfer(db: &Db, new: &NewTransfer, now: Timestamp) -> Result<bool> {
    let mut transaction = db.begin_write().await?;
    groups::lock(&mut transaction, new.group).await?;
    let done = sqlx::query(
        "INSERT INTO transfers (id, group_id, source_system_id, target_system_id, executor_id, source, target, step, \
         state, generation, attempts, next_attempt_at, cancel_requested, bytes, total, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'queued', 0, 0, $9, FALSE, 0, $10, $9, $9) \
         ON CONFLICT (target_system_id, target) WHERE finished_at IS NULL DO NOTHING",
    )
    .bind(new.id.as_uuid())
    .bind(new.group.as_uuid())
    .bind(new.step.source_system.as_uuid())
    .bind(new.step.target_system.as_uuid())
    .bind(new.executor.as_uuid())
    .bind(new.step.source.as_str())
    .bind(new.step.target.as_str())
    .bind(json_text(&new.step))
    .bind(now.as_millisecond())
    .bind(bits(new.estimated_bytes))
    .execute(&mut *transaction)
    .await
    .unique(|| format!("a transfer with the ID {} exists already", new.id))?;
    transaction.commit().await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn transfer(db: &Db, id: TransferId) -> Result<Option<TransferRow>> {
    let statement = concat!("SELECT ", columns!(), " FROM transfers WHERE id = $1");
    let row = sqlx::query(statement).bind(id.as_uuid()).fetch_optional(db.reader()).await?;
    row.as_ref().map(read).transpose()
}

pub(crate) async fn transfers(db: &Db, filter: &TransferFilter) -> Result<Vec<TransferRow>> {
    let TransferFilter { group, system, states, unfinished, finished_since, limit } = filter;
    let mut query: QueryBuilder<Driver> =
        QueryBuilder::new(concat!("SELECT ", columns!(), " FROM transfers WHERE TRUE"));
    if let Some(group) = group {
        query.push(" AND group_id = ").push_bind(group.as_uuid());
    }
    if let Some(system) = system {
        query.push(" AND (source_system_id = ").push_bind(system.as_uuid());
        query.push(" OR target_system_id = ").push_bind(system.as_uuid());
        query.push(" OR executor_id = ").push_bind(system.as_uuid()).push(")");
    }
    if !states.is_empty() {
        query.push(" AND state IN (");
        let mut list = query.separated(", ");
        for state in states {
            list.push_bind(state.as_str());
        }
        query.push(")");
    }
    match unfinished {
        Some(true) => query.push(" AND finished_at IS NULL"),
        Some(false) => query.push(" AND finished_at IS NOT NULL"),
        None => &mut query,
    };
    if let Some(since) = finished_since {
        query.push(" AND finished_at >= ").push_bind(since.as_millisecond());
    }
    query.push(" ORDER BY created_at DESC, id DESC LIMIT ").push_bind(limit.map_or(i64::MAX, count_of));
    let rows = query.build().fetch_all(db.reader()).await?;
    rows.iter().map(read).collect()
}

pub(crate) async fn destroying_transfers(
    db: &Db,
    targets: &[SystemId],
    finished_since: Option<Timestamp>,
) -> Result<Vec<TransferRow>> {
    let mut found = Vec::new();
    for batch in targets.chunks(KEYS) {
        // Each of both conditions has its own index.
        for (text, since) in [("finished_at IS NULL", None), ("finished_at >= ", finished_since)] {
            if since.is_none() && text != "finished_at IS NULL" {
                continue;
            }
            let mut query: QueryBuilder<Driver> = QueryBuilder::new(concat!(
                "SELECT ",
                columns!(),
                " FROM transfers WHERE target_system_id IN ("
            ));
            let mut list = query.separated(", ");
            for id in batch {
                list.push_bind(id.as_uuid());
            }
            query.push(") AND ").push(text);
            if let Some(since) = since {
                query.push_bind(since.as_millisecond());
            }
            query.push(" AND (step LIKE '%\"destroy_snapshots\"%' OR step LIKE '%\"roll_back\"%')");
            for row in query.build().persistent(false).fetch_all(db.reader()).await? {
                found.push(read(&row)?);
            }
        }
    }
    found.retain(|row| !row.step.action.destroys().is_empty());
    Ok(found)
}

pub(crate) async fn unfinished_transfer_counts(db: &Db) -> Result<BTreeMap<TransferState, u64>> {
    let rows =
        sqlx::query("SELECT state, COUNT(*) AS many FROM transfers WHERE finished_at IS NULL GROUP BY state")
            .fetch_all(db.reader())
            .await?;
    let count = |row| {
        let cells = Cells::new(row, "transfers", "state");
        Ok((cells.named("state", TransferState::from_name)?, cells.bits("many")?))
    };
    rows.iter().map(count).collect()
}

pub(crate) async fn parked_replicas(db: &Db, group: GroupId) -> Result<Vec<ParkedReplica>> {
    let rows = sqlx::query(
        "SELECT id, target_system_id, target, step, state, error_code, finished_at FROM transfers parked \
         WHERE group_id = $1 AND state IN ('failed', 'cancelled') AND NOT EXISTS (SELECT 1 FROM transfers newer \
         WHERE newer.target_system_id = parked.target_system_id AND newer.target = parked.target \
         AND (newer.finished_at IS NULL OR newer.finished_at > parked.finished_at \
         OR (newer.finished_at = parked.finished_at AND newer.created_at > parked.created_at) \
         OR (newer.finished_at = parked.finished_at AND newer.created_at = parked.created_at AND newer.id > parked.id))) \
         ORDER BY target_system_id, target",
    )
    .bind(group.as_uuid())
    .fetch_all(db.reader())
    .await?;
    let read = |row| {
        let cells = Cells::new(row, "transfers", "id");
        Ok(ParkedReplica {
            target_system: cells.id("target_system_id")?,
            target: cells.parse("target")?,
            transfer: cells.id("id")?,
            step: cells.json("step")?,
            code: match cells.named("state", TransferState::from_name)? {
                TransferState::Failed => cells.get("error_code")?,
                _ => None,
            },
            finished_at: cells.time("finished_at")?,
        })
    };
    rows.iter().map(read).collect()
}

pub(crate) async fn cancel_transfer(
    db: &Db,
    id: TransferId,
    by: &str,
    now: Timestamp,
) -> Result<Option<TransferRow>> {
    let statement = concat!(
        "UPDATE transfers SET state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END, ",
        "finished_at = CASE WHEN state = 'queued' THEN $2 END, cancel_requested = TRUE, ",
        "cancelled_by = COALESCE(cancelled_by, $3), updated_at = $2 WHERE id = $1 AND finished_at IS NULL RETURNING ",
        columns!()
    );
    let row = sqlx::query(statement)
        .bind(id.as_uuid())
        .bind(now.as_millisecond())
        .bind(by)
        .fetch_optional(db.writer())
        .await?;
    match row {
        Some(row) => read(&row).map(Some),
        None => transfer(db, id).await,
    }
}

pub(crate) async fn supersede_transfer(
    db: &Db,
    id: TransferId,
    detail: &str,
    now: Timestamp,
) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE transfers SET state = 'stale', error_detail = $3, finished_at = $2, updated_at = $2 \
         WHERE id = $1 AND state = 'queued'",
    )
    .bind(id.as_uuid())
    .bind(now.as_millisecond())
    .bind(detail)
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn retry_transfer(db: &Db, id: TransferId, now: Timestamp) -> Result<Option<TransferRow>> {
    let Some(seen) = transfer(db, id).await? else { return Ok(None) };
    let mut transaction = db.begin_write().await?;
    // The group first: whoever deletes it takes the locks in this order too.
    groups::lock(&mut transaction, seen.group).await?;
    let Some(current) = lock(&mut transaction, id).await? else { return Ok(None) };
    match current.state {
        TransferState::Leased | TransferState::Succeeded | TransferState::Stale => return Ok(Some(current)),
        TransferState::Queued | TransferState::Failed | TransferState::Cancelled => {}
    }
    let statement = concat!(
        "UPDATE transfers SET state = 'queued', attempts = 0, began_at_byte = NULL, next_attempt_at = $2, cancel_requested = FALSE, ",
        "cancelled_by = NULL, updated_at = $2, finished_at = NULL WHERE id = $1 RETURNING ",
        columns!()
    );
    let row = sqlx::query(statement)
        .bind(id.as_uuid())
        .bind(now.as_millisecond())
        .fetch_one(&mut *transaction)
        .await
        .unique(|| format!("another transfer into `{}` is under way", current.target))?;
    transaction.commit().await?;
    read(&row).map(Some)
}
