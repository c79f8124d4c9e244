//! What the queue has to say about a group's replicas.

use std::{collections::BTreeMap, mem::discriminant};

use jiff::SignedDuration;
use zfs_sync_api::codes::ErrorCode;
use zfs_sync_core::{
    group::SyncGroup,
    ids::{SystemId, TransferId},
    name::DatasetName,
    plan::{Action, Reason, Running, Step},
    time::Timestamp,
};
use zfs_sync_store::{ParkedReplica, SystemRow, TransferFilter, TransferRow, TransferState};

use super::Fleet;
use crate::{error::Answer, state::AppState};

/// A dataset on the system that receives it.
pub(super) type Target = (SystemId, DatasetName);

/// A replica whose transfer waits for its next attempt, or for a person.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) transfer: TransferId,
    pub(super) why: String,
    pub(super) reason: Reason,
    /// When it is tried again.
    pub(super) next_at: Option<Timestamp>,
    /// Who would have sent, and what it was about to do.
    step: (SystemId, Action),
    /// True when it is still queued.
    pub(super) queued: bool,
}

impl Waiting {
    /// True when it waits with the same kind of step. That a send can not succeed says nothing about setting its target aside, which
    /// may be just what makes room for it; and that one member can not send says nothing about another.
    pub(super) fn holds(&self, step: &Step) -> bool {
        let (sender, action) = &self.step;
        discriminant(action) == discriminant(&step.action) && *sender == step.source_system
    }
}

/// Stale answers in a row that are nothing to worry about: the world moves.
const STALE_AT_ONCE: usize = 3;
/// How far back stale answers are counted; longer than the longest wait between two of them.
const STALE_WITHIN: SignedDuration = SignedDuration::from_mins(40);
/// The longest wait.
const STALE_WAIT: SignedDuration = SignedDuration::from_mins(15);

/// The end of a transfer that reports of both sides have not confirmed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settling {
    pub(crate) source: SystemId,
    pub(crate) target: SystemId,
    pub(crate) dataset: DatasetName,
    pub(crate) finished_at: Timestamp,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) running: Vec<Running>,
    pub(super) waiting: BTreeMap<Target, Waiting>,
    pub(super) settling: Vec<Settling>,
    /// Senders that did not reach a receiver the last time.
    pub(super) unreachable: std::collections::BTreeSet<(SystemId, SystemId)>,
}

impl Queue {
    pub(super) async fn load(state: &AppState, fleet: &Fleet, group: &SyncGroup) -> Answer<Self> {
        let unfinished = state.store.unfinished_transfers(group.id).await?;
        let succeeded = TransferFilter {
            group: Some(group.id),
            states: vec![TransferState::Succeeded],
            // Older ones are confirmed by every member's report, so that they need not be read.
            finished_since: oldest_report(fleet, group),
            ..TransferFilter::default()
        };
        let settling = state.store.transfers(&succeeded).await?;
        let settling: Vec<TransferRow> = settling.into_iter().filter(|row| !is_settled(row, fleet)).collect();
        let (backoff, busy): (Vec<_>, Vec<_>) =
            unfinished.into_iter().partition(|row| is_waiting(row, fleet.now));
        // Nobody waits for the report of a system that is silent: its replicas are unknown, not on their way, and nothing is planned.
        let awaited = |row: &&TransferRow| {
            fleet.is_fresh(state, row.source_system) && fleet.is_fresh(state, row.target_system)
        };
        let awaited = settling.iter().filter(awaited);
        let running = busy.iter().chain(awaited).map(running).collect();
        let codes = [ErrorCode::SshUnreachable.code(), ErrorCode::TlsUnreachable.code()];
        let failed_so = |code: &str| codes.contains(&code);
        let unreachable = backoff.iter().filter(|row| row.error_code.as_deref().is_some_and(failed_so));
        let unreachable = unreachable.map(|row| (row.source_system, row.target_system)).collect();

        let mut waiting = BTreeMap::new();
        for parked in state.store.parked_replicas(group.id).await? {
            waiting.insert((parked.target_system, parked.target.clone()), parked_words(&parked));
        }
        for (target, stale) in stale_again(state, fleet, group).await? {
            waiting.insert(target, stale);
        }
        for row in backoff {
            waiting.insert((row.target_system, row.target.clone()), backoff_words(row));
        }
        let settling = settling.into_iter().filter_map(|row| {
            let finished_at = row.finished_at?;
            Some(Settling {
                source: row.source_system,
                target: row.target_system,
                dataset: row.target,
                finished_at,
            })
        });
        Ok(Self { running, waiting, settling: settling.collect(), unreachable })
    }
}

