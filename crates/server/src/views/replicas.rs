//! Replicas as they are shown.

use jiff::Timestamp;
use zfs_sync_api::v1::replica::Replica;
use zfs_sync_core::ids::GroupId;
use zfs_sync_store::{ReplicaFilter, ReplicaRow};

use super::{Directory, conflicts::name_common};
use crate::{error::Answer, state::AppState};

/// One replica.
pub(crate) fn replica(mut row: ReplicaRow, directory: &Directory) -> Replica {
    if let Some(conflict) = &mut row.report.conflict {
        name_common(conflict);
    }
    Replica {
        group_id: row.group,
        group: directory.group(row.group),
        source_system: directory.hostname(row.source_system),
        target_system: directory.hostname(row.target_system),
        source: row.source.to_string(),
        target: row.target.to_string(),
        state: row.state,
        since: row.since,
        reason: row.reason,
        recovery_point: row.newest_common_creation.and_then(|creation| Timestamp::from_second(creation).ok()),
        snapshot_lag: row.snapshot_lag,
        as_of: directory.as_of(row.source_system, row.target_system),
        report: row.report,
    }
}

/// Replicas as they were last planned, of one group or of all.
pub(crate) async fn replicas(state: &AppState, group: Option<GroupId>) -> Answer<Vec<Replica>> {
    let directory = Directory::load(state).await?;
    let rows = state.store.replicas(&ReplicaFilter { group, ..ReplicaFilter::default() }).await?;
    Ok(rows.into_iter().map(|row| replica(row, &directory)).collect())
}
