//! What the in-memory ZFS promises, by behaviour. Everything is asked through commands and read by the crate's own parsers.

mod any_sequence;
mod clones;
mod faults;
mod listings;
mod operator;
mod parity;
mod pipelines;
mod removals;
mod resume;
mod streams;

use std::sync::Arc;

use zfs_sync_core::{
    inventory::DatasetKind,
    name::DatasetName,
    stream::StreamForm,
    time::{ManualClock, Timestamp},
};

use super::Host;
use crate::{
    command::{Command, FirstReceive, ListColumns, ReceiveCommand, Scope, SendCommand},
    error::{Error, Kind, classify},
    parse::{self, DatasetRow},
    runner::{Runner, StageEnd},
};

const GIB: u64 = 1 << 30;

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new("2026-11-20T12:00:00Z".parse::<Timestamp>().unwrap()))
}

/// A host with an empty pool of one GiB.
fn host(name: &str, pool: &str, seed: u64) -> Host {
    let host = Host::new(name, clock(), seed);
    host.create_pool(pool, GIB).unwrap();
    host
}

/// `tank/a` with one snapshot of 200 kB, and a host with an empty pool `backup`.
fn pair() -> (Host, Host) {
    let (source, target) = (host("nas1", "tank", 1), host("nas2", "backup", 2));
    source.create_dataset("tank/a", DatasetKind::Filesystem).unwrap();
    source.write("tank/a", 200_000).unwrap();
    source.snapshot("tank/a@one").unwrap();
    (source, target)
}

fn full(to: &str) -> SendCommand {
    SendCommand::Full { to: to.parse().unwrap(), form: StreamForm::WHOLE }
}

fn incremental(base: &str, to: &str) -> SendCommand {
    SendCommand::Incremental { base: base.parse().unwrap(), to: to.parse().unwrap(), form: StreamForm::WHOLE }
}

fn resume(host: &Host, dataset: &str) -> SendCommand {
    let token = row(host, dataset).resume_token.expect("an interrupted receive waits");
    SendCommand::Resume { token, raw: false }
}

fn into(dataset: &str) -> ReceiveCommand {
    ReceiveCommand::further(dataset.parse().unwrap())
}

fn first(dataset: &str) -> ReceiveCommand {
    let first = FirstReceive::new(DatasetKind::Filesystem, StreamForm::WHOLE);
    ReceiveCommand { first: Some(first), ..into(dataset) }
}

/// How both ends of one transfer ended: sender, receiver.
async fn transfer(
    source: &Host,
    send: SendCommand,
    target: &Host,
    receive: ReceiveCommand,
) -> (StageEnd, StageEnd) {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut sender = source.runner().start(&Command::Send(send), None, Some(writer)).unwrap();
    let mut receiver = target.remote_runner().start(&Command::Receive(receive), Some(reader), None).unwrap();
    tokio::join!(sender.wait(), receiver.wait())
}

/// A transfer that succeeds on both sides.
async fn complete(source: &Host, send: SendCommand, target: &Host, receive: ReceiveCommand) {
    let (sent, received) = transfer(source, send, target, receive).await;
    assert!(sent.success && received.success, "{sent:?} {received:?}");
}

/// A transfer that the receiver refuses: what its text means, and the text.
async fn refused(source: &Host, send: SendCommand, target: &Host, receive: ReceiveCommand) -> (Kind, String) {
    let (_, received) = transfer(source, send, target, receive).await;
    assert!(!received.success, "{received:?}");
    (classify(&received.stderr), received.stderr)
}

/// A transfer whose sender dies after this many bytes of the stream.
async fn cut_at(
    bytes: u64,
    source: &Host,
    send: SendCommand,
    target: &Host,
    receive: ReceiveCommand,
) -> StageEnd {
    source.faults().cut_stream_after(bytes);
    let (sent, received) = transfer(source, send, target, receive).await;
    assert_eq!(sent.status, "was killed by signal 9");
    received
}

fn now<T>(future: impl Future<Output = T>) -> T {
    futures::executor::block_on(future)
}

fn run(host: &Host, command: &Command) -> Result<String, Error> {
    now(host.runner().run(command)).map(|output| output.stdout)
}

/// What `zfs send -nvP` foretells.
fn estimate(host: &Host, send: SendCommand) -> u64 {
    let text = run(host, &Command::Estimate(send)).unwrap();
    parse::estimate(&text, "").expect("the size is printed")
}

fn rows(host: &Host) -> Vec<DatasetRow> {
    let columns = ListColumns::DatasetWithChanges;
    let text = run(host, &Command::ListDatasets { scope: Scope::Everything, columns }).unwrap();
    parse::datasets(&text, columns).unwrap()
}

fn find_row(host: &Host, dataset: &str) -> Option<DatasetRow> {
    rows(host).into_iter().find(|row| row.name.as_str() == dataset)
}

fn row(host: &Host, dataset: &str) -> DatasetRow {
    find_row(host, dataset).expect("the dataset exists")
}

fn history(host: &Host) -> parse::History {
    parse::history(&run(host, &Command::ListHistory { scope: Scope::Everything }).unwrap()).unwrap()
}

/// `label guid` of every snapshot, oldest first.
fn snapshots(host: &Host, dataset: &str) -> Vec<(String, u64)> {
    let name: DatasetName = dataset.parse().unwrap();
    let (snapshots, _) = history(host).remove(&name).unwrap_or_default();
    snapshots.iter().map(|snapshot| (snapshot.label.to_string(), snapshot.guid.get())).collect()
}

fn same_content(left: &Host, left_name: &str, right: &Host, right_name: &str) -> bool {
    left.content(left_name).unwrap() == right.content(right_name).unwrap()
}
