use serde_json::Value;
use zfs_sync_core::time::Timestamp;

use super::{
    super::{Connection, Db, DbRow},
    cells::{Cells, count_of, json_text},
};
use crate::{EventRow, Result};

fn read(row: &DbRow) -> Result<EventRow> {
    let cells = Cells::new(row, "events", "id");
    Ok(EventRow {
        id: cells.bits("id")?,
        at: cells.time("happened_at")?,
        kind: cells.get("kind")?,
        data: cells.json("data")?,
    })
}

/// The next number of a series; others wait for it until the transaction ends.
pub(super) async fn next_number(connection: &mut Connection, series: &str) -> Result<i64> {
    let number = sqlx::query_scalar("UPDATE counters SET value = value + 1 WHERE name = $1 RETURNING value")
        .bind(series)
        .fetch_one(connection)
        .await?;
    Ok(number)
}

pub(crate) async fn append_event(db: &Db, kind: &str, data: &Value, now: Timestamp) -> Result<u64> {
    let mut transaction = db.begin_write().await?;
    let id = next_number(&mut transaction, "events").await?;
    sqlx::query("INSERT INTO events (id, happened_at, kind, data) VALUES ($1, $2, $3, $4)")
        .bind(id)
        .bind(now.as_millisecond())
        .bind(kind)
        .bind(json_text(data))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(id.cast_unsigned())
}

pub(crate) async fn events_since(db: &Db, id: u64, limit: u64) -> Result<Vec<EventRow>> {
    let rows =
        sqlx::query("SELECT id, happened_at, kind, data FROM events WHERE id > $1 ORDER BY id LIMIT $2")
            .bind(count_of(id))
            .bind(count_of(limit))
            .fetch_all(db.reader())
            .await?;
    rows.iter().map(read).collect()
}

pub(crate) async fn newest_event_id(db: &Db) -> Result<u64> {
    let id: i64 =
        sqlx::query_scalar("SELECT value FROM counters WHERE name = 'events'").fetch_one(db.reader()).await?;
    Ok(id.cast_unsigned())
}

pub(crate) async fn prune_events(db: &Db, before: Timestamp) -> Result<u64> {
    let done = sqlx::query("DELETE FROM events WHERE happened_at < $1")
        .bind(before.as_millisecond())
        .execute(db.writer())
        .await?;
    Ok(done.rows_affected())
}
