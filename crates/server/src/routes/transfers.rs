//! Transfers: lists for people, progress and results from agents.

use axum::{Json, extract::State};
use rand::Rng as _;
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;
use zfs_sync_api::{
    codes::ErrorCode,
    v1::{
        agent::{ProgressAnswer, ProgressReport, TransferOutcome, TransferResult},
        certificate::{Purpose, SignedTicket, TransportUsed},
        transfer::Transfer,
    },
};
use zfs_sync_core::{
    flow::FlowReport,
    ids::{GroupId, SystemId, TransferId},
};
use zfs_sync_store::{
    Error as StoreError, FinishOutcome, Outcome, Progress, RenewOutcome, SystemSeen, TransferFilter,
    TransferRow, TransferState,
};

use super::agent::lease_until;
use crate::{
    auth::{Actor, Caller},
    error::{Answer, ApiError},
    extract::{Body, Id, Params},
    planning::{AfterFailure, after_failure, ticket},
    state::AppState,
    views,
};

/// What a page of people's lists holds.
const DEFAULT_LIMIT: u64 = 100;
/// More bytes of words than this come from a tool that went wild.
const LONGEST_DETAIL: usize = 16 * 1024;

pub(super) fn not_found(id: TransferId) -> ApiError {
    ApiError::new(ErrorCode::TransferNotFound, format!("there is no transfer {id}"))
        .hint("`zfs-sync transfer list` shows the newest")
}

async fn row(state: &AppState, id: TransferId) -> Answer<TransferRow> {
    state.store.transfer(id).await?.ok_or_else(|| not_found(id))
}

/// Which transfers
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct TransferQuery {
    /// Of this group, by id or name.
    group: Option<String>,
    /// To, from or by this system, by id or host name.
    system: Option<String>,
    /// Only those that have not ended (`true`) or have (`false`).
    unfinished: Option<bool>,
    /// In this state: `queued`, `leased`, `succeeded`, `failed`, `cancelled`, `stale`.
    state: Option<String>,
    /// At most so many, newest first; 100 when absent.
    limit: Option<u64>,
}

/// Transfers, newest first
#[utoipa::path(
    get, path = "/transfers", tag = "transfers", params(TransferQuery),
    responses((status = 200, body = Vec<Transfer>)),
)]
pub(super) async fn list_transfers(
    State(state): State<AppState>,
    Params(query): Params<TransferQuery>,
) -> Answer<Json<Vec<Transfer>>> {
    let mut filter = TransferFilter {
        unfinished: query.unfinished,
        limit: Some(query.limit.unwrap_or(DEFAULT_LIMIT).min(i64::MAX.cast_unsigned())),
        ..TransferFilter::default()
    };
    if let Some(text) = query.group {
        filter.group = Some(group_in_query(&state, "?group", &text).await?);
    }
    if let Some(text) = query.system {
        filter.system = Some(system_in_query(&state, &text).await?);
    }
    if let Some(text) = query.state {
        let Some(of) = TransferState::from_name(&text) else {
            let names = TransferState::ALL.map(TransferState::as_str).join(", ");
            return Err(ApiError::at(
                "?state",
                ErrorCode::ValueInvalid,
                format!("a state is one of {names}"),
            ));
        };
        filter.states = vec![of];
    }
    views::transfers(&state, &filter).await.map(Json)
}

/// The group that a query names.
pub(super) async fn group_in_query(state: &AppState, pointer: &str, text: &str) -> Answer<GroupId> {
    let row = match text.parse() {
        Ok(id) => state.store.group(id).await?,
        Err(_) => state.store.group_by_name(text).await?,
    };
    let row = row.ok_or_else(|| {
        ApiError::at(pointer, ErrorCode::GroupNotFound, format!("there is no sync group {text}"))
            .hint("`zfs-sync group list` shows all")
    })?;
    Ok(row.group.id)
}

/// The system that a query names.
pub(super) async fn system_in_query(state: &AppState, text: &str) -> Answer<SystemId> {
    let row = views::system_named(state, text).await?;
    let row = row.ok_or_else(|| {
        ApiError::at("?system", ErrorCode::SystemNotFound, format!("there is no system {text}"))
            .hint("`zfs-sync system list` shows all")
    })?;
    Ok(row.id)
}

async fn shown(state: &AppState, row: TransferRow) -> Answer<Json<Transfer>> {
    views::show_one_transfer(state, row).await.map(Json)
}

