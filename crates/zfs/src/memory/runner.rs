//! Executes typed commands on the in-memory ZFS.

use std::io::{PipeReader, PipeWriter};

use async_trait::async_trait;
use zfs_sync_core::{inventory::DatasetKind, name::SnapshotName};

use super::{
    faults::thawed,
    operator::Host,
    send,
    stage::{self, Line, MemoryStage, Sink, Source},
    state::{Refusal, State},
    transfer,
};
use crate::{
    command::Command,
    content::{self, Content},
    error::{Error, Kind},
    runner::{Output, Runner, Stage, StageEnd},
};

/// The [`Runner`] of a [`Host`].
#[derive(Clone, Debug)]
pub struct MemoryRunner {
    host: Host,
    remote: bool,
}

impl MemoryRunner {
    pub(super) const fn new(host: Host, remote: bool) -> Self {
        Self { host, remote }
    }

    fn fail(&self, command: &Command, end: &StageEnd) -> Error {
        Error::ended(self.host.name(), command, end)
    }

    fn is_offline(&self) -> bool {
        self.remote && self.host.0.faults.conditions().borrow().offline
    }

    /// A fault that was injected for this command.
    fn planned_failure(&self, command: &Command) -> Option<StageEnd> {
        let stderr = self.host.0.faults.take_failure(command)?;
        Some(stage::refused(Refusal { stderr, code: 1 }))
    }

    fn start_stage(
        &self,
        command: &Command,
        stdin: Option<PipeReader>,
        stdout: Option<PipeWriter>,
    ) -> std::io::Result<MemoryStage> {
        let shared = self.host.0.clone();
        let line = |cut| Line::new(shared.faults.conditions(), cut);
        let remote = self.remote.then(|| shared.name.clone());
        let (streams, tasks) = (&shared.streams, &shared.tasks);
        let conditions = shared.faults.conditions();
        Ok(match command {
            Command::Send(send) => match shared.read(|state| state.prepare_send(send)) {
                Ok(outgoing) => {
                    let sink = Sink::new(stdout, line(shared.faults.take_cut()))?;
                    let work =
                        transfer::send(shared.clone(), outgoing, sink, shared.faults.take_unreadable());
                    MemoryStage::spawn(streams, conditions, remote, work)
                }
                Err(refusal) => MemoryStage::ended(stage::refused(refusal)),
            },
            Command::Receive(receive) => {
                let source = Source::new(stdin, line(shared.faults.take_cut()))?;
                let work = transfer::receive(shared.clone(), receive.clone(), source);
                MemoryStage::spawn(streams, conditions, remote, work)
            }
            Command::WatchEvents => {
                let sink = Sink::new(stdout, line(None))?;
                let work = transfer::watch_events(shared.clone(), sink);
                MemoryStage::spawn(tasks, conditions, remote, work)
            }
            other => {
                let mut sink = Sink::new(stdout, line(None))?;
                let (runner, command) = (self.clone(), other.clone());
                let work = async move {
                    match runner.interpret(&command) {
                        Ok(text) => match sink.write(text.as_bytes()).await {
                            Ok(()) => stage::succeeded(),
                            Err(_) => stage::broken_pipe(),
                        },
                        Err(refusal) => stage::refused(refusal),
                    }
                };
                MemoryStage::spawn(tasks, conditions, remote, work)
            }
        })
    }

    /// Does what the command says and gives what it prints.
    fn interpret(&self, command: &Command) -> Result<String, Refusal> {
        let shared = &self.host.0;
        if command.is_read_only() {
            shared.read(|state| answer(state, command))
        } else {
            shared.change(|state, now| obey(state, command, now)).map(|()| String::new())
        }
    }
}

/// Commands that only look.
fn answer(state: &State, command: &Command) -> Result<String, Refusal> {
    match command {
        Command::Version => Ok(state.version_text()),
        Command::ListDatasets { scope, columns } => state.list_datasets(scope, *columns),
        Command::ListHistory { scope } => state.list_history(scope),
        Command::ListDependents { of } => state.list_dependents(of),
        Command::Get { dataset, properties } => state.get(dataset, properties),
        Command::GetValue { dataset, property } => state.get_value(dataset, property.as_str(), false),
        Command::GetSource { dataset, property } => state.get_value(dataset, property.as_str(), true),
        Command::PoolFeatures { pool } => state.pool_features(pool),
        Command::Holds { snapshot } => state.holds(snapshot),
        Command::HoldsOf { snapshots, exact } => state.holds_of(snapshots, *exact),
        // Whoever asks here is root, who needs no permission that could be shown.
        Command::ShowAllowed { dataset } => state.dataset(dataset).map(|_| String::new()),
        Command::ListSet { datasets } => state.list_set(datasets),
        Command::Estimate(command) => Ok(send::estimate(command, &state.prepare_send(command)?)),
        Command::ListPools => Ok(state.list_pools()),
        Command::PoolStatus => Ok(state.pool_status()),
        Command::GetOfSnapshot { snapshot, properties } => state.get_of_snapshot(snapshot, properties),
        // Content is opened without device nodes here.
        Command::ListShownVolumes => Ok(String::new()),
        Command::AnswerForSnapshot { .. } => {
            Err(Refusal { stderr: "sh: 1: zfs-sync: not found\n".to_owned(), code: 127 })
        }
        other => Err(not_here(other)),
    }
}

