use std::time::Duration;

use zfs_sync_core::{ids::GroupId, time::Timestamp};

use super::{
    super::Db,
    cells::{Cells, bits, count_of},
};
use crate::{Error, Result, ScheduleRow, error::Constraints as _};

pub(crate) async fn verification_schedules(db: &Db) -> Result<Vec<ScheduleRow>> {
    let rows =
        sqlx::query("SELECT group_id, every_ms, budget, rate FROM verification_schedules ORDER BY group_id")
            .fetch_all(db.reader())
            .await?;
    let schedule = |row| {
        let cells = Cells::new(row, "verification_schedules", "group_id");
        Ok(ScheduleRow {
            group: cells.id("group_id")?,
            every: Duration::from_millis(cells.bits("every_ms")?),
            budget: cells.bits("budget")?,
            rate: cells.bits_option("rate")?,
        })
    };
    rows.iter().map(schedule).collect()
}

pub(crate) async fn set_verification_schedule(db: &Db, schedule: &ScheduleRow, now: Timestamp) -> Result<()> {
    let every = u64::try_from(schedule.every.as_millis()).unwrap_or(u64::MAX);
    sqlx::query(
        "INSERT INTO verification_schedules (group_id, every_ms, budget, rate, updated_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (group_id) DO UPDATE SET every_ms = excluded.every_ms, budget = excluded.budget, \
         rate = excluded.rate, updated_at = excluded.updated_at",
    )
    .bind(schedule.group.as_uuid())
    .bind(count_of(every))
    .bind(count_of(schedule.budget))
    .bind(bits(schedule.rate))
    .bind(now.as_millisecond())
    .execute(db.writer())
    .await
    .reference(|| Error::NotFound { what: "group" })?;
    Ok(())
}

pub(crate) async fn delete_verification_schedule(db: &Db, group: GroupId) -> Result<bool> {
    let done = sqlx::query("DELETE FROM verification_schedules WHERE group_id = $1")
        .bind(group.as_uuid())
        .execute(db.writer())
        .await?;
    Ok(done.rows_affected() > 0)
}
