//! This process dies between any two commands, and before and after each; executing again mends it.

use std::{
    io::{PipeReader, PipeWriter},
    sync::atomic::{AtomicUsize, Ordering},
};

use futures::future::pending;
use rstest::rstest;
use tokio::sync::Notify;
use zfs_sync_zfs::{
    memory::MemoryRunner,
    runner::{Output, Stage as Process, StageEnd},
};

use super::*;

/// When this process dies, as seen from one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// The command was not started yet.
    Before,
    /// Its host has done it; nobody here has heard.
    After,
}

/// Counts commands on both hosts; at one of them this process is to die.
#[derive(Debug)]
pub(super) struct Fate {
    pub(super) count: AtomicUsize,
    last: usize,
    moment: Moment,
    pub(super) reached: Notify,
}

impl Fate {
    pub(super) fn new(last: usize, moment: Moment) -> Arc<Self> {
        Arc::new(Self { count: AtomicUsize::new(0), last, moment, reached: Notify::new() })
    }

    /// True when the command that begins is the last one.
    fn is_last(&self) -> bool {
        self.count.fetch_add(1, Ordering::Relaxed) == self.last
    }

    async fn die<T>(&self) -> T {
        self.reached.notify_one();
        pending().await
    }
}

#[derive(Debug)]
pub(super) struct Mortal {
    pub(super) runner: Arc<MemoryRunner>,
    pub(super) fate: Arc<Fate>,
}

#[async_trait]
impl Runner for Mortal {
    fn host(&self) -> &str {
        self.runner.host()
    }

    async fn run(&self, command: &Command) -> Result<Output, Error> {
        if !self.fate.is_last() {
            return self.runner.run(command).await;
        }
        if self.fate.moment == Moment::After {
            let _unheard = self.runner.run(command).await;
        }
        self.fate.die().await
    }

    fn start(
        &self,
        command: &Command,
        stdin: Option<PipeReader>,
        stdout: Option<PipeWriter>,
    ) -> Result<Box<dyn Process>, Error> {
        let last = self.fate.is_last();
        let process = self.runner.start(command, stdin, stdout)?;
        Ok(if last { Box::new(Unheard { process, fate: Arc::clone(&self.fate) }) } else { process })
    }
}

/// A process whose end nobody here hears of.
#[derive(Debug)]
struct Unheard {
    process: Box<dyn Process>,
    fate: Arc<Fate>,
}

#[async_trait]
impl Process for Unheard {
    async fn wait(&mut self) -> StageEnd {
        if self.fate.moment == Moment::After {
            self.process.wait().await;
        }
        self.fate.die().await
    }

    fn terminate(&mut self) {
        self.process.terminate();
    }
}

/// What is to be done when the process dies.
#[derive(Clone, Copy, Debug)]
enum Work {
    Seed,
    Incremental,
    Resume,
    Discard,
    SetAside,
    FollowRename,
    RollBack,
    /// The source was rolled back: our own hold is on what goes.
    RollBackPastHold,
    Destroy,
    Clone,
    ResumeClone,
    CloneOfAside,
}

impl Work {
    /// The witness gives an unfinished step out again before it plans anew; what the planner does not plan here by itself is
    /// finished by that.
    const fn is_given_again(self) -> bool {
        !matches!(self, Self::Seed | Self::Incremental | Self::Resume | Self::Discard | Self::SetAside)
    }
}

async fn prepare(work: Work) -> (World, Step) {
    match work {
        Work::FollowRename => return follow_rename::renamed().await,
        Work::Clone => return as_clone::cloned().await,
        Work::CloneOfAside => return as_clone::set_aside().await,
        Work::ResumeClone => {
            let (world, step) = as_clone::cloned().await;
            world.source.faults().cut_stream_after(80_000);
            world.execute(&step).await;
            return (world, step);
        }
        _ => {}
    }
    let mut world = World::new();
    match work {
        Work::RollBack => {
            world.converge().await;
            world.grow_target(&["mine", "more"]);
            world.grow("two", 100_000);
            world.target.bookmark("backup/a@mine", "zfs-sync:1f:0a0b0c0d").unwrap();
            let step = world.roll_back_step("one").await;
            return (world, step);
        }
        Work::RollBackPastHold => {
            world.converge().await;
            world.grow("two", 100_000);
            world.converge().await;
            world.source.rollback("tank/a@one").unwrap();
            world.grow("three", 100_000);
            let step = world.roll_back_step("one").await;
            return (world, step);
        }
        Work::Destroy => {
            world.grow("two", 10_000);
            world.grow("three", 10_000);
            world.converge().await;
            let step = world.destroy_step(&["two", "one"], "three").await;
            return (world, step);
        }
        Work::Seed | Work::FollowRename | Work::Clone | Work::CloneOfAside | Work::ResumeClone => {}
        Work::Incremental => {
            world.converge().await;
            world.grow("two", 100_000);
            world.grow("three", 100_000);
        }
        Work::Resume => {
            world.converge().await;
            world.grow("two", 300_000);
            world.grow("three", 100_000);
            world.source.faults().cut_stream_after(150_000);
            world.execute(&world.step().await).await;
        }
        Work::Discard => {
            world.converge().await;
            world.grow("two", 300_000);
            world.source.faults().cut_stream_after(150_000);
            let step = world.step().await;
            world.execute(&step).await;
            world.grow("three", 100_000);
            world.source.release(&step.protection().step_hold(), "tank/a@two").unwrap();
            world.source.destroy_snapshot("tank/a@two").unwrap();
        }
        Work::SetAside => {
            world.converge().await;
            world.target.snapshot("backup/a@mine").unwrap();
            world.grow("two", 100_000);
            world.policy = OnDivergence::KeepBoth;
        }
    }
    let step = world.step().await;
    (world, step)
}

