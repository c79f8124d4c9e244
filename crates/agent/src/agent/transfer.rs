//! One leased transfer, from the lease to its result.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use zfs_sync_api::{
    codes::ErrorCode,
    v1::{
        agent::{LeasedTransfer, ProgressReport, TransferOutcome, TransferResult},
        certificate::TransportUsed,
    },
};
use zfs_sync_core::{flow::FlowReport, name::DatasetName, plan::Action};
use zfs_sync_zfs::pipeline::{Flow, Flowing, Limiter};

use super::{
    Shared, drain,
    hosts::{Hosts, failed},
    log_witness_error,
    watcher::{LedgerWatcher, Progress},
};
use crate::{
    engine::{self, Execution, Fence, Settled, Stage, Watcher as _},
    ledger::LedgerError,
};

/// Progress is told at most this often.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// And at least this often, which renews the lease; three times within a shorter one.
const RENEW_EVERY: Duration = Duration::from_secs(4);

/// How long a result waits for the report of what it changed. The witness then plans from the new state at once; without
/// it, it would plan the same step again, which does nothing twice. Nothing is safe because of it: what a step has destroyed the witness takes
/// for gone until it hears of a look that began after the step. And it is shorter than a lease, which nobody renews meanwhile.
const REPORT_FIRST: Duration = Duration::from_secs(5);

/// Why an execution was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// The agent stops.
    Shutdown,
    /// Somebody asked the witness for it.
    Asked,
    /// The transfer is somebody else's now, or nobody's.
    Lost,
}

/// Takes a leased transfer and starts it.
pub(super) async fn accept(shared: &Arc<Shared>, leased: LeasedTransfer) {
    let (id, generation) = (leased.id, leased.generation);
    let begun = leased.clone();
    match shared.ledger(move |ledger| ledger.begin(&begun)).await {
        Ok(()) => {}
        Err(error @ LedgerError::OldGeneration { .. }) => {
            tracing::warn!(transfer.id = %id, generation, "refused a lease: {error}");
            return;
        }
        Err(error) => {
            tracing::error!(transfer.id = %id, error = %error, "did not start transfer {id}: {error}");
            let outcome = failed(ErrorCode::LedgerInvalid.code(), error.to_string(), true);
            let result =
                TransferResult { generation, outcome, bytes: 0, resumed_from: None, transport: None };
            // The ledger can not keep it. When this is not heard, the lease ends by itself.
            let told = shared.unless_shutdown(shared.client.report_result(id, &result)).await;
            if let Some(Err(error)) = told {
                log_witness_error(&format!("give transfer {id} back"), &error);
            }
            return;
        }
    }
    if let Ok(place) = Arc::clone(&shared.places).try_acquire_owned() {
        shared.transfers.spawn(run(Arc::clone(shared), leased, place));
    } else {
        let outcome = failed(ErrorCode::Busy.code(), "this agent has no free place".to_owned(), true);
        finish(shared, &leased, not_begun(outcome), None, None).await;
        shared.outbox.wake();
    }
}

