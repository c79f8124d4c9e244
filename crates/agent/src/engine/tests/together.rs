//! Many steps at the same time, over runners whose readers share listings.

use std::{
    io::{PipeReader, PipeWriter},
    sync::atomic::Ordering,
};

use futures::future::join_all;
use rstest::rstest;
use zfs_sync_zfs::runner::{Output, SharedReads, Stage as Process};

use super::{
    crash::{Fate, Moment, Mortal},
    *,
};

/// Datasets beside `tank/a`.
const OTHERS: usize = 5;

/// Lets others go on before each command, as a real host does.
#[derive(Debug)]
struct Patient(Mortal);

#[async_trait]
impl Runner for Patient {
    fn host(&self) -> &str {
        self.0.host()
    }

    async fn run(&self, command: &Command) -> Result<Output, Error> {
        tokio::task::yield_now().await;
        self.0.run(command).await
    }

    fn start(
        &self,
        command: &Command,
        stdin: Option<PipeReader>,
        stdout: Option<PipeWriter>,
    ) -> Result<Box<dyn Process>, Error> {
        self.0.start(command, stdin, stdout)
    }
}

fn sources() -> Vec<String> {
    let others = (0..OTHERS).map(|number| format!("tank/b{number}"));
    others.chain(["tank/a".to_owned()]).collect()
}

fn grow_all(world: &World, label: &str) {
    for source in sources() {
        world.source.write(&source, 100_000).unwrap();
        world.source.snapshot(&format!("{source}@{label}")).unwrap();
    }
}

/// Datasets that have all been replicated, and have two new snapshots each.
async fn world() -> World {
    let world = World::empty(DatasetKind::Filesystem);
    for number in 0..OTHERS {
        world.source.create_dataset(&format!("tank/b{number}"), DatasetKind::Filesystem).unwrap();
    }
    grow_all(&world, "one");
    converge(&world).await;
    grow_all(&world, "two");
    grow_all(&world, "three");
    world
}

async fn steps(world: &World) -> Vec<Step> {
    let sources = sources();
    let steps = world.plan().await.0.steps;
    steps.into_iter().filter(|step| sources.iter().any(|source| source == step.source.as_str())).collect()
}

/// All steps at once, on hosts that count what they are asked.
async fn execute_all(world: &World, steps: &[Step], fate: &Arc<Fate>) -> Vec<Execution> {
    let patient = |runner| Arc::new(Patient(Mortal { runner, fate: Arc::clone(fate) })) as Arc<dyn Runner>;
    let source = SharedReads::new(patient(world.source.runner()));
    let target = SharedReads::new(patient(world.target.remote_runner()));
    let execute = |step| {
        let (source, target) = (&source, &target);
        async move { world.execute_on(step, source, target).await.0 }
    };
    join_all(steps.iter().map(execute)).await
}

async fn converge(world: &World) {
    loop {
        let steps = steps(world).await;
        if steps.is_empty() {
            return;
        }
        for execution in execute_all(world, &steps, &Fate::new(usize::MAX, Moment::Before)).await {
            assert_eq!(execution.outcome, TransferOutcome::Succeeded, "{execution:?}");
        }
    }
}

/// Everything is there, every replica is protected, and nothing else is held.
async fn assert_tidy(world: &World) {
    let (source, target) = (world.inventory(&world.source).await, world.inventory(&world.target).await);
    for name in sources() {
        let replica = name.replace("tank", "backup");
        let source = &source.datasets[&name.parse().unwrap()];
        let target = &target.datasets[&replica.parse().unwrap()];
        let newest = source.newest().unwrap();
        assert_eq!(target.newest().unwrap().guid, newest.guid, "{name}");
        let bookmarked: Vec<Guid> = source.bookmarks.iter().map(|bookmark| bookmark.guid).collect();
        assert_eq!(bookmarked, [newest.guid], "{name}");
        assert_eq!(world.holds(&world.source, source).await, [], "{name}");
        let held = [(newest.label.to_string(), "base".to_owned())];
        assert_eq!(world.holds(&world.target, target).await, held, "{name}");
    }
}

#[tokio::test]
async fn together_they_ask_less_than_each_alone() {
    let (alone, together) = (world().await, world().await);
    let (fate, shared) = (Fate::new(usize::MAX, Moment::Before), Fate::new(usize::MAX, Moment::Before));
    for step in steps(&alone).await {
        execute_all(&alone, &[step], &fate).await;
    }
    execute_all(&together, &steps(&together).await, &shared).await;
    for world in [alone, together] {
        assert_tidy(&world).await;
    }
    let (alone, together) = (fate.count.load(Ordering::Relaxed), shared.count.load(Ordering::Relaxed));
    // Twelve listings, and some nine commands that no two replicas can share.
    assert!(alone <= 22 * (OTHERS + 1), "{alone} commands");
    assert!(together * 100 < alone * 85, "{together} commands together, {alone} alone");
}

#[rstest]
#[case(Moment::Before)]
#[case(Moment::After)]
#[tokio::test]
async fn a_death_among_many_is_mended_for_all(#[case] moment: Moment) {
    let mut deaths = 0;
    for last in (0..).step_by(7) {
        let world = world().await;
        let steps = steps(&world).await;
        let fate = Fate::new(last, moment);
        let died = tokio::select! {
            biased;
            () = fate.reached.notified() => true,
            _ = execute_all(&world, &steps, &fate) => false,
        };
        deaths += u32::from(died);
        for step in &steps {
            assert_ne!(world.settle(step).await, Settled::Open, "after command {last}");
        }
        converge(&world).await;
        for step in &steps {
            assert_eq!(world.settle(step).await, Settled::Clean, "after command {last}");
        }
        assert_tidy(&world).await;
        if !died {
            break;
        }
    }
    assert!(deaths >= 5, "{deaths} deaths are too few to have tested anything");
}
