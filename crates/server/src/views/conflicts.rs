//! Conflicts as they are shown.

use zfs_sync_api::{
    codes::ErrorCode,
    v1::conflict::{Conflict, ConflictState, Head},
};
use zfs_sync_core::{
    ids::ConflictId,
    plan::{Conflict as Found, ConflictSide},
    time::Timestamp,
};
use zfs_sync_store::{ConflictFilter, ConflictRow, ConflictStanding};

use super::{Directory, Standing, decisions::show_decision};
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
fn show_conflict(
    row: ConflictRow,
    common_is_bookmark: bool,
    decisions: &Standing,
    directory: &Directory,
    now: Timestamp,
) -> Conflict {
    let state = standing(&row, now);
    let decision = decisions.about(&row).map(|decision| show_decision(decision, directory));
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
        bytes_at_stake: at_stake(&detail),
        common_is_bookmark,
        heads: heads(&detail, directory),
        suggested: detail.suggested,
        decision,
        report: detail,
    }
}

/// Where each member stands that the conflict is about.
fn heads(detail: &Found, directory: &Directory) -> Vec<Head> {
    let sides = [&detail.source, &detail.target].into_iter().chain(&detail.other_heads);
    let head = |side: &ConflictSide| Head {
        system: directory.hostname(side.system),
        dataset: side.dataset.to_string(),
        snapshot: side.head.as_ref().map(|head| head.label.to_string()),
    };
    sides.map(head).collect()
}

/// Bytes that exist on the target only. `None` where snapshots do whose bytes are counted for none of them.
const fn at_stake(detail: &Found) -> Option<u64> {
    match (detail.bytes_at_stake, detail.target.only_here_count) {
        (0, 1..) => None,
        (bytes, _) => Some(bytes),
    }
}

/// True when the target alone has the last common snapshot, so that it is among those that the source lacks: the source has a bookmark of
/// it. Bookmarks have names that say nothing to people; it gets the one that it has on the target.
pub(super) fn name_common(detail: &mut Found) -> bool {
    let Some(common) = &mut detail.last_common else { return false };
    let only_there = detail.target.only_here.iter().find(|snapshot| snapshot.guid == common.guid);
    if let Some(snapshot) = only_there {
        common.label = snapshot.label.clone();
    }
    only_there.is_some()
}

/// The same where so many snapshots are newer on the target that the conflict does not list the last common one.
async fn look_up_common(state: &AppState, detail: &mut Found) -> Answer<bool> {
    let listed = u32::try_from(detail.target.only_here.len()).unwrap_or(u32::MAX);
    if name_common(detail) {
        return Ok(true);
    }
    let Found { last_common: Some(common), source, target, .. } = detail else { return Ok(false) };
    if listed == target.only_here_count {
        return Ok(false);
    }
    let of = async |side: &ConflictSide| {
        let dataset = state.store.inventory_dataset(side.system, &side.dataset).await?;
        Answer::Ok(dataset.and_then(|dataset| dataset.snapshot(common.guid).cloned()))
    };
    if of(source).await?.is_some() {
        return Ok(false);
    }
    let Some(snapshot) = of(target).await? else { return Ok(false) };
    common.label = snapshot.label;
    Ok(true)
}

/// One conflict, with everything that is read for it.
pub(crate) async fn show_one_conflict(state: &AppState, mut row: ConflictRow) -> Answer<Conflict> {
    let common_is_bookmark = look_up_common(state, &mut row.detail).await?;
    let decisions = Standing::load(state, [row.group]).await?;
    Ok(show_conflict(row, common_is_bookmark, &decisions, &Directory::load(state).await?, state.now()))
}

/// The conflict with this identity.
pub(crate) async fn conflict(state: &AppState, id: ConflictId) -> Answer<ConflictRow> {
    state.store.conflict(id).await?.ok_or_else(|| no_conflict(id))
}

/// Nobody knows of it.
pub(crate) fn no_conflict(id: ConflictId) -> ApiError {
    ApiError::new(ErrorCode::ConflictNotFound, format!("there is no conflict {id}"))
        .hint("`zfs-sync conflict list --state all` shows all; what was over long ago is forgotten")
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
    let decisions = Standing::load(state, rows.iter().map(|row| row.group)).await?;
    let most = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let wanted =
        rows.into_iter().filter(|row| wanted.is_none_or(|wanted| standing(row, now) == wanted)).take(most);
    let mut shown = Vec::new();
    for mut row in wanted {
        let common_is_bookmark = look_up_common(state, &mut row.detail).await?;
        let Found { source, target, other_heads, .. } = &mut row.detail;
        for side in [source, target].into_iter().chain(other_heads) {
            side.only_here.truncate(NAMED_IN_LISTS);
        }
        shown.push(show_conflict(row, common_is_bookmark, &decisions, &directory, now));
    }
    Ok(shown)
}