/// One transfer
#[utoipa::path(
    get, path = "/transfers/{transfer_id}", tag = "transfers", params(("transfer_id" = uuid::Uuid, Path)),
    responses((status = 200, body = Transfer)),
)]
pub(super) async fn find_transfer(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id<TransferId>,
) -> Answer<Json<Transfer>> {
    let row = row(&state, id).await?;
    caller.only_for(row.executor)?;
    shown(&state, row).await
}

/// Stops a transfer; what was received stays resumable
#[utoipa::path(
    post, path = "/transfers/{transfer_id}/cancel", tag = "transfers",
    params(("transfer_id" = uuid::Uuid, Path)), responses((status = 200, body = Transfer)),
)]
pub(super) async fn cancel_transfer(
    State(state): State<AppState>,
    actor: Actor,
    Id(id): Id<TransferId>,
) -> Answer<Json<Transfer>> {
    let before = row(&state, id).await?;
    if before.state.is_finished() {
        let detail = format!("the transfer has {} already", ended(before.state));
        return Err(ApiError::new(ErrorCode::TransferFinished, detail));
    }
    let after =
        state.store.cancel_transfer(id, &actor.name(), state.now()).await?.ok_or_else(|| not_found(id))?;
    let detail = json!({ "was": before.state.as_str(), "target": after.target });
    state.audit(&actor, "transfer.cancel", format!("transfer:{id}"), detail).await;
    changed(&state, &after).await;
    shown(&state, after).await
}

/// Starts a parked or waiting transfer again
#[utoipa::path(
    post, path = "/transfers/{transfer_id}/retry", tag = "transfers",
    params(("transfer_id" = uuid::Uuid, Path)), responses((status = 200, body = Transfer)),
)]
pub(super) async fn retry_transfer(
    State(state): State<AppState>,
    actor: Actor,
    Id(id): Id<TransferId>,
) -> Answer<Json<Transfer>> {
    let before = row(&state, id).await?;
    if matches!(before.state, TransferState::Succeeded | TransferState::Stale) {
        let detail = format!("the transfer has {} and is not started again", ended(before.state));
        return Err(ApiError::new(ErrorCode::TransferFinished, detail)
            .hint("`zfs-sync sync execute` starts what is still to be done"));
    }
    let after = match state.store.retry_transfer(id, state.now()).await {
        Ok(row) => row.ok_or_else(|| not_found(id))?,
        Err(StoreError::Conflict { what }) => return Err(ApiError::new(ErrorCode::Locked, what)),
        Err(error) => return Err(error.into()),
    };
    let detail = json!({ "was": before.state.as_str(), "target": after.target });
    state.audit(&actor, "transfer.retry", format!("transfer:{id}"), detail).await;
    changed(&state, &after).await;
    shown(&state, after).await
}

const fn ended(state: TransferState) -> &'static str {
    match state {
        TransferState::Succeeded => "succeeded",
        TransferState::Failed => "failed",
        TransferState::Cancelled => "been cancelled",
        TransferState::Stale => "become stale",
        TransferState::Queued | TransferState::Leased => "not ended",
    }
}

/// Tells everybody whom it concerns.
async fn changed(state: &AppState, row: &TransferRow) {
    let data = json!({
        "transfer_id": row.id,
        "sync_group_id": row.group,
        "dataset": row.target,
        "state": row.state.as_str(),
        "error_code": row.error_code,
    });
    state.events.publish("transfer_changed", data).await;
    state.wake.system(row.executor);
    state.wake.transfers_changed([row]);
}

/// The transfer that an agent speaks of, which must be its own.
async fn own(state: &AppState, caller: &Caller, id: TransferId) -> Answer<TransferRow> {
    let row = row(state, id).await?;
    caller.only_for(row.executor)?;
    Ok(row)
}

fn lease_lost(id: TransferId, generation: u64) -> ApiError {
    let detail = format!(
        "generation {generation} of transfer {id} is over: the lease has expired, or was given again"
    );
    ApiError::new(ErrorCode::LeaseLost, detail)
        .hint("stop this attempt; the witness leases what is still to be done")
}

