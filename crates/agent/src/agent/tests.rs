//! The agent's loops on an in-memory host, against a witness of a few lines that speaks real HTTP.
//!
//! What only shows with the real witness (planning, leases that run out, a whole fleet) is tested where that is.

mod looks;
mod witness;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use async_trait::async_trait;
use camino::Utf8Path;
use tokio_util::sync::CancellationToken;
use zfs_sync_api::v1::agent::{LeasedTransfer, Peer, TransferOutcome, TransferResult};
use zfs_sync_core::{
    flow::{FlowSettings, SharedLimit},
    guid::Guid,
    ids::{SystemId, TransferId},
    inventory::{Dataset, DatasetKind},
    name::DatasetName,
    plan::{Action, Base, Casualty, Receiver, Send, Step},
    time::SystemClock,
};
use zfs_sync_zfs::{
    command::{Command, Scope},
    error::Error,
    features::Features,
    inventory,
    memory::{Host, MemoryRunner, Network},
    runner::{Output, Runner, Stage},
};

use self::witness::{Seen, Witness};
use super::*;
use crate::engine::{ManualBootClock, Settled};

/// Reaches in-memory hosts.
#[derive(Debug)]
struct MemoryConnector(Network);

impl Connector for MemoryConnector {
    fn runner(&self, peer: &Peer) -> Result<Arc<dyn Runner>, ConnectError> {
        Ok(self.0.remote(&peer.hostname))
    }
}

fn system(number: u128) -> SystemId {
    uuid::Uuid::from_u128(number).into()
}

fn id(number: u128) -> TransferId {
    uuid::Uuid::from_u128(number).into()
}

