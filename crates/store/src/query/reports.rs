use std::collections::{BTreeMap, BTreeSet};

use sqlx::QueryBuilder;
use zfs_sync_core::{ids::SystemId, name::DatasetName, time::Timestamp};

use super::{
    super::{Connection, Db, Driver},
    BATCH, KEYS,
    cells::{Cells, count_of, moment},
    changes::Changes,
    inventory::{StoredDataset, stored_datasets},
    report_rows::{Arrived, DatasetUpsert, delete_datasets, replace_histories, upsert_datasets},
    retention::replace_policies,
};
use crate::{Error, Report, ReportOutcome, ReportedDataset, Result};

pub(crate) async fn apply_report(
    db: &Db,
    system: SystemId,
    report: &Report,
    now: Timestamp,
) -> Result<ReportOutcome> {
    match report.base {
        Some(base)
            if report.datasets.is_empty() && report.removed.is_empty() && report.retention.is_none() =>
        {
            apply_nothing(db, system, base, report, now).await
        }
        _ => apply_something(db, system, report, now).await,
    }
}

/// When the host was looked at, as the report says. Nobody has looked in times to come: then a clock was set back, and the next report knows.
fn believed(report: &Report, now: Timestamp) -> Option<Timestamp> {
    report.looked_at.filter(|looked_at| *looked_at <= now)
}

/// What all that is stored shows at the earliest, with this report in it.
fn shown_since(
    before: Option<Timestamp>,
    report: &Report,
    is_complete_now: bool,
    now: Timestamp,
) -> Option<Timestamp> {
    match (believed(report, now), report.base) {
        (Some(looked_at), _) if is_complete_now => Some(looked_at),
        // It may be late, and has put what it names in place of what was known from a later look. So has one that does not say.
        (looked_at, None) => before.min(looked_at),
        // It builds on what is stored, so that nothing in it is older than that.
        (_, Some(_)) => before,
    }
}

fn resync() -> ReportOutcome {
    ReportOutcome { resync: true, ..ReportOutcome::default() }
}

/// "Nothing has changed": one update, whatever the size of the inventory.
async fn apply_nothing(
    db: &Db,
    system: SystemId,
    base: u64,
    report: &Report,
    now: Timestamp,
) -> Result<ReportOutcome> {
    let needed: Option<i64> = sqlx::query_scalar(
        "UPDATE systems SET inventory_sequence = $2, last_seen = $3, \
         inventory_as_of = CASE WHEN inventory_needed = 0 THEN $3 ELSE inventory_as_of END, \
         inventory_looked_at = CASE WHEN inventory_needed = 0 THEN COALESCE($6, inventory_looked_at) ELSE inventory_looked_at END \
         WHERE id = $1 AND inventory_sequence = $4 AND inventory_without_guids = $5 RETURNING inventory_needed",
    )
    .bind(system.as_uuid())
    .bind(report.sequence.cast_signed())
    .bind(now.as_millisecond())
    .bind(base.cast_signed())
    .bind(report.without_guids)
    .bind(moment(believed(report, now)))
    .fetch_optional(db.writer())
    .await?;
    match needed {
        Some(0) => Ok(ReportOutcome { accepted: true, ..ReportOutcome::default() }),
        Some(_) => {
            let mut connection = db.reader().acquire().await?;
            let need = needed_names(&mut connection, system).await?;
            Ok(ReportOutcome { accepted: true, need, ..ReportOutcome::default() })
        }
        None => {
            let found = sqlx::query("SELECT id FROM systems WHERE id = $1")
                .bind(system.as_uuid())
                .fetch_optional(db.reader())
                .await?;
            if found.is_some() { Ok(resync()) } else { Err(Error::NotFound { what: "system" }) }
        }
    }
}

