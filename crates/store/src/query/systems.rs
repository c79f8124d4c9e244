use sqlx::QueryBuilder;
use zfs_sync_core::{ids::SystemId, name::HostName, time::Timestamp};

use super::{
    super::{Db, DbRow, Driver},
    KEYS,
    cells::{Cells, bits, count_of, json_text, moment},
};
use crate::{
    Error, Listener, NewSystem, Result, SystemChange, SystemRow, SystemSeen, error::Constraints as _,
};

macro_rules! columns {
    () => {
        "id, hostname, platform, connectivity_status, ssh_hostname, ssh_user, ssh_port, extra_metadata, agent_version, \
         zfs_version, os, clock_offset_ms, inventory_interval_ms, created_at, updated_at, last_seen, inventory_as_of, \
         inventory_looked_at, inventory_sequence, report_wanted_at, rate_limit, transfer_host, transfer_port, transfer_instance, certificate_expires_at"
    };
}

fn read(row: &DbRow) -> Result<SystemRow> {
    let cells = Cells::new(row, "systems", "id");
    Ok(SystemRow {
        id: cells.id("id")?,
        hostname: cells.parse("hostname")?,
        platform: cells.get("platform")?,
        connectivity_status: cells.get("connectivity_status")?,
        ssh_hostname: cells.parse_option("ssh_hostname")?,
        ssh_user: cells.get("ssh_user")?,
        ssh_port: cells.small("ssh_port")?,
        extra_metadata: cells.json("extra_metadata")?,
        agent_version: cells.get("agent_version")?,
        zfs_version: cells.get("zfs_version")?,
        os: cells.get("os")?,
        clock_offset_ms: cells.get("clock_offset_ms")?,
        inventory_interval_ms: cells.bits_option("inventory_interval_ms")?,
        listener: read_listener(&cells)?,
        certificate_expires_at: cells.time_option("certificate_expires_at")?,
        created_at: cells.time("created_at")?,
        updated_at: cells.time("updated_at")?,
        last_seen: cells.time_option("last_seen")?,
        inventory_as_of: cells.time_option("inventory_as_of")?,
        inventory_looked_at: cells.time_option("inventory_looked_at")?,
        inventory_sequence: cells.bits_option("inventory_sequence")?,
        report_wanted_at: cells.time_option("report_wanted_at")?,
        limit: cells.parse_option("rate_limit")?,
    })
}

fn read_listener(cells: &Cells<'_>) -> Result<Option<Listener>> {
    let instance = cells.get::<Option<uuid::Uuid>>("transfer_instance")?;
    let Some(instance) = instance else { return Ok(None) };
    Ok(Some(Listener { host: cells.get("transfer_host")?, port: cells.small("transfer_port")?, instance }))
}

fn taken(hostname: &HostName) -> String {
    format!("a system named `{hostname}` is registered already")
}

/// `None` when the name is taken.
pub(super) async fn insert<'e>(
    executor: impl sqlx::Executor<'e, Database = Driver>,
    new: &NewSystem,
    now: Timestamp,
) -> Result<Option<SystemRow>> {
    let statement = concat!(
        "INSERT INTO systems (id, hostname, platform, connectivity_status, ssh_hostname, ssh_user, ssh_port, ",
        "extra_metadata, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9) ",
        "ON CONFLICT (hostname) DO NOTHING RETURNING ",
        columns!()
    );
    let row = sqlx::query(statement)
        .bind(new.id.as_uuid())
        .bind(new.hostname.as_str())
        .bind(&new.platform)
        .bind(&new.connectivity_status)
        .bind(new.ssh_hostname.as_ref().map(HostName::as_str))
        .bind(&new.ssh_user)
        .bind(i64::from(new.ssh_port))
        .bind(json_text(&new.extra_metadata))
        .bind(now.as_millisecond())
        .fetch_optional(executor)
        .await
        .unique(|| format!("a system with the ID {} exists already", new.id))?;
    row.as_ref().map(read).transpose()
}

pub(crate) async fn create_system(db: &Db, new: &NewSystem, now: Timestamp) -> Result<SystemRow> {
    let row = insert(db.writer(), new, now).await?;
    row.ok_or_else(|| Error::Conflict { what: taken(&new.hostname) })
}

pub(crate) async fn system(db: &Db, id: SystemId) -> Result<Option<SystemRow>> {
    let statement = concat!("SELECT ", columns!(), " FROM systems WHERE id = $1");
    let row = sqlx::query(statement).bind(id.as_uuid()).fetch_optional(db.reader()).await?;
    row.as_ref().map(read).transpose()
}

pub(crate) async fn systems_by_id(db: &Db, ids: &[SystemId]) -> Result<Vec<SystemRow>> {
    let mut found = Vec::with_capacity(ids.len());
    for batch in ids.chunks(KEYS) {
        let mut query: QueryBuilder<Driver> =
            QueryBuilder::new(concat!("SELECT ", columns!(), " FROM systems WHERE id IN ("));
        let mut list = query.separated(", ");
        for id in batch {
            list.push_bind(id.as_uuid());
        }
        query.push(")");
        for row in query.build().persistent(false).fetch_all(db.reader()).await? {
            found.push(read(&row)?);
        }
    }
    Ok(found)
}

pub(crate) async fn system_by_hostname(db: &Db, hostname: &str) -> Result<Option<SystemRow>> {
    let statement = concat!("SELECT ", columns!(), " FROM systems WHERE hostname = $1");
    let row = sqlx::query(statement).bind(hostname).fetch_optional(db.reader()).await?;
    row.as_ref().map(read).transpose()
}

