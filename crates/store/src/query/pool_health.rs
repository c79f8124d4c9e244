use std::collections::BTreeMap;

use zfs_sync_core::{health::PoolHealth, ids::SystemId, time::Timestamp};

use super::{
    super::Db,
    cells::{Cells, json_text},
};
use crate::{Error, PoolHealthRow, Result, error::Constraints as _};

pub(crate) async fn set_pool_health(
    db: &Db,
    system: SystemId,
    pools: &[PoolHealth],
    now: Timestamp,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO pool_health (system_id, pools, reported_at) VALUES ($1, $2, $3) \
         ON CONFLICT (system_id) DO UPDATE SET pools = excluded.pools, reported_at = excluded.reported_at",
    )
    .bind(system.as_uuid())
    .bind(json_text(&pools))
    .bind(now.as_millisecond())
    .execute(db.writer())
    .await
    .reference(|| Error::NotFound { what: "system" })?;
    Ok(())
}

pub(crate) async fn pool_health(db: &Db) -> Result<BTreeMap<SystemId, PoolHealthRow>> {
    let rows =
        sqlx::query("SELECT system_id, pools, reported_at FROM pool_health").fetch_all(db.reader()).await?;
    let read = |row| {
        let cells = Cells::new(row, "pool_health", "system_id");
        let health = PoolHealthRow { pools: cells.json("pools")?, reported_at: cells.time("reported_at")? };
        Ok((cells.id("system_id")?, health))
    };
    rows.iter().map(read).collect()
}
