//! Exit codes and messages are not what decides.

use std::io::{PipeReader, PipeWriter};

use zfs_sync_zfs::{
    memory::MemoryRunner,
    runner::{Output, Stage as Process, StageEnd},
};

use super::*;

/// A host whose `zfs receive` does something else than its exit code says.
#[derive(Debug)]
struct Lying {
    runner: Arc<MemoryRunner>,
    lie: Lie,
}

#[derive(Clone, Copy, Debug)]
enum Lie {
    /// Everything arrives; then the mount fails.
    MountFails,
    /// Nothing is kept, and all is said to be well.
    NothingArrives,
}

#[async_trait]
impl Runner for Lying {
    fn host(&self) -> &str {
        self.runner.host()
    }

    async fn run(&self, command: &Command) -> Result<Output, Error> {
        self.runner.run(command).await
    }

    fn start(
        &self,
        command: &Command,
        stdin: Option<PipeReader>,
        stdout: Option<PipeWriter>,
    ) -> Result<Box<dyn Process>, Error> {
        match (command, self.lie) {
            (Command::Receive(_), Lie::MountFails) => {
                Ok(Box::new(MountFails(self.runner.start(command, stdin, stdout)?)))
            }
            (Command::Receive(_), Lie::NothingArrives) => Ok(Box::new(Swallow(stdin))),
            _ => self.runner.start(command, stdin, stdout),
        }
    }
}

#[derive(Debug)]
struct MountFails(Box<dyn Process>);

#[async_trait]
impl Process for MountFails {
    async fn wait(&mut self) -> StageEnd {
        let end = self.0.wait().await;
        assert!(end.success, "{end:?}");
        StageEnd {
            success: false,
            status: "exited with 1".to_owned(),
            stderr: "cannot mount '/backup/a': failed to create mountpoint: Read-only file system\n"
                .to_owned(),
            broken_pipe: false,
        }
    }

    fn terminate(&mut self) {
        self.0.terminate();
    }
}

#[derive(Debug)]
struct Swallow(Option<PipeReader>);

#[async_trait]
impl Process for Swallow {
    async fn wait(&mut self) -> StageEnd {
        if let Some(mut stdin) = self.0.take() {
            let reading =
                tokio::task::spawn_blocking(move || std::io::copy(&mut stdin, &mut std::io::sink()));
            reading.await.unwrap().unwrap();
        }
        let status = "exited with 0".to_owned();
        StageEnd { success: true, status, stderr: String::new(), broken_pipe: false }
    }

    fn terminate(&mut self) {}
}

async fn execute_on(lie: Lie) -> (World, Execution, Recorder) {
    let world = World::new();
    let step = world.step().await;
    let target = Lying { runner: world.target.runner(), lie };
    let (execution, recorder) = world.execute_on(&step, &*world.source.runner(), &target).await;
    (world, execution, recorder)
}

#[tokio::test]
async fn a_failed_mount_after_everything_arrived_is_success() {
    let (world, execution, recorder) = execute_on(Lie::MountFails).await;
    assert_eq!(execution.outcome, TransferOutcome::Succeeded);
    assert!(recorder.log().warnings.iter().any(|warning| warning.contains("cannot mount")), "{recorder:?}");
    world.assert_in_sync().await;
    world.assert_tidy().await;
}

#[tokio::test]
async fn exit_zero_without_the_snapshot_is_a_failure() {
    let (world, execution, _) = execute_on(Lie::NothingArrives).await;
    assert_eq!((failed(&execution).0, failed(&execution).2), ("E_SNAPSHOT_NOT_ARRIVED", true));
    assert_eq!(world.source_holds().await, []);
}

#[tokio::test]
async fn a_token_that_zfs_itself_calls_dead_is_given_up() {
    let world = World::new();
    world.source.faults().cut_stream_after(200_000);
    world.execute(&world.step().await).await;
    world.source.faults().fail_next(
        |command| matches!(command, Command::Send(SendCommand::Resume { .. })),
        "cannot resume send: 'tank/a@one' used in the initial send no longer exists\n",
    );
    let (execution, recorder) = world.execute(&world.step().await).await;
    assert!(stale(&execution).contains("can not be continued"), "{execution:?}");
    assert!(recorder.log().warnings.iter().any(|warning| warning.contains("are lost")), "{recorder:?}");
    assert_eq!(world.target_dataset().await, None);
    world.converge().await;
    world.assert_in_sync().await;
    world.assert_tidy().await;
}

#[tokio::test]
async fn a_refusal_that_only_a_new_plan_can_answer_is_stale() {
    for text in [
        "cannot receive incremental stream: most recent snapshot of backup/a does not\nmatch incremental source\n",
        "cannot receive incremental stream: destination backup/a has been modified\nsince most recent snapshot\n",
        "cannot restore to backup/a@two: destination already exists\n",
    ] {
        let world = World::new();
        world.converge().await;
        world.grow("two", 100_000);
        world.target.faults().fail_next(|command| matches!(command, Command::Receive(_)), text);
        let (execution, _) = world.execute(&world.step().await).await;
        assert!(stale(&execution).contains("nas2"), "{execution:?}");
        assert_eq!(world.source_holds().await, []);
    }
}
