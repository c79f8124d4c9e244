//! Two agents' ends over real TLS on loopback, between two in-memory hosts: what the engine does over ssh, it does so.

#![expect(clippy::disallowed_methods, reason = "tests end what they start")]

mod strangers;
mod throughput;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use camino::Utf8Path;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use zfs_sync_api::v1::{agent::TransferOutcome, certificate::TlsAddress};
use zfs_sync_core::{
    inventory::{Dataset, DatasetKind},
    plan::Step,
    stream::StreamForm,
    time::{Clock, ManualClock, SystemClock, Timestamp},
};
use zfs_sync_zfs::{
    command::{Command, Scope, SendCommand},
    error::{Error, Kind},
    features::Features,
    inventory,
    memory::Host,
    pipeline::ProgressCounter,
    runner::Runner,
};

use super::{
    connect::Connections,
    credentials::{Credentials, Request},
    pass::Pass,
    runner::TlsRunner,
    serve::Serving,
    testing::{Authority, step, system, ticket},
};
use crate::engine::{self, Execution, HoldNote, RecordError, Settled, Sides, Stage, Watcher};

const CONTENT: u64 = 8_000_000;

#[derive(Debug, Default)]
struct Quiet {
    counter: ProgressCounter,
    warnings: Mutex<Vec<String>>,
}

#[async_trait]
impl Watcher for Quiet {
    fn counter(&self) -> &ProgressCounter {
        &self.counter
    }

    fn stage(&self, _stage: Stage) {}

    fn expect(&self, _total: Option<u64>, _resumed_from: Option<u64>) {}

    fn warn(&self, text: &str) {
        self.warnings.lock().unwrap().push(text.to_owned());
    }

    async fn record(&self, _note: HoldNote) -> Result<(), RecordError> {
        Ok(())
    }
}

/// `tank/a` on nas1, system 1; the pool `backup` on nas2, system 2.
struct World {
    source: Host,
    target: Host,
    authority: Authority,
    dir: tempfile::TempDir,
}

/// One that listens.
struct Served {
    address: SocketAddr,
    number: u128,
    instance: Uuid,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Served {
    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }

    fn at(&self, number: u128) -> TlsAddress {
        let host = self.address.ip().to_string();
        TlsAddress { system_id: system(number), host, port: self.address.port() }
    }
}

impl World {
    fn new(encrypted: bool) -> Self {
        let host = |name: &str, pool: &str, seed| {
            let host = Host::new(name, Arc::new(SystemClock), seed);
            host.create_pool(pool, 1 << 30).unwrap();
            host
        };
        let (source, target) = (host("nas1", "tank", 1), host("nas2", "backup", 2));
        if encrypted {
            source.create_encrypted_dataset("tank/a", DatasetKind::Filesystem).unwrap();
        } else {
            source.create_dataset("tank/a", DatasetKind::Filesystem).unwrap();
        }
        source.write("tank/a", CONTENT).unwrap();
        source.snapshot("tank/a@one").unwrap();
        Self { source, target, authority: Authority::new(), dir: tempfile::tempdir().unwrap() }
    }

    /// What system `number` has of `authority`.
    fn credentials(
        &self,
        authority: &Authority,
        number: u128,
        now: Timestamp,
    ) -> watch::Receiver<Option<Arc<Credentials>>> {
        let request = Request::new().unwrap();
        let issued = authority.issue(system(number), &request.csr, now);
        let path = Utf8Path::from_path(self.dir.path()).unwrap();
        let credentials = request.keep(path, system(number), &issued).unwrap();
        watch::Sender::new(Some(Arc::new(credentials))).subscribe()
    }

    async fn serve(&self, number: u128) -> Served {
        self.serve_at(number, Arc::new(SystemClock)).await
    }

    /// Listens as system `number`, by this clock.
    async fn serve_at(&self, number: u128, clock: Arc<dyn Clock>) -> Served {
        let host = if number == 1 { &self.source } else { &self.target };
        let credentials = self.credentials(&self.authority, number, clock.now());
        let instance = Uuid::new_v4();
        let serving = Serving::new(system(number), instance, host.runner(), clock, credentials);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
        let task = tokio::spawn(Arc::new(serving).listen(listener, shutdown.clone()));
        Served { address, number, instance, shutdown, task }
    }

    fn connections(&self, number: u128) -> Arc<Connections> {
        let credentials = self.credentials(&self.authority, number, SystemClock.now());
        Arc::new(Connections::new(Arc::new(SystemClock), credentials))
    }

