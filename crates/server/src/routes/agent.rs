//! What agents say: hello, inventory, leases.

use std::time::Duration;

use axum::{Json, extract::State};
use serde_json::json;
use tokio::time::Instant;
use zfs_sync_api::{
    codes::ErrorCode,
    v1::{
        agent::{
            Hello, HelloAnswer, InventoryAnswer, InventoryReport, LeaseAnswer, LeaseRequest, LeasedTransfer,
        },
        certificate::{Purpose, TransferListener},
    },
};
use zfs_sync_core::{flow::FlowSettings, ids::SystemId, name::HostName, plan::still_wanted, time::Timestamp};
use zfs_sync_store::{
    Error as StoreError, Listener, Outcome, Report, ReportOutcome, ReportedDataset, SystemSeen, TransferRow,
};

use super::{systems::not_found, verifications::MOST_ATTEMPTS};
use crate::{
    error::{Answer, ApiError},
    extract::{Body, Id, REPORT_LIMIT},
    planning::{self, address, has_certificate, ticket},
    state::AppState,
};

/// Proxies commonly cut silent requests after 60 s.
const LONGEST_WAIT_MS: u64 = 30_000;
/// More at once would only wait in the agent, where another executor can not see them.
const MOST_LEASES: u32 = 64;
/// How often a waiting request looks at the database by itself: another witness may have queued something.
const LOOK: Duration = Duration::from_secs(1);
/// An agent that reports less often than daily could not be told from a dead one.
const LONGEST_INTERVAL_MS: u64 = 24 * 3600 * 1000;
/// Characters of a version or an operating system's name; real ones have twenty.
const LONGEST_WORD: usize = 128;

/// An agent has started: what it had leased is queued again
#[utoipa::path(
    post, path = "/systems/{system_id}/hello", tag = "agent", params(("system_id" = uuid::Uuid, Path)),
    request_body = Hello, responses((status = 200, body = HelloAnswer)),
)]
pub(super) async fn hello(
    State(state): State<AppState>,
    Id(id): Id<SystemId>,
    Body(body): Body<Hello>,
) -> Answer<Json<HelloAnswer>> {
    if !(1..=LONGEST_INTERVAL_MS).contains(&body.report_interval_ms) {
        let detail = format!("an interval is between 1 and {LONGEST_INTERVAL_MS} milliseconds");
        return Err(ApiError::at("/report_interval_ms", ErrorCode::ValueRange, detail));
    }
    let now = state.now();
    let seen = SystemSeen {
        agent_version: Some(word(&body.agent_version)),
        zfs_version: body.zfs_version.as_deref().map(word),
        os: Some(word(&body.os)),
        extra_metadata: None,
        clock_offset_ms: Some(body.clock_ms.saturating_sub(now.as_millisecond())),
        inventory_interval_ms: Some(body.report_interval_ms),
    };
    if !state.store.touch_system(id, &seen, now).await? {
        return Err(not_found(id));
    }
    note_listener(&state, id, body.listener).await?;
    let released = state.store.release_system_leases(id, now).await?;
    for row in state.store.release_verifications(id, MOST_ATTEMPTS, now).await? {
        super::verifications::changed(&state, &row).await;
    }
    state.wake.system(id);
    state.wake.transfers_changed(&released);
    let released = u32::try_from(released.len()).unwrap_or(u32::MAX);
    Ok(Json(HelloAnswer { released, now: Some(state.now()) }))
}

/// Where the agent listens, from now on.
async fn note_listener(state: &AppState, id: SystemId, listener: Option<TransferListener>) -> Answer<()> {
    let listener = match listener {
        Some(TransferListener { host: Some(host), .. }) if host.parse::<HostName>().is_err() => {
            let detail = "this is no host name";
            return Err(ApiError::at("/listener/host", ErrorCode::HostInvalid, detail));
        }
        Some(TransferListener { host, port, instance }) => Some(Listener { host, port, instance }),
        None => None,
    };
    let before = state.store.system(id).await?.ok_or_else(|| not_found(id))?;
    if before.listener == listener {
        return Ok(());
    }
    state.store.set_listener(id, listener.as_ref()).await?;
    if before.listener.is_some() != listener.is_some() {
        // There is a way where there was none, or the other way round.
        let groups = state.store.groups_of_system(id).await?;
        state.wake.groups_changed(groups.into_iter().map(|row| row.group.id));
    }
    Ok(())
}

