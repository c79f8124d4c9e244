//! The engine on two in-memory hosts. Steps come from the real planner, so what is tested is what happens.

mod as_clone;
mod bookkeeping;
mod crash;
mod delegated;
mod destroy;
mod exits;
mod fenced;
mod follow_rename;
mod forms;
mod local_steps;
mod planned;
mod refusals;
mod roll_back;
mod set_aside;
mod stray;
mod together;
mod transfers;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use zfs_sync_api::v1::agent::TransferOutcome;
use zfs_sync_core::{
    group::{GroupMode, OnDivergence, Profile, SyncGroup},
    ids::SystemId,
    inventory::{Dataset, DatasetKind, Inventory},
    plan::{
        Copies, Input, Place, Plan, Remembered, ReplicaKey, ReplicaReport, Report, Send, Standing, Step,
        SystemView, check, plan,
    },
    time::{Clock, ManualClock, Timestamp},
};
use zfs_sync_zfs::{
    command::{Scope, SendCommand},
    features::Features,
    inventory,
    memory::Host,
    pipeline::ProgressCounter,
    runner::Runner,
};

use super::*;

/// What a watcher heard.
#[derive(Debug, Default)]
struct Log {
    stages: Vec<Stage>,
    expected: Option<(Option<u64>, Option<u64>)>,
    warnings: Vec<String>,
    notes: Vec<HoldNote>,
}

#[derive(Debug, Default)]
struct Recorder {
    counter: ProgressCounter,
    log: Mutex<Log>,
    /// Nothing can be written down.
    broken: bool,
}

impl Recorder {
    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().unwrap()
    }
}

#[async_trait]
impl Watcher for Recorder {
    fn counter(&self) -> &ProgressCounter {
        &self.counter
    }

    fn stage(&self, stage: Stage) {
        self.log().stages.push(stage);
    }

    fn expect(&self, total: Option<u64>, resumed_from: Option<u64>) {
        self.log().expected = Some((total, resumed_from));
    }

    fn warn(&self, text: &str) {
        self.log().warnings.push(text.to_owned());
    }

    async fn record(&self, note: HoldNote) -> Result<(), RecordError> {
        if self.broken {
            return Err(RecordError("no space left on device".to_owned()));
        }
        self.log().notes.push(note);
        Ok(())
    }

    fn noted(&self, tag: &str) -> Vec<HoldNote> {
        self.log().notes.iter().filter(|note| note.tag == tag).cloned().collect()
    }
}

/// `tank/a` on nas1, to be kept as `backup/a` on nas2.
struct World {
    source: Host,
    target: Host,
    clock: Arc<ManualClock>,
    policy: OnDivergence,
    /// Further policy.
    adjust: fn(&mut SyncGroup),
    /// A third system has whatever the target has, and keeps it: nothing on the target is a last copy. Of several the first keeps.
    kept_elsewhere: bool,
    /// What the last plan remembered, as a witness does.
    memory: Mutex<BTreeMap<ReplicaKey, Remembered>>,
}

fn system(number: u128) -> SystemId {
    Uuid::from_u128(number).into()
}

impl World {
    /// Two pools, and `tank/a` with one snapshot of 300 kB.
    fn new() -> Self {
        let world = Self::empty(DatasetKind::Filesystem);
        world.grow("one", 300_000);
        world
    }

    fn empty(kind: DatasetKind) -> Self {
        let clock = Arc::new(ManualClock::new("2026-11-20T12:00:00Z".parse::<Timestamp>().unwrap()));
        let host = |name: &str, pool: &str, seed| {
            let host = Host::new(name, clock.clone() as Arc<dyn Clock>, seed);
            host.create_pool(pool, 1 << 30).unwrap();
            host
        };
        let (source, target) = (host("nas1", "tank", 1), host("nas2", "backup", 2));
        source.create_dataset("tank/a", kind).unwrap();
        Self {
            source,
            target,
            clock,
            policy: OnDivergence::Stop,
            adjust: |_| {},
            kept_elsewhere: false,
            memory: Mutex::default(),
        }
    }

    /// Writes and takes a snapshot on the source.
    fn grow(&self, label: &str, bytes: u64) {
        self.source.write("tank/a", bytes).unwrap();
        self.source.snapshot(&format!("tank/a@{label}")).unwrap();
    }