/// How far a transfer is; renews the lease
#[utoipa::path(
    post, path = "/transfers/{transfer_id}/progress", tag = "agent",
    params(("transfer_id" = uuid::Uuid, Path)), request_body = ProgressReport,
    responses((status = 200, body = ProgressAnswer)),
)]
pub(super) async fn report_progress(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id<TransferId>,
    Body(body): Body<ProgressReport>,
) -> Answer<Json<ProgressAnswer>> {
    let row = own(&state, &caller, id).await?;
    let now = state.now();
    let progress = Progress {
        bytes: body.bytes,
        total: body.total,
        rate: Some(body.rate),
        stage: Some(short(body.stage, 64)),
        resumed_from: body.resumed_from,
        flow: body.flow.map(|flow| FlowReport {
            waits_for: flow.waits_for.map(|text| short(text, 64)),
            compression: flow.compression.map(|text| short(text, 256)),
            ..flow
        }),
    };
    let until = lease_until(&state, now)?;
    match state.store.renew_transfer(id, body.generation, &progress, now, until).await? {
        RenewOutcome::Renewed { cancel_requested } => {
            state.store.touch_system(row.executor, &SystemSeen::default(), now).await?;
            note_transport(&state, id, body.generation, body.transport).await?;
            let data = json!({
                "transfer_id": id,
                "sync_group_id": row.group,
                "dataset": row.target,
                "bytes": body.bytes,
                "total": body.total,
                "rate": body.rate,
                "stage": progress.stage,
                "flow": progress.flow,
            });
            state.events.pass("transfer_progress", data);
            let limits = Some(state.store.transfer_limits(&row).await?);
            let ticket =
                if body.wants_ticket { renewed_ticket(&state, &row, body.generation).await? } else { None };
            Ok(Json(ProgressAnswer { cancel: cancel_requested, limits, ticket }))
        }
        RenewOutcome::Lost => Err(lease_lost(id, body.generation)),
    }
}

/// For the session of a lease that was renewed; `None` where the other side does not listen, or the lease is another one meanwhile.
async fn renewed_ticket(
    state: &AppState,
    row: &TransferRow,
    generation: u64,
) -> Answer<Option<SignedTicket>> {
    let other = if row.executor == row.source_system { row.target_system } else { row.source_system };
    if row.generation != generation || other == row.executor || row.step.action.is_local() {
        return Ok(None);
    }
    match state.store.system(other).await? {
        Some(other) => ticket(state, row, &other, Purpose::Transfer).await,
        None => Ok(None),
    }
}

/// Kept when it is told, which is once or twice an attempt.
async fn note_transport(
    state: &AppState,
    id: TransferId,
    generation: u64,
    used: Option<TransportUsed>,
) -> Answer<()> {
    let Some(TransportUsed { kind, note }) = used else { return Ok(()) };
    let note = note.map(|note| short(note, LONGEST_DETAIL));
    state.store.note_transport(id, generation, &short(kind, 16), note.as_deref()).await?;
    Ok(())
}

fn short(text: String, most: usize) -> String {
    if text.len() <= most { text } else { text.chars().take(most).collect() }
}

/// How a transfer ended
#[utoipa::path(
    post, path = "/transfers/{transfer_id}/result", tag = "agent",
    params(("transfer_id" = uuid::Uuid, Path)), request_body = TransferResult,
    responses((status = 200, body = Transfer)),
)]
pub(super) async fn report_result(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id<TransferId>,
    Body(body): Body<TransferResult>,
) -> Answer<Json<Transfer>> {
    let before = own(&state, &caller, id).await?;
    let now = state.now();
    let outcome = outcome(&state, &before, &body).await?;
    note_transport(&state, id, body.generation, body.transport.clone()).await?;
    let after = match state.store.finish_transfer(id, body.generation, &outcome, now).await? {
        FinishOutcome::Finished(row) => *row,
        FinishOutcome::Lost => return Err(lease_lost(id, body.generation)),
    };
    tell(&after);
    if matches!(after.state, TransferState::Succeeded | TransferState::Stale) {
        // What the transfer changed, or what made it stale, is in no report yet.
        for system in [after.source_system, after.target_system] {
            state.store.want_report(system, now).await?;
            state.wake.system(system);
        }
    }
    changed(&state, &after).await;
    shown(&state, after).await
}

