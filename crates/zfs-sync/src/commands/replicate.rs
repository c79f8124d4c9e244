//! `replicate`: from host to host, without a witness.
//!
//! The same planner and the same engine as in a fleet, on two inventories that are read right here. It plans, executes, and looks
//! again until everything that the source had at the start is on the target; what can not be done is named with its reason.

pub(super) mod endpoint;
mod line;
mod order;
mod preview;
pub(super) mod side;
#[cfg(test)]
mod tests;
mod watcher;

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use zfs_sync_agent::engine::{self, Execution, Settled, Sides};
use zfs_sync_api::{codes::ErrorCode, v1::agent::TransferOutcome};
use zfs_sync_core::{
    group::{GroupMode, Mapping, OnDivergence, Profile, SyncGroup},
    guid::{Guid, Txg},
    ids::GroupId,
    inventory::{Dataset, DatasetKind},
    name::DatasetName,
    pattern::DatasetPattern,
    plan::{
        Action, Input, Plan, Receiver, ReplicaReport, ReplicaState, Report, Send, Step, SystemView, check,
        plan,
    },
};
use zfs_sync_zfs::runner::Privilege;

use self::{
    endpoint::Endpoint,
    line::{Line, Trouble},
    side::Host,
    watcher::Terminal,
};
use super::{Context, Exit, explain, flow::Chosen};
use crate::{
    cli::ReplicateArgs,
    failure::Failure,
    printer::{
        Beside,
        words::{count, size, took},
    },
};

/// Plans that fail against the present state so often in a row mean that somebody else works on the same dataset.
const STALE_PLANS: u32 = 5;

/// Datasets at a time, when nobody says how many: so many even on one core, since each mostly waits for disks and the network …
const LEAST_JOBS: usize = 8;
/// … and not more than this, since one pool writes for all of them.
const MOST_JOBS: usize = 16;

/// What was moved for one dataset so far.
#[derive(Debug, Default)]
struct Done {
    snapshots: u32,
    bytes: u64,
    time: Duration,
    resumed_from: Option<u64>,
    trouble: Option<Trouble>,
    stale: u32,
}

pub(super) async fn run(context: &Context, arguments: &ReplicateArgs) -> Result<Exit, Failure> {
    let source = Endpoint::parse(&arguments.source, "SOURCE")?;
    let target = Endpoint::parse(&arguments.target, "TARGET")?;
    if source.host == target.host
        && (source.dataset.is_within(&target.dataset) || target.dataset.is_within(&source.dataset))
    {
        let detail = format!("{} and {} lie within each other on one host", source.dataset, target.dataset);
        return Err(Failure::new(ErrorCode::MappingCollision, detail).unchanged());
    }
    let all = if arguments.sudo { Privilege::Sudo } else { Privilege::Own };
    let through = |privilege: Option<Privilege>| privilege.unwrap_or(all);
    let hosts = async {
        tokio::try_join!(
            Host::reach(
                &source,
                arguments.ssh_port_source,
                &arguments.ssh_options,
                through(arguments.source_privilege)
            ),
            Host::reach(
                &target,
                arguments.ssh_port_target,
                &arguments.ssh_options,
                through(arguments.target_privilege)
            ),
        )
    };
    let (source_host, target_host) = tokio::select! {
        hosts = hosts => hosts?,
        _ = tokio::signal::ctrl_c() => return Ok(Exit::Interrupted),
    };
    for (endpoint, host) in [(&source, &source_host), (&target, &target_host)] {
        for (code, consequence) in host.features().reductions() {
            context.printer.say(format!("{}: {code}: {consequence}", endpoint.host_text()));
        }
    }
    let mut job = Job::new(context, arguments, (source, source_host), (target, target_host));
    let interrupted = job.interrupted.clone();
    let ended = async { if arguments.dry_run { job.preview().await } else { job.replicate().await } };
    tokio::pin!(ended);
    let result = tokio::select! {
        result = &mut ended => result,
        _ = tokio::signal::ctrl_c() => {
            context.printer.say("stopping; what has arrived is kept, and the same command continues it. Ctrl-C again: at once");
            interrupted.cancel();
            tokio::select! {
                result = &mut ended => result,
                _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
            }
        }
    };
    if interrupted.is_cancelled() { result.map(|_| Exit::Interrupted) } else { result }
}

/// What this host is called in the holds of `replicate` when it is the target.
pub(super) fn this_host_as_target() -> zfs_sync_core::ids::SystemId {
    endpoint::system_id(None, "target")
}

