//! Which of the due transfers may begin beside what runs already.

use sqlx::QueryBuilder;
use uuid::Uuid;
use zfs_sync_core::{ids::SystemId, time::Timestamp};

use super::{
    super::{Connection, Db, DbRow, Driver},
    cells::{Cells, count_of},
};
use crate::{Course, Crowded, Result, TransferCaps, Turns};

/// Due transfers that one query reads.
const PAGE: u64 = 200;

macro_rules! course_columns {
    () => {
        concat!(
            "id, source_system_id, target_system_id, ",
            pool_of!("source"),
            " AS source_pool, ",
            pool_of!("target"),
            " AS target_pool, created_at"
        )
    };
}

fn read(row: &DbRow) -> Result<Course> {
    let cells = Cells::new(row, "transfers", "id");
    Ok(Course {
        source: (cells.id("source_system_id")?, cells.get("source_pool")?),
        target: (cells.id("target_system_id")?, cells.get("target_pool")?),
    })
}

async fn running_now(connection: &mut Connection) -> Result<Turns> {
    let statement = concat!("SELECT ", course_columns!(), " FROM transfers WHERE state = 'leased'");
    let mut turns = Turns::default();
    for row in sqlx::query(statement).fetch_all(connection).await? {
        turns.begin(&read(&row)?);
    }
    Ok(turns)
}

/// What runs now, by place.
pub(crate) async fn turns(db: &Db) -> Result<Turns> {
    running_now(&mut *db.reader().acquire().await?).await
}

/// True when something waits for this executor; costs no lock.
pub(super) async fn is_due(db: &Db, executor: SystemId, now: Timestamp) -> Result<bool> {
    let due: Option<i64> = sqlx::query_scalar(
        "SELECT created_at FROM transfers WHERE executor_id = $1 AND state = 'queued' AND next_attempt_at <= $2 LIMIT 1",
    )
    .bind(executor.as_uuid())
    .bind(now.as_millisecond())
    .fetch_optional(db.reader())
    .await?;
    Ok(due.is_some())
}

/// The oldest due transfers of this executor that no full place keeps out, at most `max`. No other lease is given until the transaction ends.
pub(super) async fn choose(
    connection: &mut Connection,
    executor: SystemId,
    max: u32,
    caps: &TransferCaps,
    now: Timestamp,
) -> Result<Vec<Uuid>> {
    sqlx::query(lock_leases!()).execute(&mut *connection).await?;
    let mut turns = running_now(connection).await?;
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    let mut chosen = Vec::new();
    let mut after: Option<(i64, Uuid)> = None;
    while chosen.len() < max {
        let rows = due(connection, executor, &turns.crowded(caps), after, now).await?;
        let read_all = (rows.len() as u64) < PAGE;
        for row in &rows {
            let cells = Cells::new(row, "transfers", "id");
            let id: Uuid = cells.get("id")?;
            after = Some((cells.get("created_at")?, id));
            let course = read(row)?;
            if chosen.len() < max && turns.in_the_way(caps, &course).is_none() {
                turns.begin(&course);
                chosen.push(id);
            }
        }
        if read_all {
            break;
        }
    }
    Ok(chosen)
}

/// A page of due transfers, oldest first, without those that would go where it is crowded: thousands may wait for one place, and one that
/// goes elsewhere must not wait for them.
async fn due(
    connection: &mut Connection,
    executor: SystemId,
    crowded: &[Crowded],
    after: Option<(i64, Uuid)>,
    now: Timestamp,
) -> Result<Vec<DbRow>> {
    let mut query: QueryBuilder<Driver> = QueryBuilder::new(concat!(
        "SELECT ",
        course_columns!(),
        " FROM transfers WHERE state = 'queued' AND executor_id = "
    ));
    query.push_bind(executor.as_uuid()).push(" AND next_attempt_at <= ").push_bind(now.as_millisecond());
    if let Some((created_at, id)) = after {
        query.push(" AND (created_at > ").push_bind(created_at);
        query.push(" OR created_at = ").push_bind(created_at).push(" AND id > ").push_bind(id).push(")");
    }
    for place in crowded.iter().take(MOST_PLACES) {
        leave_out(&mut query, place);
    }
    query.push(" ORDER BY created_at, id LIMIT ").push_bind(count_of(PAGE));
    Ok(query.build().persistent(false).fetch_all(connection).await?)
}

/// Places that one query leaves out, so that it stays short; what goes to the others is read and passed over.
const MOST_PLACES: usize = 100;

fn leave_out(query: &mut QueryBuilder<Driver>, place: &Crowded) {
    match place {
        Crowded::System(system) => {
            for side in [" AND source_system_id <> ", " AND target_system_id <> "] {
                query.push(side).push_bind(system.as_uuid());
            }
        }
        Crowded::Pool(system, pool) => {
            for (side, name) in [
                (" AND NOT (source_system_id = ", pool_of!("source")),
                (" AND NOT (target_system_id = ", pool_of!("target")),
            ] {
                query.push(side).push_bind(system.as_uuid());
                query.push(" AND ").push(name).push(" = ").push_bind(pool.clone()).push(")");
            }
        }
        Crowded::Link(one, other) => {
            for (source, target) in [(one, other), (other, one)] {
                query.push(" AND NOT (source_system_id = ").push_bind(source.as_uuid());
                query.push(" AND target_system_id = ").push_bind(target.as_uuid()).push(")");
            }
        }
    }
}