    async fn inventory(&self, host: &Host) -> Inventory {
        let runner = host.runner();
        let features = Features::probe(&*runner).await.unwrap();
        let datasets = inventory::read(&*runner, &Scope::Everything, &features).await.unwrap();
        let datasets = datasets.into_iter().map(|dataset| (dataset.name.clone(), dataset)).collect();
        Inventory { datasets, ..Inventory::empty(self.clock.now()) }
    }

    async fn plan(&self) -> (Plan, Report) {
        let mut group = SyncGroup {
            id: Uuid::from_u128(9).into(),
            name: "media".into(),
            enabled: true,
            mode: GroupMode::OneWay,
            hub: system(1),
            members: vec![system(1), system(2)],
            include: vec!["tank/**".parse().unwrap()],
            exclude: vec![],
            mappings: vec!["tank=backup".parse().unwrap()],
            member_mappings: BTreeMap::new(),
            auto: true,
            on_divergence: self.policy,
            allow_destroy: false,
            mirror_deletes: None,
            follow_renames: false,
            profile: Profile::Standard,
        };
        (self.adjust)(&mut group);
        let (source, target) = (self.inventory(&self.source).await, self.inventory(&self.target).await);
        let view = |name, inventory| SystemView { name, inventory: Some(inventory), fresh: true };
        let systems =
            BTreeMap::from([(system(1), view("nas1", &source)), (system(2), view("nas2", &target))]);
        let memory = self.memory.lock().unwrap().clone();
        let unreachable = BTreeSet::new();
        let kept = target.datasets.values().flat_map(|dataset| &dataset.snapshots);
        let kept = kept.filter(|_| self.kept_elsewhere).map(|snapshot| {
            let mut copies = Copies::default();
            copies.keep(Place { system: system(0), dataset: Guid::new(7) }, Standing::Stays);
            (snapshot.guid, copies)
        });
        let holders = kept.collect();
        let input = Input {
            group: &group,
            systems: &systems,
            scope: None,
            running: &[],
            decisions: &[],
            memory: &memory,
            unreachable: &unreachable,
            holders: &holders,
            now: self.clock.now(),
        };
        let (plan, report) = plan(&input);
        assert_eq!(check(&plan, &input), vec![]);
        let key = |replica: &ReplicaReport| ReplicaKey {
            home: replica.home,
            dataset: replica.dataset.clone(),
            target_system: replica.target_system,
        };
        let remembered =
            report.replicas.iter().filter_map(|replica| Some((key(replica), replica.remembered.clone()?)));
        *self.memory.lock().unwrap() = remembered.collect();
        (plan, report)
    }

    /// The next step for `tank/a`, if there is one.
    async fn next(&self) -> Option<Step> {
        self.plan().await.0.steps.into_iter().find(|step| step.source.as_str() == "tank/a")
    }

    async fn step(&self) -> Step {
        self.next().await.expect("the planner has something to do")
    }

    async fn execute(&self, step: &Step) -> (Execution, Recorder) {
        let (source, target) = (self.source.runner(), self.target.remote_runner());
        self.execute_on(step, &*source, &*target).await
    }

    async fn execute_on(
        &self,
        step: &Step,
        source: &dyn Runner,
        target: &dyn Runner,
    ) -> (Execution, Recorder) {
        let recorder = Recorder::default();
        let execution = self.execute_with(step, source, target, &recorder).await;
        (execution, recorder)
    }

    async fn execute_with(
        &self,
        step: &Step,
        source: &dyn Runner,
        target: &dyn Runner,
        recorder: &Recorder,
    ) -> Execution {
        let (source_features, target_features) = self.features().await;
        let sides =
            Sides { source, target, source_features: &source_features, target_features: &target_features };
        execute(step, &sides, recorder, &CancellationToken::new(), None).await
    }

    async fn features(&self) -> (Features, Features) {
        let source = Features::probe(&*self.source.runner()).await.unwrap();
        (source, Features::probe(&*self.target.runner()).await.unwrap())
    }

    async fn settle(&self, step: &Step) -> Settled {
        self.settle_with(step, &Recorder::default()).await
    }

