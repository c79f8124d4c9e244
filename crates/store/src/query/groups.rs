use std::collections::BTreeMap;

use sqlx::QueryBuilder;
use zfs_sync_core::{
    group::SyncGroup,
    ids::{GroupId, SystemId},
    time::Timestamp,
};

use super::{
    super::{Connection, Db, DbRow, Driver},
    BATCH, KEYS,
    cells::{Cells, count_of, json_text, word_text},
};
use crate::{Error, GroupRow, GroupSettings, Result, error::Constraints as _};

macro_rules! from {
    () => {
        concat!(
            "SELECT id, name, description, enabled, mode, hub, include, exclude, mappings, member_mappings, auto, on_divergence, ",
            "allow_destroy, mirror_deletes, follow_renames, profile, extra_metadata, sync_interval_seconds, rate_limit, compression, transport, ",
            "created_at, updated_at, revision FROM sync_groups "
        )
    };
}

macro_rules! select {
    ($condition:literal) => {
        concat!(from!(), $condition, " ORDER BY name")
    };
}

fn read(row: &DbRow, members: Vec<SystemId>) -> Result<GroupRow> {
    let cells = Cells::new(row, "sync_groups", "id");
    let group = SyncGroup {
        id: cells.id("id")?,
        name: cells.get("name")?,
        enabled: cells.get("enabled")?,
        mode: cells.word("mode")?,
        hub: cells.id("hub")?,
        members,
        include: cells.json("include")?,
        exclude: cells.json("exclude")?,
        mappings: cells.json("mappings")?,
        member_mappings: cells.json("member_mappings")?,
        auto: cells.get("auto")?,
        on_divergence: cells.word("on_divergence")?,
        allow_destroy: cells.get("allow_destroy")?,
        mirror_deletes: cells.json_option("mirror_deletes")?,
        follow_renames: cells.get("follow_renames")?,
        profile: cells.word("profile")?,
    };
    Ok(GroupRow {
        group,
        description: cells.get("description")?,
        extra_metadata: cells.json("extra_metadata")?,
        sync_interval_seconds: cells.bits("sync_interval_seconds")?,
        limit: cells.parse_option("rate_limit")?,
        compression: cells.parse("compression")?,
        transport: cells.parse("transport")?,
        created_at: cells.time("created_at")?,
        updated_at: cells.time("updated_at")?,
        revision: cells.bits("revision")?,
    })
}

async fn with_members(connection: &mut Connection, rows: Vec<DbRow>) -> Result<Vec<GroupRow>> {
    let ids = rows
        .iter()
        .map(|row| Cells::new(row, "sync_groups", "id").id("id"))
        .collect::<Result<Vec<GroupId>>>()?;
    let mut members: BTreeMap<GroupId, Vec<SystemId>> = BTreeMap::new();
    for batch in ids.chunks(BATCH) {
        let mut query: QueryBuilder<Driver> =
            QueryBuilder::new("SELECT group_id, system_id FROM group_members WHERE group_id IN (");
        let mut list = query.separated(", ");
        for id in batch {
            list.push_bind(id.as_uuid());
        }
        query.push(") ORDER BY group_id, ordinal");
        for row in query.build().persistent(false).fetch_all(&mut *connection).await? {
            let cells = Cells::new(&row, "group_members", "group_id");
            members.entry(cells.id("group_id")?).or_default().push(cells.id("system_id")?);
        }
    }
    let members_of = |id| members.remove(&id).unwrap_or_default();
    let members: Vec<_> = ids.into_iter().map(members_of).collect();
    rows.iter().zip(members).map(|(row, members)| read(row, members)).collect()
}

async fn one(connection: &mut Connection, id: GroupId) -> Result<Option<GroupRow>> {
    let rows = sqlx::query(select!("WHERE id = $1")).bind(id.as_uuid()).fetch_all(&mut *connection).await?;
    Ok(with_members(connection, rows).await?.pop())
}

