//! `demo --check`: a fixed story with an end that is proved.

mod damage;

use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep};
use zfs_sync_api::{
    client::{ClientError, TransferQuery},
    codes::ErrorCode,
    v1::{group::Group, replica::Replica, sync::PlanRequest, transfer::Transfer},
};
use zfs_sync_core::plan::{Reason, ReplicaState};

use super::{
    fleet::{DATASETS, Fleet, SOURCE, TARGETS, simulation},
    life::{DIVERGING, diverge},
    proof, reason_text,
};
use crate::{
    cli::OutputFormat,
    commands::{Context, Exit},
    failure::Failure,
    printer::words::{count, size, took},
};

const MIB: u64 = 1024 * 1024;
/// The whole story: what takes longer will not come.
const DEADLINE: Duration = Duration::from_secs(55);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(25);
const ROUNDS: u32 = 3;
/// How often somebody looks again before giving up.
const DECISIONS: u32 = 10;
const BIG: u64 = 24 * MIB;
const CUT_AT: u64 = 9 * MIB;

#[derive(Debug, Serialize)]
struct Summary {
    replicas: u64,
    snapshots_proved: u64,
    transfers: u64,
    bytes: u64,
    resumed_transfers: u64,
    resumed_bytes: u64,
    latency_ms: Vec<u64>,
    seconds: f64,
}

struct Story<'a> {
    context: &'a Context,
    fleet: &'a mut Fleet,
    group: Group,
    begun: Instant,
    latency: Vec<Duration>,
    snapshots: u32,
}

pub(super) async fn play(context: &Context, fleet: &mut Fleet) -> Result<Exit, Failure> {
    let begun = Instant::now();
    fleet.seed()?;
    let group = fleet.create_group().await?;
    let mut story = Story { context, fleet, group, begun, latency: Vec::new(), snapshots: 1 };
    match Box::pin(story.tell()).await {
        Ok(summary) => {
            show(context, &summary)?;
            Ok(Exit::Done)
        }
        Err(failure) => Err(failure),
    }
}

