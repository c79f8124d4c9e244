use zfs_sync_core::time::Timestamp;

use super::{
    super::{Db, DbRow},
    cells::{Cells, count_of, json_text},
    events::next_number,
};
use crate::{AuditRow, NewAudit, Result};

fn read(row: &DbRow) -> Result<AuditRow> {
    let cells = Cells::new(row, "audit", "id");
    let entry = NewAudit {
        actor: cells.get("actor")?,
        action: cells.get("action")?,
        object: cells.get("object")?,
        detail: cells.json("detail")?,
        request_id: cells.get("request_id")?,
        address: cells.get("address")?,
    };
    Ok(AuditRow { id: cells.bits("id")?, at: cells.time("happened_at")?, entry })
}

pub(crate) async fn append_audit(db: &Db, new: &NewAudit, now: Timestamp) -> Result<u64> {
    let mut transaction = db.begin_write().await?;
    let id = next_number(&mut transaction, "audit").await?;
    sqlx::query(
        "INSERT INTO audit (id, happened_at, actor, action, object, detail, request_id, address) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(id)
    .bind(now.as_millisecond())
    .bind(&new.actor)
    .bind(&new.action)
    .bind(&new.object)
    .bind(json_text(&new.detail))
    .bind(&new.request_id)
    .bind(&new.address)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(id.cast_unsigned())
}

pub(crate) async fn audit(db: &Db, limit: u64) -> Result<Vec<AuditRow>> {
    let rows = sqlx::query(
        "SELECT id, happened_at, actor, action, object, detail, request_id, address \
         FROM audit ORDER BY id DESC LIMIT $1",
    )
    .bind(count_of(limit))
    .fetch_all(db.reader())
    .await?;
    rows.iter().map(read).collect()
}
