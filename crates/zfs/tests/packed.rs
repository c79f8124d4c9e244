//! Streams that travel compressed, through real processes: this program on one side, a shell and `zstd` on the other.

#![expect(clippy::unwrap_used, reason = "a test that can not go on has failed")]

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use rstest::rstest;
use tokio_util::sync::CancellationToken;
use zfs_sync_core::flow::Compression;
use zfs_sync_core::stream::StreamForm;
use zfs_sync_zfs::{
    command::{ReceiveCommand, SendCommand},
    error::Kind,
    pipeline::{Finished, Flow, Packed, PipelineError, ProgressCounter, Transfer, transfer},
    runner::{LocalRunner, Runner, SshRunner, SshTarget},
};

/// A host with its own programs.
struct Host {
    directory: tempfile::TempDir,
    runner: Box<dyn Runner>,
}

impl Host {
    /// On this machine, or behind an `ssh` that runs the remote line here.
    fn new(remote: bool, zfs: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        program(path, "zfs", &format!("cd \"${{0%/*}}\"\n{zfs}"));
        program(path, "ssh", "for line; do :; done\nexec sh -c \"$line\"");
        let runner: Box<dyn Runner> = if remote {
            let target = SshTarget::new("nas2".parse().unwrap(), Some("root".into())).unwrap();
            Box::new(SshRunner::new(target, &path.join("control")).unwrap().searching_first(path))
        } else {
            Box::new(LocalRunner::new().searching_first(path))
        };
        Self { directory, runner }
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }
}

fn program(directory: &Path, name: &str, script: &str) {
    let path = directory.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

async fn send(
    source: &Host,
    target: &Host,
    compression: Compression,
    progress: &ProgressCounter,
) -> Result<Finished, PipelineError> {
    let send = SendCommand::Full { to: "tank/a@x".parse().unwrap(), form: StreamForm::WHOLE };
    let receive = ReceiveCommand::further("backup/a".parse().unwrap());
    let flow = Flow { compression, ..Flow::default() };
    let (source, target) = (&*source.runner, &*target.runner);
    let request = Transfer { source, send: &send, target, receive: &receive, flow: &flow, small: false };
    transfer(request, progress, &CancellationToken::new()).await
}

/// Records that shrink, as those of a stream do.
fn stream() -> Vec<u8> {
    (0..1_000_000u32).flat_map(|number| (number / 7).to_le_bytes()).collect()
}

fn with_stream(remote: bool, zfs: &str) -> Host {
    let host = Host::new(remote, zfs);
    fs::write(host.file("stream"), stream()).unwrap();
    host
}

fn is_same(path: &Path) -> bool {
    fs::read(path).unwrap() == stream()
}

#[rstest]
#[case::pushed(false, true)]
#[case::fetched(true, false)]
#[case::relayed(true, true)]
#[tokio::test]
async fn a_stream_arrives_whole_and_fewer_bytes_travel(
    #[case] from_remote: bool,
    #[case] to_remote: bool,
    #[values(Compression::Auto, Compression::Level(3))] compression: Compression,
) {
    let source = with_stream(from_remote, "cat stream");
    let target = Host::new(to_remote, "cat > received");
    let progress = ProgressCounter::new();
    let finished = send(&source, &target, compression, &progress).await.unwrap();
    assert_eq!(finished.bytes, 4_000_000);
    assert!(is_same(&target.file("received")));
    assert!(progress.wire_bytes() < 2_000_000, "{}", progress.wire_bytes());
}

#[tokio::test]
async fn within_one_machine_nothing_is_compressed() {
    let (source, target) = (with_stream(false, "cat stream"), Host::new(false, "cat > received"));
    let progress = ProgressCounter::new();
    send(&source, &target, Compression::Auto, &progress).await.unwrap();
    assert_eq!((progress.packed(), progress.wire_bytes()), (Some(Packed::NotNeeded), 4_000_000));
}

#[tokio::test]
async fn a_host_without_zstd_gets_the_stream_as_it_is_and_it_is_said_why() {
    let (source, target) = (with_stream(false, "cat stream"), Host::new(true, "cat > received"));
    program(target.directory.path(), "zstd", "exit 127");
    let progress = ProgressCounter::new();
    send(&source, &target, Compression::Level(3), &progress).await.unwrap();
    assert_eq!(progress.packed(), Some(Packed::Not("root@nas2 has no zstd".to_owned())));
    assert!(is_same(&target.file("received")));
}

/// A receiver that takes what is complete, keeps what is not, and says what `zfs` says then.
const KEEPS: &str = "cat > received; [ $(wc -c < received) -ge 4000000 ] || { echo 'cannot receive: incomplete stream' >&2; exit 1; }";

#[rstest]
#[tokio::test]
async fn a_sender_that_dies_is_blamed_and_what_had_come_is_kept(#[values(false, true)] from_remote: bool) {
    let dies =
        "head -c 1000000 stream; echo \"warning: cannot send 'tank/a@x': Input/output error\" >&2; exit 1";
    let (source, target) = (with_stream(from_remote, dies), Host::new(!from_remote, KEEPS));
    let progress = ProgressCounter::new();
    let error = send(&source, &target, Compression::Level(3), &progress).await.unwrap_err();
    assert_eq!(
        (error.stage, error.error.kind),
        (zfs_sync_zfs::pipeline::StageName::Send, Kind::SourceUnreadable)
    );
    assert!(error.error.stderr.contains("Input/output error"), "{error:?}");
    let kept = fs::read(target.file("received")).unwrap();
    assert_eq!(kept.len(), 1_000_000);
    assert!(stream().starts_with(&kept));
}

#[tokio::test]
async fn a_connection_that_is_cut_within_a_frame_ends_as_a_stream_that_is_cut() {
    let (source, target) = (with_stream(true, "cat stream"), Host::new(false, KEEPS));
    // What ssh brings ends in the middle; it says so itself.
    program(
        source.directory.path(),
        "ssh",
        "for line; do :; done\ncase $line in *'zstd -V') exec true;; esac\nsh -c \"$line\" | head -c 100000\necho 'client_loop: send disconnect: Broken pipe' >&2; exit 255",
    );
    let progress = ProgressCounter::new();
    let error = send(&source, &target, Compression::Level(3), &progress).await.unwrap_err();
    assert_eq!(error.error.kind, Kind::SshUnreachable, "{error:?}");
    let kept = fs::read(target.file("received")).unwrap();
    assert!(!kept.is_empty() && stream().starts_with(&kept), "{} bytes", kept.len());
}