/// The policy of one replication by hand. Its ids follow from the hosts, so that holds and bookmarks are found again next time.
fn group(source: &Endpoint, target: &Endpoint, arguments: &ReplicateArgs) -> SyncGroup {
    let pattern = if arguments.recursive {
        DatasetPattern::tree(&source.dataset)
    } else {
        DatasetPattern::exactly(&source.dataset)
    };
    SyncGroup {
        id: GroupId::from_uuid(uuid::Uuid::nil()),
        name: "replicate".to_owned(),
        enabled: true,
        mode: GroupMode::OneWay,
        hub: source.system_id("source"),
        members: vec![source.system_id("source"), target.system_id("target")],
        include: vec![pattern],
        exclude: Vec::new(),
        mappings: vec![Mapping { from: source.dataset.clone(), to: target.dataset.clone() }],
        auto: true,
        member_mappings: BTreeMap::new(),
        on_divergence: if arguments.keep_both { OnDivergence::KeepBoth } else { OnDivergence::Stop },
        allow_destroy: false,
        mirror_deletes: None,
        follow_renames: false,
        profile: Profile::Standard,
    }
}

fn default_jobs() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    (4 * cores).clamp(LEAST_JOBS, MOST_JOBS)
}

struct Job<'a> {
    context: &'a Context,
    arguments: &'a ReplicateArgs,
    group: SyncGroup,
    source: Endpoint,
    target: Endpoint,
    source_host: Host,
    target_host: Host,
    /// The newest snapshot of each dataset at the start: a source that goes on making snapshots does not keep us here.
    goals: BTreeMap<DatasetName, Option<Txg>>,
    done: Mutex<BTreeMap<DatasetName, Done>>,
    /// Source datasets with held snapshots: an earlier run that was killed may have left a hold of ours.
    held: BTreeMap<DatasetName, Guid>,
    kinds: BTreeMap<DatasetName, DatasetKind>,
    interrupted: CancellationToken,
    chosen: Chosen,
    begun: Instant,
}

impl<'a> Job<'a> {
    fn new(
        context: &'a Context,
        arguments: &'a ReplicateArgs,
        (source, source_host): (Endpoint, Host),
        (target, target_host): (Endpoint, Host),
    ) -> Self {
        Self {
            context,
            arguments,
            group: group(&source, &target, arguments),
            source,
            target,
            source_host,
            target_host,
            goals: BTreeMap::new(),
            done: Mutex::default(),
            held: BTreeMap::new(),
            kinds: BTreeMap::new(),
            interrupted: CancellationToken::new(),
            chosen: Chosen::new(
                arguments.limit.clone(),
                arguments.compress,
                arguments.buffer_mib,
                context.clock.clone(),
            ),
            begun: Instant::now(),
        }
    }

    /// Looks at both sides and plans.
    async fn look(&mut self) -> Result<(Plan, Report), Failure> {
        let now = self.context.now();
        let (source, target) = tokio::try_join!(
            self.source_host.read_source(&self.source.dataset, self.arguments.recursive, now),
            self.target_host.read_target(&self.target.dataset, self.arguments.keep_both, now),
        )?;
        let (source_name, target_name) = (self.source.host_text(), self.target.host_text());
        let systems = BTreeMap::from([
            (
                self.source.system_id("source"),
                SystemView { name: &source_name, inventory: Some(&source), fresh: true },
            ),
            (
                self.target.system_id("target"),
                SystemView { name: &target_name, inventory: Some(&target), fresh: true },
            ),
        ]);
        // Nothing is remembered between runs: both hosts say all that is known.
        let input = Input {
            group: &self.group,
            systems: &systems,
            scope: None,
            running: &[],
            decisions: &[],
            memory: &BTreeMap::new(),
            unreachable: &BTreeSet::new(),
            holders: &BTreeMap::new(),
            now,
        };
        let (mut plan, report) = plan(&input);
        for step in &mut plan.steps {
            if let Action::Send(send) = &mut step.action {
                send.properties.clone_from(&self.arguments.properties);
            }
        }
        if let Some(broken) = check(&plan, &input).first() {
            let detail = format!("the plan breaks a rule that is never broken: {broken}");
            return Err(Failure::new(ErrorCode::PlanUnsafe, detail).unchanged());
        }
        let is_held = |dataset: &&Dataset| dataset.snapshots.iter().any(|snapshot| snapshot.holds > 0);
        let held = source.datasets.values().filter(is_held);
        self.held = held.map(|dataset| (dataset.name.clone(), dataset.properties.guid)).collect();
        let kinds = source.datasets.values().map(|dataset| (dataset.name.clone(), dataset.properties.kind));
        self.kinds = kinds.collect();
        if self.goals.is_empty() {
            let goal = |replica: &ReplicaReport| replica.newest_source.as_ref().map(|point| point.createtxg);
            self.goals =
                report.replicas.iter().map(|replica| (replica.source.clone(), goal(replica))).collect();
        }
        Ok((plan, report))
    }

