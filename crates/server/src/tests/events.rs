//! Events as listeners get them.

use std::time::Duration;

use axum::{body::Body, response::Response};
use futures::StreamExt as _;
use http::Request;
use serde_json::{Value, json};

use crate::testing::Witness;

/// Reads frames off an open stream.
struct Stream {
    body: axum::body::BodyDataStream,
    text: String,
}

impl Stream {
    async fn open(witness: &Witness, path: &str, last: Option<u64>) -> Self {
        let mut request = Request::get(path).header("X-API-Key", &witness.admin);
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last.to_string());
        }
        let response: Response = witness.open(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    /// Name, number and data of the next event; `None` at the end.
    async fn next(&mut self) -> Option<(String, Option<u64>, Value)> {
        loop {
            if let Some((frame, rest)) = self.text.split_once("\n\n") {
                let line = |name: &str| {
                    let prefix = format!("{name}: ");
                    frame.lines().find_map(|line| line.strip_prefix(&prefix).map(str::to_owned))
                };
                let event = line("event").zip(line("data"));
                let id = line("id").map(|id| id.parse().unwrap());
                self.text = rest.to_owned();
                if let Some((event, data)) = event {
                    return Some((event, id, serde_json::from_str(&data).unwrap()));
                }
                continue;
            }
            let chunk = tokio::time::timeout(Duration::from_secs(20), self.body.next())
                .await
                .expect("an event comes");
            self.text.push_str(std::str::from_utf8(&chunk?.unwrap()).unwrap());
        }
    }
}

#[tokio::test]
async fn a_listener_is_greeted_and_told_what_happens() {
    let witness = Witness::start().await;
    let nas1 = witness.enrol("nas1").await;
    for path in ["/api/v1/events", "/api/v1/dashboard/events"] {
        let mut stream = Stream::open(&witness, path, None).await;
        let (name, _, data) = stream.next().await.unwrap();
        assert_eq!((name.as_str(), &data["event"]), ("connected", &json!("connected")));
        assert!(data["data"]["message"].is_string());
        witness.agent(&nas1, "heartbeat", json!({})).await.fine();
        let (name, id, data) = stream.next().await.unwrap();
        assert_eq!((name.as_str(), &data["event"]), ("system_heartbeat", &json!("system_heartbeat")));
        assert_eq!(data["data"]["system_hostname"], "nas1");
        assert_eq!(data["timestamp"], "2026-01-01T00:00:00Z");
        assert!(id.is_some());
    }
}

#[tokio::test]
async fn a_listener_that_comes_back_gets_what_it_missed() {
    let witness = Witness::start().await;
    let nas1 = witness.enrol("nas1").await;
    for _ in 0..3 {
        witness.agent(&nas1, "heartbeat", json!({})).await.fine();
    }
    let newest = witness.state.store.newest_event_id().await.unwrap();
    let mut stream = Stream::open(&witness, "/api/v1/events", Some(newest - 2)).await;
    assert_eq!(stream.next().await.unwrap().0, "connected");
    assert_eq!(stream.next().await.unwrap().1, Some(newest - 1));
    assert_eq!(stream.next().await.unwrap().1, Some(newest));
}

#[tokio::test]
async fn a_listener_that_missed_too_much_is_told_to_read_again() {
    let witness = Witness::start().await;
    let nas1 = witness.enrol("nas1").await;
    for _ in 0..3 {
        witness.agent(&nas1, "heartbeat", json!({})).await.fine();
    }
    witness.advance(10);
    let pruned = witness.state.store.prune_events(witness.state.now()).await.unwrap();
    assert!(pruned >= 3);
    for last in [1, 1_000_000] {
        let mut stream = Stream::open(&witness, "/api/v1/events", Some(last)).await;
        assert_eq!(stream.next().await.unwrap().0, "connected");
        assert_eq!(stream.next().await.unwrap().0, "reset", "after {last}");
    }
}

#[tokio::test]
async fn states_and_transfers_and_conflicts_are_told() {
    let witness = Witness::start().await;
    let (nas1, nas2) = witness.pair(true).await;
    let mut stream = Stream::open(&witness, "/api/v1/events", None).await;
    stream.next().await.unwrap();
    witness.plan().await;
    let (name, _, data) = stream.next().await.unwrap();
    assert_eq!((name.as_str(), &data["data"]["state"]), ("transfer_changed", &json!("queued")));
    let (name, _, data) = stream.next().await.unwrap();
    assert_eq!((name.as_str(), &data["data"]["state"]), ("sync_state_changed", &json!("syncing")));
    assert_eq!(data["data"]["system_hostname"], "nas2");
    let transfer = witness.lease(&nas1).await.remove(0);
    witness.result(&nas1, &transfer, json!({ "outcome": "stale", "detail": "x" })).await.fine();
    assert_eq!(stream.next().await.unwrap().0, "transfer_changed");
    witness.report(&nas2, &[("backup", &[]), ("backup/media", &[7])]).await;
    assert_eq!(stream.next().await.unwrap().0, "snapshot_reported");
    witness.plan().await;
    assert_eq!(stream.next().await.unwrap().2["data"]["state"], "diverged");
    assert_eq!(stream.next().await.unwrap().0, "conflict_detected");
}

#[tokio::test]
async fn a_stream_ends_when_the_witness_stops() {
    let witness = Witness::start().await;
    let mut stream = Stream::open(&witness, "/api/v1/events", None).await;
    stream.next().await.unwrap();
    witness.state.shutdown.cancel();
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn progress_passes_by_without_a_number() {
    let witness = Witness::start().await;
    let (nas1, _) = witness.pair(true).await;
    witness.plan().await;
    let transfer = witness.lease(&nas1).await.remove(0);
    let mut stream = Stream::open(&witness, "/api/v1/events", None).await;
    stream.next().await.unwrap();
    let path = format!("/api/v1/transfers/{}/progress", transfer["id"].as_str().unwrap());
    let body = json!({ "generation": 1, "bytes": 9, "total": null, "rate": 3, "stage": "sending", "resumed_from": null });
    witness.call("POST", &path, Some(&nas1.key), Some(body)).await.fine();
    let (name, id, data) = stream.next().await.unwrap();
    assert_eq!((name.as_str(), id, &data["data"]["bytes"]), ("transfer_progress", None, &json!(9)));
    assert_eq!(data["data"]["transfer_id"], transfer["id"]);
}
