use sqlx::QueryBuilder;
use zfs_sync_core::{
    flow::SharedLimit,
    ids::{SystemId, TransferId},
    plan::LAST_COMMAND,
    time::Timestamp,
};

use super::{
    super::{Db, Driver},
    cells::{Cells, bits, json_text, moment},
    transfers::{columns, lock, read},
    turns,
};
use crate::{
    FinishOutcome, Outcome, Progress, RenewOutcome, Result, TransferCaps, TransferRow, TransferState,
};

/// `RETURNING` promises no order.
fn in_order(mut transfers: Vec<TransferRow>) -> Vec<TransferRow> {
    transfers.sort_by_key(|transfer| (transfer.created_at, transfer.id));
    transfers
}

/// Until when an executor may be at it whose lease ends at `lease_until` and who says nothing more.
fn acts_until(lease_until: Timestamp) -> i64 {
    lease_until.as_millisecond().saturating_add(LAST_COMMAND.as_millis().try_into().unwrap_or(i64::MAX))
}

pub(crate) async fn lease_transfers(
    db: &Db,
    executor: SystemId,
    max: u32,
    caps: &TransferCaps,
    now: Timestamp,
    lease_until: Timestamp,
) -> Result<Vec<TransferRow>> {
    if !turns::is_due(db, executor, now).await? {
        return Ok(Vec::new());
    }
    let mut transaction = db.begin_write().await?;
    let chosen = turns::choose(&mut transaction, executor, max, caps, now).await?;
    if chosen.is_empty() {
        return Ok(Vec::new());
    }
    let mut query: QueryBuilder<Driver> = QueryBuilder::new(
        "UPDATE transfers SET state = 'leased', generation = generation + 1, attempts = attempts + 1, lease_until = ",
    );
    query.push_bind(lease_until.as_millisecond());
    query.push(", started_at = COALESCE(started_at, ").push_bind(now.as_millisecond());
    query.push("), updated_at = ").push_bind(now.as_millisecond());
    query.push(", bytes = 0, rate = NULL, stage = NULL, resumed_from = NULL, flow = NULL WHERE state = 'queued' AND id IN (");
    let mut list = query.separated(", ");
    for id in chosen {
        list.push_bind(id);
    }
    query.push(concat!(") RETURNING ", columns!()));
    let rows = query.build().persistent(false).fetch_all(&mut *transaction).await?;
    transaction.commit().await?;
    rows.iter().map(read).collect::<Result<_>>().map(in_order)
}

pub(crate) async fn hand_out_transfer(
    db: &Db,
    id: TransferId,
    generation: u64,
    lease_until: Timestamp,
) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE transfers SET acts_until = $3 WHERE id = $1 AND generation = $2 AND state = 'leased'",
    )
    .bind(id.as_uuid())
    .bind(generation.cast_signed())
    .bind(acts_until(lease_until))
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn renew_transfer(
    db: &Db,
    id: TransferId,
    generation: u64,
    progress: &Progress,
    now: Timestamp,
    lease_until: Timestamp,
) -> Result<RenewOutcome> {
    let cancel_requested: Option<bool> = sqlx::query_scalar(
        "UPDATE transfers SET lease_until = $4, acts_until = $11, updated_at = $3, bytes = $5, total = COALESCE($6, total), rate = $7, \
         stage = COALESCE($8, stage), resumed_from = COALESCE($9, resumed_from), flow = COALESCE($10, flow) \
         WHERE id = $1 AND generation = $2 AND state = 'leased' RETURNING cancel_requested",
    )
    .bind(id.as_uuid())
    .bind(generation.cast_signed())
    .bind(now.as_millisecond())
    .bind(lease_until.as_millisecond())
    .bind(progress.bytes.cast_signed())
    .bind(bits(progress.total))
    .bind(bits(progress.rate))
    .bind(&progress.stage)
    .bind(bits(progress.resumed_from))
    .bind(progress.flow.as_ref().map(json_text))
    .bind(acts_until(lease_until))
    .fetch_optional(db.writer())
    .await?;
    Ok(match cancel_requested {
        Some(cancel_requested) => RenewOutcome::Renewed { cancel_requested },
        None => RenewOutcome::Lost,
    })
}

pub(crate) async fn transfer_limits(db: &Db, transfer: &TransferRow) -> Result<Vec<SharedLimit>> {
    let rows = sqlx::query(
        "SELECT 'group' AS kind, id, COALESCE(rate_limit, 'unlimited') AS rate_limit FROM sync_groups WHERE id = $1 \
         UNION ALL SELECT 'system' AS kind, id, COALESCE(rate_limit, 'unlimited') AS rate_limit FROM systems WHERE id IN ($2, $3)",
    )
    .bind(transfer.group.as_uuid())
    .bind(transfer.source_system.as_uuid())
    .bind(transfer.target_system.as_uuid())
    .fetch_all(db.reader())
    .await?;
    let read = |row| {
        let cells = Cells::new(row, "systems", "id");
        let (kind, id): (&str, SystemId) = (cells.get("kind")?, cells.id("id")?);
        Ok(SharedLimit { of: format!("{kind}:{id}"), limit: cells.parse("rate_limit")? })
    };
    rows.iter().map(read).collect()
}