    fn has_arrived(&self, replica: &ReplicaReport) -> bool {
        // A target that went its own way has everything too, and more: it is not in sync, and takes nothing any more.
        if replica.state == ReplicaState::Diverged {
            return false;
        }
        let goal = self.goals.get(&replica.source).copied().flatten();
        let newest = replica.newest_common.as_ref().map(|point| point.createtxg);
        replica.state == ReplicaState::InSync || (goal.is_some() && newest >= goal)
    }

    async fn preview(&mut self) -> Result<Exit, Failure> {
        let (plan, report) = self.look().await?;
        preview::show(self.context, &plan, &report, &self.sides()).await?;
        Ok(Exit::Done)
    }

    async fn replicate(&mut self) -> Result<Exit, Failure> {
        let report = self.work().await?;
        self.show(&report)
    }

    /// Plans and executes until nothing is left that can be done; answers how everything stands then.
    async fn work(&mut self) -> Result<Report, Failure> {
        loop {
            let (plan, report) = self.look().await?;
            if self.interrupted.is_cancelled() {
                return Ok(report);
            }
            let arrived: BTreeSet<&DatasetName> = report
                .replicas
                .iter()
                .filter(|replica| self.has_arrived(replica))
                .map(|replica| &replica.source)
                .collect();
            let due: Vec<&Step> = plan.steps.iter().filter(|step| self.is_due(step, &arrived)).collect();
            if due.is_empty() {
                self.release_leftovers(&report).await;
                return Ok(report);
            }
            self.execute_all(&due).await;
        }
    }