/// What the queue makes of it: done, again later, or not again.
async fn outcome(state: &AppState, row: &TransferRow, body: &TransferResult) -> Answer<Outcome> {
    let now = state.now();
    let failed = |code: &str, detail: &str, retryable: bool, attempts: u32| {
        let random = rand::rng().random_range(-1.0..=1.0);
        match after_failure(code, &short(detail.to_owned(), LONGEST_DETAIL), retryable, attempts, random) {
            AfterFailure::Park(code, detail) => Ok(Outcome::Failed { code, detail, retry_at: None }),
            AfterFailure::Retry(wait) => {
                let retry_at = now.checked_add(wait).map_err(ApiError::internal)?;
                let detail = short(detail.to_owned(), LONGEST_DETAIL);
                Ok(Outcome::Failed { code: code.to_owned(), detail, retry_at: Some(retry_at) })
            }
        }
    };
    match &body.outcome {
        TransferOutcome::Succeeded => {
            Ok(Outcome::Succeeded { bytes: body.bytes, resumed_from: body.resumed_from })
        }
        TransferOutcome::Stale { detail } => {
            Ok(Outcome::Stale { detail: short(detail.clone(), LONGEST_DETAIL) })
        }
        TransferOutcome::Cancelled => Ok(Outcome::Cancelled),
        TransferOutcome::Interrupted => Ok(Outcome::Failed {
            code: ErrorCode::TransferInterrupted.code().to_owned(),
            detail: "the agent stopped; it continues when it is back".to_owned(),
            retry_at: Some(now),
        }),
        TransferOutcome::Failed { code, detail, retryable } => {
            let Some(known) = ErrorCode::from_code(code) else {
                let detail = "the code is not one of the registry; `zfs-sync explain` lists them";
                return Err(ApiError::at("/code", ErrorCode::CodeUnknown, detail));
            };
            let has_progress = has_progress(known, body, row);
            if is_damaged_again(known, body, row) {
                let detail = format!(
                    "{detail}; it was damaged at the same place before, so that the way, a disk or the memory of one host is to be suspected"
                );
                let detail = short(detail, LONGEST_DETAIL);
                return Ok(Outcome::Failed { code: known.code().to_owned(), detail, retry_at: None });
            }
            // The store counts attempts anew after one that moved data: what came stays, and the next attempt continues.
            let progress = Progress {
                bytes: if has_progress { body.bytes } else { 0 },
                resumed_from: body.resumed_from,
                ..Progress::default()
            };
            state
                .store
                .renew_transfer(row.id, body.generation, &progress, now, lease_until(state, now)?)
                .await?;
            failed(known.code(), detail, *retryable, if has_progress { 1 } else { row.attempts })
        }
    }
}

/// True when the attempt moved data that the next one need not move again: the way between both hosts broke, and what had arrived is
/// continued. One that began where the attempt before began shows that nothing of that was kept. Any other failure may come again after the
/// same bytes, and must not be repeated for ever.
fn has_progress(code: ErrorCode, body: &TransferResult, row: &TransferRow) -> bool {
    let broke = matches!(
        code,
        ErrorCode::TransferInterrupted
            | ErrorCode::TransferStalled
            | ErrorCode::SshUnreachable
            | ErrorCode::TlsUnreachable
            | ErrorCode::StreamCorrupt
    );
    broke && body.bytes > 0 && !began_as_before(body, row)
}

/// True when the attempt before got nothing across that was kept. The first one has nothing to be compared with.
fn began_as_before(body: &TransferResult, row: &TransferRow) -> bool {
    row.began_at_byte.is_some_and(|before| body.resumed_from.unwrap_or(0) <= before)
}

/// True when a whole stream arrived damaged twice in a row, at the same place: then it is no accident.
fn is_damaged_again(code: ErrorCode, body: &TransferResult, row: &TransferRow) -> bool {
    let before = row.error_code.as_deref() == Some(ErrorCode::StreamCorrupt.code());
    code == ErrorCode::StreamCorrupt && before && row.began_at_byte == Some(body.resumed_from.unwrap_or(0))
}

fn tell(row: &TransferRow) {
    let TransferRow { id, target, state, attempts, .. } = row;
    let code = row.error_code.as_deref().unwrap_or_default();
    match state {
        TransferState::Failed => {
            let detail = row.error_detail.as_deref().unwrap_or_default();
            tracing::warn!(transfer = %id, dataset.name = %target, code, attempts, "{target} is parked: {code}: {detail}");
        }
        TransferState::Queued => {
            tracing::info!(transfer = %id, dataset.name = %target, code, attempts, "{target} is tried again: {code}");
        }
        TransferState::Leased
        | TransferState::Succeeded
        | TransferState::Cancelled
        | TransferState::Stale => {
            let bytes = row.bytes;
            tracing::info!(transfer = %id, dataset.name = %target, bytes, "{target}: {}", state.as_str());
        }
    }
}
