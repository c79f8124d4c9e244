//! How fast a stream goes, and what it costs. For docs/MEASUREMENTS.md:
//! `cargo test --release -p zfs-sync-agent --lib throughput -- --ignored --nocapture`.

use std::{
    io::{PipeReader, PipeWriter, Read as _, Write as _},
    time::Instant,
};

use zfs_sync_zfs::{
    command::ReceiveCommand,
    pipeline::{Transfer, transfer},
    runner::{Output, Stage as Process, StageEnd},
};

use super::*;

const BYTES: usize = 4 << 30;

/// Sends zeros, and receives whatever comes, as fast as it can.
#[derive(Debug)]
struct Synthetic;

#[derive(Debug)]
struct Thread(JoinHandle<()>);

#[async_trait]
impl Process for Thread {
    async fn wait(&mut self) -> StageEnd {
        let success = (&mut self.0).await.is_ok();
        StageEnd { success, status: "ended".to_owned(), stderr: String::new(), broken_pipe: false }
    }

    fn terminate(&mut self) {}
}

#[async_trait]
impl Runner for Synthetic {
    fn host(&self) -> &'static str {
        "synthetic"
    }

    async fn run(&self, _command: &Command) -> Result<Output, Error> {
        Ok(Output { stdout: String::new(), stderr: String::new() })
    }

    fn start(
        &self,
        _command: &Command,
        stdin: Option<PipeReader>,
        stdout: Option<PipeWriter>,
    ) -> Result<Box<dyn Process>, Error> {
        let task = tokio::task::spawn_blocking(move || {
            let mut buffer = vec![0; 1 << 20];
            if let Some(mut pipe) = stdin {
                while pipe.read(&mut buffer).unwrap() > 0 {}
            }
            if let Some(mut pipe) = stdout {
                for _ in 0..BYTES / buffer.len() {
                    pipe.write_all(&buffer).unwrap();
                }
            }
        });
        Ok(Box::new(Thread(task)))
    }
}

/// Seconds of processor time of this process.
fn processor() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = text.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

#[expect(clippy::print_stdout, reason = "it says what it measured")]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures; run by hand"]
async fn throughput() {
    let world = World::new(false);
    let step = world.step().await;
    let credentials = world.credentials(&world.authority, 2, SystemClock.now());
    let instance = Uuid::new_v4();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let serving = Serving::new(system(2), instance, Arc::new(Synthetic), clock, credentials);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
    let task = tokio::spawn(Arc::new(serving).listen(listener, shutdown.clone()));
    let served = Served { address, number: 2, instance, shutdown, task };
    let remote = world.runner(&served, &step, 1);
    let send = SendCommand::Full {
        to: "tank/a@one".parse().unwrap(),
        form: zfs_sync_core::stream::StreamForm::WHOLE,
    };
    let receive = ReceiveCommand::further(step.target.clone());
    for (name, target) in [("without TLS", &Synthetic as &dyn Runner), ("over TLS", &remote)] {
        let (begun, before) = (Instant::now(), processor());
        let work = Transfer {
            source: &Synthetic,
            send: &send,
            target,
            receive: &receive,
            small: false,
            flow: &zfs_sync_zfs::pipeline::Flow::default(),
        };
        transfer(work, &ProgressCounter::new(), &CancellationToken::new()).await.unwrap();
        let (seconds, cost) = (begun.elapsed().as_secs_f64(), processor() - before);
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let mebibytes = BYTES as f64 / f64::from(1 << 20);
        println!(
            "{name}: {:.0} MiB/s, {:.2} CPU s per GiB (all of it: source, sink, both ends)",
            mebibytes / seconds,
            cost * 1024.0 / mebibytes
        );
    }
    served.stop().await;
}
