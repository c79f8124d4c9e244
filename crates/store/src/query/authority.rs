use zfs_sync_core::{
    ids::{SystemId, TransferId},
    time::Timestamp,
};

use super::{
    super::{Db, DbRow},
    cells::Cells,
};
use crate::{AuthorityRow, Listener, Result};

fn read(row: &DbRow) -> Result<AuthorityRow> {
    let cells = Cells::new(row, "authority", "id");
    Ok(AuthorityRow { certificate: cells.get("certificate")?, key: cells.get("key")? })
}

pub(crate) async fn authority(db: &Db) -> Result<Option<AuthorityRow>> {
    let row = sqlx::query("SELECT id, certificate, key FROM authority WHERE id = 1");
    let row = row.fetch_optional(db.reader()).await?;
    row.as_ref().map(read).transpose()
}

pub(crate) async fn keep_authority(db: &Db, new: &AuthorityRow, now: Timestamp) -> Result<AuthorityRow> {
    // The update changes nothing; it makes the statement answer the row that was there.
    let row = sqlx::query(
        "INSERT INTO authority (id, certificate, key, created_at) VALUES (1, $1, $2, $3) \
         ON CONFLICT (id) DO UPDATE SET created_at = authority.created_at RETURNING id, certificate, key",
    )
    .bind(&new.certificate)
    .bind(&new.key)
    .bind(now.as_millisecond())
    .fetch_one(db.writer())
    .await?;
    read(&row)
}

pub(crate) async fn set_listener(db: &Db, id: SystemId, listener: Option<&Listener>) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE systems SET transfer_host = $2, transfer_port = $3, transfer_instance = $4 WHERE id = $1",
    )
    .bind(id.as_uuid())
    .bind(listener.and_then(|listener| listener.host.as_deref()))
    .bind(listener.map(|listener| i64::from(listener.port)))
    .bind(listener.map(|listener| listener.instance))
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn set_certificate_end(db: &Db, id: SystemId, expires_at: Timestamp) -> Result<bool> {
    let done = sqlx::query("UPDATE systems SET certificate_expires_at = $2 WHERE id = $1")
        .bind(id.as_uuid())
        .bind(expires_at.as_millisecond())
        .execute(db.writer())
        .await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn note_transport(
    db: &Db,
    id: TransferId,
    generation: u64,
    transport: &str,
    note: Option<&str>,
) -> Result<()> {
    sqlx::query("UPDATE transfers SET transport = $3, transport_note = $4 WHERE id = $1 AND generation = $2")
        .bind(id.as_uuid())
        .bind(generation.cast_signed())
        .bind(transport)
        .bind(note)
        .execute(db.writer())
        .await?;
    Ok(())
}
