//! Conflicts as they are shown.

use zfs_sync_api::{
    codes::ErrorCode,
    v1::conflict::{Conflict, ConflictState},
};
use zfs_sync_core::{ids::ConflictId, time::Timestamp};
use zfs_sync_store::{ConflictFilter, ConflictRow, ConflictStanding};

use super::Directory;
use crate::{
    error::{Answer, ApiError},
    state::AppState,
};

/// How a conflict stands now.
pub(crate) fn standing(row: &ConflictRow, now: Timestamp) -> ConflictState {
    if row.resolved_at.is_some() {
        ConflictState::Resolved
    } else if row.ignored_until.is_some_and(|until| until > now) {
        ConflictState::Ignored
    } else {
        ConflictState::Open
    }
}

/// One conflict.
pub(crate) fn show_conflict(row: ConflictRow, directory: &Directory, now: Timestamp) -> Conflict {
    let state = standing(&row, now);
    let detail = row.detail;
    // Whoever ignored it until a time that has passed has nothing to say any more.
    let ignored = |text: Option<String>| text.filter(|_| state == ConflictState::Ignored);
    Conflict {
        id: row.id,
        group_id: row.group,
        group: directory.group(row.group),
        dataset: row.replica.dataset.to_string(),
        source_system: directory.hostname(detail.source.system),
        source: detail.source.dataset.to_string(),
        target_system: directory.hostname(detail.target.system),
        target: detail.target.dataset.to_string(),
        state,
        kind: row.kind,
        severity: row.severity,
        since: row.since,
        resolved_at: row.resolved_at,
        ignored_until: row.ignored_until.filter(|_| state == ConflictState::Ignored),
        ignored_by: ignored(row.ignored_by),
        note: ignored(row.note),
        bytes_at_stake: detail.bytes_at_stake,
        suggested: detail.suggested,
        report: detail,
    }
}

/// The conflict with this identity.
pub(crate) async fn conflict(state: &AppState, id: ConflictId) -> Answer<ConflictRow> {
    state.store.conflict(id).await?.ok_or_else(|| {
        ApiError::new(ErrorCode::ConflictNotFound, format!("there is no conflict {id}"))
            .hint("`zfs-sync conflict list` shows all")
    })
}

/// Snapshots that each side of a conflict names in a list of conflicts.
const NAMED_IN_LISTS: usize = 5;

/// Conflicts, newest first, each side with its newest few snapshots; `wanted` is `None` for all. What the filter says of open and resolved ones is not looked at.
pub(crate) async fn conflicts(
    state: &AppState,
    filter: ConflictFilter,
    wanted: Option<ConflictState>,
) -> Answer<Vec<Conflict>> {
    let now = state.now();
    let limit = filter.limit;
    let (standing_of, read) = match wanted {
        None => (ConflictStanding::All, limit),
        Some(ConflictState::Resolved) => (ConflictStanding::Resolved, limit),
        Some(ConflictState::Ignored) => (ConflictStanding::Open, None),
        Some(ConflictState::Open) => {
            // Ignored ones are open as well: so many more are read at most.
            let counts = state.store.conflict_counts(filter.group, now).await?;
            let ignored: u64 = counts.values().map(|count| count.ignored).sum();
            (ConflictStanding::Open, limit.map(|limit| limit.saturating_add(ignored)))
        }
    };
    let filter = ConflictFilter { standing: standing_of, limit: read, ..filter };
    let rows = state.store.conflicts(&filter).await?;
    let directory = Directory::load(state).await?;
    let most = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let shown = rows
        .into_iter()
        .filter(|row| wanted.is_none_or(|wanted| standing(row, now) == wanted))
        .take(most)
        .map(|mut row| {
            for side in [&mut row.detail.source, &mut row.detail.target] {
                side.only_here.truncate(NAMED_IN_LISTS);
            }
            show_conflict(row, &directory, now)
        });
    Ok(shown.collect())
}