    /// The other one of both systems, with a ticket for this step.
    fn runner(&self, served: &Served, step: &Step, generation: u64) -> TlsRunner {
        let client = 3 - served.number;
        let mut ticket = ticket(step.clone(), system(client), served.instance, SystemClock.now());
        ticket.generation = generation;
        let pass = Arc::new(Pass::new(self.authority.sign(&ticket)));
        TlsRunner::new(self.connections(client), served.at(served.number), "the other side".to_owned(), pass)
    }

    async fn dataset(&self, host: &Host, name: &str) -> Option<Dataset> {
        let runner = host.runner();
        let features = Features::probe(&*runner).await.unwrap();
        let found = inventory::read(&*runner, &Scope::Everything, &features).await.unwrap();
        found.into_iter().find(|dataset| dataset.name.as_str() == name)
    }

    async fn step(&self) -> Step {
        let source = self.dataset(&self.source, "tank/a").await.unwrap();
        step(source.properties.guid, source.newest().unwrap().guid)
    }

    /// Has the target all of it?
    async fn arrived(&self) -> bool {
        let same = self.target.content("backup/new/a@one").ok() == self.source.content("tank/a@one").ok();
        same && self.dataset(&self.target, "backup/new/a").await.is_some()
    }

    async fn partial(&self) -> Option<u64> {
        let target = self.dataset(&self.target, "backup/new/a").await?;
        target.properties.partial.map(|partial| partial.bytes)
    }
}

async fn execute(step: &Step, source: &dyn Runner, target: &dyn Runner, watcher: &Quiet) -> Execution {
    let source_features = Features::probe(source).await.unwrap();
    let target_features = Features::probe(target).await.unwrap();
    let sides =
        Sides { source, target, source_features: &source_features, target_features: &target_features };
    engine::execute(step, &sides, watcher, &CancellationToken::new(), None).await
}

async fn until<F: Future<Output = bool>>(what: &str, look: impl Fn() -> F) {
    let patient = async {
        while !look().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), patient)
        .await
        .unwrap_or_else(|_| panic!("waited for {what}"));
}

