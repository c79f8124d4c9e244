//! What is above the runners works on the in-memory ZFS as on a real one.

use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    features::Features,
    inventory,
    pipeline::{
        Finished, Flow, PipelineError, ProgressCounter, StageName, Transfer, transfer as pipe_through,
    },
    watch::watch_events,
};

async fn piped(
    source: &Host,
    send: SendCommand,
    target: &Host,
    receive: ReceiveCommand,
    progress: &ProgressCounter,
    cancel: &CancellationToken,
) -> Result<Finished, PipelineError> {
    let (from, to) = (source.runner(), target.remote_runner());
    let request = Transfer {
        source: from.as_ref(),
        send: &send,
        target: to.as_ref(),
        receive: &receive,
        flow: &Flow::default(),
        small: false,
    };
    pipe_through(request, progress, cancel).await
}

async fn simply(
    source: &Host,
    send: SendCommand,
    target: &Host,
    receive: ReceiveCommand,
) -> Result<Finished, PipelineError> {
    piped(source, send, target, receive, &ProgressCounter::new(), &CancellationToken::new()).await
}

#[tokio::test]
async fn a_transfer_counts_its_bytes_and_the_inventory_shows_what_arrived() {
    let (source, target) = pair();
    let foretold = estimate(&source, full("tank/a@one"));
    let finished = simply(&source, full("tank/a@one"), &target, first("backup/a")).await.unwrap();
    assert_eq!(finished.bytes, foretold);
    let runner = target.runner();
    let features = Features::probe(runner.as_ref()).await.unwrap();
    let (dataset, token) =
        inventory::read_one(runner.as_ref(), &"backup/a".parse().unwrap(), &features).await.unwrap().unwrap();
    assert_eq!(token, None);
    assert_eq!(dataset.newest().unwrap().guid.get(), snapshots(&source, "tank/a")[0].1);
}

#[tokio::test]
async fn the_side_that_failed_first_is_blamed() {
    let (source, target) = pair();
    source.write("tank/a", 2_000_000).unwrap();
    source.snapshot("tank/a@two").unwrap();

    let error = simply(&source, full("tank/a@no"), &target, first("backup/a")).await.unwrap_err();
    assert_eq!((error.stage, error.error.kind), (StageName::Send, Kind::NotFound));

    target.faults().offline(true);
    let error = simply(&source, full("tank/a@two"), &target, first("backup/a")).await.unwrap_err();
    assert_eq!((error.stage, error.error.kind), (StageName::Transport, Kind::SshUnreachable));
    target.faults().offline(false);

    target.faults().cut_stream_after(500_000);
    let error = simply(&source, full("tank/a@two"), &target, first("backup/a")).await.unwrap_err();
    assert_eq!((error.stage, error.error.kind), (StageName::Receive, Kind::Interrupted));

    let error = simply(&source, full("tank/a@two"), &target, first("backup/a")).await.unwrap_err();
    assert_eq!((error.stage, error.error.kind), (StageName::Receive, Kind::DestinationExists));

    simply(&source, resume(&target, "backup/a"), &target, into("backup/a")).await.unwrap();
    assert!(same_content(&source, "tank/a@two", &target, "backup/a@two"));
}

#[tokio::test]
async fn a_cancelled_transfer_can_be_resumed() {
    let (source, target) = pair();
    source.write("tank/a", 3_000_000).unwrap();
    source.snapshot("tank/a@two").unwrap();
    source.faults().slow(Some(2_000_000));
    let (progress, cancel) = (ProgressCounter::new(), CancellationToken::new());
    let running = piped(&source, full("tank/a@two"), &target, first("backup/a"), &progress, &cancel);
    let cancelling = async {
        while find_row(&target, "backup/a")
            .and_then(|row| row.properties.partial)
            .is_none_or(|partial| partial.bytes == 0)
        {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
    };
    let (ended, ()) = tokio::join!(running, cancelling);
    let error = ended.unwrap_err();
    assert_eq!(error.stage, StageName::Cancelled);
    assert!(error.bytes < 3_000_000);
    source.faults().slow(None);
    target.settle().await;
    simply(&source, resume(&target, "backup/a"), &target, into("backup/a")).await.unwrap();
    assert!(same_content(&source, "tank/a@two", &target, "backup/a@two"));
}

#[tokio::test]
async fn changes_wake_a_watcher_until_the_host_goes_away() {
    let (source, _) = pair();
    let (woken, mut wakes) = tokio::sync::mpsc::unbounded_channel();
    let runner = source.remote_runner();
    let watching = watch_events(runner.as_ref(), || woken.send(()).unwrap());
    let acting = async {
        // The watcher runs since it was first polled, before this.
        source.snapshot("tank/a@two").unwrap();
        wakes.recv().await.unwrap();
        source.destroy_snapshot("tank/a@two").unwrap();
        wakes.recv().await.unwrap();
        source.faults().offline(true);
    };
    let (ended, ()) = tokio::join!(biased; watching, acting);
    assert_eq!(ended.unwrap_err().kind, Kind::SshUnreachable);
}