/// `tank/a` on nas1, an agent on nas2 that pulls it into `backup/a`.
struct World {
    source: Host,
    target: Host,
    witness: Witness,
    dir: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let host = |name: &str, pool: &str, seed| {
            let host = Host::new(name, Arc::new(SystemClock), seed);
            host.create_pool(pool, 1 << 30).unwrap();
            host
        };
        let (source, target) = (host("nas1", "tank", 1), host("nas2", "backup", 2));
        source.create_dataset("tank/a", DatasetKind::Filesystem).unwrap();
        source.write("tank/a", 8_000_000).unwrap();
        source.snapshot("tank/a@one").unwrap();
        Self { source, target, witness: Witness::start().await, dir: tempfile::tempdir().unwrap() }
    }

    fn data_dir(&self) -> Utf8PathBuf {
        Utf8PathBuf::from_path_buf(self.dir.path().join("agent")).unwrap()
    }

    fn options(&self) -> Options {
        let network = Network::new();
        network.add(self.source.clone());
        network.add(self.target.clone());
        Options {
            client: self.witness.client(),
            system_id: system(2),
            data_dir: self.data_dir(),
            local: self.target.runner(),
            connector: Arc::new(MemoryConnector(network)),
            clock: Arc::new(SystemClock),
            report_interval: Duration::from_millis(500),
            poll_interval: Duration::from_millis(100),
            max_transfers: 2,
            drain: Duration::ZERO,
            buffer: 0,
            sanoid: None,
            tls: TlsOptions::default(),
        }
    }

    fn start(&self) -> (AgentHandle, CancellationToken) {
        let shutdown = CancellationToken::new();
        (Agent::start(self.options(), shutdown.clone()).unwrap(), shutdown)
    }

    fn start_at(&self, clock: &Arc<ManualBootClock>) -> (AgentHandle, CancellationToken) {
        let (shutdown, clock) = (CancellationToken::new(), Arc::clone(clock) as Arc<dyn BootClock>);
        (Agent::start_with(self.options(), clock, shutdown.clone()).unwrap(), shutdown)
    }

    /// Two snapshots of its own on the target, and a lease on destroying them.
    async fn lease_on_destroying(&self, number: u128) -> LeasedTransfer {
        self.target.create_dataset("backup/a", DatasetKind::Filesystem).unwrap();
        for label in ["mine", "more", "kept"] {
            self.target.write("backup/a", 1000).unwrap();
            self.target.snapshot(&format!("backup/a@{label}")).unwrap();
        }
        let target = self.dataset(&self.target, "backup/a").await.unwrap();
        let mut lease = self.lease(number, 1).await;
        lease.peer = None;
        lease.step.action = Action::DestroySnapshots {
            target_guid: target.properties.guid,
            keeps: target.newest().unwrap().guid,
            destroys: target.snapshots[..2].iter().map(Casualty::from).collect(),
        };
        lease
    }

    async fn dataset(&self, host: &Host, name: &str) -> Option<Dataset> {
        let runner = host.runner();
        let features = Features::probe(&*runner).await.unwrap();
        let name: DatasetName = name.parse().unwrap();
        let found = inventory::read(&*runner, &Scope::Everything, &features).await.unwrap();
        found.into_iter().find(|dataset| dataset.name == name)
    }

    /// What the planner would say: all of `tank/a` that `backup/a` has not.
    async fn step(&self) -> Step {
        let source = self.dataset(&self.source, "tank/a").await.unwrap();
        let target = self.dataset(&self.target, "backup/a").await;
        let newest = target.as_ref().and_then(Dataset::newest).map(|snapshot| snapshot.guid);
        let base =
            newest.and_then(|guid| source.snapshot(guid)).map(|snapshot| Base::Snapshot(snapshot.into()));
        let name: DatasetName = "backup/a".parse().unwrap();
        Step {
            source_system: system(1),
            target_system: system(2),
            source: source.name.clone(),
            receiver: Receiver::new(system(2), &name),
            target: name,
            kind: DatasetKind::Filesystem,
            source_guid: source.properties.guid,
            action: Action::Send(Send {
                base,
                to: source.newest().unwrap().into(),
                snapshots: 1,
                resume: target.is_some_and(|target| target.properties.partial.is_some()),
                discard_partial: None,
                raw: false,
                target_newest: newest,
                create_parents: vec![],
                target_origin: None,
                properties: Vec::new(),
            }),
        }
    }

    async fn lease(&self, number: u128, generation: u64) -> LeasedTransfer {
        let peer = Peer {
            hostname: "nas1".into(),
            ssh_hostname: Some("nas1".into()),
            ssh_user: None,
            ssh_port: 22,
            tls: None,
        };
        LeasedTransfer {
            id: id(number),
            generation,
            lease_ms: 3000,
            step: self.step().await,
            peer: Some(peer),
            push: false,
            flow: FlowSettings::default(),
            ticket: None,
        }
    }

    async fn newest_source(&self) -> Guid {
        self.dataset(&self.source, "tank/a").await.unwrap().newest().unwrap().guid
    }

    async fn source_is_held(&self) -> bool {
        self.dataset(&self.source, "tank/a")
            .await
            .unwrap()
            .snapshots
            .iter()
            .any(|snapshot| snapshot.holds > 0)
    }

    fn ledger(&self) -> Vec<crate::ledger::Entry> {
        Ledger::open(&self.data_dir()).unwrap().ledger.entries()
    }
}

async fn stop(agent: &AgentHandle, shutdown: &CancellationToken) {
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(20), agent.wait()).await.expect("the agent stops in time");
}

#[tokio::test]
async fn a_snapshot_is_reported_without_anybody_asking() {
    let world = World::new().await;
    let (agent, shutdown) = world.start();
    world.witness.until(|seen| seen.hellos == 1 && seen.known.contains_key("backup")).await;
    world.target.snapshot("backup@mine").unwrap();
    world.witness.until(|seen| seen.known["backup"].contains(&"mine".to_owned())).await;
    stop(&agent, &shutdown).await;
}

#[tokio::test]
async fn silence_is_broken_by_empty_reports() {
    let world = World::new().await;
    let (agent, shutdown) = world.start();
    world
        .witness
        .until(|seen| seen.reports.iter().filter(|report| report.datasets.is_empty()).count() >= 2)
        .await;
    stop(&agent, &shutdown).await;
}

#[tokio::test]
async fn a_witness_that_forgets_is_told_everything_again() {
    let world = World::new().await;
    let (agent, shutdown) = world.start();
    world.witness.until(|seen| seen.known.contains_key("backup")).await;
    world.witness.change(|seen| {
        seen.known.clear();
        seen.base = None;
    });
    world.witness.until(|seen| seen.known.contains_key("backup")).await;
    stop(&agent, &shutdown).await;
}