/// What an agent says of itself: shown in every list of systems, so that it is short and printable whoever wrote the agent.
fn word(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(LONGEST_WORD).collect()
}

/// What the system has: everything, or what has changed since a report before
#[utoipa::path(
    post, path = "/systems/{system_id}/inventory", tag = "agent", params(("system_id" = uuid::Uuid, Path)),
    request_body = InventoryReport, responses((status = 200, body = InventoryAnswer)),
)]
pub(super) async fn report_inventory(
    State(state): State<AppState>,
    Id(id): Id<SystemId>,
    Body(body): Body<InventoryReport, REPORT_LIMIT>,
) -> Answer<Json<InventoryAnswer>> {
    let before = state.store.system(id).await?.ok_or_else(|| not_found(id))?;
    let datasets = body.datasets.into_iter().map(|dataset| ReportedDataset {
        name: dataset.name,
        properties: dataset.properties,
        digest: dataset.digest,
        history: dataset.history.map(|history| (history.snapshots, history.bookmarks)),
    });
    let report = Report {
        sequence: body.sequence,
        base: body.base,
        datasets: datasets.collect(),
        removed: body.removed,
        retention: body.retention,
        looked_at: body.looked_at,
        without_guids: false,
    };
    let outcome = match state.store.apply_report(id, &report, state.now()).await {
        Ok(outcome) => outcome,
        Err(StoreError::NotFound { .. }) => return Err(not_found(id)),
        Err(error) => return Err(error.into()),
    };
    let first = before.inventory_as_of.is_none();
    // A report that was asked for confirms a transfer, also when it brings nothing new.
    if outcome.accepted && (outcome.changed || before.report_wanted() || first) {
        state.wake.reported();
    }
    if outcome.kind_changed {
        let groups = state.store.groups_of_system(id).await?;
        state.wake.groups_changed(groups.into_iter().map(|row| row.group.id));
    }
    if outcome.accepted && outcome.changed {
        let data = json!({
            "system_id": id,
            "system_hostname": before.hostname,
            "datasets": report.datasets.len(),
        });
        state.events.publish("snapshot_reported", data).await;
    }
    let ReportOutcome { accepted, resync, need, .. } = outcome;
    Ok(Json(InventoryAnswer { accepted, resync, need, now: Some(state.now()) }))
}

/// Waits for transfers to carry out, or for the wish for a report
#[utoipa::path(
    post, path = "/systems/{system_id}/lease", tag = "agent", params(("system_id" = uuid::Uuid, Path)),
    request_body = LeaseRequest, responses((status = 200, body = LeaseAnswer)),
)]
pub(super) async fn lease_transfers(
    State(state): State<AppState>,
    Id(id): Id<SystemId>,
    Body(body): Body<LeaseRequest>,
) -> Answer<Json<LeaseAnswer>> {
    if body.wait_ms > LONGEST_WAIT_MS {
        let detail = format!("the witness waits at most {LONGEST_WAIT_MS} milliseconds");
        return Err(ApiError::at("/wait_ms", ErrorCode::ValueRange, detail));
    }
    if !state.store.touch_system(id, &SystemSeen::default(), state.now()).await? {
        return Err(not_found(id));
    }
    let deadline = Instant::now() + Duration::from_millis(body.wait_ms);
    let notify = state.wake.of_system(id);
    let mut first_look = true;
    loop {
        let mut woken = std::pin::pin!(notify.notified());
        // From here on a wake-up counts, so that none falls between looking and waiting.
        woken.as_mut().enable();
        let transfers = lease(&state, id, body.max.min(MOST_LEASES)).await?;
        let verifications =
            super::verification_work::lease(&state, id, body.max_verifications.min(MOST_LEASES)).await?;
        let system = state.store.system(id).await?.ok_or_else(|| not_found(id))?;
        let wanted_at = system.report_wanted_at.filter(|_| system.report_wanted());
        // A wish that was passed on already must not answer at once again and again, or a slow agent and the witness would
        // turn in circles as fast as they can.
        let asks = wanted_at.is_some_and(|at| state.wake.first_asked(id, at) || !first_look);
        let over = Instant::now() >= deadline || state.shutdown.is_cancelled();
        if !transfers.is_empty() || !verifications.is_empty() || asks || over {
            // A look that begins after this answer has come is later than what it is wanted for.
            let now = Some(state.now());
            return Ok(Json(LeaseAnswer { transfers, report_now: wanted_at.is_some(), verifications, now }));
        }
        first_look = false;
        let look = (Instant::now() + LOOK).min(deadline);
        tokio::select! {
            () = woken => {}
            () = tokio::time::sleep_until(look) => {}
            () = state.shutdown.cancelled() => {}
        }
    }
}

