//! Many readers, one listing.
//!
//! # Design
//!
//! Who works on many datasets of one host at once reads each of them anew before and after every step. [`SharedReads`] stands before another
//! runner and lets listings of single datasets that are asked for at the same time travel as one: while a listing runs, further
//! questions gather, and the next listing answers them all. Every answer is read after its question was asked, so nobody gets an older
//! state than alone; and a question that comes alone is passed on as it is. Everything else goes straight through.
//!
//! # Failure modes
//!
//! - One dataset of many does not exist: `zfs` names it and fails. It is answered with exactly that, and the others are read again.
//! - Anything else that fails for many is asked for each alone, so that one that can not be read fails alone. Only when the host can not
//!   be reached everybody hears that at once.
//! - Whoever reads for all stops (its future is dropped): the others ask again.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{PipeReader, PipeWriter},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};
use zfs_sync_core::{
    inventory::DatasetKind,
    name::{DatasetName, SnapshotName},
};

use super::{FarEnd, Output, Packing, Runner, Stage};
use crate::{
    command::{Command, ListColumns, Scope},
    content::Content,
    error::{Error, Kind},
};

/// Datasets in one listing: their names fit into any command line (255 bytes each).
const MAX_DATASETS: usize = 128;

/// Nobody waits longer than this for others to ask, too.
const LONGEST_LINGER: Duration = Duration::from_millis(200);

/// A runner whose readers share listings.
#[derive(Debug)]
pub struct SharedReads {
    inner: Arc<dyn Runner>,
    rows: Desk,
    rows_with_changes: Desk,
    histories: Desk,
}

type Answer = Result<Output, Error>;

/// How the last listing at a desk went.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    took: Duration,
    answered: usize,
}

impl Pace {
    /// Where many ask, the next ones come soon: half the time of a listing is waited for them, which is won back when they do.
    fn linger(self) -> Duration {
        if self.answered > 1 { (self.took / 2).min(LONGEST_LINGER) } else { Duration::ZERO }
    }
}

/// Where one kind of question is asked.
#[derive(Debug, Default)]
struct Desk {
    waiting: Mutex<Vec<(DatasetName, oneshot::Sender<Answer>)>>,
    pace: Mutex<Pace>,
    /// Who reads for all.
    turn: tokio::sync::Mutex<()>,
}

impl SharedReads {
    /// Shares the listings that go to `inner`.
    pub fn new(inner: Arc<dyn Runner>) -> Self {
        Self { inner, rows: Desk::default(), rows_with_changes: Desk::default(), histories: Desk::default() }
    }

    /// What can be shared: where to ask for it, and what for.
    fn desk(&self, command: &Command) -> Option<(&Desk, DatasetName)> {
        match command {
            Command::ListDatasets { scope: Scope::Only(dataset), columns } => {
                let desk = match columns {
                    ListColumns::Dataset => &self.rows,
                    ListColumns::DatasetWithChanges => &self.rows_with_changes,
                };
                Some((desk, dataset.clone()))
            }
            Command::ListHistory { scope: Scope::Only(dataset) } => Some((&self.histories, dataset.clone())),
            _ => None,
        }
    }

    async fn ask(&self, desk: &Desk, dataset: DatasetName, command: &Command) -> Answer {
        loop {
            let (reply, mut answer) = oneshot::channel();
            lock(&desk.waiting).push((dataset.clone(), reply));
            // Until whoever read for us has answered, or stopped.
            if let Some(answer) = self.wait(desk, &mut answer, command).await {
                return answer;
            }
        }
    }

    /// `None` when nobody will answer any more.
    async fn wait(
        &self,
        desk: &Desk,
        answer: &mut oneshot::Receiver<Answer>,
        command: &Command,
    ) -> Option<Answer> {
        loop {
            let _turn = tokio::select! {
                biased;
                answer = &mut *answer => return answer.ok(),
                turn = desk.turn.lock() => turn,
            };
            match answer.try_recv() {
                // While we waited for our turn.
                Ok(answer) => return Some(answer),
                Err(oneshot::error::TryRecvError::Closed) => return None,
                // It may be still to come: one listing takes so many and no more.
                Err(oneshot::error::TryRecvError::Empty) => self.answer_waiting(desk, command).await,
            }
        }
    }

    /// Answers who waits at a desk, by one listing if possible.
    async fn answer_waiting(&self, desk: &Desk, command: &Command) {
        let linger = lock(&desk.pace).linger();
        if !linger.is_zero() {
            sleep(linger).await;
        }
        let begun = Instant::now();
        let asked: Vec<_> = {
            let mut waiting = lock(&desk.waiting);
            // Who does not listen any more need not be answered.
            waiting.retain(|(_, reply)| !reply.is_closed());
            let count = waiting.len().min(MAX_DATASETS);
            waiting.drain(..count).collect()
        };
        let names = asked.iter().map(|(name, _)| name.clone()).collect();
        let mut answers = self.read(names, command).await;
        *lock(&desk.pace) = Pace { took: begun.elapsed(), answered: asked.len() };
        for (name, reply) in asked {
            // Two may have asked for the same.
            if let Some(answer) = answers.get_mut(&name) {
                let _ = reply.send(answer.clone());
            }
        }
    }

