//! Transfers as they are shown.

use zfs_sync_api::v1::transfer::Transfer;
use zfs_sync_core::flow::FlowReport;
use zfs_sync_store::{TransferFilter, TransferRow, TransferState};

use super::{Directory, summary};
use crate::{error::Answer, state::AppState};

/// One transfer.
pub(crate) fn show_transfer(row: TransferRow, directory: &Directory) -> Transfer {
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
    let directory = Directory::load(state).await?;
    let rows = state.store.transfers(filter).await?;
    Ok(rows.into_iter().map(|row| show_transfer(row, &directory)).collect())
}