pub(crate) async fn group(db: &Db, id: GroupId) -> Result<Option<GroupRow>> {
    one(&mut *db.begin_read().await?, id).await
}

pub(crate) async fn group_by_name(db: &Db, name: &str) -> Result<Option<GroupRow>> {
    let mut transaction = db.begin_read().await?;
    let rows = sqlx::query(select!("WHERE name = $1")).bind(name).fetch_all(&mut *transaction).await?;
    Ok(with_members(&mut transaction, rows).await?.pop())
}

pub(crate) async fn groups(db: &Db) -> Result<Vec<GroupRow>> {
    let mut transaction = db.begin_read().await?;
    let rows = sqlx::query(select!("")).fetch_all(&mut *transaction).await?;
    with_members(&mut transaction, rows).await
}

pub(crate) async fn groups_of_system(db: &Db, system: SystemId) -> Result<Vec<GroupRow>> {
    let mut transaction = db.begin_read().await?;
    let statement = select!("WHERE id IN (SELECT group_id FROM group_members WHERE system_id = $1)");
    let rows = sqlx::query(statement).bind(system.as_uuid()).fetch_all(&mut *transaction).await?;
    with_members(&mut transaction, rows).await
}

pub(crate) async fn groups_of_systems(db: &Db, systems: &[SystemId]) -> Result<Vec<GroupRow>> {
    let mut transaction = db.begin_read().await?;
    let mut found = Vec::new();
    for batch in systems.chunks(KEYS) {
        let mut query: QueryBuilder<Driver> = QueryBuilder::new(concat!(
            from!(),
            "WHERE id IN (SELECT group_id FROM group_members WHERE system_id IN ("
        ));
        let mut list = query.separated(", ");
        for id in batch {
            list.push_bind(id.as_uuid());
        }
        query.push(")) ORDER BY name");
        found.extend(query.build().persistent(false).fetch_all(&mut *transaction).await?);
    }
    with_members(&mut transaction, found).await
}

/// Keeps the group from being deleted until the transaction ends.
pub(super) async fn lock(connection: &mut Connection, id: GroupId) -> Result<()> {
    let found = sqlx::query(concat!("SELECT id FROM sync_groups WHERE id = $1", for_update!()))
        .bind(id.as_uuid())
        .fetch_optional(connection)
        .await?;
    if found.is_some() { Ok(()) } else { Err(Error::NotFound { what: "sync group" }) }
}

/// Executes a statement over $1 to $21, insert or update, and answers whether it found its row.
async fn write(
    connection: &mut Connection,
    statement: &'static str,
    group: &SyncGroup,
    settings: &GroupSettings,
    now: Timestamp,
) -> Result<bool> {
    let done = sqlx::query(statement)
        .bind(group.id.as_uuid())
        .bind(&group.name)
        .bind(&settings.description)
        .bind(group.enabled)
        .bind(word_text(&group.mode))
        .bind(group.hub.as_uuid())
        .bind(json_text(&group.include))
        .bind(json_text(&group.exclude))
        .bind(json_text(&group.mappings))
        .bind(group.auto)
        .bind(word_text(&group.on_divergence))
        .bind(json_text(&settings.extra_metadata))
        .bind(count_of(settings.sync_interval_seconds))
        .bind(now.as_millisecond())
        .bind(json_text(&group.member_mappings))
        .bind(group.allow_destroy)
        .bind(group.mirror_deletes.as_ref().map(json_text))
        .bind(group.follow_renames)
        .bind(word_text(&group.profile))
        .bind(settings.limit.as_ref().map(ToString::to_string))
        .bind(settings.compression.to_string())
        .bind(settings.transport.as_str())
        .execute(connection)
        .await
        .unique(|| format!("a sync group named `{}`, or with this ID, exists already", group.name))
        .reference(|| Error::NotFound { what: "system" })?;
    Ok(done.rows_affected() == 1)
}