    async fn read(
        &self,
        mut names: BTreeSet<DatasetName>,
        command: &Command,
    ) -> BTreeMap<DatasetName, Answer> {
        let mut answers = BTreeMap::new();
        while names.len() > 1 {
            let all = with_scope(command, Scope::These(names.iter().cloned().collect()));
            match self.inner.run(&all).await {
                Ok(output) => {
                    answers.extend(
                        split(&output.stdout, &names).into_iter().map(|(name, stdout)| {
                            (name, Ok(Output { stdout, stderr: output.stderr.clone() }))
                        }),
                    );
                    return answers;
                }
                Err(error) if error.kind.is_transport() => {
                    answers.extend(names.into_iter().map(|name| (name, Err(error.clone()))));
                    return answers;
                }
                Err(error) => {
                    let missing = missing(&error, &names);
                    if missing.is_empty() {
                        break;
                    }
                    for name in missing {
                        names.remove(&name);
                        let alone = with_scope(command, Scope::Only(name.clone()));
                        let stderr = not_there(&name) + "\n";
                        let alone = Error {
                            command: alone.display_line(),
                            stderr,
                            kind: Kind::NotFound,
                            ..error.clone()
                        };
                        answers.insert(name, Err(alone));
                    }
                }
            }
        }
        for name in names {
            let alone = with_scope(command, Scope::Only(name.clone()));
            let answer = self.inner.run(&alone).await;
            answers.insert(name, answer);
        }
        answers
    }
}

fn with_scope(command: &Command, scope: Scope) -> Command {
    match command {
        Command::ListDatasets { columns, .. } => Command::ListDatasets { scope, columns: *columns },
        _ => Command::ListHistory { scope },
    }
}

fn not_there(name: &DatasetName) -> String {
    format!("cannot open '{name}': dataset does not exist")
}

/// The datasets of which `zfs` says that they do not exist; none when it says anything else as well.
fn missing(error: &Error, names: &BTreeSet<DatasetName>) -> BTreeSet<DatasetName> {
    let said: BTreeSet<&str> = error.stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let missing: BTreeSet<_> =
        names.iter().filter(|name| said.contains(not_there(name).as_str())).cloned().collect();
    if missing.len() == said.len() { missing } else { BTreeSet::new() }
}

/// Each dataset's lines: of its own row, and of its snapshots and bookmarks.
fn split(text: &str, names: &BTreeSet<DatasetName>) -> BTreeMap<DatasetName, String> {
    let mut parts: BTreeMap<&str, String> = names.iter().map(|name| (name.as_str(), String::new())).collect();
    for line in text.split_inclusive('\n') {
        let name = line.split(['\t', '@', '#', '\n']).next().unwrap_or_default();
        if let Some(part) = parts.get_mut(name) {
            part.push_str(line);
        }
    }
    names.iter().map(|name| (name.clone(), parts.remove(name.as_str()).unwrap_or_default())).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Runner for SharedReads {
    fn host(&self) -> &str {
        self.inner.host()
    }

    async fn run(&self, command: &Command) -> Result<Output, Error> {
        match self.desk(command) {
            Some((desk, dataset)) => self.ask(desk, dataset, command).await,
            None => self.inner.run(command).await,
        }
    }

    fn start(
        &self,
        command: &Command,
        stdin: Option<PipeReader>,
        stdout: Option<PipeWriter>,
    ) -> Result<Box<dyn Stage>, Error> {
        self.inner.start(command, stdin, stdout)
    }

    async fn far_end(&self) -> FarEnd {
        self.inner.far_end().await
    }

    fn start_packed(
        &self,
        command: &Command,
        stdin: Option<PipeReader>,
        stdout: Option<PipeWriter>,
        packing: Packing,
    ) -> Result<Box<dyn Stage>, Error> {
        self.inner.start_packed(command, stdin, stdout, packing)
    }

    fn start_small(
        &self,
        command: &Command,
        stdin: Option<PipeReader>,
        stdout: Option<PipeWriter>,
    ) -> Result<Box<dyn Stage>, Error> {
        self.inner.start_small(command, stdin, stdout)
    }

    fn is_this_host(&self) -> bool {
        self.inner.is_this_host()
    }

    async fn open_content(&self, snapshot: &SnapshotName, kind: DatasetKind) -> Result<Content, Error> {
        self.inner.open_content(snapshot, kind).await
    }

    async fn close_content(&self, content: Content) -> Result<(), Error> {
        self.inner.close_content(content).await
    }

    async fn recover_content(&self) -> Result<(), Error> {
        self.inner.recover_content().await
    }
}
