use zfs_sync_core::{
    ids::{KeyId, SystemId},
    time::Timestamp,
};

use super::{
    super::{Db, DbRow, Driver},
    cells::{Cells, moment},
};
use crate::{Error, KeyRow, NewKey, Result, error::Constraints as _};

macro_rules! columns {
    () => {
        "id, name, role, system_id, prefix, hash, created_at, expires_at, revoked_at, last_used_at"
    };
}

/// [`crate::Store::touch_key`] promises to the minute.
const TOUCH_EVERY_MS: i64 = 60_000;

pub(super) fn read(row: &DbRow) -> Result<KeyRow> {
    let cells = Cells::new(row, "api_keys", "id");
    Ok(KeyRow {
        id: cells.id("id")?,
        name: cells.get("name")?,
        role: cells.get("role")?,
        system: cells.id_option("system_id")?,
        prefix: cells.get("prefix")?,
        hash: cells.hash("hash")?,
        created_at: cells.time("created_at")?,
        expires_at: cells.time_option("expires_at")?,
        revoked_at: cells.time_option("revoked_at")?,
        last_used_at: cells.time_option("last_used_at")?,
    })
}

pub(super) async fn insert<'e>(
    executor: impl sqlx::Executor<'e, Database = Driver>,
    new: &NewKey,
    system: Option<SystemId>,
    now: Timestamp,
) -> Result<KeyRow> {
    let statement = concat!(
        "INSERT INTO api_keys (id, name, role, system_id, prefix, hash, created_at, expires_at) ",
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING ",
        columns!()
    );
    let row = sqlx::query(statement)
        .bind(new.id.as_uuid())
        .bind(&new.name)
        .bind(&new.role)
        .bind(system.map(|system| system.as_uuid()))
        .bind(&new.prefix)
        .bind(&new.hash.0[..])
        .bind(now.as_millisecond())
        .bind(moment(new.expires_at))
        .fetch_one(executor)
        .await
        .unique(|| format!("a key with the prefix `{}` or this ID exists already", new.prefix))
        .reference(|| Error::NotFound { what: "system" })?;
    read(&row)
}

pub(crate) async fn insert_key(db: &Db, new: &NewKey, now: Timestamp) -> Result<KeyRow> {
    insert(db.writer(), new, new.system, now).await
}

pub(crate) async fn key_by_prefix(db: &Db, prefix: &str) -> Result<Option<KeyRow>> {
    let statement = concat!("SELECT ", columns!(), " FROM api_keys WHERE prefix = $1");
    let row = sqlx::query(statement).bind(prefix).fetch_optional(db.reader()).await?;
    row.as_ref().map(read).transpose()
}

pub(crate) async fn keys(db: &Db) -> Result<Vec<KeyRow>> {
    let statement = concat!("SELECT ", columns!(), " FROM api_keys ORDER BY created_at, id");
    let rows = sqlx::query(statement).fetch_all(db.reader()).await?;
    rows.iter().map(read).collect()
}

/// The key of an open session.
pub(super) async fn of_session(db: &Db, hash: &[u8], now: Timestamp) -> Result<Option<KeyRow>> {
    let statement = concat!(
        "SELECT ",
        columns!(),
        " FROM api_keys WHERE id = (SELECT key_id FROM sessions WHERE hash = $1 AND expires_at > $2) ",
        "AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)"
    );
    let row =
        sqlx::query(statement).bind(hash).bind(now.as_millisecond()).fetch_optional(db.reader()).await?;
    row.as_ref().map(read).transpose()
}

pub(crate) async fn revoke_key(db: &Db, id: KeyId, now: Timestamp) -> Result<bool> {
    let mut transaction = db.begin_write().await?;
    let done = sqlx::query("UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL")
        .bind(id.as_uuid())
        .bind(now.as_millisecond())
        .execute(&mut *transaction)
        .await?;
    sqlx::query("DELETE FROM sessions WHERE key_id = $1")
        .bind(id.as_uuid())
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn touch_key(db: &Db, id: KeyId, now: Timestamp) -> Result<()> {
    let now = now.as_millisecond();
    // Nearly every call ends here, at a reader; the condition of the update below would make it wait for the writer.
    let due: Option<i64> = sqlx::query_scalar(
        "SELECT created_at FROM api_keys WHERE id = $1 AND (last_used_at IS NULL OR last_used_at <= $2)",
    )
    .bind(id.as_uuid())
    .bind(now - TOUCH_EVERY_MS)
    .fetch_optional(db.reader())
    .await?;
    if due.is_some() {
        sqlx::query("UPDATE api_keys SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at <= $3)")
            .bind(id.as_uuid())
            .bind(now)
            .bind(now - TOUCH_EVERY_MS)
            .execute(db.writer())
            .await?;
    }
    Ok(())
}

pub(crate) async fn count_keys(db: &Db, role: &str) -> Result<u64> {
    let count: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM api_keys WHERE role = $1 AND revoked_at IS NULL")
            .bind(role)
            .fetch_one(db.reader())
            .await?;
    Ok(count.cast_unsigned())
}