async fn apply_something(
    db: &Db,
    system: SystemId,
    report: &Report,
    now: Timestamp,
) -> Result<ReportOutcome> {
    let mut transaction = db.begin_write().await?;
    let row = sqlx::query(concat!(
        "SELECT id, inventory_sequence, inventory_as_of, inventory_looked_at, inventory_revision, inventory_without_guids ",
        "FROM systems WHERE id = $1",
        for_update!()
    ))
    .bind(system.as_uuid())
    .fetch_optional(&mut *transaction)
    .await?
    .ok_or(Error::NotFound { what: "system" })?;
    let cells = Cells::new(&row, "systems", "id");
    if report.base.is_some() && report.base != cells.bits_option("inventory_sequence")? {
        return Ok(resync());
    }
    let other_kind = cells.get::<bool>("inventory_without_guids")? != report.without_guids;
    if report.base.is_some() && other_kind {
        return Ok(resync());
    }
    let first = cells.time_option("inventory_as_of")?.is_none();
    let revision = cells.get::<i64>("inventory_revision")?;
    let shown_before = cells.time_option("inventory_looked_at")?;

    let reported: BTreeMap<&DatasetName, &ReportedDataset> =
        report.datasets.iter().map(|dataset| (&dataset.name, dataset)).collect();
    let removed: BTreeSet<&DatasetName> =
        report.removed.iter().filter(|name| !reported.contains_key(*name)).collect();
    let named: Vec<&DatasetName> = reported.keys().copied().chain(removed.iter().copied()).collect();
    let scope = report.base.map(|_| named.as_slice());

    let stored = stored_datasets(&mut transaction, system, scope).await?;
    let (kept, vanished): (Vec<_>, Vec<_>) =
        stored.into_iter().partition(|stored| reported.contains_key(&stored.name));
    let mut stored: BTreeMap<DatasetName, StoredDataset> =
        kept.into_iter().map(|stored| (stored.name.clone(), stored)).collect();
    let mut changes = Changes::default();
    for gone in &vanished {
        changes.structural(&gone.name);
    }
    let vanished: Vec<i64> = vanished.iter().map(|stored| stored.id).collect();
    delete_datasets(&mut transaction, &vanished).await?;

    let mut need = Vec::new();
    let mut arrived = Vec::new();
    let mut upserts = Vec::new();
    for (name, dataset) in reported {
        let old = stored.get(name);
        let digest = match &dataset.history {
            Some(history) => {
                let history = Arrived::new(name, history);
                let digest = history.digest(&dataset.properties);
                arrived.push(history);
                digest
            }
            None if old.is_some_and(|old| old.digest == dataset.digest) => dataset.digest.clone(),
            None => {
                need.push(name);
                continue;
            }
        };
        let same_digest = old.is_some_and(|old| old.digest == digest);
        match old {
            None => changes.structural(name),
            // Its GUIDs mean something else now, whatever they are.
            Some(_) if other_kind => changes.structural(name),
            Some(old) if same_digest && old.properties.same_for_report(&dataset.properties) => {}
            Some(old) => changes.between(name, &old.properties, &dataset.properties),
        }
        if !(same_digest && old.is_some_and(|old| old.properties == dataset.properties)) {
            upserts.push(DatasetUpsert { name, digest, properties: &dataset.properties });
        }
    }
    let mut ids: BTreeMap<DatasetName, i64> =
        std::mem::take(&mut stored).into_iter().map(|(name, stored)| (name, stored.id)).collect();
    let known: Vec<i64> = arrived.iter().filter_map(|history| ids.get(history.name).copied()).collect();
    ids.extend(upsert_datasets(&mut transaction, system, &upserts).await?);
    replace_histories(&mut transaction, &ids, &known, &arrived).await?;
    forget_needs(&mut transaction, system, scope).await?;
    note_needs(&mut transaction, system, &need).await?;
    // A complete report without it is from an agent that knows nothing of it: what an earlier one said is not true for ever.
    let unknown = BTreeMap::new();
    if let Some(retention) = report.retention.as_ref().or(report.base.is_none().then_some(&unknown)) {
        for name in replace_policies(&mut transaction, system, retention).await? {
            changes.policy(name);
        }
    }
    let kind_changed = other_kind && !first;
    let changed = first || kind_changed || !changes.is_empty();
    let queued = changes.write(&mut transaction, system, revision + 1, now).await?;

    let need = needed_names(&mut transaction, system).await?;
    sqlx::query(
        "UPDATE systems SET inventory_sequence = $2, last_seen = $3, inventory_needed = $4, inventory_revision = $5, \
         inventory_without_guids = $6, \
         inventory_as_of = CASE WHEN $4 = 0 THEN $3 WHEN $7 THEN NULL ELSE inventory_as_of END, \
         inventory_looked_at = $8 WHERE id = $1",
    )
    .bind(system.as_uuid())
    .bind(report.sequence.cast_signed())
    .bind(now.as_millisecond())
    .bind(count_of(need.len() as u64))
    .bind(revision + i64::from(queued))
    .bind(report.without_guids)
    // A history of the kind before must not be read as one of this kind: nothing is known until all have come.
    .bind(other_kind)
    .bind(moment(shown_since(shown_before, report, need.is_empty(), now)))
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(ReportOutcome { accepted: true, resync: false, need, changed, kind_changed })
}

/// Whatever was needed of the named datasets, or of all, is answered by this report.
async fn forget_needs(
    connection: &mut Connection,
    system: SystemId,
    names: Option<&[&DatasetName]>,
) -> Result<()> {
    let Some(names) = names else {
        sqlx::query("DELETE FROM needed_histories WHERE system_id = $1")
            .bind(system.as_uuid())
            .execute(connection)
            .await?;
        return Ok(());
    };
    for batch in names.chunks(KEYS) {
        let mut query: QueryBuilder<Driver> =
            QueryBuilder::new("DELETE FROM needed_histories WHERE system_id = ");
        query.push_bind(system.as_uuid()).push(" AND name IN (");
        let mut list = query.separated(", ");
        for name in batch {
            list.push_bind(name.as_str());
        }
        query.push(")");
        query.build().persistent(false).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn note_needs(connection: &mut Connection, system: SystemId, names: &[&DatasetName]) -> Result<()> {
    for batch in names.chunks(BATCH) {
        let mut query: QueryBuilder<Driver> =
            QueryBuilder::new("INSERT INTO needed_histories (system_id, name) ");
        query.push_values(batch, |mut row, name| {
            row.push_bind(system.as_uuid()).push_bind(name.as_str());
        });
        query.build().persistent(false).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn needed_names(connection: &mut Connection, system: SystemId) -> Result<Vec<DatasetName>> {
    let rows = sqlx::query("SELECT name FROM needed_histories WHERE system_id = $1 ORDER BY name")
        .bind(system.as_uuid())
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| Cells::new(row, "needed_histories", "name").parse("name")).collect()
}
