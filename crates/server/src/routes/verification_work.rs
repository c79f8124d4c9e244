//! Verifications, as the agents of both systems work on them.

use std::time::Duration;

use axum::{Json, extract::State};
use tokio::time::Instant;
use zfs_sync_api::{
    codes::ErrorCode,
    v1::verification::{ExchangeAnswer, ExchangeRequest, VerificationTask, WhichSide},
};
use zfs_sync_core::ids::{SystemId, VerificationId};
use zfs_sync_store::{Exchanged, Side, SideWord, VerificationRow};

use super::{
    agent::lease_until,
    verifications::{changed, not_found},
};
use crate::{
    auth::Caller,
    error::{Answer, ApiError},
    extract::{Body, Id, REPORT_LIMIT},
    state::AppState,
};

/// Proxies commonly cut silent requests after 60 s.
const LONGEST_WAIT_MS: u64 = 30_000;
/// How often a waiting request looks at the database by itself: the other agent may speak to another witness.
const LOOK: Duration = Duration::from_secs(1);

/// What a system's agent is to read.
pub(super) async fn lease(state: &AppState, system: SystemId, max: u32) -> Answer<Vec<VerificationTask>> {
    if max == 0 || state.shutdown.is_cancelled() {
        return Ok(Vec::new());
    }
    let now = state.now();
    let leased = state.store.lease_verifications(system, max, now, lease_until(state, now)?).await?;
    let task = |(row, side): (VerificationRow, Side)| VerificationTask {
        id: row.id,
        side: match side {
            Side::Left => WhichSide::Left,
            Side::Right => WhichSide::Right,
        },
        generation: row.generation,
        lease_ms: u64::try_from(state.settings.lease.as_millis()).unwrap_or(u64::MAX),
        snapshot: row.side(side).snapshot.clone(),
        rate: row.rate,
    };
    Ok(leased.into_iter().map(task).collect())
}

/// An agent answers questions, and waits for more
#[utoipa::path(
    post, path = "/verifications/{verification_id}/exchange", tag = "agent",
    params(("verification_id" = uuid::Uuid, Path)), request_body = ExchangeRequest,
    responses((status = 200, body = ExchangeAnswer)),
)]
pub(super) async fn exchange_verification(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id<VerificationId>,
    Body(body): Body<ExchangeRequest, REPORT_LIMIT>,
) -> Answer<Json<ExchangeAnswer>> {
    if body.wait_ms > LONGEST_WAIT_MS {
        let detail = format!("the witness waits at most {LONGEST_WAIT_MS} milliseconds");
        return Err(ApiError::at("/wait_ms", ErrorCode::ValueRange, detail));
    }
    let row = state.store.verification(id).await?.ok_or_else(|| not_found(id))?;
    let side = match body.side {
        WhichSide::Left => Side::Left,
        WhichSide::Right => Side::Right,
    };
    let system = row.side(side).system;
    caller.only_for(system)?;
    let ExchangeRequest { generation, round, answers, entries, bytes, wait_ms, side: _ } = body;
    let mut word = SideWord { generation, side, round, answers, entries, bytes };
    let deadline = Instant::now() + Duration::from_millis(wait_ms);
    let notify = state.wake.of_system(system);
    let mut heard: Option<Instant> = None;
    loop {
        let mut woken = std::pin::pin!(notify.notified());
        // From here on a wake-up counts, so that none falls between looking and waiting.
        woken.as_mut().enable();
        // While nothing happens it is enough to look; saying it again renews the lease.
        let is_quiet = match heard {
            Some(at) if at.elapsed() < state.settings.lease / 3 && Instant::now() < deadline => {
                let row = state.store.verification(id).await?.ok_or_else(|| not_found(id))?;
                row.generation == generation && row.comparison.is_some_and(|present| present.round() == round)
            }
            _ => false,
        };
        if is_quiet && !state.shutdown.is_cancelled() {
            wait(&state, woken, deadline).await;
            continue;
        }
        let now = state.now();
        heard = Some(Instant::now());
        match state.store.exchange_verification(id, &word, now, lease_until(&state, now)?).await? {
            Exchanged::Lost => {
                let detail = format!("generation {generation} of verification {id} is over");
                return Err(ApiError::new(ErrorCode::LeaseLost, detail));
            }
            Exchanged::Over { row, moved } => {
                if moved {
                    tell(&row);
                    changed(&state, &row).await;
                }
                return Ok(Json(ExchangeAnswer { over: true, round, questions: Vec::new() }));
            }
            Exchanged::Asked { round: present, questions, moved } => {
                if moved {
                    state.wake.system(row.left.system);
                    state.wake.system(row.right.system);
                }
                let is_new = present != round;
                if is_new || Instant::now() >= deadline || state.shutdown.is_cancelled() {
                    let questions = if is_new { questions } else { Vec::new() };
                    return Ok(Json(ExchangeAnswer { over: false, round: present, questions }));
                }
            }
        }
        // Heard once.
        word.answers = None;
        wait(&state, woken, deadline).await;
    }
}

/// Until something has happened, or it is time to look whether something has.
async fn wait(state: &AppState, woken: impl Future<Output = ()>, deadline: Instant) {
    let look = (Instant::now() + LOOK).min(deadline);
    tokio::select! {
        () = woken => {}
        () = tokio::time::sleep_until(look) => {}
        () = state.shutdown.cancelled() => {}
    }
}

fn tell(row: &VerificationRow) {
    let (id, state) = (row.id, row.state.as_str());
    let (left, right) = (&row.left.snapshot, &row.right.snapshot);
    match &row.result {
        Some(result)
            if result.differences.is_empty() && result.properties.iter().all(|found| found.expected) =>
        {
            tracing::info!(verification = %id, state, "verification {id} of {left} and {right}: {state}");
        }
        _ => tracing::warn!(verification = %id, state, "verification {id} of {left} and {right}: {state}"),
    }
}
