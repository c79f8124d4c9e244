//! Whole pipelines of real processes: shell scripts that stand in for `zfs send` and `zfs receive`.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Instant,
};

use super::*;
use crate::runner::LocalRunner;

/// Two hosts, each with a `zfs` of its own.
struct Fixture {
    directory: tempfile::TempDir,
    source: LocalRunner,
    target: LocalRunner,
    send: SendCommand,
    receive: ReceiveCommand,
    flow: Flow,
    progress: ProgressCounter,
    cancel: CancellationToken,
}

impl Fixture {
    /// The scripts run in the fixture's directory.
    fn new(send: &str, receive: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let runner = |name: &str, script: &str| {
            let path = directory.path().join(name);
            fs::create_dir(&path).unwrap();
            let program = path.join("zfs");
            fs::write(&program, format!("#!/bin/sh\ncd '{}'\n{script}\n", directory.path().display()))
                .unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
            LocalRunner::new().searching_first(&path).named(name)
        };
        let (source, target) = (runner("source", send), runner("target", receive));
        Self {
            source,
            target,
            directory,
            send: SendCommand::Full {
                to: "tank/a@x".parse().unwrap(),
                form: zfs_sync_core::stream::StreamForm::WHOLE,
            },
            receive: ReceiveCommand::further("backup/a".parse().unwrap()),
            flow: Flow { stall_timeout: None, ..Flow::default() },
            progress: ProgressCounter::new(),
            cancel: CancellationToken::new(),
        }
    }

    fn stalls_after(mut self, millis: u64) -> Self {
        self.flow.stall_timeout = Some(Duration::from_millis(millis));
        self
    }

    fn request(&self) -> Transfer<'_> {
        Transfer {
            source: &self.source,
            send: &self.send,
            target: &self.target,
            receive: &self.receive,
            flow: &self.flow,
            small: false,
        }
    }

    async fn run(&self) -> Result<Finished, PipelineError> {
        transfer(self.request(), &self.progress, &self.cancel).await
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    async fn more_than(&self, bytes: u64) {
        until(|| self.progress.bytes() > bytes).await;
    }
}

/// Waits for a state; the test runner ends what waits for ever.
async fn until(mut reached: impl FnMut() -> bool) {
    while !reached() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// True once a process is gone, or nothing but an entry its parent has not collected.
fn has_ended(pid_file: &Path) -> bool {
    let pid = fs::read_to_string(pid_file).unwrap();
    let state = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    state.is_ok_and(|stat| stat.contains(") Z ")) || !Path::new("/proc").join(pid.trim()).exists()
}

/// Agents run many transfers, each on a task of its own.
#[tokio::test]
async fn a_transfer_can_move_between_threads() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let fixture = Fixture::new("echo x", "cat > /dev/null");
    assert_eq!(is_send(fixture.run()).await.unwrap().bytes, 2);
}

const FAIL_CUT: &str = "echo 'cannot receive: failed to read from stream' >&2; exit 1";

#[tokio::test]
async fn every_byte_arrives_and_is_counted() {
    let fixture = Fixture::new("head -c 3000000 /dev/zero; echo warned >&2", "cat > received");
    let finished = fixture.run().await.unwrap();
    assert_eq!(finished.bytes, 3_000_000);
    assert_eq!(finished.send_stderr, "warned\n");
    assert_eq!(fs::metadata(fixture.file("received")).unwrap().len(), 3_000_000);
    assert_eq!(fixture.progress.bytes(), 3_000_000);
}

#[tokio::test]
async fn a_second_transfer_counts_on_and_reports_its_own_bytes() {
    let fixture = Fixture::new("head -c 1000 /dev/zero", "cat > /dev/null");
    fixture.run().await.unwrap();
    assert_eq!(fixture.run().await.unwrap().bytes, 1000);
    assert_eq!(fixture.progress.bytes(), 2000);
}

#[tokio::test]
async fn a_cancelled_receiver_sees_the_end_of_the_stream_and_keeps_what_it_has() {
    let receive = "cat > /dev/null; echo kept > kept; echo 'incomplete stream' >&2; exit 1";
    let fixture = Fixture::new("exec cat /dev/zero", receive);
    let (result, ()) = tokio::join!(fixture.run(), async {
        fixture.more_than(1_000_000).await;
        fixture.cancel.cancel();
    });
    let error = result.unwrap_err();
    assert_eq!((error.stage, error.error.kind), (StageName::Cancelled, Kind::Interrupted));
    assert_eq!(error.code(), "E_TRANSFER_CANCELLED");
    assert!(error.bytes > 1_000_000);
    assert!(fixture.file("kept").exists());
}

#[tokio::test]
async fn a_receiver_that_ignores_everything_is_killed() {
    let receive = "trap '' TERM; echo > ready; while :; do sleep 1000; done";
    let fixture = Fixture::new("exec cat /dev/zero", receive);
    let grace = Duration::from_millis(50);
    let (result, ()) =
        tokio::join!(transfer_within(grace, fixture.request(), &fixture.progress, &fixture.cancel), async {
            // The pipes are full: sender and pump both wait for a receiver that never reads.
            until(|| fixture.file("ready").exists()).await;
            fixture.cancel.cancel();
        });
    let error = result.unwrap_err();
    assert_eq!(error.stage, StageName::Cancelled);
    assert_eq!(error.error.status, "was cancelled");
}