fn code(outcome: &TransferOutcome) -> (&str, bool) {
    match outcome {
        TransferOutcome::Failed { code, retryable, .. } => (code, *retryable),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_source_pushes_to_an_agent_that_listens() {
    let world = World::new(false);
    let (served, step) = (world.serve(2).await, world.step().await);
    let watcher = Quiet::default();
    let remote = world.runner(&served, &step, 1);
    let execution = execute(&step, &*world.source.runner(), &remote, &watcher).await;
    assert_eq!(execution.outcome, TransferOutcome::Succeeded, "{:?}", watcher.warnings);
    assert_eq!(execution.settled, Settled::Clean, "{:?}", watcher.warnings);
    assert!(world.arrived().await);
    assert!(watcher.counter.bytes() >= CONTENT);
    let held = world.dataset(&world.target, "backup/new/a").await.unwrap().newest().unwrap().holds;
    assert_eq!(held, 1, "the base is held over there");
    served.stop().await;
}

#[tokio::test]
async fn a_target_pulls_from_an_agent_that_listens() {
    let world = World::new(false);
    let (served, step) = (world.serve(1).await, world.step().await);
    let watcher = Quiet::default();
    let remote = world.runner(&served, &step, 1);
    let execution = execute(&step, &remote, &*world.target.runner(), &watcher).await;
    assert_eq!(execution.outcome, TransferOutcome::Succeeded, "{:?}", watcher.warnings);
    assert!(world.arrived().await);
    let source = world.dataset(&world.source, "tank/a").await.unwrap();
    assert_eq!((source.bookmarks.len(), source.newest().unwrap().holds), (1, 0));
    served.stop().await;
}

/// The side that connects dies in the middle of the stream; the other keeps what has come, and the next attempt continues.
#[tokio::test]
async fn what_had_come_is_continued_after_the_sender_has_died() {
    let world = World::new(false);
    let (served, step) = (world.serve(2).await, world.step().await);
    world.source.faults().slow(Some(4_000_000));
    let (remote, local) = (world.runner(&served, &step, 1), world.source.runner());
    let counter = ProgressCounter::new();
    let watcher = Quiet { counter: counter.clone(), ..Quiet::default() };
    let dying = step.clone();
    let attempt = tokio::spawn(async move { execute(&dying, &*local, &remote, &watcher).await });
    until("some of the stream", async || counter.bytes() > 500_000).await;
    attempt.abort();
    until("a partial receive", async || world.partial().await.is_some_and(|bytes| bytes > 0)).await;
    world.source.faults().slow(None);
    let (remote, watcher) = (world.runner(&served, &step, 2), Quiet::default());
    let execution = execute(&step, &*world.source.runner(), &remote, &watcher).await;
    assert_eq!(execution.outcome, TransferOutcome::Succeeded, "{:?}", watcher.warnings);
    assert!(execution.resumed_from.is_some_and(|bytes| bytes > 0), "{execution:?}");
    assert!(world.arrived().await);
    served.stop().await;
}

/// The side that listens dies: the stream fails with the connection as its cause, and a later run of that agent continues.
#[tokio::test]
async fn what_had_come_is_continued_after_the_listener_has_died() {
    let world = World::new(false);
    let (served, step) = (world.serve(1).await, world.step().await);
    world.source.faults().slow(Some(4_000_000));
    let (remote, local) = (world.runner(&served, &step, 1), world.target.runner());
    let counter = ProgressCounter::new();
    let watcher = Quiet { counter: counter.clone(), ..Quiet::default() };
    let pulling = step.clone();
    let attempt = tokio::spawn(async move { execute(&pulling, &remote, &*local, &watcher).await });
    until("some of the stream", async || counter.bytes() > 500_000).await;
    served.stop().await;
    let execution = attempt.await.unwrap();
    assert_eq!(code(&execution.outcome), ("E_TLS_UNREACHABLE", true));
    assert!(world.partial().await.is_some_and(|bytes| bytes > 0));
    world.source.faults().slow(None);
    let served = world.serve(1).await;
    let (remote, watcher) = (world.runner(&served, &step, 2), Quiet::default());
    let execution = execute(&step, &remote, &*world.target.runner(), &watcher).await;
    assert_eq!(execution.outcome, TransferOutcome::Succeeded, "{:?}", watcher.warnings);
    assert!(execution.resumed_from.is_some());
    assert!(world.arrived().await);
    served.stop().await;
}

/// A newer attempt of the same transfer ends the older one's stream, wherever that one is.
#[tokio::test]
async fn a_newer_attempt_takes_the_receiver_from_an_older_one() {
    let world = World::new(false);
    let (served, step) = (world.serve(2).await, world.step().await);
    world.source.faults().slow(Some(4_000_000));
    let (remote, local) = (world.runner(&served, &step, 1), world.source.runner());
    let counter = ProgressCounter::new();
    let watcher = Quiet { counter: counter.clone(), ..Quiet::default() };
    let old = step.clone();
    let attempt = tokio::spawn(async move { execute(&old, &*local, &remote, &watcher).await });
    until("some of the stream", async || counter.bytes() > 500_000).await;
    let newer = world.runner(&served, &step, 2);
    newer.run(&Command::Version).await.unwrap();
    let execution = attempt.await.unwrap();
    assert!(["E_TLS_UNREACHABLE", "E_TLS_TICKET"].contains(&code(&execution.outcome).0), "{execution:?}");
    served.stop().await;
}

#[tokio::test]
async fn a_failure_over_there_has_its_own_cause() {
    let world = World::new(false);
    let (served, step) = (world.serve(2).await, world.step().await);
    world.target.faults().fail_next(
        |command| matches!(command, Command::Receive(_)),
        "cannot receive new filesystem stream: out of space\n",
    );
    let (remote, watcher) = (world.runner(&served, &step, 1), Quiet::default());
    let execution = execute(&step, &*world.source.runner(), &remote, &watcher).await;
    assert_eq!(code(&execution.outcome), ("E_RECV_NO_SPACE", true));
    served.stop().await;
}

async fn refused(runner: &TlsRunner, command: &Command) -> Error {
    runner.run(command).await.unwrap_err()
}

#[tokio::test]
async fn a_ticket_that_was_used_is_refused() {
    let world = World::new(false);
    let (served, step) = (world.serve(2).await, world.step().await);
    let signed = world.authority.sign(&ticket(step, system(1), served.instance, SystemClock.now()));
    let show = || {
        TlsRunner::new(
            world.connections(1),
            served.at(2),
            "nas2".to_owned(),
            Arc::new(Pass::new(signed.clone())),
        )
    };
    let first = show();
    first.run(&Command::Version).await.unwrap();
    assert_eq!(refused(&show(), &Command::Version).await.kind, Kind::TlsTicket);
    // Its own session goes on, on as many connections as it likes.
    let (one, other) = tokio::join!(first.run(&Command::Version), first.run(&Command::ListPools));
    assert!(one.is_ok() && other.is_ok());
    served.stop().await;
}

#[tokio::test]
async fn what_the_ticket_does_not_allow_is_refused() {
    let world = World::new(true);
    let (served, step) = (world.serve(1).await, world.step().await);
    let before = world.dataset(&world.source, "tank/a").await.unwrap();
    let remote = world.runner(&served, &step, 1);
    for command in [
        Command::RollBack { to: "tank/a@one".parse().unwrap() },
        Command::Rename { from: "tank/a".parse().unwrap(), to: "tank/b".parse().unwrap() },
        Command::ListHistory { scope: Scope::Only("tank".parse().unwrap()) },
    ] {
        assert_eq!(refused(&remote, &command).await.kind, Kind::TlsForbidden, "{}", command.display_line());
    }
    // An encrypted source is never sent in the clear on another one's word.
    let plain = SendCommand::Full { to: "tank/a@one".parse().unwrap(), form: StreamForm::WHOLE };
    assert_eq!(refused(&remote, &Command::Estimate(plain.clone())).await.kind, Kind::TlsForbidden);
    let (reader, writer) = std::io::pipe().unwrap();
    let mut stage = remote.start(&Command::Send(plain.clone()), None, Some(writer)).unwrap();
    let end = stage.wait().await;
    assert!(!end.success && end.stderr.contains("E_TLS_FORBIDDEN: tank/a is encrypted"), "{end:?}");
    drop(reader);
    let raw = SendCommand::Full { to: "tank/a@one".parse().unwrap(), form: StreamForm::Raw };
    remote.run(&Command::Estimate(raw)).await.unwrap();
    // Of all datasets only the source is shown.
    let rows =
        inventory::list_datasets(&remote, &Scope::Everything, &Features::probe(&remote).await.unwrap()).await;
    let names: Vec<String> = rows.unwrap().iter().map(|row| row.name.to_string()).collect();
    assert_eq!(names, ["tank/a"]);
    assert_eq!(world.dataset(&world.source, "tank/a").await.unwrap(), before);
    served.stop().await;
}

#[tokio::test]
async fn certificates_of_others_and_old_ones_are_refused() {
    let world = World::new(false);
    let (served, step) = (world.serve(2).await, world.step().await);
    let now = SystemClock.now();
    let signed = || world.authority.sign(&ticket(step.clone(), system(1), served.instance, now));
    let connect = |credentials, clock, address| {
        TlsRunner::new(
            Arc::new(Connections::new(clock, credentials)),
            address,
            "nas2".to_owned(),
            Arc::new(Pass::new(signed())),
        )
    };
    let clock = || Arc::new(SystemClock) as Arc<dyn Clock>;
    // Of another witness.
    let foreign = world.credentials(&Authority::new(), 1, now);
    let refusal = refused(&connect(foreign, clock(), served.at(2)), &Command::Version).await;
    assert_eq!(refusal.kind, Kind::TlsCertificate, "{refusal}: {}", refusal.stderr);
    // That of another system than the one that should be there.
    let ours = world.credentials(&world.authority, 1, now);
    let refusal = refused(&connect(ours.clone(), clock(), served.at(3)), &Command::Version).await;
    assert_eq!(refusal.kind, Kind::TlsCertificate, "{}", refusal.stderr);
    // Our own, long ago.
    let then = now.checked_sub(Duration::from_hours(40 * 24)).unwrap();
    let old = world.credentials(&world.authority, 1, then);
    let refusal = refused(&connect(old, clock(), served.at(2)), &Command::Version).await;
    assert_eq!(refusal.kind, Kind::TlsCertificate, "{}", refusal.stderr);
    // The right one is accepted.
    connect(ours, clock(), served.at(2)).run(&Command::Version).await.unwrap();
    served.stop().await;
}

#[tokio::test]
async fn a_listener_whose_certificate_has_ended_is_refused() {
    let world = World::new(false);
    let then = SystemClock.now().checked_sub(Duration::from_hours(40 * 24)).unwrap();
    let served = world.serve_at(2, Arc::new(ManualClock::new(then))).await;
    let remote = world.runner(&served, &world.step().await, 1);
    assert_eq!(refused(&remote, &Command::Version).await.kind, Kind::TlsCertificate);
    served.stop().await;
}

#[tokio::test]
async fn nobody_listens() {
    let world = World::new(false);
    let served = world.serve(2).await;
    let remote = world.runner(&served, &world.step().await, 1);
    served.stop().await;
    let refusal = refused(&remote, &Command::Version).await;
    assert_eq!((refusal.kind, refusal.is_retryable()), (Kind::TlsUnreachable, true), "{}", refusal.stderr);
}

#[tokio::test]
async fn without_a_certificate_nothing_is_said() {
    use tokio::io::AsyncReadExt as _;

    let world = World::new(false);
    let served = world.serve(2).await;
    let mut plain = tokio::net::TcpStream::connect(served.address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut plain, b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _reset = plain.read_to_end(&mut answer).await;
    assert!(answer.len() < 16, "an alert at most: {answer:?}");
    served.stop().await;
}