impl Story<'_> {
    async fn tell(&mut self) -> Result<Summary, Failure> {
        self.chapter("three systems enrolled; nas2 and nas3 are seeded");
        self.all_in_sync("the first snapshots are on nas2 and nas3", proof::everywhere()).await?;
        for round in 1..=ROUNDS {
            self.new_snapshots(MIB)?;
            let made = Instant::now();
            self.arrived("new snapshots arrive by themselves", proof::everywhere()).await?;
            self.latency.push(made.elapsed());
            self.chapter(&format!(
                "round {round} of {ROUNDS}: arrived {} after they were made",
                took(made.elapsed())
            ));
        }
        self.all_in_sync("the witness knows that they arrived", proof::everywhere()).await?;
        self.interrupted_transfer().await?;
        self.absence().await?;
        self.divergence().await?;
        let summary = self.prove().await?;
        self.damage().await?;
        Ok(summary)
    }

    /// The connection dies in the middle of a stream.
    async fn interrupted_transfer(&mut self) -> Result<(), Failure> {
        self.fleet.host("nas2").faults().cut_stream_after(CUT_AT);
        let source = self.fleet.host(SOURCE);
        let written = source.write("tank/vm", BIG).and_then(|()| source.snapshot("tank/vm@big"));
        written.map_err(|error| simulation(&error))?;
        self.all_in_sync("the interrupted transfer is continued", proof::everywhere()).await?;
        let resumed = self.transfers().await?;
        let resumed = resumed
            .iter()
            .find(|transfer| transfer.target_system == "nas2" && transfer.resumed_from.is_some());
        let Some(from) = resumed.and_then(|transfer| transfer.resumed_from).filter(|from| *from > 0) else {
            return Err(self.wrong("a transfer to nas2 was cut, and none says that it resumed"));
        };
        self.chapter(&format!("a transfer of {} was cut and resumed at {}", size(BIG), size(from)));
        Ok(())
    }

    /// nas3 goes away, misses something, and comes back.
    async fn absence(&mut self) -> Result<(), Failure> {
        self.fleet.take_away("nas3").await;
        self.chapter("nas3 has gone away");
        self.replicas("nas3 shows as unknown while it is away", |replicas| {
            let mut of_nas3 = replicas.iter().filter(|replica| replica.target_system == "nas3").peekable();
            of_nas3.peek().is_some() && of_nas3.all(|replica| replica.state == ReplicaState::Unknown)
        })
        .await?;
        self.new_snapshots(MIB)?;
        self.arrived("nas2 goes on without nas3", &["nas2"]).await?;
        self.chapter(&format!("nas3 shows as {}; nas2 goes on", reason_text(Reason::AgentOffline.code())));
        self.fleet.bring_back("nas3")?;
        self.all_in_sync("nas3 catches up", proof::everywhere()).await?;
        self.chapter("nas3 came back and caught up");
        Ok(())
    }

    /// Somebody works on a copy; both are kept.
    async fn divergence(&mut self) -> Result<(), Failure> {
        diverge(self.fleet)?;
        let by_hand = format!("{DIVERGING}@by-hand");
        let written = self.fleet.host("nas2").content(&by_hand).map_err(|error| simulation(&error))?;
        self.new_snapshots(MIB)?;
        let here = |replica: &Replica| replica.target_system == "nas2" && replica.target == DIVERGING;
        self.replicas("the divergence is found and the others go on", |replicas| {
            replicas.iter().all(|replica| match replica.state {
                ReplicaState::Diverged => here(replica),
                state => state == ReplicaState::InSync && !here(replica),
            }) && replicas.iter().any(here)
        })
        .await?;
        let untouched = self.fleet.host("nas2").content(&by_hand).map_err(|error| simulation(&error))?;
        if untouched != written {
            return Err(self.wrong("what was written on nas2 by hand has changed"));
        }
        self.chapter(&format!(
            "somebody wrote to {DIVERGING} on nas2: {}, nothing was overwritten",
            reason_text(Reason::Diverged.code())
        ));
        let request = PlanRequest { keep_both: vec![format!("{DIVERGING}@nas2")], ..PlanRequest::default() };
        self.decide(&request).await?;
        self.all_in_sync("both are kept and nas2 is seeded anew", proof::everywhere()).await?;
        let aside = proof::read(&self.fleet.host("nas2")).await?;
        let aside =
            aside.iter().find(|dataset| dataset.name.as_str().starts_with(&format!("{DIVERGING}.aside-")));
        let Some(aside) = aside else { return Err(self.wrong("the copy that was set aside is not there")) };
        let kept = self
            .fleet
            .host("nas2")
            .content(&format!("{}@by-hand", aside.name))
            .map_err(|error| simulation(&error))?;
        if kept != written {
            return Err(self.wrong("the copy that was set aside has other content"));
        }
        self.chapter(&format!("both were kept: {} has the work done by hand", aside.name));
        Ok(())
    }

    /// As a person would: where things have changed since, one looks again and decides again.
    async fn decide(&self, request: &PlanRequest) -> Result<(), Failure> {
        let mut attempt = 1;
        loop {
            match self.fleet.client.execute_group(self.group.id, request).await {
                Err(error) if may_decide_again(&error, attempt) && self.in_time() => attempt += 1,
                decided => return Ok(decided.map(|_| ())?),
            }
            sleep(PAUSE).await;
        }
    }

    /// What counts in the end: the hosts themselves.
    async fn prove(&mut self) -> Result<Summary, Failure> {
        self.finished("transfers have ended").await?;
        let proof = proof::compare(self.fleet, proof::everywhere()).await?;
        if !proof.holds() {
            return Err(self.wrong("not everything is on the targets").context("missing", proof.text()));
        }
        let held = proof::held_on_source(self.fleet).await?;
        if !held.is_empty() {
            return Err(self
                .wrong("snapshots on the source are still held")
                .context("held", held.join(", ")));
        }
        let transfers = self.transfers().await?;
        let resumed: Vec<u64> = transfers.iter().filter_map(|transfer| transfer.resumed_from).collect();
        let millis = |time: &Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Ok(Summary {
            replicas: (DATASETS.len() * TARGETS.len()) as u64,
            snapshots_proved: proof.equal,
            transfers: transfers.len() as u64,
            bytes: transfers.iter().map(|transfer| transfer.bytes).sum(),
            resumed_transfers: resumed.len() as u64,
            resumed_bytes: resumed.iter().sum(),
            latency_ms: self.latency.iter().map(millis).collect(),
            seconds: self.begun.elapsed().as_secs_f64(),
        })
    }

    fn chapter(&self, text: &str) {
        self.context.printer.say(format!("{:>5.1} s  {text}", self.begun.elapsed().as_secs_f64()));
    }

    fn wrong(&self, what: &str) -> Failure {
        Failure::new(ErrorCode::Internal, what).context("after", took(self.begun.elapsed()))
    }

    fn new_snapshots(&mut self, bytes: u64) -> Result<(), Failure> {
        self.snapshots += 1;
        for (name, _) in DATASETS {
            self.fleet.host(SOURCE).write(name, bytes).map_err(|error| simulation(&error))?;
        }
        self.fleet.snapshot(&format!("auto-{:04}", self.snapshots))
    }

    async fn transfers(&self) -> Result<Vec<Transfer>, Failure> {
        let query = TransferQuery { group: Some(self.group.id), limit: 1000, ..TransferQuery::default() };
        Ok(self.fleet.client.list_transfers(&query).await?)
    }

    fn in_time(&self) -> bool {
        self.begun.elapsed() < DEADLINE
    }

    /// Waits until every snapshot is on these hosts, by looking at them.
    async fn arrived(&self, what: &str, targets: &[&str]) -> Result<(), Failure> {
        loop {
            let proof = proof::compare(self.fleet, targets).await?;
            if proof.holds() {
                return Ok(());
            }
            if !self.in_time() {
                return Err(self
                    .wrong(&format!("waited in vain until {what}"))
                    .context("missing", proof.text()));
            }
            sleep(PAUSE).await;
        }
    }

    /// Waits until the witness shows what is wanted.
    async fn replicas(&self, what: &str, wanted: impl Fn(&[Replica]) -> bool) -> Result<(), Failure> {
        loop {
            let replicas = self.fleet.client.list_replicas(Some(self.group.id)).await?;
            if replicas.len() == DATASETS.len() * TARGETS.len() && wanted(&replicas) {
                return Ok(());
            }
            if !self.in_time() {
                let others = replicas.iter().filter(|replica| replica.state != ReplicaState::InSync);
                let others: Vec<_> = others
                    .map(|replica| {
                        let reason = replica.reason.as_deref().unwrap_or("–");
                        format!("{}@{}: {} {reason}", replica.target, replica.target_system, replica.state)
                    })
                    .collect();
                let shown = if others.is_empty() {
                    format!("{} replicas, all in sync", replicas.len())
                } else {
                    others.join("; ")
                };
                return Err(self.wrong(&format!("waited in vain until {what}")).context("replicas", shown));
            }
            sleep(PAUSE).await;
        }
    }

    /// Waits until everything is there, and the witness knows.
    async fn all_in_sync(&self, what: &str, targets: &[&str]) -> Result<(), Failure> {
        self.arrived(what, targets).await?;
        self.replicas(what, |replicas| replicas.iter().all(|replica| replica.state == ReplicaState::InSync))
            .await
    }

    async fn finished(&self, what: &str) -> Result<(), Failure> {
        loop {
            let unfinished = TransferQuery {
                group: Some(self.group.id),
                unfinished: true,
                limit: 10,
                ..TransferQuery::default()
            };
            let transfers = self.fleet.client.list_transfers(&unfinished).await?;
            if transfers.is_empty() && proof::held_on_source(self.fleet).await?.is_empty() {
                return Ok(());
            }
            if !self.in_time() {
                return Err(self.wrong(&format!("waited in vain until {what}")));
            }
            sleep(PAUSE).await;
        }
    }
}

/// True when it is about nothing but a state that has moved on, and was not so too often.
fn may_decide_again(error: &ClientError, attempt: u32) -> bool {
    error.code() == ErrorCode::PlanStale && attempt < DECISIONS
}

fn show(context: &Context, summary: &Summary) -> Result<(), Failure> {
    if context.printer.format() == OutputFormat::Json {
        return context.printer.item("demo.check", summary, &[], context.now());
    }
    let latency: Vec<String> = summary.latency_ms.iter().map(|ms| format!("{ms} ms")).collect();
    context.printer.text(&format!(
        "\
everything is in sync
  replicas   {}
  proved     {} on the targets by GUID and content
  transfers  {}, {}
  resumed    {}, {} not sent again
  latency    {} from snapshot to both targets
  time       {}",
        summary.replicas,
        count(summary.snapshots_proved, "snapshot"),
        summary.transfers,
        size(summary.bytes),
        summary.resumed_transfers,
        size(summary.resumed_bytes),
        latency.join(", "),
        took(Duration::from_secs_f64(summary.seconds)),
    ))
}