/// Replicas whose executor finds the same step stale again and again. Plan and host disagree about something that reports do not show;
/// without a pause both would go on as fast as they can.
async fn stale_again(
    state: &AppState,
    fleet: &Fleet,
    group: &SyncGroup,
) -> Answer<BTreeMap<Target, Waiting>> {
    let filter = TransferFilter {
        group: Some(group.id),
        states: vec![TransferState::Stale],
        finished_since: fleet.now.checked_sub(STALE_WITHIN).ok(),
        ..TransferFilter::default()
    };
    let mut by_target: BTreeMap<Target, Vec<TransferRow>> = BTreeMap::new();
    for row in state.store.transfers(&filter).await? {
        by_target.entry((row.target_system, row.target.clone())).or_default().push(row);
    }
    let mut waiting = BTreeMap::new();
    for (target, mut rows) in by_target {
        rows.sort_by_key(|row| std::cmp::Reverse(row.finished_at));
        let Some(newest) = rows.first() else { continue };
        let same = rows.iter().take_while(|row| row.step == newest.step).count();
        let (Some(finished_at), Some(more)) = (newest.finished_at, same.checked_sub(STALE_AT_ONCE)) else {
            continue;
        };
        let seconds = 2_i64.saturating_pow(u32::try_from(more + 1).unwrap_or(u32::MAX));
        let next_at = finished_at.checked_add(SignedDuration::from_secs(seconds).min(STALE_WAIT));
        if let Ok(next_at) = next_at
            && next_at > fleet.now
        {
            waiting.insert(target, stale_words(newest, same, next_at));
        }
    }
    Ok(waiting)
}

fn stale_words(row: &TransferRow, times: usize, next_at: Timestamp) -> Waiting {
    let detail = row.error_detail.as_deref().unwrap_or("things had changed");
    let at = next_at.strftime("%H:%M:%S");
    let id = row.id;
    let why = format!(
        "The step was found outdated {times} times in a row ({detail}); it is tried again at {at} UTC (`zfs-sync transfer show {id}`)."
    );
    let step = (row.source_system, row.step.action.clone());
    Waiting { transfer: id, why, reason: Reason::Backoff, next_at: Some(next_at), step, queued: false }
}

fn running(row: &TransferRow) -> Running {
    let renames = matches!(row.step.action, Action::SetAside { .. } | Action::FollowRename { .. });
    let destroys = row.step.action.destroys().iter().map(|lost| lost.guid).collect();
    Running {
        transfer: row.id,
        target_system: row.target_system,
        target: row.target.clone(),
        renames,
        destroys,
    }
}

/// What the oldest inventory of all members shows; `None` where one has never reported.
fn oldest_report(fleet: &Fleet, group: &SyncGroup) -> Option<Timestamp> {
    let known = group.members.iter().filter_map(|member| fleet.systems.get(member));
    let reports: Option<Vec<Timestamp>> = known.map(SystemRow::inventory_shows).collect();
    reports?.into_iter().min()
}

/// True when both sides were looked at since it ended: their inventories show what it brought.
fn is_settled(row: &TransferRow, fleet: &Fleet) -> bool {
    let Some(finished_at) = row.finished_at else { return false };
    let reported = |id| {
        // A system that is gone never reports again; the plan says what that means.
        fleet
            .systems
            .get(&id)
            .is_none_or(|system| system.inventory_shows().is_some_and(|shown| shown > finished_at))
    };
    reported(row.source_system) && reported(row.target_system)
}

/// True when it failed and its next attempt is still to come.
fn is_waiting(row: &TransferRow, now: Timestamp) -> bool {
    row.state == TransferState::Queued && row.error_code.is_some() && row.next_attempt_at > now
}

fn parked_words(parked: &ParkedReplica) -> Waiting {
    let id = parked.transfer;
    let why = match &parked.code {
        Some(code) => format!(
            "Nothing, until a person decides: the transfer ended with {code} (`zfs-sync transfer show {id}`). When the cause is gone: \
             `zfs-sync transfer retry {id}`."
        ),
        None => format!(
            "Nothing: the transfer was cancelled. To start it again: `zfs-sync transfer retry {id}`; what was received is continued."
        ),
    };
    let step = (parked.step.source_system, parked.step.action.clone());
    Waiting { transfer: id, why, reason: Reason::Parked, next_at: None, step, queued: false }
}

fn backoff_words(row: TransferRow) -> Waiting {
    let code = row.error_code.as_deref().unwrap_or("E_INTERNAL");
    let at = row.next_attempt_at.strftime("%H:%M:%S");
    let id = row.id;
    let why = format!(
        "The last attempt failed with {code}; the next one follows at {at} UTC (`zfs-sync transfer show {id}`)."
    );
    Waiting {
        transfer: id,
        why,
        reason: Reason::Backoff,
        next_at: Some(row.next_attempt_at),
        step: (row.source_system, row.step.action),
        queued: true,
    }
}