pub(crate) async fn systems(db: &Db, skip: u64, limit: u64) -> Result<Vec<SystemRow>> {
    let statement = concat!("SELECT ", columns!(), " FROM systems ORDER BY hostname LIMIT $1 OFFSET $2");
    let rows =
        sqlx::query(statement).bind(count_of(limit)).bind(count_of(skip)).fetch_all(db.reader()).await?;
    rows.iter().map(read).collect()
}

pub(crate) async fn update_system(
    db: &Db,
    id: SystemId,
    change: &SystemChange,
    now: Timestamp,
) -> Result<SystemRow> {
    let mut transaction = db.begin_write().await?;
    let statement = concat!("SELECT ", columns!(), " FROM systems WHERE id = $1", for_update!());
    let row = sqlx::query(statement).bind(id.as_uuid()).fetch_optional(&mut *transaction).await?;
    let mut system = read(&row.ok_or(Error::NotFound { what: "system" })?)?;

    let SystemChange {
        hostname,
        platform,
        connectivity_status,
        ssh_hostname,
        ssh_user,
        ssh_port,
        last_seen,
        extra_metadata,
        limit,
    } = change.clone();
    system.hostname = hostname.unwrap_or(system.hostname);
    system.platform = platform.unwrap_or(system.platform);
    system.connectivity_status = connectivity_status.unwrap_or(system.connectivity_status);
    system.ssh_hostname = ssh_hostname.unwrap_or(system.ssh_hostname);
    system.ssh_user = ssh_user.unwrap_or(system.ssh_user);
    system.ssh_port = ssh_port.unwrap_or(system.ssh_port);
    system.last_seen = last_seen.unwrap_or(system.last_seen);
    system.extra_metadata = extra_metadata.unwrap_or(system.extra_metadata);
    system.limit = limit.unwrap_or(system.limit);

    let statement = concat!(
        "UPDATE systems SET hostname = $2, platform = $3, connectivity_status = $4, ssh_hostname = $5, ssh_user = $6, ",
        "ssh_port = $7, last_seen = $8, extra_metadata = $9, updated_at = $10, rate_limit = $11 WHERE id = $1 RETURNING ",
        columns!()
    );
    let row = sqlx::query(statement)
        .bind(id.as_uuid())
        .bind(system.hostname.as_str())
        .bind(&system.platform)
        .bind(&system.connectivity_status)
        .bind(system.ssh_hostname.as_ref().map(HostName::as_str))
        .bind(&system.ssh_user)
        .bind(i64::from(system.ssh_port))
        .bind(moment(system.last_seen))
        .bind(json_text(&system.extra_metadata))
        .bind(now.as_millisecond())
        .bind(system.limit.as_ref().map(ToString::to_string))
        .fetch_one(&mut *transaction)
        .await
        .unique(|| taken(&system.hostname))?;
    transaction.commit().await?;
    read(&row)
}

pub(crate) async fn delete_system(db: &Db, id: SystemId) -> Result<bool> {
    let in_groups = |names: &str| Error::Conflict {
        what: format!("the system is a member of {names}; remove it from there first"),
    };
    let mut transaction = db.begin_write().await?;
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sync_groups WHERE hub = $1 \
         OR id IN (SELECT group_id FROM group_members WHERE system_id = $1) ORDER BY name",
    )
    .bind(id.as_uuid())
    .fetch_all(&mut *transaction)
    .await?;
    if !names.is_empty() {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        return Err(in_groups(&format!("the sync groups {}", names.join(", "))));
    }
    // What another system is at goes on there, and ends with its lease: until then its copies are not to be relied on.
    sqlx::query(
        "DELETE FROM transfers WHERE finished_at IS NULL AND (target_system_id = $1 OR executor_id = $1 \
         OR (source_system_id = $1 AND state = 'queued'))",
    )
    .bind(id.as_uuid())
    .execute(&mut *transaction)
    .await?;
    let deleted = sqlx::query("DELETE FROM systems WHERE id = $1")
        .bind(id.as_uuid())
        .execute(&mut *transaction)
        .await
        .reference(|| in_groups("a sync group made at this moment"))?;
    transaction.commit().await?;
    Ok(deleted.rows_affected() == 1)
}

pub(crate) async fn touch_system(db: &Db, id: SystemId, seen: &SystemSeen, now: Timestamp) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE systems SET last_seen = $2, connectivity_status = 'online', agent_version = COALESCE($3, agent_version), \
         zfs_version = COALESCE($4, zfs_version), os = COALESCE($5, os), extra_metadata = COALESCE($6, extra_metadata), \
         clock_offset_ms = COALESCE($7, clock_offset_ms), \
         inventory_interval_ms = COALESCE($8, inventory_interval_ms) WHERE id = $1",
    )
    .bind(id.as_uuid())
    .bind(now.as_millisecond())
    .bind(&seen.agent_version)
    .bind(&seen.zfs_version)
    .bind(&seen.os)
    .bind(seen.extra_metadata.as_ref().map(json_text))
    .bind(seen.clock_offset_ms)
    .bind(bits(seen.inventory_interval_ms))
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn want_report(db: &Db, id: SystemId, now: Timestamp) -> Result<bool> {
    let done = sqlx::query("UPDATE systems SET report_wanted_at = $2 WHERE id = $1")
        .bind(id.as_uuid())
        .bind(now.as_millisecond())
        .execute(db.writer())
        .await?;
    Ok(done.rows_affected() == 1)
}