#[tokio::test]
async fn cancelling_after_the_end_changes_nothing() {
    let fixture = Fixture::new(
        "head -c 10 /dev/zero; echo > sent",
        "cat > /dev/null; while ! [ -e go ]; do sleep 0.01; done",
    );
    let (result, ()) = tokio::join!(fixture.run(), async {
        until(|| fixture.file("sent").exists() && fixture.progress.bytes() == 10).await;
        fixture.cancel.cancel();
        fs::write(fixture.file("go"), "").unwrap();
    });
    assert_eq!(result.unwrap().bytes, 10);
}

#[tokio::test]
async fn a_failing_sender_is_blamed_and_not_the_receiver_it_cut_off() {
    let send =
        "head -c 100000 /dev/zero; echo \"cannot open 'tank/a@x': dataset does not exist\" >&2; exit 1";
    let fixture = Fixture::new(send, &format!("cat > /dev/null; {FAIL_CUT}"));
    let error = fixture.run().await.unwrap_err();
    assert_eq!((error.stage, error.error.kind), (StageName::Send, Kind::NotFound));
    assert_eq!(error.error.host, "source");
    assert_eq!(error.bytes, 100_000);
}

#[tokio::test]
async fn a_failing_receiver_is_blamed_and_not_the_sender_it_cut_off() {
    let receive =
        "head -c 1000 > /dev/null; echo 'cannot receive incremental stream: out of space' >&2; exit 1";
    let fixture = Fixture::new("exec cat /dev/zero", receive);
    let error = fixture.run().await.unwrap_err();
    assert_eq!((error.stage, error.error.kind), (StageName::Receive, Kind::NoSpace));
    assert_eq!(error.error.host, "target");
    assert!(error.is_retryable());
}

#[tokio::test]
async fn a_receiver_that_fails_before_the_sender_says_anything_ends_both() {
    let receive = "echo 'cannot receive: destination backup/a space quota exceeded.' >&2; exit 1";
    let fixture = Fixture::new("echo $$ > pid; exec sleep 1000", receive);
    // The sender never writes, so that it can not notice: it is the pump that notices, and we who end it.
    let error = fixture.run().await.unwrap_err();
    assert_eq!((error.stage, error.error.kind), (StageName::Receive, Kind::Quota));
}

#[tokio::test]
async fn a_receiver_that_is_content_too_early_is_no_success() {
    let fixture = Fixture::new("exec cat /dev/zero", "head -c 1000 > /dev/null");
    let error = fixture.run().await.unwrap_err();
    assert_eq!((error.stage, error.error.kind), (StageName::Transport, Kind::StreamCut));
}

#[tokio::test]
async fn a_sender_that_is_slow_to_leave_after_its_last_byte_is_waited_for() {
    let send = "echo x; while ! [ -e received ]; do sleep 0.01; done; sleep 1.2";
    let fixture = Fixture::new(send, "head -c 2 > received");
    assert_eq!(fixture.run().await.unwrap().bytes, 2);
}

#[tokio::test]
async fn a_sender_that_dies_without_a_word_leaves_the_receivers_complaint() {
    let fixture = Fixture::new("head -c 5000 /dev/zero; kill -9 $$", &format!("cat > /dev/null; {FAIL_CUT}"));
    let error = fixture.run().await.unwrap_err();
    assert_eq!(error.error.kind, Kind::StreamCut);
    assert_eq!(error.code(), "E_TRANSFER_INTERRUPTED");
}

#[tokio::test]
async fn nothing_moving_is_a_stall() {
    let fixture =
        Fixture::new("echo x; exec sleep 1000", &format!("cat > /dev/null; {FAIL_CUT}")).stalls_after(200);
    let error = fixture.run().await.unwrap_err();
    assert_eq!(error.stage, StageName::Stalled);
    assert_eq!((error.code(), error.bytes), ("E_TRANSFER_STALLED", 2));
}

#[tokio::test]
async fn a_busy_receiver_after_the_end_of_the_stream_is_no_stall() {
    let fixture = Fixture::new("echo x", "cat > /dev/null; sleep 0.5").stalls_after(100);
    assert_eq!(fixture.run().await.unwrap().bytes, 2);
}

#[tokio::test]
async fn a_rate_limit_holds() {
    let mut fixture = Fixture::new("head -c 500000 /dev/zero", "cat > /dev/null");
    fixture.flow.limits = vec![Limiter::new(Some(1_000_000))];
    let begun = Instant::now();
    assert_eq!(fixture.run().await.unwrap().bytes, 500_000);
    // All but one bucket of a tenth of a second had to wait. However slow the machine is, it is never less.
    assert!(begun.elapsed() >= Duration::from_millis(390), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn dropping_a_transfer_ends_its_processes_and_their_children() {
    let send = "echo $$ > send; sleep 1000 & echo $! > child; cat /dev/zero";
    let fixture = Fixture::new(send, "echo $$ > receive; exec cat > /dev/null");
    tokio::select! {
        result = fixture.run() => panic!("it can not end: {result:?}"),
        () = fixture.more_than(1_000_000) => {}
    }
    for name in ["send", "child", "receive"] {
        let file = fixture.file(name);
        until(|| has_ended(&file)).await;
    }
}

#[tokio::test]
async fn a_flood_on_standard_error_blocks_nothing_and_only_its_end_is_kept() {
    let send = "head -c 3000000 /dev/zero | tr '\\0' x >&2; echo 'out of space' >&2; exit 1";
    let fixture = Fixture::new(send, "cat > /dev/null");
    let error = fixture.run().await.unwrap_err();
    assert_eq!((error.stage, error.error.kind), (StageName::Send, Kind::NoSpace));
    assert!(error.error.stderr.len() <= 16 << 10);
}