#[tokio::test]
async fn a_leased_transfer_arrives_and_the_witness_knows_before_it_hears_the_result() {
    let world = World::new().await;
    let (agent, shutdown) = world.start();
    let lease = world.lease(1, 1).await;
    world.witness.change(|seen| seen.leases.push_back(lease));
    world.witness.until(|seen| !seen.results.is_empty()).await;
    world.witness.look(|seen| {
        let (transfer, result) = &seen.results[0];
        assert_eq!((*transfer, result.generation, &result.outcome), (id(1), 1, &TransferOutcome::Succeeded));
        assert!(result.bytes >= 8_000_000);
        assert_eq!(seen.known["backup/a"], ["one"], "reported before the result");
        assert!(seen.progress.iter().all(|progress| progress.generation == 1));
        assert!(!seen.progress.is_empty());
    });
    stop(&agent, &shutdown).await;
    assert!(!world.source_is_held().await);
    assert_eq!(world.ledger().len(), 0);
}

/// A transfer has ended, its result is written down, and the witness has not answered the report of what it did.
async fn ended_and_not_yet_reported(world: &World) -> (AgentHandle, CancellationToken) {
    let (agent, shutdown) = world.start();
    world.witness.until(|seen| seen.known.contains_key("backup")).await;
    world.witness.change(|seen| seen.thinking = true);
    world.witness.until(|seen| seen.waiting > 0).await;
    let lease = world.lease(1, 1).await;
    world.witness.change(|seen| seen.leases.push_back(lease));
    let ended = async {
        while agent.shared.ledger.entry(id(1)).is_none_or(|entry| entry.result.is_none()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("the transfer ends in time");
    (agent, shutdown)
}

#[tokio::test]
async fn a_result_does_not_overtake_the_report_of_what_it_did_when_another_one_is_delivered() {
    let world = World::new().await;
    let (agent, shutdown) = ended_and_not_yet_reported(&world).await;
    let other = world.lease(2, 1).await;
    world.witness.change(|seen| drop(seen.given.insert(other.id, other.clone())));
    let result = TransferResult {
        generation: 1,
        outcome: TransferOutcome::Cancelled,
        bytes: 0,
        resumed_from: None,
        transport: None,
    };
    agent.shared.ledger.begin(&other).unwrap();
    agent.shared.ledger.finish(other.id, 1, Settled::Clean, Some(result)).unwrap();
    agent.shared.outbox.wake();
    let heard = |seen: &Seen| seen.results.iter().map(|(transfer, _)| *transfer).collect::<Vec<_>>();
    world.witness.until(|seen| heard(seen).contains(&id(2))).await;
    world.witness.look(|seen| assert_eq!(heard(seen), [id(2)]));

    world.witness.change(|seen| seen.thinking = false);
    world.witness.until(|seen| seen.results.len() == 2).await;
    world.witness.look(|seen| assert_eq!(seen.known["backup/a"], ["one"], "reported before the result"));
    stop(&agent, &shutdown).await;
    assert_eq!(world.ledger().len(), 0);
}

#[tokio::test]
async fn a_result_whose_report_nobody_answers_is_said_all_the_same() {
    let world = World::new().await;
    let (agent, shutdown) = ended_and_not_yet_reported(&world).await;
    world.witness.until(|seen| !seen.results.is_empty()).await;
    world.witness.look(|seen| assert!(!seen.known.contains_key("backup/a")));
    stop(&agent, &shutdown).await;
    assert_eq!(world.ledger().len(), 0);
}

#[tokio::test]
async fn a_result_whose_report_was_not_answered_is_said_when_the_agent_stops() {
    let world = World::new().await;
    let (agent, shutdown) = ended_and_not_yet_reported(&world).await;
    stop(&agent, &shutdown).await;
    world.witness.look(|seen| assert_eq!(seen.results.len(), 1));
    assert_eq!(world.ledger().len(), 0);
}

#[tokio::test]
async fn a_step_that_would_give_up_more_than_was_planned_makes_the_witness_know_how_much() {
    let world = World::new().await;
    let (agent, shutdown) = world.start();
    let first = world.lease(1, 1).await;
    world.witness.change(|seen| seen.leases.push_back(first));
    world.witness.until(|seen| !seen.results.is_empty()).await;
    world.target.set_readonly("backup/a", false).unwrap();
    world.target.write("backup/a", 1000).unwrap();
    agent.wake();
    let told = |seen: &Seen| {
        let named = seen.reports.iter().rev().flat_map(|report| &report.datasets);
        named.filter(|dataset| dataset.name.as_str() == "backup/a").map(|told| told.properties.written).next()
    };
    world.witness.until(|seen| told(seen).is_some_and(|written| written > 0)).await;
    let mut planned = 0;
    world.witness.look(|seen| planned = told(seen).unwrap());
    // More of it is no news by itself.
    world.target.write("backup/a", 500_000).unwrap();
    let written = world.dataset(&world.target, "backup/a").await.unwrap().properties.written;
    assert!(written > planned);

    let target = world.dataset(&world.target, "backup/a").await.unwrap();
    let newest = target.newest().unwrap();
    let mut lease = world.lease(2, 1).await;
    lease.peer = None;
    lease.step.action = Action::RollBack {
        to: newest.guid,
        to_label: newest.label.clone(),
        target_guid: target.properties.guid,
        target_newest: newest.guid,
        destroys: Vec::new(),
        discards: planned,
    };
    world.witness.change(|seen| seen.leases.push_back(lease));
    world.witness.until(|seen| seen.results.len() == 2).await;
    world.witness.look(|seen| {
        let outcome = &seen.results[1].1.outcome;
        assert!(matches!(outcome, TransferOutcome::Stale { .. }), "{outcome:?}");
        assert_eq!(told(seen), Some(written), "reported before the result");
    });
    stop(&agent, &shutdown).await;
}

#[tokio::test]
async fn without_a_witness_that_answers_nothing_is_destroyed_once_the_lease_may_be_over() {
    let world = World::new().await;
    let clock = Arc::new(ManualBootClock::default());
    let (agent, shutdown) = world.start_at(&clock);
    let lease = world.lease_on_destroying(1).await;
    let length = Duration::from_millis(lease.lease_ms);
    let witness = world.witness.seen();
    // The network goes, and the machine sleeps, while the first is destroyed.
    let sleep = move |command: &Command| {
        if matches!(command, Command::DestroySnapshot { .. }) {
            witness.send_modify(|seen| seen.away = true);
            clock.advance(length);
        }
        false
    };
    world.target.faults().fail_next(sleep, "");
    world.witness.change(|seen| seen.leases.push_back(lease));
    world.witness.until(|seen| !seen.results.is_empty()).await;
    world.witness.look(|seen| match &seen.results[0].1.outcome {
        TransferOutcome::Failed { code, retryable, .. } => {
            assert_eq!((code.as_str(), *retryable), ("E_WITNESS_UNREACHABLE", true));
        }
        other => panic!("{other:?}"),
    });
    let left = world.dataset(&world.target, "backup/a").await.unwrap().snapshots;
    let left: Vec<_> = left.iter().map(|snapshot| snapshot.label.to_string()).collect();
    assert_eq!(left, ["more", "kept"]);
    stop(&agent, &shutdown).await;
}

#[tokio::test]
async fn a_witness_that_answers_lets_a_destructive_step_end() {
    let world = World::new().await;
    let (agent, shutdown) = world.start();
    let lease = world.lease_on_destroying(1).await;
    world.witness.change(|seen| seen.leases.push_back(lease));
    world.witness.until(|seen| !seen.results.is_empty()).await;
    world.witness.look(|seen| assert_eq!(seen.results[0].1.outcome, TransferOutcome::Succeeded));
    stop(&agent, &shutdown).await;
}

#[tokio::test]
async fn a_stopped_agent_gives_its_transfer_back_and_the_next_run_resumes_it() {
    let world = World::new().await;
    world.source.faults().slow(Some(2_000_000));
    let (agent, shutdown) = world.start();
    let lease = world.lease(1, 1).await;
    world.witness.change(|seen| seen.leases.push_back(lease));
    world.witness.until(|seen| seen.progress.iter().any(|progress| progress.bytes > 500_000)).await;
    stop(&agent, &shutdown).await;
    world.witness.look(|seen| assert_eq!(seen.results[0].1.outcome, TransferOutcome::Interrupted));
    assert!(world.source_is_held().await, "the partial receive needs its snapshot");
    assert_eq!(world.ledger().len(), 1);

    world.source.faults().slow(None);
    let (agent, shutdown) = world.start();
    let lease = world.lease(1, 2).await;
    world.witness.change(|seen| seen.leases.push_back(lease));
    world.witness.until(|seen| seen.results.len() == 2).await;
    world.witness.look(|seen| {
        let result = &seen.results[1].1;
        assert_eq!((result.generation, &result.outcome), (2, &TransferOutcome::Succeeded));
        assert!(result.resumed_from.is_some_and(|bytes| bytes > 0) && result.bytes < 8_000_000, "{result:?}");
    });
    stop(&agent, &shutdown).await;
    assert!(!world.source_is_held().await);
    assert_eq!(world.ledger().len(), 0);
}

#[tokio::test]
async fn a_killed_agent_resumes_and_leaves_nothing_held() {
    let world = World::new().await;
    world.source.faults().slow(Some(2_000_000));
    // A runtime of its own dies as a process does: every task stops where it is.
    let process = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let agent = {
        let _entered = process.enter();
        Agent::start(world.options(), CancellationToken::new()).unwrap()
    };
    let lease = world.lease(1, 1).await;
    world.witness.change(|seen| seen.leases.push_back(lease));
    world.witness.until(|seen| seen.progress.iter().any(|progress| progress.bytes > 500_000)).await;
    process.shutdown_background();
    // Until every task is gone, and with the last the lock.
    agent.wait().await;
    drop(agent);
    world.source.settle().await;
    world.target.settle().await;
    world.source.faults().slow(None);
    world.witness.look(|seen| assert_eq!(seen.results.len(), 0));
    assert_eq!(world.ledger()[0].phase, crate::ledger::Phase::Running);
    assert!(world.source_is_held().await);

    let (agent, shutdown) = world.start();
    world.witness.until(|seen| seen.hellos == 2).await;
    let lease = world.lease(1, 2).await;
    world.witness.change(|seen| seen.leases.push_back(lease));
    world.witness.until(|seen| !seen.results.is_empty()).await;
    world.witness.look(|seen| {
        let result = &seen.results[0].1;
        assert_eq!((result.generation, &result.outcome), (2, &TransferOutcome::Succeeded));
        assert!(result.resumed_from.is_some_and(|bytes| bytes > 0), "{result:?}");
    });
    stop(&agent, &shutdown).await;
    assert!(!world.source_is_held().await);
    assert_eq!(world.ledger().len(), 0);
}

#[tokio::test]
async fn holds_of_a_killed_agent_go_at_the_next_start_when_nothing_waits_for_them() {
    let world = World::new().await;
    let lease = world.lease(1, 1).await;
    // What a crash between the hold and the first byte leaves.
    let ledger = Ledger::open(&world.data_dir()).unwrap().ledger;
    ledger.begin(&lease).unwrap();
    drop(ledger);
    world.source.hold(&lease.step.protection().step_hold(), "tank/a@one").unwrap();
    let (agent, shutdown) = world.start();
    // Reports begin when the last run is looked after.
    world.witness.until(|seen| !seen.reports.is_empty()).await;
    assert!(!world.source_is_held().await);
    stop(&agent, &shutdown).await;
    assert_eq!(world.ledger().len(), 0);
}

/// A lease under a limit, by whoever owns it.
fn limited(lease: LeasedTransfer, limit: &str) -> LeasedTransfer {
    let limits = vec![SharedLimit { of: "group:media".to_owned(), limit: limit.parse().unwrap() }];
    LeasedTransfer { flow: FlowSettings { limits, ..FlowSettings::default() }, ..lease }
}

#[tokio::test]
async fn a_limit_holds_and_is_lifted_while_the_transfer_runs() {
    let world = World::new().await;
    let (agent, shutdown) = world.start();
    // Eight megabytes would take more than two hours.
    let lease = limited(world.lease(1, 1).await, "1KiB/s");
    let lifted = limited(lease.clone(), "unlimited").flow.limits;
    world.witness.change(|seen| seen.leases.push_back(lease));
    let told = |seen: &Seen, limit| {
        seen.progress.iter().any(|told| told.stage == "sending" && told.flow.as_ref().unwrap().limit == limit)
    };
    world.witness.until(|seen| told(seen, Some(1024))).await;
    world.witness.look(|seen| {
        assert!(seen.progress.iter().all(|told| told.bytes < 1_000_000), "{:?}", seen.progress);
    });
    world.witness.change(|seen| seen.limits = Some(lifted));
    world.witness.until(|seen| !seen.results.is_empty()).await;
    world.witness.look(|seen| assert_eq!(seen.results[0].1.outcome, TransferOutcome::Succeeded));
    stop(&agent, &shutdown).await;
}

#[tokio::test]
async fn a_transfer_that_is_nearly_done_ends_by_itself_when_the_agent_is_stopped() {
    let world = World::new().await;
    let shutdown = CancellationToken::new();
    let options = Options { drain: Duration::from_secs(15), ..world.options() };
    let agent = Agent::start(options, shutdown.clone()).unwrap();
    // Four seconds: enough to be seen under way, and less than the agent may take.
    let lease = limited(world.lease(1, 1).await, "2MiB/s");
    world.witness.change(|seen| seen.leases.push_back(lease));
    world.witness.until(|seen| seen.progress.iter().any(|told| told.rate > 0 && told.total.is_some())).await;
    stop(&agent, &shutdown).await;
    world.witness.look(|seen| assert_eq!(seen.results[0].1.outcome, TransferOutcome::Succeeded));
    assert_eq!(world.ledger().len(), 0);
}

#[tokio::test]
async fn a_transfer_that_has_long_to_go_is_cancelled_at_once_when_the_agent_is_stopped() {
    let world = World::new().await;
    let shutdown = CancellationToken::new();
    let options = Options { drain: Duration::from_hours(1), ..world.options() };
    let agent = Agent::start(options, shutdown.clone()).unwrap();
    let lease = limited(world.lease(1, 1).await, "1KiB/s");
    world.witness.change(|seen| seen.leases.push_back(lease));
    world.witness.until(|seen| seen.progress.iter().any(|told| told.rate > 0 && told.total.is_some())).await;
    stop(&agent, &shutdown).await;
    world.witness.look(|seen| assert_eq!(seen.results[0].1.outcome, TransferOutcome::Interrupted));
}

#[tokio::test]
async fn a_lost_lease_stops_the_work_and_says_nothing() {
    let world = World::new().await;
    world.source.faults().slow(Some(1_000_000));
    let (agent, shutdown) = world.start();
    let lease = world.lease(1, 1).await;
    world.witness.change(|seen| seen.leases.push_back(lease));
    world.witness.until(|seen| seen.progress.iter().any(|progress| progress.bytes > 500_000)).await;
    world.witness.change(|seen| {
        seen.lost.insert(id(1));
    });
    // Both places are free: nothing runs any more, although nobody stopped the agent.
    drop(agent.shared.places.acquire_many(2).await.unwrap());
    stop(&agent, &shutdown).await;
    world.witness.look(|seen| assert_eq!(seen.results.len(), 0));
    assert_ne!(
        world.dataset(&world.target, "backup/a").await.unwrap().newest().map(|snapshot| snapshot.guid),
        Some(world.newest_source().await)
    );
}

#[tokio::test]
async fn a_cancelled_transfer_ends_as_cancelled() {
    let world = World::new().await;
    world.source.faults().slow(Some(1_000_000));
    let (agent, shutdown) = world.start();
    let lease = world.lease(1, 1).await;
    world.witness.change(|seen| {
        seen.cancelled.insert(id(1));
        seen.leases.push_back(lease);
    });
    world.witness.until(|seen| !seen.results.is_empty()).await;
    world.witness.look(|seen| assert_eq!(seen.results[0].1.outcome, TransferOutcome::Cancelled));
    stop(&agent, &shutdown).await;
}

#[tokio::test]
async fn a_result_that_nobody_heard_is_said_at_the_next_start_before_hello() {
    let world = World::new().await;
    let (agent, shutdown) = world.start();
    let lease = world.lease(1, 1).await;
    world.witness.change(|seen| {
        seen.deaf = true;
        seen.leases.push_back(lease);
    });
    world.witness.until(|seen| seen.unheard > 0).await;
    stop(&agent, &shutdown).await;
    assert!(world.ledger()[0].result.is_some());

    world.witness.change(|seen| seen.deaf = false);
    let (agent, shutdown) = world.start();
    world.witness.until(|seen| seen.hellos == 2).await;
    world.witness.look(|seen| assert_eq!(seen.results.len(), 1, "before the second hello"));
    stop(&agent, &shutdown).await;
    assert_eq!(world.ledger().len(), 0);
}

#[tokio::test]
async fn two_transfers_into_one_dataset_never_run_at_once() {
    let world = World::new().await;
    world.source.faults().slow(Some(4_000_000));
    let (agent, shutdown) = world.start();
    let leases = VecDeque::from([world.lease(1, 1).await, world.lease(2, 1).await]);
    world.witness.change(|seen| seen.leases = leases);
    world.witness.until(|seen| seen.results.len() == 2).await;
    world.witness.look(|seen| {
        let outcome =
            |number| &seen.results.iter().find(|(transfer, _)| *transfer == id(number)).unwrap().1.outcome;
        assert_eq!(outcome(1), &TransferOutcome::Succeeded);
        let busy = outcome(2);
        assert!(
            matches!(busy, TransferOutcome::Failed { code, retryable: true, .. } if code == "E_RECV_BUSY"),
            "{busy:?}"
        );
    });
    stop(&agent, &shutdown).await;
}

#[tokio::test]
async fn an_old_generation_is_not_executed() {
    let world = World::new().await;
    let (agent, shutdown) = world.start();
    let (new, old, other) = (world.lease(1, 5).await, world.lease(1, 4).await, world.lease(2, 1).await);
    world.witness.change(|seen| seen.leases.push_back(new));
    world.witness.until(|seen| seen.results.len() == 1).await;
    world.witness.change(|seen| seen.leases = VecDeque::from([old, other]));
    world.witness.until(|seen| seen.results.len() == 2).await;
    world.witness.look(|seen| assert_eq!(seen.results[1].0, id(2)));
    stop(&agent, &shutdown).await;
    let heard = |seen: &witness::Seen| seen.results.iter().filter(|(transfer, _)| *transfer == id(1)).count();
    world.witness.look(|seen| assert_eq!(heard(seen), 1));
}

#[tokio::test]
async fn a_step_of_another_host_is_refused() {
    let world = World::new().await;
    let (agent, shutdown) = world.start();
    let mut lease = world.lease(1, 1).await;
    lease.push = true;
    world.witness.change(|seen| seen.leases.push_back(lease));
    world.witness.until(|seen| !seen.results.is_empty()).await;
    world.witness.look(|seen| {
        let outcome = &seen.results[0].1.outcome;
        assert!(matches!(outcome, TransferOutcome::Failed { retryable: false, .. }), "{outcome:?}");
    });
    stop(&agent, &shutdown).await;
    assert!(world.dataset(&world.target, "backup/a").await.is_none());
}

#[tokio::test]
async fn an_unreachable_peer_is_a_failure_that_can_be_tried_again() {
    let world = World::new().await;
    let lease = world.lease(1, 1).await;
    world.source.faults().offline(true);
    let (agent, shutdown) = world.start();
    world.witness.change(|seen| seen.leases.push_back(lease));
    world.witness.until(|seen| !seen.results.is_empty()).await;
    world.witness.look(|seen| {
        let outcome = &seen.results[0].1.outcome;
        let expected = matches!(outcome, TransferOutcome::Failed { code, retryable: true, .. } if code == "E_SSH_UNREACHABLE");
        assert!(expected, "{outcome:?}");
    });
    stop(&agent, &shutdown).await;
}

#[tokio::test]
async fn a_second_agent_on_the_same_directory_does_not_start() {
    let world = World::new().await;
    let (agent, shutdown) = world.start();
    let second = Agent::start(world.options(), CancellationToken::new()).unwrap_err();
    assert_eq!(second.code(), ErrorCode::Locked);
    stop(&agent, &shutdown).await;
    let (agent, shutdown) = world.start();
    stop(&agent, &shutdown).await;
}

#[tokio::test]
async fn a_host_without_zfs_says_hello_and_comes_to_life_later() {
    let world = World::new().await;
    world
        .target
        .faults()
        .fail_next(|command| matches!(command, Command::Version), "zfs: command not found\n");
    let (agent, shutdown) = world.start();
    world.witness.until(|seen| seen.hellos == 2 && !seen.reports.is_empty()).await;
    stop(&agent, &shutdown).await;
}

#[tokio::test]
async fn an_agent_with_the_source_pushes() {
    let world = World::new().await;
    let shutdown = CancellationToken::new();
    let options = Options { system_id: system(1), local: world.source.runner(), ..world.options() };
    let agent = Agent::start(options, shutdown.clone()).unwrap();
    let mut lease = world.lease(1, 1).await;
    lease.push = true;
    lease.peer.as_mut().unwrap().hostname = "nas2".into();
    world.witness.change(|seen| seen.leases.push_back(lease));
    world.witness.until(|seen| !seen.results.is_empty()).await;
    world.witness.look(|seen| assert_eq!(seen.results[0].1.outcome, TransferOutcome::Succeeded));
    stop(&agent, &shutdown).await;
    let target = world.dataset(&world.target, "backup/a").await.unwrap();
    assert_eq!(target.newest().unwrap().guid, world.newest_source().await);
    assert!(!world.source_is_held().await);
}

#[tokio::test]
async fn a_transfer_that_is_leased_anew_goes_on_under_the_new_lease() {
    let world = World::new().await;
    world.source.faults().slow(Some(1_000_000));
    let (agent, shutdown) = world.start();
    let lease = world.lease(1, 1).await;
    world.witness.change(|seen| seen.leases.push_back(lease.clone()));
    world.witness.until(|seen| seen.progress.iter().any(|progress| progress.bytes > 500_000)).await;
    // The witness had not heard of it for too long.
    world.witness.change(|seen| seen.leases.push_back(LeasedTransfer { generation: 2, ..lease }));
    world.witness.until(|seen| seen.progress.iter().any(|progress| progress.generation == 2)).await;
    world.source.faults().slow(None);
    world.witness.until(|seen| !seen.results.is_empty()).await;
    world.witness.look(|seen| {
        let result = &seen.results[0].1;
        assert_eq!((result.generation, &result.outcome), (2, &TransferOutcome::Succeeded));
    });
    stop(&agent, &shutdown).await;
    assert!(!world.source_is_held().await);
    assert_eq!(world.ledger().len(), 0);
}

/// Tells when somebody watches events.
#[derive(Debug)]
struct Watched {
    runner: Arc<MemoryRunner>,
    watching: CancellationToken,
}

#[async_trait]
impl Runner for Watched {
    fn host(&self) -> &str {
        self.runner.host()
    }

    async fn run(&self, command: &Command) -> Result<Output, Error> {
        self.runner.run(command).await
    }

    fn start(
        &self,
        command: &Command,
        stdin: Option<std::io::PipeReader>,
        stdout: Option<std::io::PipeWriter>,
    ) -> Result<Box<dyn Stage>, Error> {
        let stage = self.runner.start(command, stdin, stdout);
        if *command == Command::WatchEvents {
            self.watching.cancel();
        }
        stage
    }
}

#[tokio::test]
async fn events_wake_the_reporter() {
    let world = World::new().await;
    let shutdown = CancellationToken::new();
    let watching = CancellationToken::new();
    let local = Arc::new(Watched { runner: world.target.runner(), watching: watching.clone() });
    // Without events it would be an hour until anybody looks.
    let hour = Duration::from_hours(1);
    let options = Options { local, report_interval: hour, poll_interval: hour, ..world.options() };
    let agent = Agent::start(options, shutdown.clone()).unwrap();
    watching.cancelled().await;
    world.witness.until(|seen| seen.known.contains_key("backup")).await;
    world.target.snapshot("backup@mine").unwrap();
    world.witness.until(|seen| !seen.known["backup"].is_empty()).await;
    stop(&agent, &shutdown).await;
}

#[tokio::test]
async fn what_sanoid_keeps_reaches_the_witness() {
    let world = World::new().await;
    let folder = Utf8Path::from_path(world.dir.path()).unwrap();
    let files =
        sanoid::Files { config: folder.join("sanoid.conf"), defaults: vec![folder.join("defaults.conf")] };
    std::fs::write(&files.defaults[0], "[template_default]\nautoprune = yes\nhourly = 48\n").unwrap();
    std::fs::write(&files.config, "[backup]\nhourly = 5\n").unwrap();
    let options = Options { sanoid: Some(files), ..world.options() };
    let shutdown = CancellationToken::new();
    let agent = Agent::start(options, shutdown.clone()).unwrap();
    world.witness.until(|seen| !seen.reports.is_empty()).await;
    world.witness.look(|seen| {
        let retention = seen.reports[0].retention.as_ref().unwrap();
        let of_backup = &retention[&"backup".parse::<DatasetName>().unwrap()];
        assert_eq!((retention.len(), of_backup.hourly, of_backup.autoprune), (1, 5, true));
    });
    stop(&agent, &shutdown).await;
}
