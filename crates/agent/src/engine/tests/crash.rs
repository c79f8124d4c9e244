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
enum Moment {
    /// The command was not started yet.
    Before,
    /// Its host has done it; nobody here has heard.
    After,
}

/// Counts commands on both hosts; at one of them this process is to die.
#[derive(Debug)]
struct Fate {
    count: AtomicUsize,
    last: usize,
    moment: Moment,
    reached: Notify,
}

impl Fate {
    fn new(last: usize, moment: Moment) -> Arc<Self> {
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
struct Mortal {
    runner: Arc<MemoryRunner>,
    fate: Arc<Fate>,
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
}

async fn prepare(work: Work) -> World {
    let mut world = World::new();
    match work {
        Work::Seed => {}
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
    world
}

#[rstest]
#[tokio::test]
async fn executing_again_converges_and_leaves_nothing_held(
    #[values(Work::Seed, Work::Incremental, Work::Resume, Work::Discard, Work::SetAside)] work: Work,
    #[values(Moment::Before, Moment::After)] moment: Moment,
) {
    let mut deaths = 0;
    for last in 0.. {
        let world = prepare(work).await;
        let step = world.step().await;
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
        }
        world.converge().await;
        world.assert_in_sync().await;
        assert_eq!(world.settle(&step).await, Settled::Clean, "after command {last}");
        world.assert_tidy().await;
        if !died {
            break;
        }
    }
    assert!(deaths >= 5, "{deaths} deaths are too few to have tested anything");
}