    /// Many at a time, beginning in the plan's order.
    async fn execute_all(&self, steps: &[&Step]) {
        let jobs = self.arguments.jobs.map_or_else(default_jobs, NonZeroUsize::get);
        let blockers = order::blockers(steps);
        let several = jobs > 1 && steps.len() > 1;
        let mut waiting: Vec<usize> = (0..steps.len()).collect();
        let mut ended = vec![false; steps.len()];
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < jobs && !self.interrupted.is_cancelled() {
                let ready = |number: &usize| blockers[*number].iter().all(|earlier| ended[*earlier]);
                let Some(place) = waiting.iter().position(ready) else { break };
                let number = waiting.remove(place);
                running.push(async move {
                    self.execute(steps[number], several).await;
                    number
                });
            }
            // With nothing running nothing waits for anything, but for who was interrupted.
            let Some(number) = running.next().await else { return };
            ended[number] = true;
        }
    }

    fn done(&self) -> MutexGuard<'_, BTreeMap<DatasetName, Done>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_due(&self, step: &Step, arrived: &BTreeSet<&DatasetName>) -> bool {
        let failed = self.done().get(&step.source).is_some_and(|done| done.trouble.is_some());
        !failed && !arrived.contains(&step.source)
    }

    /// `beside`: others run at the same time.
    async fn execute(&self, step: &Step, beside: bool) {
        let printer = &self.context.printer;
        let sides = self.sides();
        let mut terminal = Terminal::new(*printer, preview::summary(step), self.chosen.clone());
        if beside {
            terminal = terminal.naming(&step.target);
        }
        let begun = Instant::now();
        let execution = engine::execute(step, &sides, &terminal, &self.interrupted, None);
        let execution = terminal.accompany(execution).await;
        let time = begun.elapsed();
        let settle = execution.settled == Settled::Open && !self.interrupted.is_cancelled();
        self.note(step, execution, time);
        if settle {
            engine::settle(step, &sides, &terminal).await;
        }
    }

    /// Keeps how an execution ended, and says what went wrong.
    fn note(&self, step: &Step, execution: Execution, time: Duration) {
        let printer = &self.context.printer;
        let mut all = self.done();
        let done = all.entry(step.source.clone()).or_default();
        done.bytes += execution.bytes;
        done.time += time;
        done.resumed_from = done.resumed_from.or(execution.resumed_from);
        let trouble = match execution.outcome {
            TransferOutcome::Succeeded => {
                done.stale = 0;
                if let Action::Send(send) = &step.action {
                    done.snapshots += send.snapshots;
                }
                None
            }
            TransferOutcome::Stale { detail } => {
                done.stale += 1;
                printer.say_more(format!("{}: planning anew: {detail}", step.target));
                (done.stale >= STALE_PLANS).then_some((ErrorCode::PlanStale.code().to_owned(), detail))
            }
            TransferOutcome::Failed { code, detail, retryable: _ } => Some((code, detail)),
            TransferOutcome::Cancelled | TransferOutcome::Interrupted => Some((
                ErrorCode::TransferCancelled.code().to_owned(),
                "stopped; the same command continues it".to_owned(),
            )),
        };
        if let Some((code, detail)) = trouble {
            if !self.interrupted.is_cancelled() {
                let failure = Failure::from_code(&code, &detail)
                    .context("dataset", format!("{} → {}", step.source, step.target));
                printer.fail(&failure);
            }
            done.trouble = Some(Trouble { code, detail });
        }
    }

    /// Where nothing was to be done, an earlier run that was killed may still hold what it needed then.
    async fn release_leftovers(&self, report: &Report) {
        for replica in &report.replicas {
            let untouched =
                !self.done().contains_key(&replica.source) && replica.state == ReplicaState::InSync;
            let (Some(guid), Some(kind), Some(newest)) =
                (self.held.get(&replica.source), self.kinds.get(&replica.source), &replica.newest_source)
            else {
                continue;
            };
            if !untouched {
                continue;
            }
            let send = Send {
                base: None,
                to: newest.clone(),
                snapshots: 0,
                resume: false,
                discard_partial: None,
                raw: false,
                target_newest: Some(newest.guid),
                create_parents: Vec::new(),
                target_origin: None,
                properties: Vec::new(),
            };
            let step = Step {
                source_system: replica.source_system,
                target_system: replica.target_system,
                source: replica.source.clone(),
                target: replica.target.clone(),
                kind: *kind,
                source_guid: *guid,
                receiver: Receiver::new(replica.target_system, &replica.target),
                action: Action::Send(send),
            };
            let terminal = Terminal::new(self.context.printer, String::new(), self.chosen.clone());
            engine::settle(&step, &self.sides(), &terminal).await;
        }
    }

    fn sides(&self) -> Sides<'_> {
        Sides {
            source: self.source_host.runner(),
            target: self.target_host.runner(),
            source_features: self.source_host.features(),
            target_features: self.target_host.features(),
        }
    }

    fn show(&mut self, report: &Report) -> Result<Exit, Failure> {
        let printer = &self.context.printer;
        if report.replicas.is_empty() {
            return Err(Failure::new(
                ErrorCode::DatasetNotFound,
                format!("{} does not exist", self.source.dataset),
            )
            .unchanged());
        }
        let mut lines = Vec::new();
        for replica in &report.replicas {
            let done = self.done().remove(&replica.source).unwrap_or_default();
            lines.push(Line {
                source: replica.source.clone(),
                target: replica.target.clone(),
                state: replica.state,
                arrived: self.has_arrived(replica),
                snapshots: done.snapshots,
                bytes: done.bytes,
                seconds: done.time.as_secs_f64(),
                resumed_from: done.resumed_from,
                reason: replica.reason.map(|reason| reason.code().to_owned()),
                error: done.trouble,
            });
        }
        let arrived = lines.iter().filter(|line| line.arrived).count();
        let idle = lines.iter().all(|line| line.arrived && line.snapshots == 0 && line.error.is_none());
        if idle && printer.is_table() {
            printer.text(&format!("nothing to send: {} in sync", count(lines.len() as u64, "dataset")))?;
            return Ok(Exit::Done);
        }
        printer.rows("replicate", &lines, &Beside::default(), self.context.now())?;
        if !self.interrupted.is_cancelled() {
            self.say_reasons(report);
        }
        if printer.is_table() {
            let bytes: u64 = lines.iter().map(|line| line.bytes).sum();
            printer.say(format!(
                "{arrived} of {} in sync, {} in {}",
                count(lines.len() as u64, "dataset"),
                size(bytes),
                took(self.begun.elapsed())
            ));
        }
        Ok(match arrived {
            all if all == lines.len() => Exit::Done,
            0 => Exit::Failed,
            _ => Exit::Partial,
        })
    }

    /// Why datasets were left as they are.
    fn say_reasons(&self, report: &Report) {
        for replica in report.replicas.iter().filter(|replica| !self.has_arrived(replica)) {
            let Some(reason) = replica.reason else { continue };
            let printer = &self.context.printer;
            printer.say(format!(
                "{}: {reason}: {}",
                replica.target,
                explain::title(reason.code()).unwrap_or_default()
            ));
            for fact in &replica.facts {
                printer.say(format!("   {}", fact.text));
            }
            if replica.state == ReplicaState::Diverged && !self.arguments.keep_both {
                printer.say("   nothing was changed; with --keep-both the target's copy is renamed, whole, and seeded anew");
            }
        }
    }
}
