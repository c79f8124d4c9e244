use std::collections::BTreeMap;

use sqlx::QueryBuilder;
use zfs_sync_core::{guid::Guid, ids::GroupId, name::DatasetName, plan::ReplicaState};

use super::{
    super::{Connection, Db, DbRow, Driver},
    KEYS,
    cells::{Cells, count_of},
};
use crate::{ReplicaFilter, ReplicaRow, ReplicaSummary, Result};

fn read(row: &DbRow) -> Result<ReplicaRow> {
    let cells = Cells::new(row, "replicas", "dataset");
    Ok(ReplicaRow {
        group: cells.id("group_id")?,
        home: cells.id("home_system_id")?,
        dataset: cells.parse("dataset")?,
        target_system: cells.id("target_system_id")?,
        source_system: cells.id("source_system_id")?,
        source: cells.parse("source")?,
        target: cells.parse("target")?,
        state: cells.named("state", ReplicaState::from_name)?,
        reason: cells.get("reason")?,
        report: cells.json("report")?,
        newest_common_creation: cells.get("newest_common_creation")?,
        snapshot_lag: cells.small("snapshot_lag")?,
        since: cells.time("since")?,
    })
}

/// Keys in as many parts as statements are needed for them.
fn parts<T>(keys: Option<&[T]>) -> Vec<Option<&[T]>> {
    keys.map_or_else(|| vec![None], |keys| keys.chunks(KEYS).map(Some).collect())
}

pub(crate) async fn replicas(db: &Db, filter: &ReplicaFilter) -> Result<Vec<ReplicaRow>> {
    let datasets: Option<Vec<&DatasetName>> =
        filter.datasets.as_ref().map(|datasets| datasets.iter().collect());
    let guids = Some(filter.source_guids.as_slice()).filter(|guids| !guids.is_empty());
    let (datasets, guids) = (parts(datasets.as_deref()), parts(guids));
    let mut transaction = db.begin_read().await?;
    let mut rows = Vec::new();
    for part in &datasets {
        for guids in &guids {
            rows.extend(part_of(&mut transaction, filter, *part, *guids).await?);
        }
    }
    if filter.limit.is_none() || datasets.len() > 1 || guids.len() > 1 {
        rows.sort_by_cached_key(|row| (row.group, row.dataset.clone(), row.home, row.target_system));
        rows.truncate(filter.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX));
    }
    Ok(rows)
}

async fn part_of(
    connection: &mut Connection,
    filter: &ReplicaFilter,
    datasets: Option<&[&DatasetName]>,
    guids: Option<&[Guid]>,
) -> Result<Vec<ReplicaRow>> {
    let mut query: QueryBuilder<Driver> =
        QueryBuilder::new(concat!("SELECT ", replica_columns!(), " FROM replicas WHERE TRUE"));
    restrict(&mut query, filter);
    if let Some(datasets) = datasets {
        query.push(" AND dataset IN (");
        let mut list = query.separated(", ");
        for dataset in datasets {
            list.push_bind(dataset.as_str());
        }
        query.push(")");
    }
    if let Some(guids) = guids {
        query.push(" AND source_guid IN (");
        let mut list = query.separated(", ");
        for guid in guids {
            list.push_bind(guid.to_sql());
        }
        query.push(")");
    }
    // Without a limit the caller sorts: SQLite would else read a whole group in this order rather than use an index for the rest.
    if let Some(limit) = filter.limit {
        query
            .push(" ORDER BY group_id, dataset, home_system_id, target_system_id LIMIT ")
            .push_bind(count_of(limit));
    }
    let persistent = datasets.is_none() && guids.is_none();
    let rows = query.build().persistent(persistent).fetch_all(connection).await?;
    rows.iter().map(read).collect()
}

