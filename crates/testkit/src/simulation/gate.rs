//! A runner that stops before every command until the simulation lets one through.
//!
//! So a simulation decides what happens between any two commands of an execution, and whether the process dies there. A stream moves
//! within one such step, as a whole or up to a cut: pipes and the pump's thread have no say in what happens, only in how fast.

use std::{
    future::poll_fn,
    io::{PipeReader, PipeWriter},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use async_trait::async_trait;
use zfs_sync_zfs::{
    command::Command,
    error::Error,
    memory::Host,
    runner::{Output, Runner, Stage, StageEnd},
};

/// What passes one command at a time.
#[derive(Debug, Default)]
pub(super) struct Gate(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    open: bool,
    waiting: bool,
    /// Bytes after which the next stream dies.
    cut: Option<u64>,
    /// What went through last, for the script.
    passed: Vec<String>,
    /// Something may have changed on a pool since it was last asked.
    touched: bool,
    /// A command was let through that takes something away.
    took_away: bool,
    /// It waits at the end of a stream, of which the process knows nothing yet.
    in_stream: bool,
}

impl Gate {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("no holder of this lock panics")
    }

    /// Waits for its turn.
    pub(super) async fn pass(&self, what: impl FnOnce() -> String) {
        poll_fn(|_| {
            let mut state = self.state();
            if std::mem::take(&mut state.open) {
                return Poll::Ready(());
            }
            // Nobody is woken: the simulation polls by hand.
            state.waiting = true;
            Poll::Pending
        })
        .await;
        let what = what();
        self.state().passed.push(what);
    }

    /// Lets `work` go on to its next command, which is not executed yet, or to its end.
    pub(super) async fn let_one_through<T>(&self, work: &mut Pin<Box<dyn Future<Output = T>>>) -> Option<T> {
        self.state().open = true;
        poll_fn(|context| {
            self.state().waiting = false;
            match work.as_mut().poll(context) {
                Poll::Ready(end) => Poll::Ready(Some(end)),
                Poll::Pending if self.state().waiting && !self.state().open => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    pub(super) fn cut_next_stream(&self, bytes: u64) {
        self.state().cut = Some(bytes);
    }

    pub(super) fn take_touched(&self) -> bool {
        std::mem::take(&mut self.state().touched)
    }

    pub(super) fn take_took_away(&self) -> bool {
        std::mem::take(&mut self.state().took_away)
    }

    /// True when it waits where a stream has ended, by itself or by a cut: what the other side has got is what it would have got from a
    /// process that died at that byte.
    pub(super) fn is_in_stream(&self) -> bool {
        self.state().in_stream
    }

    pub(super) fn take_passed(&self) -> Vec<String> {
        std::mem::take(&mut self.state().passed)
    }
}

/// The way from one machine to another; both directions fail together.
pub(super) type Link = Arc<AtomicBool>;

/// Runs commands on a host, one at a time.
#[derive(Debug)]
pub(super) struct GatedRunner {
    pub(super) host: Host,
    /// `None` on the machine itself; otherwise true while the way is interrupted.
    pub(super) broken: Option<Link>,
    pub(super) gate: Arc<Gate>,
}

impl GatedRunner {
    fn inner(&self) -> Arc<dyn Runner> {
        if self.broken.is_some() { self.host.remote_runner() } else { self.host.runner() }
    }

    fn is_broken(&self) -> bool {
        self.broken.as_ref().is_some_and(|link| link.load(Ordering::Relaxed))
    }

    fn line(&self, command: &Command) -> String {
        let broken = if self.is_broken() { " (out of reach)" } else { "" };
        format!("{}{broken}: {}", self.host.name(), command.display_line())
    }
}

#[async_trait]
impl Runner for GatedRunner {
    fn host(&self) -> &str {
        self.host.name()
    }

    async fn run(&self, command: &Command) -> Result<Output, Error> {
        self.gate.pass(|| self.line(command)).await;
        self.gate.state().touched |= !command.is_read_only();
        self.gate.state().took_away |= takes_away(command);
        let inner = self.inner();
        if !self.is_broken() {
            return inner.run(command).await;
        }
        self.host.faults().offline(true);
        let answer = inner.run(command).await;
        self.host.faults().offline(false);
        answer
    }

    fn start(
        &self,
        command: &Command,
        stdin: Option<PipeReader>,
        stdout: Option<PipeWriter>,
    ) -> Result<Box<dyn Stage>, Error> {
        // Not a moment to stop at: both ends of a stream start together.
        let line = self.line(command);
        self.gate.state().passed.push(line);
        self.gate.state().touched = true;
        if matches!(command, Command::Send(_))
            && let Some(bytes) = self.gate.state().cut.take()
        {
            self.host.faults().cut_stream_after(bytes);
        }
        let stage = if self.is_broken() {
            self.host.faults().offline(true);
            let stage = self.inner().start(command, stdin, stdout);
            self.host.faults().offline(false);
            stage?
        } else {
            self.inner().start(command, stdin, stdout)?
        };
        if !matches!(command, Command::Receive(_)) {
            return Ok(stage);
        }
        Ok(Box::new(GatedStage { inner: stage, gate: Arc::clone(&self.gate), end: None }))
    }
}

/// A receive whose end the process hears of when it is let through.
#[derive(Debug)]
struct GatedStage {
    inner: Box<dyn Stage>,
    gate: Arc<Gate>,
    end: Option<StageEnd>,
}

#[async_trait]
impl Stage for GatedStage {
    async fn wait(&mut self) -> StageEnd {
        if let Some(end) = &self.end {
            return end.clone();
        }
        let end = self.inner.wait().await;
        self.gate.state().in_stream = true;
        self.gate.pass(|| "the stream has ended".to_owned()).await;
        self.gate.state().in_stream = false;
        self.end.insert(end).clone()
    }

    fn terminate(&mut self) {
        self.inner.terminate();
    }
}

const fn takes_away(command: &Command) -> bool {
    matches!(
        command,
        Command::DestroySnapshot { .. }
            | Command::RollBack { .. }
            | Command::AbortReceive { .. }
            | Command::Rename { .. }
    )
}