/// Commands that change something.
fn obey(state: &mut State, command: &Command, now: i64) -> Result<(), Refusal> {
    match command {
        Command::Hold { tag, snapshot } => state.hold(tag, snapshot, now),
        Command::Release { tag, snapshot } => state.release(tag, snapshot),
        Command::HoldAll { tag, snapshots } => each(snapshots, |snapshot| state.hold(tag, snapshot, now)),
        Command::ReleaseAll { tag, snapshots } => state.release_all(tag, snapshots),
        Command::Bookmark { snapshot, label } => state.bookmark(snapshot, label),
        Command::DestroyBookmark { bookmark } => state.destroy_bookmark(bookmark.name()),
        Command::DestroySnapshot { snapshot } => state.destroy_snapshot(snapshot.name(), now),
        Command::RollBack { to } => state.roll_back(to),
        Command::Snapshot { snapshots } => state.take_snapshots(snapshots, now),
        Command::CreatePlaceholder { dataset } => state.create_placeholder(dataset, now),
        Command::CreateBare { dataset } => state.create_bare(dataset, now),
        Command::Set { dataset, setting } => state.set(dataset, setting),
        Command::Rename { from, to } => state.rename(from, to),
        Command::AbortReceive { dataset } => state.abort_receive(dataset),
        other => Err(not_here(other)),
    }
}

/// One after the other: a refusal does not keep the rest from being done.
fn each(
    snapshots: &[SnapshotName],
    mut act: impl FnMut(&SnapshotName) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let refusals = snapshots.iter().filter_map(|snapshot| act(snapshot).err());
    refusals
        .reduce(|mut first, next| {
            first.stderr += &next.stderr;
            first
        })
        .map_or(Ok(()), Err)
}

/// A stream without a pipe: `zfs` refuses to write one to a terminal and finds none to read.
fn not_here(command: &Command) -> Refusal {
    match command {
        Command::Receive(_) => Refusal::new("cannot receive: failed to read from stream"),
        _ => Refusal::new(
            "Error: Stream can not be written to a terminal.\nYou must redirect standard output.",
        ),
    }
}

#[async_trait]
impl Runner for MemoryRunner {
    fn host(&self) -> &str {
        self.host.name()
    }

    async fn run(&self, command: &Command) -> Result<Output, Error> {
        if self.is_offline() {
            return Err(self.fail(command, &stage::unreachable(self.host.name())));
        }
        thawed(&mut self.host.0.faults.conditions()).await;
        if let Some(end) = self.planned_failure(command) {
            return Err(self.fail(command, &end));
        }
        let stdout =
            self.interpret(command).map_err(|refusal| self.fail(command, &stage::refused(refusal)))?;
        Ok(Output { stdout, stderr: String::new() })
    }

    fn start(
        &self,
        command: &Command,
        stdin: Option<PipeReader>,
        stdout: Option<PipeWriter>,
    ) -> Result<Box<dyn Stage>, Error> {
        let not_started = |why: &dyn std::fmt::Display| Error {
            host: self.host.name().to_owned(),
            command: command.display_line(),
            status: format!("could not be started: {why}"),
            stderr: String::new(),
            kind: Kind::Start,
        };
        if let Err(error) = tokio::runtime::Handle::try_current() {
            return Err(not_started(&error));
        }
        if self.is_offline() {
            return Ok(Box::new(MemoryStage::ended(stage::unreachable(self.host.name()))));
        }
        if let Some(end) = self.planned_failure(command) {
            return Ok(Box::new(MemoryStage::ended(end)));
        }
        match self.start_stage(command, stdin, stdout) {
            Ok(stage) => Ok(Box::new(stage)),
            Err(error) => Err(not_started(&error)),
        }
    }

    fn is_this_host(&self) -> bool {
        !self.remote
    }

    async fn open_content(&self, snapshot: &SnapshotName, _kind: DatasetKind) -> Result<Content, Error> {
        if self.remote {
            let why = "can not be read over this connection";
            return Err(content::error(self.host.name(), snapshot, Kind::Unsupported, why));
        }
        thawed(&mut self.host.0.faults.conditions()).await;
        super::content::open(&self.host, snapshot)
    }
}