    async fn settle_with(&self, step: &Step, recorder: &Recorder) -> Settled {
        let (source_features, target_features) = self.features().await;
        let (source, target) = (self.source.runner(), self.target.runner());
        let sides = Sides {
            source: &*source,
            target: &*target,
            source_features: &source_features,
            target_features: &target_features,
        };
        settle(step, &sides, recorder).await
    }

    /// Plans and executes until nothing is to be done. Every step has to succeed.
    async fn converge(&self) -> u32 {
        let mut steps = 0;
        while let Some(step) = self.next().await {
            let (execution, recorder) = self.execute(&step).await;
            assert_eq!(execution.outcome, TransferOutcome::Succeeded, "{step:?} {recorder:?}");
            steps += 1;
            assert!(steps < 20, "the plan never ends");
        }
        steps
    }

    async fn source_dataset(&self) -> Dataset {
        self.inventory(&self.source).await.datasets[&"tank/a".parse().unwrap()].clone()
    }

    async fn target_dataset(&self) -> Option<Dataset> {
        self.inventory(&self.target).await.datasets.remove(&"backup/a".parse().unwrap())
    }

    /// Every snapshot of the source is on the target, newest last, with the same content.
    async fn assert_in_sync(&self) {
        let source = self.source_dataset().await;
        let target = self.target_dataset().await.expect("the target exists");
        let newest = |dataset: &Dataset| dataset.newest().map(|snapshot| snapshot.guid);
        assert_eq!(newest(&source), newest(&target));
        assert_eq!(self.source.content("tank/a").unwrap(), self.target.content("backup/a").unwrap());
        assert_eq!(target.properties.partial, None);
        assert!(target.properties.readonly);
        assert!(!target.properties.mounted);
    }

    /// Labels of the held snapshots of a dataset and their tags' second words.
    async fn holds(&self, host: &Host, dataset: &Dataset) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for snapshot in dataset.snapshots.iter().filter(|snapshot| snapshot.holds > 0) {
            let command = Command::Holds { snapshot: dataset.name.snapshot(&snapshot.label).unwrap() };
            let output = host.runner().run(&command).await.unwrap();
            for hold in zfs_sync_zfs::parse::holds(&output.stdout).unwrap() {
                let word = hold.tag.split(':').nth(1).unwrap_or_default().to_owned();
                found.push((snapshot.label.to_string(), word));
            }
        }
        found
    }

    async fn source_holds(&self) -> Vec<(String, String)> {
        self.holds(&self.source, &self.source_dataset().await).await
    }

    async fn target_holds(&self) -> Vec<(String, String)> {
        match self.target_dataset().await {
            Some(dataset) => self.holds(&self.target, &dataset).await,
            None => Vec::new(),
        }
    }

    /// As after every success: nothing held on the source, one bookmark of ours, the target's newest held.
    async fn assert_tidy(&self) {
        assert_eq!(self.source_holds().await, [], "holds on the source");
        let target = self.target_dataset().await.expect("the target exists");
        let newest = target.newest().expect("it has a snapshot");
        assert_eq!(self.target_holds().await, [(newest.label.to_string(), "base".to_owned())]);
        let bookmarked: Vec<Guid> =
            self.source_dataset().await.bookmarks.iter().map(|bookmark| bookmark.guid).collect();
        assert_eq!(bookmarked, [newest.guid], "bookmarks on the source");
    }
}

fn send_of(step: &Step) -> &Send {
    match &step.action {
        Action::Send(send) => send,
        _ => panic!("{step:?} sends nothing"),
    }
}

fn send_of_mut(step: &mut Step) -> &mut Send {
    match &mut step.action {
        Action::Send(send) => send,
        _ => panic!("the step sends nothing"),
    }
}

fn stale(execution: &Execution) -> &str {
    match &execution.outcome {
        TransferOutcome::Stale { detail } => detail,
        other => panic!("{other:?} is not stale"),
    }
}

fn failed(execution: &Execution) -> (&str, &str, bool) {
    match &execution.outcome {
        TransferOutcome::Failed { code, detail, retryable } => (code, detail, *retryable),
        other => panic!("{other:?} has not failed"),
    }
}