async fn run(shared: Arc<Shared>, leased: LeasedTransfer, place: OwnedSemaphorePermit) {
    let id = leased.id;
    tracing::info!(transfer.id = %id, "transfer {id} into {} begins", leased.step.target);
    let flow = Flow {
        limits: shared.limits.of(&leased.flow.limits, shared.clock.now()),
        compression: leased.flow.compression,
        buffer: shared.buffer,
        ..Flow::default()
    };
    let watcher = LedgerWatcher::new(id, Arc::clone(&shared.ledger), flow);
    let (cancel, done, stop) = (CancellationToken::new(), CancellationToken::new(), OnceLock::new());
    let stop_for = |why: Stop| {
        // The first reason stands: what was asked for is not an interruption because the agent stops as well.
        let _already = stop.set(why);
        cancel.cancel();
    };
    let fence = Fence::new(Arc::clone(&shared.boot_clock), Duration::from_millis(leased.lease_ms));
    let work = async {
        let execution = execute(&shared, &leased, &watcher, &cancel, &fence).await;
        done.cancel();
        execution
    };
    let shutdown = async {
        tokio::select! {
            () = shared.shutdown.cancelled() => tokio::select! {
                () = drain::in_reach(&watcher, shared.drain) => stop_for(Stop::Shutdown),
                () = done.cancelled() => {}
            },
            () = done.cancelled() => {}
        }
    };
    let telling = async {
        tokio::select! {
            () = tell(&shared, &leased, &watcher, &fence, &stop_for) => {}
            () = done.cancelled() => {}
        }
    };
    let (execution, (), ()) = tokio::join!(Box::pin(work), shutdown, telling);
    let stop = stop.get().copied();
    // Not even the wake of another transfer lets it overtake the report of what it did.
    let kept_back = shared.outbox.keep_back(id, leased.generation);
    finish(&shared, &leased, execution, stop, watcher.transport()).await;
    drop(place);

    shared.reporter.mark(local_datasets(&leased));
    // Without a witness that answers it only waits; and when the agent stops, the last results go out at once.
    let _reported = shared.unless_shutdown(shared.reporter.report(REPORT_FIRST)).await;
    drop(kept_back);
}

async fn execute(
    shared: &Shared,
    leased: &LeasedTransfer,
    watcher: &LedgerWatcher,
    cancel: &CancellationToken,
    fence: &Fence,
) -> Execution {
    let LeasedTransfer { id, step, peer, push, ticket, .. } = leased;
    let _claim = match shared.replicas.claim_for(step, *id).await {
        Ok(claim) => claim,
        Err(busy) => return not_begun(failed(ErrorCode::Busy.code(), busy.to_string(), true)),
    };
    // Nothing is held yet, so here it may stop anywhere.
    let connected = tokio::select! {
        connected = Hosts::connect(shared, step, peer.as_ref(), ticket.as_ref(), *push) => connected,
        () = cancel.cancelled() => Err(TransferOutcome::Cancelled),
    };
    let execution = match connected {
        Ok(hosts) => {
            if let Some(transport) = hosts.transport() {
                watcher.reached(transport);
            }
            engine::execute(step, &hosts.sides(), watcher, cancel, Some(fence)).await
        }
        Err(outcome) => not_begun(outcome),
    };
    if let (Some(peer), TransferOutcome::Failed { .. }) = (peer, &execution.outcome) {
        shared.peers.forget(&peer.hostname);
    }
    execution
}

const fn not_begun(outcome: TransferOutcome) -> Execution {
    Execution { outcome, bytes: 0, resumed_from: None, settled: Settled::Untouched }
}

/// Writes down how it ended. From here on a crash loses nothing.
async fn finish(
    shared: &Shared,
    leased: &LeasedTransfer,
    execution: Execution,
    stop: Option<Stop>,
    transport: Option<TransportUsed>,
) {
    let Execution { outcome, bytes, resumed_from, settled } = execution;
    let (id, generation) = (leased.id, leased.generation);
    let outcome = match (outcome, stop) {
        (_, Some(Stop::Lost)) => None,
        (TransferOutcome::Cancelled, Some(Stop::Shutdown)) => Some(TransferOutcome::Interrupted),
        (outcome, _) => Some(outcome),
    };
    match &outcome {
        Some(TransferOutcome::Failed { code, detail, .. }) => {
            tracing::warn!(transfer.id = %id, code, bytes, "transfer {id} failed: {detail}");
        }
        other => tracing::info!(transfer.id = %id, bytes, outcome = ?other, "transfer {id} ended"),
    }
    let result =
        outcome.map(|outcome| TransferResult { generation, outcome, bytes, resumed_from, transport });
    let written = shared
        .ledger(move |ledger| {
            // From here on one entry is enough: whoever looks after it looks after everything its replica has left.
            match settled {
                Settled::Clean | Settled::Waiting | Settled::Open => ledger.settle_others(id)?,
                Settled::Untouched => {}
            }
            ledger.finish(id, generation, settled, result)
        })
        .await;
    if let Err(error) = written {
        tracing::error!(transfer.id = %id, error = %error, "could not write down how transfer {id} ended; its lease will end");
    }
}