/// The transfer as it is after `outcome`.
fn apply(mut transfer: TransferRow, outcome: &Outcome, now: Timestamp) -> TransferRow {
    let state = match outcome {
        Outcome::Succeeded { bytes, resumed_from } => {
            transfer.bytes = *bytes;
            transfer.resumed_from = resumed_from.or(transfer.resumed_from);
            transfer.error_code = None;
            transfer.error_detail = None;
            TransferState::Succeeded
        }
        Outcome::Failed { code, detail, retry_at } => {
            transfer.error_code = Some(code.clone());
            transfer.error_detail = Some(detail.clone());
            match retry_at {
                Some(_) if transfer.cancel_requested => TransferState::Cancelled,
                Some(retry_at) => {
                    transfer.next_attempt_at = *retry_at;
                    // One that moved nothing says nothing about where it would have got on.
                    if transfer.bytes > 0 {
                        transfer.began_at_byte = Some(transfer.resumed_from.unwrap_or(0));
                    }
                    // What came is continued by the next attempt: this one was progress, not a failure in a row.
                    if transfer.bytes > 0 {
                        transfer.attempts = 0;
                    }
                    TransferState::Queued
                }
                None => TransferState::Failed,
            }
        }
        Outcome::Cancelled => TransferState::Cancelled,
        Outcome::Stale { detail } | Outcome::Withheld { detail } => {
            transfer.error_code = None;
            transfer.error_detail = Some(detail.clone());
            TransferState::Stale
        }
    };
    transfer.state = state;
    transfer.lease_until = None;
    transfer.rate = None;
    transfer.finished_at = state.is_finished().then_some(now);
    // Whoever fails or is stopped may have given a command up that goes on without it. Whoever finds that its step is not to be done knows
    // of its own commands only: the last one of an earlier lease may go on.
    let is_over = match outcome {
        Outcome::Succeeded { .. } => true,
        Outcome::Stale { .. } => transfer.generation <= 1,
        Outcome::Failed { .. } | Outcome::Cancelled | Outcome::Withheld { .. } => false,
    };
    if is_over {
        transfer.acts_until = Some(now);
    }
    transfer
}

/// True when `transfer` is what `outcome` has made of it before: the answer got lost and the agent asks again.
fn is_repetition(transfer: &TransferRow, generation: u64, outcome: &Outcome) -> bool {
    let finished_as = match outcome {
        Outcome::Succeeded { .. } => TransferState::Succeeded,
        Outcome::Failed { .. } => TransferState::Failed,
        Outcome::Cancelled => TransferState::Cancelled,
        Outcome::Stale { .. } | Outcome::Withheld { .. } => TransferState::Stale,
    };
    transfer.generation == generation && transfer.state == finished_as
}

pub(crate) async fn finish_transfer(
    db: &Db,
    id: TransferId,
    generation: u64,
    outcome: &Outcome,
    now: Timestamp,
) -> Result<FinishOutcome> {
    let mut transaction = db.begin_write().await?;
    let Some(current) = lock(&mut transaction, id).await? else { return Ok(FinishOutcome::Lost) };
    if is_repetition(&current, generation, outcome) {
        return Ok(FinishOutcome::Finished(Box::new(current)));
    }
    if current.state != TransferState::Leased || current.generation != generation {
        return Ok(FinishOutcome::Lost);
    }
    let after = apply(current, outcome, now);
    let statement = concat!(
        "UPDATE transfers SET state = $2, next_attempt_at = $3, lease_until = NULL, bytes = $4, rate = NULL, ",
        "resumed_from = $5, error_code = $6, error_detail = $7, updated_at = $8, finished_at = $9, ",
        "attempts = $10, began_at_byte = $11, acts_until = $12 WHERE id = $1 RETURNING ",
        columns!()
    );
    let row = sqlx::query(statement)
        .bind(id.as_uuid())
        .bind(after.state.as_str())
        .bind(after.next_attempt_at.as_millisecond())
        .bind(after.bytes.cast_signed())
        .bind(bits(after.resumed_from))
        .bind(after.error_code)
        .bind(after.error_detail)
        .bind(now.as_millisecond())
        .bind(moment(after.finished_at))
        .bind(i64::from(after.attempts))
        .bind(bits(after.began_at_byte))
        .bind(moment(after.acts_until))
        .fetch_one(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(FinishOutcome::Finished(Box::new(read(&row)?)))
}

macro_rules! take_back {
    ($condition:literal) => {
        concat!(
            "UPDATE transfers SET state = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'queued' END, ",
            "finished_at = CASE WHEN cancel_requested THEN $1 END, lease_until = NULL, next_attempt_at = $1, ",
            "rate = NULL, stage = NULL, updated_at = $1 WHERE state = 'leased' AND ",
            $condition,
            " RETURNING ",
            columns!()
        )
    };
}

pub(crate) async fn expire_leases(db: &Db, now: Timestamp) -> Result<Vec<TransferRow>> {
    let statement = take_back!("lease_until <= $1");
    let rows = sqlx::query(statement).bind(now.as_millisecond()).fetch_all(db.writer()).await?;
    rows.iter().map(read).collect::<Result<_>>().map(in_order)
}

pub(crate) async fn release_system_leases(
    db: &Db,
    system: SystemId,
    now: Timestamp,
) -> Result<Vec<TransferRow>> {
    let statement = take_back!("executor_id = $2");
    let rows = sqlx::query(statement)
        .bind(now.as_millisecond())
        .bind(system.as_uuid())
        .fetch_all(db.writer())
        .await?;
    rows.iter().map(read).collect::<Result<_>>().map(in_order)
}
