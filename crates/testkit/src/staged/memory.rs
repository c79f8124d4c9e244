//! The machines of a [`Fleet`]: a script's lines are done by hand on the in-memory ZFS.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use anyhow::{Context as _, Result, bail, ensure};
use async_trait::async_trait;
use zfs_sync_api::client::Client;
use zfs_sync_core::{inventory::DatasetKind, name::DatasetName, stream::StreamForm};
use zfs_sync_zfs::{
    command::{Command, FirstReceive, ListColumns, ReceiveCommand, Scope, SendCommand},
    memory::Host,
    runner::Runner,
};

use super::{History, Line, Machines, Side};
use crate::fleet::Fleet;

/// What `write` writes.
const MEBIBYTE: u64 = 1 << 20;

#[async_trait]
impl Machines for Fleet {
    fn client(&self) -> &Client {
        Self::client(self)
    }

    async fn operate(&self, side: Side, lines: &[Line]) -> Result<()> {
        let host = self.host(side.host());
        for line in lines {
            let outcome = obey(self, &host, &line.command).await;
            match (outcome, line.refused) {
                (Ok(()), false) | (Err(Trouble::Refused(_)), true) => {}
                (Ok(()), true) => bail!("`{line}` was not refused"),
                (Err(Trouble::Refused(error) | Trouble::Script(error)), _) => {
                    return Err(error.context(format!("`{line}`")));
                }
            }
        }
        Ok(())
    }

    async fn throttle(&self, bytes_per_second: Option<u64>) -> Result<()> {
        self.host(Side::Source.host()).faults().slow(bytes_per_second);
        Ok(())
    }

    async fn histories(&self, side: Side) -> Result<BTreeMap<String, History>> {
        let runner = self.host(side.host()).runner();
        let datasets = datasets(&*runner, "name").await?;
        let mut histories: BTreeMap<String, History> =
            datasets.into_iter().map(|name| (name, History::new())).collect();
        let lines = print(&*runner, &Command::ListHistory { scope: Scope::Everything }).await?;
        for line in lines.lines() {
            let mut columns = line.split('\t');
            let (name, guid) = (columns.next().context("a name")?, columns.next().context("a GUID")?);
            // The others are bookmarks.
            if let Some((dataset, label)) = name.split_once('@') {
                let history = histories.get_mut(dataset).with_context(|| format!("{dataset} is listed"))?;
                history.push((label.to_owned(), guid.parse()?));
            }
        }
        Ok(histories)
    }

    async fn origins(&self, side: Side) -> Result<BTreeMap<String, String>> {
        let runner = self.host(side.host()).runner();
        let names = datasets(&*runner, "name").await?;
        Ok(names.into_iter().zip(datasets(&*runner, "origin").await?).collect())
    }

    async fn encrypted(&self, side: Side) -> Result<BTreeSet<String>> {
        let runner = self.host(side.host()).runner();
        let values = datasets(&*runner, "encryption").await?;
        let names = datasets(&*runner, "name").await?.into_iter().zip(values);
        Ok(names.filter(|(_, value)| value != "off").map(|(name, _)| name).collect())
    }

    async fn left_behind(&self, side: Side) -> Result<Vec<String>> {
        let runner = self.host(side.host()).runner();
        let tokens = datasets(&*runner, "receive_resume_token").await?;
        let mut left: Vec<String> = tokens.into_iter().filter(|token| token != "-").collect();
        let lines = print(&*runner, &Command::ListHistory { scope: Scope::Everything }).await?;
        for name in lines.lines().filter_map(|line| line.split('\t').next()).filter(|name| name.contains('@'))
        {
            let holds = print(&*runner, &Command::Holds { snapshot: name.parse()? }).await?;
            left.extend(holds.lines().filter(|hold| hold.contains("zfs-sync:step")).map(str::to_owned));
        }
        Ok(left)
    }
}

async fn print(runner: &dyn Runner, command: &Command) -> Result<String> {
    Ok(runner.run(command).await?.stdout)
}

/// One column of every dataset.
async fn datasets(runner: &dyn Runner, column: &str) -> Result<Vec<String>> {
    let columns = ListColumns::Dataset;
    let index = columns.names().iter().position(|name| *name == column).context("it is a column")?;
    let text = print(runner, &Command::ListDatasets { scope: Scope::Everything, columns }).await?;
    text.lines().map(|line| Ok(line.split('\t').nth(index).context("a value")?.to_owned())).collect()
}

/// Why a line was not done.
enum Trouble {
    /// The machine refused, as a real one would.
    Refused(anyhow::Error),
    /// The line is not understood here.
    Script(anyhow::Error),
}

impl From<anyhow::Error> for Trouble {
    fn from(error: anyhow::Error) -> Self {
        Self::Script(error)
    }
}

impl From<zfs_sync_zfs::error::Error> for Trouble {
    fn from(error: zfs_sync_zfs::error::Error) -> Self {
        Self::Refused(error.into())
    }
}

