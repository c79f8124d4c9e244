//! Work that nobody asks for. A task takes no input: it looks at the whole state and acts on it, so that it may run at any time, and
//! recovery is running it again. Being woken only makes it look earlier.

mod events;
mod leases;
mod planner;
mod pruning;
pub(crate) mod verifications;

use std::{panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt as _;

pub(crate) use self::planner::Planner;
use crate::{error::ApiError, server::Tasks, state::AppState};

/// How often tasks look without being woken: the longest that a lost hint, or another witness's change, is noticed late.
const LOOK: Duration = Duration::from_secs(1);
/// A comparison takes minutes or days; the next one has time.
const SCHEDULE: Duration = Duration::from_secs(30);
/// Pruning is never urgent.
const PRUNE: Duration = Duration::from_mins(1);

/// Starts all of them.
pub(crate) fn start(state: &AppState, tasks: &Tasks) {
    let planner = state.clone();
    tasks.spawn("planner", async move {
        let mut memory = Planner::default();
        // At once after a start: what is stored may be from another day.
        planner.wake.groups_changed([]);
        while next(&planner, LOOK, planner.wake.planner()).await {
            report("planner", AssertUnwindSafe(memory.pass(&planner)).catch_unwind().await);
        }
    });
    let leases = state.clone();
    tasks.spawn("leases", async move {
        while next(&leases, LOOK, std::future::pending()).await {
            report("leases", AssertUnwindSafe(leases::pass(&leases)).catch_unwind().await);
        }
    });
    let events = state.clone();
    tasks.spawn("events", async move {
        while next(&events, LOOK, std::future::pending()).await {
            report("events", AssertUnwindSafe(events::pass(&events)).catch_unwind().await);
        }
    });
    let verifications = state.clone();
    tasks.spawn("verifications", async move {
        while next(&verifications, SCHEDULE, std::future::pending()).await {
            report(
                "verifications",
                AssertUnwindSafe(verifications::pass(&verifications)).catch_unwind().await,
            );
        }
    });
    let pruning = state.clone();
    tasks.spawn("pruning", async move {
        while next(&pruning, PRUNE, std::future::pending()).await {
            report("pruning", AssertUnwindSafe(pruning::pass(&pruning)).catch_unwind().await);
        }
    });
}

/// Waits for the next look; false when the server stops.
async fn next(state: &AppState, period: Duration, woken: impl Future<Output = ()>) -> bool {
    tokio::select! {
        biased;
        () = state.shutdown.cancelled() => false,
        () = woken => true,
        () = tokio::time::sleep(period) => true,
    }
}

/// A pass that failed is told, and the next one tries again.
fn report(name: &'static str, outcome: std::thread::Result<Result<(), ApiError>>) {
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::error!(
                task = name,
                error = &error as &dyn std::error::Error,
                "the task `{name}` failed; it tries again"
            );
        }
        Err(_) => tracing::error!(task = name, "the task `{name}` panicked; it tries again"),
    }
}
