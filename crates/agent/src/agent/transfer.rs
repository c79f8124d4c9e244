//! One leased transfer, from the lease to its result.

use std::{
    collections::VecDeque,
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
    v1::agent::{LeasedTransfer, ProgressReport, TransferOutcome, TransferResult},
};
use zfs_sync_core::{name::DatasetName, plan::Action};

use super::{
    Shared,
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

/// The rate is that of the last ten seconds.
const RATE_WINDOW: Duration = Duration::from_secs(10);

/// How long a result waits for the report of what it changed. The witness then plans from the new state at once; without
/// it, it would plan the same step again, which does nothing twice.
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
            let result = TransferResult { generation, outcome, bytes: 0, resumed_from: None };
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
        finish(shared, &leased, not_begun(outcome), None).await;
        shared.outbox.wake();
    }
}

async fn run(shared: Arc<Shared>, leased: LeasedTransfer, place: OwnedSemaphorePermit) {
    let id = leased.id;
    tracing::info!(transfer.id = %id, "transfer {id} into {} begins", leased.step.target);
    let watcher = LedgerWatcher::new(id, Arc::clone(&shared.ledger));
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
            () = shared.shutdown.cancelled() => stop_for(Stop::Shutdown),
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
    finish(&shared, &leased, execution, stop).await;
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
    let LeasedTransfer { id, step, peer, push, .. } = leased;
    let _claim = match shared.replicas.claim_for(step, *id).await {
        Ok(claim) => claim,
        Err(busy) => return not_begun(failed(ErrorCode::Busy.code(), busy.to_string(), true)),
    };
    // Nothing is held yet, so here it may stop anywhere.
    let connected = tokio::select! {
        connected = Hosts::connect(shared, step, peer.as_ref(), *push) => connected,
        () = cancel.cancelled() => Err(TransferOutcome::Cancelled),
    };
    let execution = match connected {
        Ok(hosts) => engine::execute(step, &hosts.sides(), watcher, cancel, Some(fence)).await,
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
async fn finish(shared: &Shared, leased: &LeasedTransfer, execution: Execution, stop: Option<Stop>) {
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
    let result = outcome.map(|outcome| TransferResult { generation, outcome, bytes, resumed_from });
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
    let mut rate = Rate::default();
    let mut told: Option<(Instant, u64, Stage)> = None;
    let mut silent = false;
    loop {
        ticks.tick().await;
        let Progress { stage, total, resumed_from } = watcher.progress();
        let bytes = watcher.counter().bytes();
        let now = Instant::now();
        let rate = rate.of(now, bytes);
        let news =
            told.is_none_or(|(at, before, then)| before != bytes || then != stage || now - at >= renew);
        if !news {
            continue;
        }
        let report = ProgressReport {
            generation: leased.generation,
            bytes,
            total,
            rate,
            stage: stage.as_str().to_owned(),
            resumed_from,
        };
        let asked = fence.now();
        match shared.client.report_progress(leased.id, &report).await {
            Ok(answer) => {
                fence.renewed(asked);
                silent = false;
                told = Some((now, bytes, stage));
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

/// Bytes a second over the last while.
#[derive(Debug, Default)]
struct Rate(VecDeque<(Instant, u64)>);

impl Rate {
    fn of(&mut self, now: Instant, bytes: u64) -> u64 {
        self.0.push_back((now, bytes));
        // The newest sample older than the window stays: it is where the window begins.
        while self.0.get(1).is_some_and(|(at, _)| now - *at >= RATE_WINDOW) {
            self.0.pop_front();
        }
        let Some((since, before)) = self.0.front() else { return 0 };
        let millis = u64::try_from((now - *since).as_millis()).unwrap_or(u64::MAX);
        bytes.saturating_sub(*before).saturating_mul(1000).checked_div(millis).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_ten_seconds() {
        let start = Instant::now();
        let at = |second: u64| start + Duration::from_secs(second);
        let mut rate = Rate::default();
        assert_eq!(rate.of(at(0), 0), 0);
        assert_eq!(rate.of(at(1), 1000), 1000);
        assert_eq!(rate.of(at(11), 1000), 0, "nothing came for ten seconds");
        assert_eq!(rate.of(at(12), 2000), 90);
    }
}