async fn obey(fleet: &Fleet, host: &Host, command: &str) -> Result<(), Trouble> {
    if command.contains('|') {
        return pipe(fleet, host, command).await;
    }
    let words: Vec<&str> = command.split_whitespace().collect();
    match words[..] {
        ["write", dataset] => host.write(dataset, MEBIBYTE)?,
        ["create_encrypted", dataset] => host.create_encrypted_dataset(dataset, DatasetKind::Filesystem)?,
        ["release", snapshot] => release(host, snapshot).await?,
        ["destroy_bookmarks", dataset] => destroy_bookmarks(host, dataset).await?,
        ["zfs", "create", dataset] => host.create_dataset(dataset, DatasetKind::Filesystem)?,
        ["zfs", "create", "-V", "16M", dataset] => host.create_dataset(dataset, DatasetKind::Volume)?,
        ["zfs", "snapshot", "-r", snapshot] => host.snapshot_recursive(snapshot)?,
        ["zfs", "snapshot", snapshot] => host.snapshot(snapshot)?,
        ["zfs", "bookmark", snapshot, bookmark] => {
            let (_, label) = bookmark.split_once('#').context("a bookmark has a label")?;
            host.bookmark(snapshot, label)?;
        }
        ["zfs", "rollback", "-r", snapshot] => host.rollback(snapshot)?,
        ["zfs", "destroy", "-r", dataset] => host.destroy_dataset(dataset)?,
        ["zfs", "destroy", name] if name.contains('#') => host.destroy_bookmark(name)?,
        ["zfs", "destroy", name] if name.contains('@') => host.destroy_snapshot(name)?,
        ["zfs", "rename", from, to] if from.contains('@') => {
            let (_, label) = to.split_once('@').context("a snapshot has a label")?;
            host.rename_snapshot(from, label)?;
        }
        ["zfs", "rename", from, to] => host.rename_dataset(from, to)?,
        ["zfs", "clone", snapshot, dataset] => host.clone_snapshot(snapshot, dataset)?,
        ["zfs", "promote", dataset] => host.promote(dataset)?,
        ["zfs", "hold", tag, snapshot] => host.hold(tag, snapshot)?,
        ["zfs", "set", "readonly=on", dataset] => host.set_readonly(dataset, true)?,
        ["zfs", "set", "readonly=off", dataset] => host.set_readonly(dataset, false)?,
        _ => {
            return Err(Trouble::Script(anyhow::anyhow!(
                "the in-memory operator does not know this command"
            )));
        }
    }
    Ok(())
}

async fn release(host: &Host, snapshot: &str) -> Result<(), Trouble> {
    let name = snapshot.parse().context("a snapshot")?;
    let holds = print(&*host.runner(), &Command::Holds { snapshot: name }).await?;
    for line in holds.lines() {
        host.release(line.split('\t').nth(1).context("a tag")?, snapshot)?;
    }
    Ok(())
}

async fn destroy_bookmarks(host: &Host, dataset: &str) -> Result<(), Trouble> {
    let scope = Scope::Only(dataset.parse().context("a dataset")?);
    let lines = print(&*host.runner(), &Command::ListHistory { scope }).await?;
    for name in lines.lines().filter_map(|line| line.split('\t').next()).filter(|name| name.contains('#')) {
        host.destroy_bookmark(name)?;
    }
    Ok(())
}

/// `zfs send … | [head -c BYTES |] ssh HOST zfs receive … DATASET`.
async fn pipe(fleet: &Fleet, source: &Host, command: &str) -> Result<(), Trouble> {
    let stages: Vec<Vec<&str>> = command.split('|').map(|stage| stage.split_whitespace().collect()).collect();
    let (send, cut, receive) = match &stages[..] {
        [send, receive] => (send, None, receive),
        [send, head, receive] => match head[..] {
            ["head", "-c", bytes] => (send, Some(bytes.parse().context("bytes")?), receive),
            _ => return Err(Trouble::Script(anyhow::anyhow!("this filter is not known"))),
        },
        _ => return Err(Trouble::Script(anyhow::anyhow!("too many stages"))),
    };
    let send = send_command(send)?;
    let ["ssh", host, "zfs", "receive", ref flags @ .., dataset] = receive[..] else {
        return Err(Trouble::Script(anyhow::anyhow!("the last stage is no receive over ssh")));
    };
    // Of what a first receive of ours sets, only this is ever asked for here.
    let first = flags
        .contains(&"readonly=on")
        .then(|| FirstReceive::new(DatasetKind::Filesystem, send.form().unwrap_or(StreamForm::WHOLE)));
    let dataset: DatasetName = dataset.parse().context("a dataset")?;
    let target = fleet.host(host);
    if let Some(bytes) = cut {
        source.faults().cut_stream_after(bytes);
    }
    let not_piped = |error: std::io::Error| Trouble::Script(error.into());
    let (reader, writer) = std::io::pipe().map_err(not_piped)?;
    let mut sender = source.runner().start(&Command::Send(send), None, Some(writer))?;
    let receive = Command::Receive(ReceiveCommand { first, ..ReceiveCommand::further(dataset) });
    let mut receiver = Arc::clone(&target.runner()).start(&receive, Some(reader), None)?;
    let (sent, received) = futures::join!(sender.wait(), receiver.wait());
    if received.success {
        return Ok(());
    }
    Err(Trouble::Refused(anyhow::anyhow!("{} {} {}", sent.status, received.status, received.stderr)))
}

fn send_command(words: &[&str]) -> Result<SendCommand> {
    let ["zfs", "send", flags @ .., to] = words else { bail!("the first stage is no send") };
    let to = to.parse()?;
    let flags: Vec<&str> = flags.iter().copied().filter(|flag| !["-L", "-c", "-e"].contains(flag)).collect();
    match flags[..] {
        [] => Ok(SendCommand::Full { to, form: StreamForm::WHOLE }),
        ["-i" | "-I", base] => {
            let label = base.strip_prefix('@').context("the base is a snapshot of the same dataset")?;
            let base = to.dataset().snapshot(&label.parse()?)?;
            ensure!(base != to, "from itself to itself");
            Ok(SendCommand::Incremental { base, to, form: StreamForm::WHOLE })
        }
        _ => bail!("these flags are not known"),
    }
}
