//! Of which moment reports are.

use std::sync::Mutex;

use zfs_sync_core::time::Timestamp;

use super::*;

/// A host on which every listing takes minutes.
#[derive(Debug)]
struct Slow {
    runner: Arc<MemoryRunner>,
    clock: Arc<ManualBootClock>,
    /// When the first listing of all datasets began.
    began: Mutex<Option<Duration>>,
}

const MINUTES: Duration = Duration::from_mins(7);

#[async_trait]
impl Runner for Slow {
    fn host(&self) -> &str {
        self.runner.host()
    }

    async fn run(&self, command: &Command) -> Result<Output, Error> {
        if matches!(command, Command::ListDatasets { .. }) {
            self.began.lock().unwrap().get_or_insert(self.clock.since_boot());
            self.clock.advance(MINUTES);
        }
        self.runner.run(command).await
    }

    fn start(
        &self,
        command: &Command,
        stdin: Option<std::io::PipeReader>,
        stdout: Option<std::io::PipeWriter>,
    ) -> Result<Box<dyn Stage>, Error> {
        self.runner.start(command, stdin, stdout)
    }
}

fn moment() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

#[tokio::test]
async fn a_report_is_of_the_moment_in_which_its_look_began() {
    let world = World::new().await;
    let clock = Arc::new(ManualBootClock::default());
    let slow =
        Arc::new(Slow { runner: world.target.runner(), clock: clock.clone(), began: Mutex::default() });
    world.witness.change(|seen| seen.now = Some(moment()));
    let shutdown = CancellationToken::new();
    let options = Options { local: slow.clone(), ..world.options() };
    let agent = Agent::start_with(options, clock.clone(), shutdown.clone()).unwrap();
    world.witness.until(|seen| !seen.reports.is_empty()).await;
    let began = slow.began.lock().unwrap().unwrap();
    assert_eq!(began, Duration::ZERO, "hello was answered before");
    world.witness.look(|seen| assert_eq!(seen.reports[0].looked_at, Some(moment())));
    stop(&agent, &shutdown).await;
}

#[tokio::test]
async fn a_witness_that_does_not_tell_the_time_is_told_none() {
    let world = World::new().await;
    let (agent, shutdown) = world.start();
    world.witness.until(|seen| !seen.reports.is_empty()).await;
    world.witness.look(|seen| assert_eq!(seen.reports[0].looked_at, None));
    stop(&agent, &shutdown).await;
}
