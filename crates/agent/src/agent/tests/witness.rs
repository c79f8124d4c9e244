//! A witness that takes reports, hands out what a test gave it, and remembers what it was told.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use zfs_sync_api::{
    client::Client,
    codes::ErrorCode,
    problem::Problem,
    v1::{
        agent::{
            HelloAnswer, InventoryAnswer, InventoryReport, LeaseAnswer, LeaseRequest, LeasedTransfer,
            ProgressAnswer, ProgressReport, TransferResult,
        },
        transfer::Transfer,
    },
};
use zfs_sync_core::{flow::SharedLimit, ids::TransferId, time::Timestamp};

/// What it saw, and what it is to do.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) hellos: u32,
    /// Its clock, when it tells it.
    pub(super) now: Option<Timestamp>,
    pub(super) reports: Vec<InventoryReport>,
    /// The last report that was taken.
    pub(super) base: Option<u64>,
    /// Datasets with a known history: labels of their snapshots.
    pub(super) known: BTreeMap<String, Vec<String>>,
    pub(super) leases: VecDeque<LeasedTransfer>,
    /// Every lease it gave out, by transfer.
    pub(super) given: BTreeMap<TransferId, LeasedTransfer>,
    pub(super) progress: Vec<ProgressReport>,
    /// The limits that it tells with each answer to progress.
    pub(super) limits: Option<Vec<SharedLimit>>,
    /// Transfers that somebody wants to be cancelled.
    pub(super) cancelled: BTreeSet<TransferId>,
    /// Progress is not answered as it should be: the witness is not there.
    pub(super) away: bool,
    /// Transfers whose lease is somebody else's.
    pub(super) lost: BTreeSet<TransferId>,
    pub(super) results: Vec<(TransferId, TransferResult)>,
    /// Reports wait for their answers.
    pub(super) thinking: bool,
    /// How many do.
    pub(super) waiting: u32,
    /// Results are not taken.
    pub(super) deaf: bool,
    /// How many were not.
    pub(super) unheard: u32,
}

type Answer = (u16, String);

fn fine(body: &impl Serialize) -> Answer {
    (200, serde_json::to_string(body).unwrap())
}

fn problem(code: ErrorCode) -> Answer {
    (code.status(), serde_json::to_string(&Problem::new(code, "as the test wants it")).unwrap())
}

#[derive(Debug)]
pub(super) struct Witness {
    address: std::net::SocketAddr,
    seen: Arc<watch::Sender<Seen>>,
    _listening: AbortOnDropHandle<()>,
}

impl Witness {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(watch::Sender::new(Seen::default()));
        let (connections, shared) = (TaskTracker::new(), Arc::clone(&seen));
        let accepting = connections.clone();
        let listening = connections.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                accepting.spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { address, seen, _listening: AbortOnDropHandle::new(listening) }
    }

    pub(super) fn client(&self) -> Client {
        Client::new(&format!("http://{}", self.address).parse().unwrap(), Some("key".into())).unwrap()
    }

    /// Waits until what it saw is as wanted.
    pub(super) async fn until(&self, wanted: impl Fn(&Seen) -> bool) {
        let mut seen = self.seen.subscribe();
        let waiting = tokio::time::timeout(Duration::from_secs(20), seen.wait_for(|seen| wanted(seen))).await;
        assert!(waiting.is_ok_and(|seen| seen.is_ok()), "not within 20 s: {:?}", self.seen.borrow());
    }

    pub(super) fn look(&self, look: impl FnOnce(&Seen)) {
        look(&self.seen.borrow());
    }

    /// For what happens in the middle of something.
    pub(super) fn seen(&self) -> Arc<watch::Sender<Seen>> {
        Arc::clone(&self.seen)
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Seen)) {
        self.seen.send_modify(change);
    }
}