async fn lease(state: &AppState, id: SystemId, max: u32) -> Answer<Vec<LeasedTransfer>> {
    if max == 0 || state.shutdown.is_cancelled() {
        return Ok(Vec::new());
    }
    let now = state.now();
    let until = lease_until(state, now)?;
    let mut leased = Vec::new();
    for row in state.store.lease_transfers(id, max, &state.settings.transfer_caps, now, until).await? {
        match prepared(state, &row).await? {
            Ok(transfer) => {
                // Written down before anybody can act on it. A lease that was taken back meanwhile is nobody's.
                if row.step.action.destroys().is_empty()
                    || state.store.hand_out_transfer(row.id, row.generation, until).await?
                {
                    leased.push(transfer);
                }
            }
            Err(detail) => {
                tracing::info!(transfer = %row.id, "not started: {detail}");
                let outcome = Outcome::Withheld { detail };
                state.store.finish_transfer(row.id, row.generation, &outcome, now).await?;
            }
        }
        state.wake.transfers_changed([&row]);
    }
    Ok(leased)
}

/// What the agent is told, or why the transfer is not started after all.
async fn prepared(state: &AppState, row: &TransferRow) -> Answer<Result<LeasedTransfer, String>> {
    let group = state.store.group(row.group).await?;
    let compression = group.as_ref().map(|row| row.compression).unwrap_or_default();
    let transport = group.as_ref().map(|row| row.transport).unwrap_or_default();
    let group = group.map(|row| row.group);
    let decisions = planning::decisions(state, row.group).await?;
    match still_wanted(group.as_ref(), &decisions, &row.step) {
        Err(reason) => return Ok(Err(reason.to_owned())),
        Ok(word) if word.needs_another_copy(&row.step.action) => {
            if let Some(reason) = planning::why_last(state, &row.step).await? {
                return Ok(Err(reason));
            }
        }
        Ok(_) => {}
    }
    let push = row.executor == row.source_system;
    let other = if push { row.target_system } else { row.source_system };
    let is_alone = row.source_system == row.target_system || row.step.action.is_local();
    let (mut peer, mut admits) = (None, None);
    if !is_alone {
        let now = state.now();
        let other = state.store.system(other).await?;
        let executor = state.store.system(row.executor).await?;
        let Some((system, mut address)) =
            other.and_then(|other| address(&other, transport, now).map(|address| (other, address)))
        else {
            return Ok(Err("the other side has no address any more".to_owned()));
        };
        if !executor.is_some_and(|executor| has_certificate(&executor, now)) {
            address.tls = None;
        }
        if address.tls.is_some() {
            admits = ticket(state, row, &system, Purpose::Transfer).await?;
        } else if address.ssh_hostname.is_none() {
            return Ok(Err("its executor can not reach the other side any more".to_owned()));
        }
        peer = Some(address);
    }
    Ok(Ok(LeasedTransfer {
        id: row.id,
        generation: row.generation,
        lease_ms: u64::try_from(state.settings.lease.as_millis()).unwrap_or(u64::MAX),
        step: row.step.clone(),
        peer,
        push,
        flow: FlowSettings { limits: state.store.transfer_limits(row).await?, compression },
        ticket: admits,
    }))
}

/// The end of a lease that begins now.
pub(super) fn lease_until(state: &AppState, now: Timestamp) -> Answer<Timestamp> {
    now.checked_add(state.settings.lease).map_err(ApiError::internal)
}