/// The datasets on this host that a transfer has changed.
fn local_datasets(leased: &LeasedTransfer) -> Vec<DatasetName> {
    let LeasedTransfer { step, peer, push, .. } = leased;
    let renamed = match &step.action {
        Action::FollowRename { rename_from, .. } => Some(rename_from.clone()),
        Action::SetAside { rename_to, .. } => Some(rename_to.clone()),
        _ => None,
    };
    match (peer, push) {
        (None, _) => [step.source.clone(), step.target.clone()].into_iter().chain(renamed).collect(),
        (Some(_), true) => vec![step.source.clone()],
        (Some(_), false) => vec![step.target.clone()],
    }
}

/// Tells the witness how far it is, for ever, and heeds the answers.
async fn tell(
    shared: &Shared,
    leased: &LeasedTransfer,
    watcher: &LedgerWatcher,
    fence: &Fence,
    stop_for: &impl Fn(Stop),
) {
    let renew = (Duration::from_millis(leased.lease_ms) / 3).min(RENEW_EVERY);
    let mut ticks = interval(TELL_EVERY.min(renew.max(Duration::from_millis(50))));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told: Option<(Instant, u64, Stage)> = None;
    let (mut silent, mut transport_told) = (false, false);
    loop {
        ticks.tick().await;
        let Progress { stage, total, resumed_from } = watcher.progress();
        shared.limits.follow(shared.clock.now());
        let bytes = watcher.sent();
        let now = Instant::now();
        let flowing = watcher.look();
        let news =
            told.is_none_or(|(at, before, then)| before != bytes || then != stage || now - at >= renew);
        if !news {
            continue;
        }
        let report = ProgressReport {
            generation: leased.generation,
            bytes,
            total,
            rate: flowing.rate,
            stage: stage.as_str().to_owned(),
            resumed_from,
            flow: Some(report(watcher, stage, &flowing, total)),
            transport: watcher.transport().filter(|_| !transport_told),
        };
        let asked = fence.now();
        match shared.client.report_progress(leased.id, &report).await {
            Ok(answer) => {
                fence.renewed(asked);
                silent = false;
                told = Some((now, bytes, stage));
                if let Some(limits) = &answer.limits {
                    shared.limits.learn(limits, shared.clock.now());
                }
                transport_told |= report.transport.is_some();
                if answer.cancel {
                    stop_for(Stop::Asked);
                }
            }
            Err(error) => {
                let gone = [ErrorCode::LeaseLost, ErrorCode::TransferFinished, ErrorCode::TransferNotFound];
                if gone.contains(&error.code()) {
                    tracing::warn!(transfer.id = %leased.id, code = %error.code(), "transfer {} is not ours any more: {error}", leased.id);
                    stop_for(Stop::Lost);
                    return;
                }
                // It goes on: the target's newest snapshot fences what is sent, and what arrives is what the plan wanted. What
                // destroys stops by itself when the lease may have ended.
                if !std::mem::replace(&mut silent, true) {
                    log_witness_error(&format!("tell the progress of transfer {}", leased.id), &error);
                }
            }
        }
    }
}

/// What people are told of how it flows.
fn report(watcher: &LedgerWatcher, stage: Stage, flowing: &Flowing, total: Option<u64>) -> FlowReport {
    let counter = watcher.counter();
    let sends = stage == Stage::Sending;
    let bottleneck = flowing.bottleneck.filter(|_| sends);
    let packed = counter.packed();
    FlowReport {
        wire_bytes: packed.is_some().then(|| counter.wire_bytes()),
        seconds_left: flowing.left(counter.bytes(), total).filter(|_| sends).map(|left| left.as_secs()),
        waits_for: bottleneck.map(|(what, _)| what.as_str().to_owned()),
        waits_percent: bottleneck.map(|(_, percent)| percent),
        idle_seconds: if sends { flowing.idle.as_secs() } else { 0 },
        compression: packed.map(|packed| packed.to_string()),
        limit: watcher.flow().limits.iter().filter_map(Limiter::rate).min(),
    }
}