/// One connection, request by request.
async fn serve(stream: TcpStream, seen: Arc<watch::Sender<Seen>>) {
    let mut stream = BufReader::new(stream);
    while let Some((path, body)) = request(&mut stream).await {
        let (status, body) = tokio::select! {
            answer = answer(&seen, &path, &body) => answer,
            // Nobody waits for the answer any more: a lease in it would be lost.
            _closed = stream.fill_buf() => return,
        };
        let head = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        if stream.get_mut().write_all(format!("{head}{body}").as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The path after `/api/v1/`, and the body. `None`: the connection is closed.
async fn request(stream: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut first = String::new();
    if stream.read_line(&mut first).await.ok()? == 0 {
        return None;
    }
    let path = first.split(' ').nth(1)?.strip_prefix("/api/v1/")?.to_owned();
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((path, body))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> T {
    serde_json::from_slice(body).unwrap()
}

fn transfer_id(path: &str) -> TransferId {
    path.split('/').nth(1).unwrap().parse().unwrap()
}

async fn answer(seen: &watch::Sender<Seen>, path: &str, body: &[u8]) -> Answer {
    match path.rsplit('/').next().unwrap() {
        "hello" => {
            seen.send_modify(|seen| seen.hellos += 1);
            fine(&HelloAnswer { released: 0, now: seen.borrow().now })
        }
        "inventory" => {
            seen.send_if_modified(|seen| {
                seen.waiting += u32::from(seen.thinking);
                seen.thinking
            });
            seen.subscribe().wait_for(|seen| !seen.thinking).await.unwrap();
            fine(&take_report(seen, parse(body)))
        }
        "lease" => fine(&lease(seen, parse(body)).await),
        "progress" => {
            let transfer = transfer_id(path);
            let report: ProgressReport = parse(body);
            let generation = report.generation;
            seen.send_modify(|seen| seen.progress.push(report));
            let seen = seen.borrow();
            if seen.away {
                return problem(ErrorCode::Unavailable);
            }
            if seen.lost.contains(&transfer) || seen.given[&transfer].generation != generation {
                return problem(ErrorCode::LeaseLost);
            }
            fine(&ProgressAnswer { cancel: seen.cancelled.contains(&transfer), limits: seen.limits.clone() })
        }
        "result" => take_result(seen, transfer_id(path), parse(body)),
        // A witness of an earlier version.
        "certificate" | "ticket" => problem(ErrorCode::NotFound),
        other => panic!("the agent asks for {other}"),
    }
}

fn take_report(seen: &watch::Sender<Seen>, report: InventoryReport) -> InventoryAnswer {
    let mut answer = InventoryAnswer { accepted: true, resync: false, need: vec![], now: seen.borrow().now };
    seen.send_modify(|seen| {
        if report.base.is_some() && report.base != seen.base {
            answer = InventoryAnswer { accepted: false, resync: true, need: vec![], now: seen.now };
            return;
        }
        if report.base.is_none() {
            seen.known.retain(|name, _| report.datasets.iter().any(|dataset| dataset.name.as_str() == name));
        }
        for name in &report.removed {
            seen.known.remove(name.as_str());
        }
        for dataset in &report.datasets {
            match &dataset.history {
                Some(history) => {
                    let labels =
                        history.snapshots.iter().map(|snapshot| snapshot.label.to_string()).collect();
                    seen.known.insert(dataset.name.to_string(), labels);
                }
                None if !seen.known.contains_key(dataset.name.as_str()) => {
                    answer.need.push(dataset.name.clone());
                }
                None => {}
            }
        }
        seen.base = Some(report.sequence);
        seen.reports.push(report);
    });
    answer
}

async fn lease(seen: &watch::Sender<Seen>, request: LeaseRequest) -> LeaseAnswer {
    let mut waiting = seen.subscribe();
    let has_some = waiting.wait_for(|seen| !seen.leases.is_empty());
    let _woken = tokio::time::timeout(Duration::from_millis(request.wait_ms), has_some).await.is_ok();
    let mut transfers = Vec::new();
    seen.send_modify(|seen| {
        while transfers.len() < request.max as usize
            && let Some(lease) = seen.leases.pop_front()
        {
            seen.given.insert(lease.id, lease.clone());
            transfers.push(lease);
        }
    });
    LeaseAnswer { transfers, report_now: false, now: None }
}

fn take_result(seen: &watch::Sender<Seen>, transfer: TransferId, result: TransferResult) -> Answer {
    let mut answer = problem(ErrorCode::Unavailable);
    seen.send_modify(|seen| {
        if seen.deaf {
            seen.unheard += 1;
            return;
        }
        let lease = &seen.given[&transfer];
        if lease.generation != result.generation {
            answer = problem(ErrorCode::LeaseLost);
            return;
        }
        answer = fine(&described(lease));
        seen.results.push((transfer, result));
    });
    answer
}

fn described(lease: &LeasedTransfer) -> Transfer {
    let now = zfs_sync_core::time::Timestamp::UNIX_EPOCH;
    Transfer {
        id: lease.id,
        group_id: uuid::Uuid::nil().into(),
        source_system: "nas1".into(),
        target_system: "nas2".into(),
        executor: "nas2".into(),
        source: lease.step.source.to_string(),
        target: lease.step.target.to_string(),
        summary: String::new(),
        state: "succeeded".into(),
        generation: lease.generation,
        attempts: 1,
        next_attempt_at: None,
        cancel_requested: false,
        bytes: 0,
        total: None,
        rate: 0,
        stage: None,
        resumed_from: None,
        error_code: None,
        error_detail: None,
        created_at: now,
        started_at: None,
        updated_at: now,
        finished_at: None,
        flow: None,
        transport: None,
        transport_note: None,
        stalled: false,
        step: lease.step.clone(),
    }
}