/// Everything but the lists of keys, which come in parts.
fn restrict(query: &mut QueryBuilder<Driver>, filter: &ReplicaFilter) {
    let ReplicaFilter {
        group,
        system,
        target_system,
        dataset,
        targets,
        target_within,
        states,
        reasons,
        after,
        ..
    } = filter;
    if let Some(group) = group {
        query.push(" AND group_id = ").push_bind(group.as_uuid());
    }
    if let Some(system) = system {
        query.push(" AND (target_system_id = ").push_bind(system.as_uuid());
        query.push(" OR source_system_id = ").push_bind(system.as_uuid()).push(")");
    }
    if let Some(target_system) = target_system {
        query.push(" AND target_system_id = ").push_bind(target_system.as_uuid());
    }
    if let Some(dataset) = dataset {
        query.push(" AND (source = ").push_bind(dataset.as_str().to_owned());
        query.push(" OR target = ").push_bind(dataset.as_str().to_owned()).push(")");
    }
    if !targets.is_empty() {
        query.push(" AND target IN (");
        let mut list = query.separated(", ");
        for target in targets {
            list.push_bind(target.as_str().to_owned());
        }
        query.push(")");
    }
    if let Some(top) = target_within {
        // `0` comes after `/`. The first two conditions are what an index is used for; `tank-old` lies between them.
        query.push(" AND target >= ").push_bind(top.as_str().to_owned());
        query.push(" AND target < ").push_bind(format!("{top}0"));
        query.push(" AND (target = ").push_bind(top.as_str().to_owned());
        query.push(" OR target > ").push_bind(format!("{top}/")).push(")");
    }
    if !states.is_empty() {
        query.push(" AND state IN (");
        let mut list = query.separated(", ");
        for state in states {
            list.push_bind(state.as_str());
        }
        query.push(")");
    }
    if !reasons.is_empty() {
        query.push(" AND reason IN (");
        let mut list = query.separated(", ");
        for reason in reasons {
            list.push_bind(reason.clone());
        }
        query.push(")");
    }
    if let Some((last, key)) = after {
        // Within one group the rest of the key goes on in the same index.
        let within = *group == Some(*last);
        query.push(if within { " AND (" } else { " AND (group_id, " });
        query.push("dataset, home_system_id, target_system_id) > (");
        let mut list = query.separated(", ");
        if !within {
            list.push_bind(last.as_uuid());
        }
        list.push_bind(key.dataset.as_str().to_owned());
        list.push_bind(key.home.as_uuid()).push_bind(key.target_system.as_uuid());
        query.push(")");
    }
}

pub(crate) async fn replica_counts(db: &Db, group: Option<GroupId>) -> Result<BTreeMap<ReplicaState, u64>> {
    let mut query: QueryBuilder<Driver> = QueryBuilder::new("SELECT state, COUNT(*) AS many FROM replicas");
    if let Some(group) = group {
        query.push(" WHERE group_id = ").push_bind(group.as_uuid());
    }
    query.push(" GROUP BY state");
    let rows = query.build().fetch_all(db.reader()).await?;
    let count = |row| {
        let cells = Cells::new(row, "replicas", "state");
        Ok((cells.named("state", ReplicaState::from_name)?, cells.bits("many")?))
    };
    rows.iter().map(count).collect()
}

pub(crate) async fn replica_summaries(db: &Db) -> Result<BTreeMap<GroupId, ReplicaSummary>> {
    let mut summaries: BTreeMap<GroupId, ReplicaSummary> = BTreeMap::new();
    let mut transaction = db.begin_read().await?;
    // Each statement reads one index and no report.
    let rows = sqlx::query("SELECT state, group_id, COUNT(*) AS many FROM replicas GROUP BY state, group_id")
        .fetch_all(&mut *transaction)
        .await?;
    for row in &rows {
        let cells = Cells::new(row, "replicas", "state");
        let summary = summaries.entry(cells.id("group_id")?).or_default();
        summary.states.insert(cells.named("state", ReplicaState::from_name)?, cells.bits("many")?);
    }
    let rows = sqlx::query(
        "SELECT group_id, reason, COUNT(*) AS many FROM replicas WHERE reason IS NOT NULL GROUP BY group_id, reason",
    )
    .fetch_all(&mut *transaction)
    .await?;
    for row in &rows {
        let cells = Cells::new(row, "replicas", "reason");
        let summary = summaries.entry(cells.id("group_id")?).or_default();
        summary.reasons.insert(cells.get("reason")?, cells.bits("many")?);
    }
    let rows =
        sqlx::query("SELECT group_id, MIN(newest_common_creation) AS oldest FROM replicas GROUP BY group_id")
            .fetch_all(&mut *transaction)
            .await?;
    for row in &rows {
        let cells = Cells::new(row, "replicas", "group_id");
        summaries.entry(cells.id("group_id")?).or_default().oldest_common_creation = cells.get("oldest")?;
    }
    Ok(summaries)
}
