//! Transfers as they are shown.

use zfs_sync_api::v1::transfer::Transfer;
use zfs_sync_core::{flow::FlowReport, time::Timestamp};
use zfs_sync_store::{Course, Crowded, TransferCaps, TransferFilter, TransferRow, TransferState, Turns};

use super::{Directory, summary};
use crate::{error::Answer, state::AppState};

/// One transfer.
fn show_transfer(row: TransferRow, directory: &Directory) -> Transfer {
    let stalled = row.state == TransferState::Leased && row.flow.as_ref().is_some_and(FlowReport::is_stalled);
    Transfer {
        id: row.id,
        group_id: row.group,
        source_system: directory.hostname(row.source_system),
        target_system: directory.hostname(row.target_system),
        executor: directory.hostname(row.executor),
        source: row.source.to_string(),
        target: row.target.to_string(),
        summary: summary(&row.step, directory),
        state: row.state.as_str().to_owned(),
        generation: row.generation,
        attempts: row.attempts,
        next_attempt_at: (row.state == TransferState::Queued).then_some(row.next_attempt_at),
        cancel_requested: row.cancel_requested,
        bytes: row.bytes,
        total: row.total,
        rate: row.rate.unwrap_or(0),
        stage: row.stage,
        resumed_from: row.resumed_from,
        transport: row.transport,
        transport_note: row.transport_note,
        error_code: row.error_code,
        error_detail: row.error_detail,
        created_at: row.created_at,
        started_at: row.started_at,
        updated_at: row.updated_at,
        finished_at: row.finished_at,
        flow: row.flow,
        stalled,
        step: row.step,
    }
}

/// Transfers that are queued or leased.
pub(crate) fn unfinished_transfers(limit: u64) -> TransferFilter {
    TransferFilter { unfinished: Some(true), limit: Some(limit), ..TransferFilter::default() }
}

/// Transfers that have ended.
pub(crate) fn finished_transfers(limit: u64) -> TransferFilter {
    TransferFilter { unfinished: Some(false), limit: Some(limit), ..TransferFilter::default() }
}

/// Transfers, newest first.
pub(crate) async fn transfers(state: &AppState, filter: &TransferFilter) -> Answer<Vec<Transfer>> {
    let rows = state.store.transfers(filter).await?;
    let shower = Shower::load(state, &rows).await?;
    Ok(rows.into_iter().map(|row| shower.show(row)).collect())
}

/// One transfer, as in a list.
pub(crate) async fn show_one_transfer(state: &AppState, row: TransferRow) -> Answer<Transfer> {
    Ok(Shower::load(state, std::slice::from_ref(&row)).await?.show(row))
}

/// What has to be known to show transfers.
#[derive(Debug)]
struct Shower {
    directory: Directory,
    turns: Turns,
    caps: TransferCaps,
    now: Timestamp,
}

impl Shower {
    async fn load(state: &AppState, rows: &[TransferRow]) -> Answer<Self> {
        let now = state.now();
        let any = rows.iter().any(|row| is_due(row, now));
        let turns = if any { state.store.turns().await? } else { Turns::default() };
        Ok(Self { directory: Directory::load(state).await?, turns, caps: state.settings.transfer_caps, now })
    }

    /// What is due and has not begun says what it waits for.
    fn show(&self, row: TransferRow) -> Transfer {
        let Self { directory, turns, caps, now } = self;
        let place = if is_due(&row, *now) { turns.in_the_way(caps, &Course::from(&row)) } else { None };
        let waits = place.map(|place| waits_for(&place, turns.running(&place), directory));
        let shown = show_transfer(row, directory);
        Transfer { stage: waits.or(shown.stage), ..shown }
    }
}

fn is_due(row: &TransferRow, now: Timestamp) -> bool {
    row.state == TransferState::Queued && row.next_attempt_at <= now
}

/// Why a transfer has to wait for its turn.
fn waits_for(place: &Crowded, running: u32, directory: &Directory) -> String {
    let (place, setting) = match place {
        Crowded::System(system) => {
            (format!("with {}", directory.hostname(*system)), "max_transfers_per_system")
        }
        Crowded::Pool(system, pool) => {
            (format!("with {pool} on {}", directory.hostname(*system)), "max_transfers_per_pool")
        }
        Crowded::Link(one, other) => (
            format!("between {} and {}", directory.hostname(*one), directory.hostname(*other)),
            "max_transfers_per_link",
        ),
    };
    format!("waits for its turn: {running} run {place} ({setting})")
}
