//! What happens, as it happens: server-sent events with replay.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::{
    extract::State,
    response::sse::{Event, KeepAlive, Sse},
};
use futures::{Stream, stream};
use http::{HeaderMap, HeaderName};
use serde_json::json;
use zfs_sync_store::EventRow;

use crate::{
    error::Answer,
    events::{Listener, Told, frame, row_frame},
    state::AppState,
};

/// Shorter than the silence after which proxies cut a connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Rows read at once, so that a listener who was long away does not fill the memory.
const READ: u64 = 500;

type Frames = (
    [(HeaderName, &'static str); 1],
    Sse<
        axum::response::sse::KeepAliveStream<
            std::pin::Pin<Box<dyn Stream<Item = Result<Event, Infallible>> + Send>>,
        >,
    >,
);

/// Events as they happen; `Last-Event-ID` continues where a listener stopped
#[utoipa::path(
    get, path = "/events", tag = "events",
    params(("Last-Event-ID" = Option<u64>, Header, description = "The last event that was seen")),
    responses((status = 200, description = "Events", content_type = "text/event-stream", body = String)),
)]
pub(super) async fn listen_to_events(State(state): State<AppState>, headers: HeaderMap) -> Answer<Frames> {
    listen(state, &headers).await
}

/// The same, at the address of the old service
#[utoipa::path(
    get, path = "/dashboard/events", tag = "events",
    params(("Last-Event-ID" = Option<u64>, Header, description = "The last event that was seen")),
    responses((status = 200, description = "Events", content_type = "text/event-stream", body = String)),
)]
pub(super) async fn listen_to_dashboard_events(
    State(state): State<AppState>,
    headers: HeaderMap,
) -> Answer<Frames> {
    listen(state, &headers).await
}

/// One listener's place in the stream.
struct Place {
    state: AppState,
    listener: Listener,
    /// The newest row that was sent, or that was there before.
    last: u64,
    waiting: VecDeque<Event>,
}

async fn listen(state: AppState, headers: &HeaderMap) -> Answer<Frames> {
    // Subscribed before the first look, so that nothing falls in between.
    let listener = state.events.subscribe();
    let newest = state.store.newest_event_id().await?;
    let seen = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    let now = state.now();
    let mut waiting = VecDeque::new();
    let hello = Event::default()
        .event("connected")
        .data(frame("connected", &json!({ "message": "Connected to zfs-sync events" }), now))
        .retry(Duration::from_secs(3));
    // A number that was never given is of another database: there is nothing to continue.
    let last = seen.filter(|seen| *seen <= newest).unwrap_or(newest);
    waiting.push_back(if seen.is_none() { hello.id(newest.to_string()) } else { hello });
    let oldest_missed = state.store.events_since(last, 1).await?.first().map(|row| row.id);
    let gap = last < newest && oldest_missed.is_none_or(|oldest| oldest > last + 1);
    if gap || seen.is_some_and(|seen| seen > newest) {
        let data = json!({ "message": "Some events are no longer kept; read what you show again" });
        waiting
            .push_back(Event::default().event("reset").id(last.to_string()).data(frame("reset", &data, now)));
    }
    let place = Place { state, listener, last, waiting };
    let frames = stream::unfold(place, |mut place| async move {
        let event = place.next().await?;
        Some((Ok(event), place))
    });
    let frames: std::pin::Pin<Box<dyn Stream<Item = Result<Event, Infallible>> + Send>> = Box::pin(frames);
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE).text("keepalive");
    // Some proxies collect answers before they pass them on.
    let headers = [(HeaderName::from_static("x-accel-buffering"), "no")];
    Ok((headers, Sse::new(frames).keep_alive(keep_alive)))
}

impl Place {
    /// The next event; `None` when the server stops or the database fails, after which a listener connects again.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            let rows = match self.state.store.events_since(self.last, READ).await {
                Ok(rows) => rows,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a listener is disconnected");
                    return None;
                }
            };
            if let Some(row) = rows.last() {
                self.last = row.id;
                self.waiting.extend(rows.iter().map(event));
                continue;
            }
            tokio::select! {
                biased;
                () = self.state.shutdown.cancelled() => return None,
                told = self.listener.next() => match told? {
                    Told::Rows => {}
                    Told::Passing(passing) => {
                        let data = frame(passing.kind, &passing.data, passing.at);
                        return Some(Event::default().event(passing.kind).data(data));
                    }
                },
            }
        }
    }
}

fn event(row: &EventRow) -> Event {
    Event::default().id(row.id.to_string()).event(&row.kind).data(row_frame(row))
}
