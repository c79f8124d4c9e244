//! One host's agent: the real scanner, reports, ledger and engine; its loops and its network are the simulation's.

use std::{
    collections::{BTreeMap, VecDeque},
    pin::Pin,
    sync::Arc,
};

use async_trait::async_trait;
use camino::Utf8PathBuf;
use tokio_util::sync::CancellationToken;
use zfs_sync_agent::{
    engine::{self, Execution, Fence, HoldNote, RecordError, Settled, Sides, Stage, Watcher},
    inventory::{Reports, Scanner, WitnessTime},
    ledger::{Entry, Ledger, LedgerError},
};
use zfs_sync_api::v1::agent::{InventoryReport, LeasedTransfer, TransferOutcome};
use zfs_sync_core::{ids::TransferId, name::DatasetName, plan::Step, time::Clock};
use zfs_sync_zfs::{features::Features, memory::Host, pipeline::ProgressCounter, runner::Runner};

use super::{
    clock::SkewedClock,
    gate::{Gate, GatedRunner, Link},
};

/// Transfers that run at once.
pub(super) const PLACES: usize = 4;

/// Writes holds into the ledger, as the agent's own watcher does.
#[derive(Debug)]
struct LedgerWatcher {
    transfer: TransferId,
    ledger: Arc<Ledger>,
    counter: ProgressCounter,
    gate: Arc<Gate>,
}

#[async_trait]
impl Watcher for LedgerWatcher {
    fn counter(&self) -> &ProgressCounter {
        &self.counter
    }

    fn stage(&self, _stage: Stage) {}

    fn expect(&self, _total: Option<u64>, _resumed_from: Option<u64>) {}

    fn warn(&self, _text: &str) {}

    async fn record(&self, note: HoldNote) -> Result<(), RecordError> {
        // The process may die before anything is written.
        self.gate.pass(|| format!("ledger: will hold {}@{}", note.dataset, note.label)).await;
        self.ledger.note_hold(self.transfer, note).map_err(|error| RecordError(error.to_string()))
    }

    fn noted(&self, tag: &str) -> Vec<HoldNote> {
        self.ledger.noted(tag)
    }
}

/// How a task ended.
#[derive(Debug)]
pub(super) enum End {
    Executed(Execution),
    Settled(Settled),
}

/// Something that goes on between commands.
pub(super) struct Task {
    pub(super) transfer: TransferId,
    pub(super) generation: u64,
    pub(super) step: Step,
    /// `None`: holds are looked after.
    pub(super) leased: Option<LeasedTransfer>,
    pub(super) gate: Arc<Gate>,
    pub(super) work: Pin<Box<dyn Future<Output = End>>>,
    pub(super) cancel: CancellationToken,
    /// The transfer is somebody else's now, or nobody's.
    pub(super) lost: bool,
    /// The agent dies after so many more commands.
    pub(super) dies_after: Option<u64>,
    /// The agent dies in the middle of the next stream.
    pub(super) dies_in_stream: bool,
    /// Open while its lease is certain to last; nothing is taken away without it.
    pub(super) fence: Option<Arc<Fence>>,
    /// True once a renewal was granted, or nobody waits for one any longer.
    pub(super) may_begin: bool,
    /// When it was leased, and when it was let through the last time.
    pub(super) began: u64,
    pub(super) last: u64,
    /// Milliseconds that a command takes at most.
    pub(super) pace: u64,
}

/// What a crash takes away.
pub(super) struct Life {
    pub(super) scanner: Scanner,
    pub(super) reports: Reports,
    pub(super) witness_time: WitnessTime,
    pub(super) ledger: Arc<Ledger>,
    pub(super) features: Features,
    pub(super) tasks: BTreeMap<u64, Task>,
    /// Leases that wait for somebody to be done with their replica.
    pub(super) waiting: VecDeque<LeasedTransfer>,
    /// Entries that the last life has left.
    pub(super) recovery: VecDeque<TransferId>,
    pub(super) greeted: bool,
    pub(super) reporting: Option<(u64, InventoryReport)>,
    pub(super) reported_at: Option<u64>,
    pub(super) wanted: bool,
    pub(super) scan_due: u64,
    pub(super) leasing: Option<u64>,
    pub(super) delivering: BTreeMap<TransferId, (u64, u64)>,
}

impl std::fmt::Debug for Life {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Life").field("tasks", &self.tasks.len()).finish_non_exhaustive()
    }
}

/// One host with its agent.
#[derive(Debug)]
pub(super) struct SimulatedAgent {
    pub(super) name: String,
    pub(super) host: Host,
    pub(super) clock: SkewedClock,
    pub(super) data_dir: Utf8PathBuf,
    /// Grows with each start.
    pub(super) incarnation: u64,
    pub(super) life: Option<Life>,
}

impl SimulatedAgent {
    /// Starts: reads the ledger, knows nothing else.
    pub(super) fn start(&mut self, features: Features) -> Result<(), LedgerError> {
        let opened = Ledger::open(&self.data_dir)?;
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let scanner = Scanner::new(self.host.runner(), features.clone(), clock);
        let sequence = u64::try_from(self.clock.now().as_millisecond()).unwrap_or(0);
        self.incarnation += 1;
        let recovery = opened.ledger.entries().into_iter().map(|entry| entry.transfer).collect();
        self.life = Some(Life {
            scanner,
            reports: Reports::new(sequence),
            witness_time: WitnessTime::default(),
            ledger: Arc::new(opened.ledger),
            features,
            tasks: BTreeMap::new(),
            waiting: VecDeque::new(),
            recovery,
            greeted: false,
            reporting: None,
            reported_at: None,
            wanted: false,
            scan_due: 0,
            leasing: None,
            delivering: BTreeMap::new(),
        });
        Ok(())
    }
}

