use uuid::Uuid;
use zfs_sync_core::{
    ids::{GroupId, SystemId},
    time::Timestamp,
};

use super::{
    super::{Db, DbRow},
    cells::{Cells, count_of},
};
use crate::{Error, Result, SyncStateRow, error::Constraints as _};

macro_rules! columns {
    () => {
        "id, group_id, dataset, system_id, status, last_sync, last_check, error_message, created_at, updated_at"
    };
}

fn read(row: &DbRow) -> Result<SyncStateRow> {
    let cells = Cells::new(row, "sync_states", "id");
    Ok(SyncStateRow {
        id: cells.get("id")?,
        group: cells.id("group_id")?,
        dataset: cells.get("dataset")?,
        system: cells.id("system_id")?,
        status: cells.get("status")?,
        last_sync: cells.time_option("last_sync")?,
        last_check: cells.time_option("last_check")?,
        error_message: cells.get("error_message")?,
        created_at: cells.time("created_at")?,
        updated_at: cells.time("updated_at")?,
    })
}

pub(crate) async fn set_sync_state(
    db: &Db,
    group: GroupId,
    dataset: &str,
    system: SystemId,
    status: &str,
    error: Option<&str>,
    now: Timestamp,
) -> Result<SyncStateRow> {
    let statement = concat!(
        "INSERT INTO sync_states ",
        "(id, group_id, dataset, system_id, status, last_sync, last_check, error_message, created_at, updated_at) ",
        "VALUES ($1, $2, $3, $4, $5, CASE WHEN $5 = 'in_sync' THEN $6 END, $6, $7, $6, $6) ",
        "ON CONFLICT (group_id, dataset, system_id) DO UPDATE SET status = excluded.status, ",
        "last_sync = COALESCE(excluded.last_sync, sync_states.last_sync), last_check = excluded.last_check, ",
        "error_message = excluded.error_message, updated_at = excluded.updated_at RETURNING ",
        columns!()
    );
    let row = sqlx::query(statement)
        .bind(Uuid::new_v4())
        .bind(group.as_uuid())
        .bind(dataset)
        .bind(system.as_uuid())
        .bind(status)
        .bind(now.as_millisecond())
        .bind(error)
        .fetch_one(db.writer())
        .await
        .reference(|| Error::NotFound { what: "sync group or system" })?;
    read(&row)
}

pub(crate) async fn sync_states(db: &Db, skip: u64, limit: u64) -> Result<Vec<SyncStateRow>> {
    let statement =
        concat!("SELECT ", columns!(), " FROM sync_states ORDER BY created_at, id LIMIT $1 OFFSET $2");
    let rows =
        sqlx::query(statement).bind(count_of(limit)).bind(count_of(skip)).fetch_all(db.reader()).await?;
    rows.iter().map(read).collect()
}

pub(crate) async fn sync_states_of(db: &Db, group: GroupId) -> Result<Vec<SyncStateRow>> {
    let statement =
        concat!("SELECT ", columns!(), " FROM sync_states WHERE group_id = $1 ORDER BY dataset, system_id");
    let rows = sqlx::query(statement).bind(group.as_uuid()).fetch_all(db.reader()).await?;
    rows.iter().map(read).collect()
}

pub(crate) async fn sync_state(db: &Db, id: Uuid) -> Result<Option<SyncStateRow>> {
    let statement = concat!("SELECT ", columns!(), " FROM sync_states WHERE id = $1");
    let row = sqlx::query(statement).bind(id).fetch_optional(db.reader()).await?;
    row.as_ref().map(read).transpose()
}