/// Every snapshot of the target that the step does not list.
async fn spared(world: &World, step: &Step) -> Vec<Guid> {
    let inventory = world.inventory(&world.target).await;
    let all =
        inventory.datasets.values().flat_map(|dataset| &dataset.snapshots).map(|snapshot| snapshot.guid);
    all.filter(|guid| !step.action.destroys().iter().any(|casualty| casualty.guid == *guid)).collect()
}

#[rstest]
#[tokio::test]
async fn executing_again_converges_and_leaves_nothing_held(
    #[values(
        Work::Seed,
        Work::Incremental,
        Work::Resume,
        Work::Discard,
        Work::SetAside,
        Work::FollowRename,
        Work::RollBack,
        Work::RollBackPastHold,
        Work::Destroy,
        Work::Clone,
        Work::ResumeClone,
        Work::CloneOfAside
    )]
    work: Work,
    #[values(Moment::Before, Moment::After)] moment: Moment,
) {
    let (mut deaths, mut stale) = (0, 0);
    for last in 0.. {
        let (world, step) = prepare(work).await;
        let spared = spared(&world, &step).await;
        let fate = Fate::new(last, moment);
        let mortal = |runner| Mortal { runner, fate: Arc::clone(&fate) };
        let (source, target) = (mortal(world.source.runner()), mortal(world.target.runner()));
        let died = tokio::select! {
            (execution, _) = world.execute_on(&step, &source, &target) => {
                assert_eq!(execution.outcome, TransferOutcome::Succeeded);
                false
            }
            () = fate.reached.notified() => true,
        };
        // Killed processes leave what they leave before anybody looks again.
        world.source.settle().await;
        world.target.settle().await;
        if died {
            deaths += 1;
            // The agent begins again: it looks after holds, and then does what is planned.
            let settled = world.settle(&step).await;
            assert_ne!(settled, Settled::Open, "after command {last}");
            if settled == Settled::Clean {
                assert_eq!(world.source_holds().await, [], "after command {last}");
            }
            if work.is_given_again() {
                let (execution, recorder) = world.execute(&step).await;
                let done = match (&execution.outcome, work) {
                    (TransferOutcome::Succeeded, _) => true,
                    // It went up to the first snapshot, which has arrived; the plan's end is for a new plan.
                    (TransferOutcome::Stale { detail }, Work::CloneOfAside) => {
                        detail.contains("@two as its newest")
                    }
                    // Nobody saw the newest go: somebody decides anew.
                    (TransferOutcome::Stale { detail }, Work::RollBack | Work::RollBackPastHold)
                        if detail.contains("were written to") =>
                    {
                        stale += 1;
                        world.succeed(&world.give_up_step("one").await).await;
                        true
                    }
                    _ => false,
                };
                assert!(done, "after command {last}: {execution:?} {recorder:?}");
            }
        }
        let left = world.inventory(&world.target).await;
        let left: Vec<Guid> =
            left.datasets.values().flat_map(|dataset| &dataset.snapshots).map(|found| found.guid).collect();
        assert!(
            spared.iter().all(|guid| left.contains(guid)),
            "after command {last}: more is gone than was listed"
        );
        world.converge().await;
        world.assert_in_sync().await;
        assert_eq!(world.settle(&step).await, Settled::Clean, "after command {last}");
        world.assert_tidy().await;
        if !died {
            break;
        }
    }
    // After it was destroyed, while the dataset is read once more, and before it goes back.
    let unseen = matches!(work, Work::RollBack | Work::RollBackPastHold);
    assert_eq!(stale > 0, unseen, "{stale}");
    assert!(deaths >= 5, "{deaths} deaths are too few to have tested anything");
}

/// An attempt that died right after its stream: what it had no time to look at, the next one does.
#[tokio::test]
async fn a_replica_that_nobody_could_look_at_is_looked_at_by_the_next_attempt() {
    let world = World::new();
    let step = world.step().await;
    let (execution, _) = world.execute(&step).await;
    assert_eq!(execution.outcome, TransferOutcome::Succeeded);
    world.target.set_readonly("backup/a", false).unwrap();
    let (execution, recorder) = world.execute(&step).await;
    assert_eq!((&execution.outcome, execution.bytes), (&TransferOutcome::Succeeded, 0));
    assert!(world.target_dataset().await.unwrap().properties.readonly, "{recorder:?}");
    // One that has more than its first snapshot is its owner's.
    world.grow("two", 1000);
    world.converge().await;
    world.target.set_readonly("backup/a", false).unwrap();
    world.execute(&step).await;
    assert!(!world.target_dataset().await.unwrap().properties.readonly);
}
