//! The stream that tells an open page to fetch itself again.
//!
//! It carries no data: `changed` at most once a second, however much happens, and `tick` every five seconds, by whose silence a
//! page knows that the witness has gone. A viewer costs the witness one timer and one page a second at most.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::State,
    response::sse::{Event, Sse},
};
use futures::{Stream, stream};
use tokio::time::{Instant, sleep_until};

use super::session::Viewer;
use crate::state::AppState;

const TICK: Duration = Duration::from_secs(5);
const QUIET: Duration = Duration::from_secs(1);

/// `GET /dashboard/live`.
pub(super) async fn stream(
    _viewer: Viewer,
    State(state): State<AppState>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let first = Pulse {
        changes: state.watch_changes(),
        shutdown: state.shutdown(),
        next_tick: Instant::now(),
        quiet_until: Instant::now(),
        pending: false,
    };
    Sse::new(stream::unfold(first, |mut pulse| async move {
        let name = pulse.next().await?;
        Some((Ok(Event::default().event(name).data("{}")), pulse))
    }))
}

struct Pulse {
    changes: tokio::sync::watch::Receiver<u64>,
    shutdown: tokio_util::sync::CancellationToken,
    next_tick: Instant,
    quiet_until: Instant,
    pending: bool,
}

impl Pulse {
    /// The next event's name; `None` when the witness stops.
    async fn next(&mut self) -> Option<&'static str> {
        loop {
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return None,
                () = sleep_until(self.quiet_until), if self.pending => {
                    self.pending = false;
                    self.quiet_until = Instant::now() + QUIET;
                    return Some("changed");
                }
                () = sleep_until(self.next_tick) => {
                    self.next_tick = Instant::now() + TICK;
                    return Some("tick");
                }
                changed = self.changes.changed(), if !self.pending => {
                    changed.ok()?;
                    self.pending = true;
                }
            }
        }
    }
}