async fn write_members(connection: &mut Connection, group: &SyncGroup) -> Result<()> {
    let numbered: Vec<(i64, SystemId)> = (0..).zip(group.members.iter().copied()).collect();
    for batch in numbered.chunks(BATCH) {
        let mut query: QueryBuilder<Driver> =
            QueryBuilder::new("INSERT INTO group_members (group_id, system_id, ordinal) ");
        query.push_values(batch, |mut row, (ordinal, system)| {
            row.push_bind(group.id.as_uuid()).push_bind(system.as_uuid()).push_bind(ordinal);
        });
        let done = query.build().persistent(false).execute(&mut *connection).await;
        done.unique(|| format!("a system is listed twice in the sync group `{}`", group.name))
            .reference(|| Error::NotFound { what: "system" })?;
    }
    Ok(())
}

/// What has just been written, as it is read.
async fn written(connection: &mut Connection, id: GroupId) -> Result<GroupRow> {
    one(connection, id).await?.ok_or(Error::NotFound { what: "sync group" })
}

pub(crate) async fn insert_group(
    db: &Db,
    group: &SyncGroup,
    settings: &GroupSettings,
    now: Timestamp,
) -> Result<GroupRow> {
    let mut transaction = db.begin_write().await?;
    let statement = "INSERT INTO sync_groups (id, name, description, enabled, mode, hub, include, exclude, mappings, auto, \
         on_divergence, extra_metadata, sync_interval_seconds, created_at, updated_at, revision, member_mappings, \
         allow_destroy, mirror_deletes, follow_renames, profile, rate_limit, compression, transport) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14, 1, $15, $16, $17, $18, $19, $20, $21, $22)";
    write(&mut transaction, statement, group, settings, now).await?;
    write_members(&mut transaction, group).await?;
    let row = written(&mut transaction, group.id).await?;
    transaction.commit().await?;
    Ok(row)
}

pub(crate) async fn update_group(
    db: &Db,
    group: &SyncGroup,
    settings: &GroupSettings,
    now: Timestamp,
) -> Result<GroupRow> {
    let mut transaction = db.begin_write().await?;
    let statement = "UPDATE sync_groups SET name = $2, description = $3, enabled = $4, mode = $5, hub = $6, \
         include = $7, exclude = $8, mappings = $9, auto = $10, on_divergence = $11, extra_metadata = $12, \
         sync_interval_seconds = $13, updated_at = $14, member_mappings = $15, allow_destroy = $16, \
         mirror_deletes = $17, follow_renames = $18, profile = $19, rate_limit = $20, compression = $21, transport = $22, \
         revision = revision + 1 WHERE id = $1";
    if !write(&mut transaction, statement, group, settings, now).await? {
        return Err(Error::NotFound { what: "sync group" });
    }
    sqlx::query("DELETE FROM group_members WHERE group_id = $1")
        .bind(group.id.as_uuid())
        .execute(&mut *transaction)
        .await?;
    write_members(&mut transaction, group).await?;
    let row = written(&mut transaction, group.id).await?;
    transaction.commit().await?;
    Ok(row)
}

pub(crate) async fn delete_group(db: &Db, id: GroupId, now: Timestamp) -> Result<bool> {
    let mut transaction = db.begin_write().await?;
    match lock(&mut transaction, id).await {
        Ok(()) => {}
        Err(Error::NotFound { .. }) => return Ok(false),
        Err(other) => return Err(other),
    }
    sqlx::query(
        "UPDATE transfers SET state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END, \
         finished_at = CASE WHEN state = 'queued' THEN $2 END, cancel_requested = TRUE, \
         error_detail = 'the sync group was deleted', updated_at = $2 WHERE group_id = $1 AND finished_at IS NULL",
    )
    .bind(id.as_uuid())
    .bind(now.as_millisecond())
    .execute(&mut *transaction)
    .await?;
    sqlx::query("DELETE FROM sync_groups WHERE id = $1")
        .bind(id.as_uuid())
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(true)
}
