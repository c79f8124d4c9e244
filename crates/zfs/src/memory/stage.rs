//! Running stages: tasks that read or write one end of a pipe, and die as processes do.

use std::{
    fmt,
    io::{PipeReader, PipeWriter},
    os::fd::OwnedFd,
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::unix::pipe,
    sync::{oneshot, watch},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    faults::{Conditions, thawed},
    state::Refusal,
};
use crate::runner::{Stage, StageEnd};

/// A signal as a process would have got it.
const SIGKILL: u8 = 9;
const SIGPIPE: u8 = 13;
const SIGTERM: u8 = 15;

fn end(success: bool, status: String, stderr: String) -> StageEnd {
    StageEnd { success, status, stderr, broken_pipe: false }
}

pub(super) fn succeeded() -> StageEnd {
    end(true, "exited with 0".to_owned(), String::new())
}

pub(super) fn refused(refusal: Refusal) -> StageEnd {
    end(false, format!("exited with {}", refusal.code), refusal.stderr)
}

/// As if killed from outside: no last words.
pub(super) fn killed() -> StageEnd {
    end(false, format!("was killed by signal {SIGKILL}"), String::new())
}

fn terminated() -> StageEnd {
    end(false, format!("was killed by signal {SIGTERM}"), String::new())
}

/// The reader went away: children of ours have SIGPIPE at its default, and die of it without a word.
pub(super) fn broken_pipe() -> StageEnd {
    StageEnd { broken_pipe: true, ..end(false, format!("was killed by signal {SIGPIPE}"), String::new()) }
}

/// What ssh says when a host does not answer.
pub(super) fn unreachable(host: &str) -> StageEnd {
    let text = format!("ssh: connect to host {host} port 22: Connection refused\r");
    refused(Refusal { code: 255, ..Refusal::new(text) })
}

/// What ssh says when a host goes away.
fn disconnected(host: &str) -> StageEnd {
    refused(Refusal { code: 255, ..Refusal::new(format!("Connection to {host} closed by remote host.\r")) })
}

/// Why a stream does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Break {
    /// The other end of the pipe is gone.
    Gone,
    /// An injected fault.
    Cut,
}

/// Faults that apply to one stream.
#[derive(Debug)]
pub(super) struct Line {
    conditions: watch::Receiver<Conditions>,
    /// Bytes that may still pass.
    allowed: Option<u64>,
}

impl Line {
    pub(super) const fn new(conditions: watch::Receiver<Conditions>, cut_after: Option<u64>) -> Self {
        Self { conditions, allowed: cut_after }
    }

    /// How many of the next `wanted` bytes may pass.
    async fn admit(&mut self, wanted: usize) -> usize {
        thawed(&mut self.conditions).await;
        let Some(allowed) = &mut self.allowed else { return wanted };
        let admitted = usize::try_from(*allowed).unwrap_or(usize::MAX).min(wanted);
        *allowed -= admitted as u64;
        admitted
    }

    /// Takes the time that a slow link would take.
    async fn pace(&self, bytes: usize) {
        let rate = self.conditions.borrow().bytes_per_second.map(|rate| rate.max(1));
        if let Some(rate) = rate {
            let nanoseconds = (bytes as u64).saturating_mul(1_000_000_000) / rate;
            tokio::time::sleep(Duration::from_nanos(nanoseconds)).await;
        }
    }
}

/// The writing end of a stage's standard output.
#[derive(Debug)]
pub(super) struct Sink {
    pipe: Option<pipe::Sender>,
    line: Line,
}

impl Sink {
    pub(super) fn new(writer: Option<PipeWriter>, line: Line) -> std::io::Result<Self> {
        let pipe = writer.map(|writer| pipe::Sender::from_owned_fd(OwnedFd::from(writer))).transpose()?;
        Ok(Self { pipe, line })
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), Break> {
        let admitted = self.line.admit(bytes.len()).await;
        self.line.pace(admitted).await;
        if let Some(pipe) = &mut self.pipe {
            pipe.write_all(&bytes[..admitted]).await.map_err(|_| Break::Gone)?;
        }
        if admitted < bytes.len() { Err(Break::Cut) } else { Ok(()) }
    }
}

/// The reading end of a stage's standard input.
#[derive(Debug)]
pub(super) struct Source {
    pipe: Option<pipe::Receiver>,
    line: Line,
}

impl Source {
    pub(super) fn new(reader: Option<PipeReader>, line: Line) -> std::io::Result<Self> {
        let pipe = reader.map(|reader| pipe::Receiver::from_owned_fd(OwnedFd::from(reader))).transpose()?;
        Ok(Self { pipe, line })
    }

    /// Fills all of `target`.
    pub(super) async fn read(&mut self, target: &mut [u8]) -> Result<(), Break> {
        let admitted = self.line.admit(target.len()).await;
        if admitted > 0 {
            let pipe = self.pipe.as_mut().ok_or(Break::Gone)?;
            pipe.read_exact(&mut target[..admitted]).await.map_err(|_| Break::Gone)?;
        }
        if admitted < target.len() { Err(Break::Cut) } else { Ok(()) }
    }
}

/// A stage that runs as a task. Whatever the work holds (an open receive, readers of a snapshot) is let go when the task ends, however
/// it ends.
pub(super) struct MemoryStage {
    cancel: CancellationToken,
    result: oneshot::Receiver<StageEnd>,
    end: Option<StageEnd>,
}

impl fmt::Debug for MemoryStage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("MemoryStage").field("end", &self.end).finish_non_exhaustive()
    }
}

impl MemoryStage {
    /// Starts `work`. With `remote` (a host's name), it dies when that host goes offline.
    pub(super) fn spawn(
        tasks: &TaskTracker,
        mut conditions: watch::Receiver<Conditions>,
        remote: Option<String>,
        work: impl Future<Output = StageEnd> + Send + 'static,
    ) -> Self {
        let cancel = CancellationToken::new();
        let (sender, result) = oneshot::channel();
        let stop = cancel.clone();
        tasks.spawn(async move {
            let offline = async {
                match &remote {
                    Some(host) if conditions.wait_for(|conditions| conditions.offline).await.is_ok() => {
                        disconnected(host)
                    }
                    _ => std::future::pending().await,
                }
            };
            let end = tokio::select! {
                biased;
                () = stop.cancelled() => terminated(),
                end = offline => end,
                end = work => end,
            };
            // Nobody may be waiting any more.
            let _ = sender.send(end);
        });
        Self { cancel, result, end: None }
    }

    /// A stage that has ended already.
    pub(super) fn ended(end: StageEnd) -> Self {
        Self { cancel: CancellationToken::new(), result: oneshot::channel().1, end: Some(end) }
    }
}

#[async_trait]
impl Stage for MemoryStage {
    async fn wait(&mut self) -> StageEnd {
        if let Some(end) = &self.end {
            return end.clone();
        }
        // An error says that the runtime dropped the task.
        let end = (&mut self.result).await.unwrap_or_else(|_| killed());
        self.end.insert(end).clone()
    }

    fn terminate(&mut self) {
        self.cancel.cancel();
    }
}

impl Drop for MemoryStage {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}