impl Life {
    /// Who works on this replica.
    pub(super) fn worker(&self, step: &Step) -> Option<&Task> {
        let same =
            |task: &&Task| task.step.target_system == step.target_system && task.step.target == step.target;
        self.tasks.values().find(same)
    }

    pub(super) fn transfers(&self) -> usize {
        self.tasks.values().filter(|task| task.leased.is_some()).count() + self.waiting.len()
    }
}

/// The machines at both ends of a step.
pub(super) struct Ends {
    pub(super) source: (Host, Option<Link>),
    pub(super) target: (Host, Option<Link>),
}

impl Ends {
    fn runner(gate: &Arc<Gate>, (host, broken): (Host, Option<Link>)) -> GatedRunner {
        GatedRunner { host, broken, gate: Arc::clone(gate) }
    }
}

fn failed(error: &zfs_sync_zfs::error::Error) -> End {
    End::Executed(Execution {
        outcome: TransferOutcome::Failed {
            code: error.code().to_owned(),
            detail: error.to_string(),
            retryable: error.is_retryable(),
        },
        bytes: 0,
        resumed_from: None,
        settled: Settled::Untouched,
    })
}

/// Executes a leased transfer.
pub(super) fn execute(
    leased: LeasedTransfer,
    ends: Ends,
    ledger: Arc<Ledger>,
    local: Features,
    fence: Arc<Fence>,
) -> Task {
    let (gate, cancel) = (Arc::new(Gate::default()), CancellationToken::new());
    let watcher = LedgerWatcher {
        transfer: leased.id,
        ledger,
        counter: ProgressCounter::new(),
        gate: Arc::clone(&gate),
    };
    let (step, cancelled) = (leased.step.clone(), cancel.clone());
    let (source, target) = (Ends::runner(&gate, ends.source), Ends::runner(&gate, ends.target));
    let open = Arc::clone(&fence);
    let work = async move {
        let features = match far_features(&source, &target, local).await {
            Ok(features) => features,
            Err(error) => return failed(&error),
        };
        let (source_features, target_features) = &features;
        let sides = Sides { source: &source, target: &target, source_features, target_features };
        End::Executed(engine::execute(&step, &sides, &watcher, &cancelled, Some(&open)).await)
    };
    Task {
        transfer: leased.id,
        generation: leased.generation,
        step: leased.step.clone(),
        leased: Some(leased),
        gate,
        work: Box::pin(work),
        cancel,
        lost: false,
        dies_after: None,
        dies_in_stream: false,
        fence: Some(fence),
        may_begin: false,
        began: 0,
        last: 0,
        pace: 200,
    }
}

/// Looks after the holds of an entry.
pub(super) fn look_after(entry: Entry, ends: Ends, ledger: Arc<Ledger>, local: Features) -> Task {
    let (gate, cancel) = (Arc::new(Gate::default()), CancellationToken::new());
    let watcher = LedgerWatcher {
        transfer: entry.transfer,
        ledger,
        counter: ProgressCounter::new(),
        gate: Arc::clone(&gate),
    };
    let step = entry.step.clone();
    let (source, target) = (Ends::runner(&gate, ends.source), Ends::runner(&gate, ends.target));
    let work = async move {
        let Ok((source_features, target_features)) = far_features(&source, &target, local).await else {
            return End::Settled(Settled::Open);
        };
        let sides = Sides {
            source: &source,
            target: &target,
            source_features: &source_features,
            target_features: &target_features,
        };
        End::Settled(engine::settle(&step, &sides, &watcher).await)
    };
    Task {
        transfer: entry.transfer,
        generation: entry.generation,
        step: entry.step,
        leased: None,
        gate,
        work: Box::pin(work),
        cancel,
        lost: false,
        dies_after: None,
        dies_in_stream: false,
        fence: None,
        may_begin: true,
        began: 0,
        last: 0,
        pace: 200,
    }
}

/// What both sides can do; only the far one is asked.
async fn far_features(
    source: &GatedRunner,
    target: &GatedRunner,
    local: Features,
) -> Result<(Features, Features), zfs_sync_zfs::error::Error> {
    let far = [source, target].into_iter().find(|runner| runner.broken.is_some());
    let features = match far {
        Some(runner) => Features::probe(runner as &dyn Runner).await?,
        None => local.clone(),
    };
    let of = |runner: &GatedRunner| if runner.broken.is_some() { features.clone() } else { local.clone() };
    Ok((of(source), of(target)))
}

/// The datasets on the executing host that a transfer has changed.
pub(super) fn local_datasets(leased: &LeasedTransfer) -> Vec<DatasetName> {
    let LeasedTransfer { step, peer, push, .. } = leased;
    match (peer, push) {
        (None, _) => vec![step.source.clone(), step.target.clone()],
        (Some(_), true) => vec![step.source.clone()],
        (Some(_), false) => vec![step.target.clone()],
    }
}
