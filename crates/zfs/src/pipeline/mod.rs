//! `zfs send` here or there, a pump in the middle, `zfs receive` there or here.
//!
//! Both ends of the stream pass through this process, which counts and limits it and can cut it off. Every stage is waited for, whatever
//! happens; blame then goes to the first cause. Exit codes are not the last word: whoever transfers reads the target back and looks for the GUID.

mod blame;
mod flow;
mod limit;
mod meter;
mod packing;
mod progress;
mod pump;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

pub use flow::Flow;
pub use limit::Limiter;
pub use meter::{Bottleneck, Flowing, Meter, STALLED_AFTER};
pub use progress::{Packed, ProgressCounter, Waits};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::{
    command::{Command, ReceiveCommand, SendCommand},
    error::{Error, Kind},
    runner::{Packing, Runner, StageEnd},
};

/// How long a receiver may take to end by itself once its input has ended: it writes what it has and keeps it as resumable state.
const CLOSING_GRACE: Duration = Duration::from_secs(10);

/// How long a sender may take to say why, once its receiver has gone.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// One transfer.
#[derive(Clone, Copy, Debug)]
pub struct Transfer<'a> {
    /// Where the data is.
    pub source: &'a dyn Runner,
    /// What is sent.
    pub send: &'a SendCommand,
    /// Where it goes.
    pub target: &'a dyn Runner,
    /// How it is received.
    pub receive: &'a ReceiveCommand,
    /// Limits, buffer, compression, patience.
    pub flow: &'a Flow,
    /// The stream is known to be small, and needs no connection of its own.
    pub small: bool,
}

/// Both stages ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Bytes that passed, by this transfer alone.
    pub bytes: u64,
    /// What `zfs send` said on standard error, which may be warnings.
    pub send_stderr: String,
    /// What `zfs receive` said.
    pub receive_stderr: String,
}

/// Where a transfer failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StageName {
    /// `zfs send`.
    Send,
    /// `zfs receive`.
    Receive,
    /// What is between them.
    Transport,
    /// Nowhere: somebody cancelled it.
    Cancelled,
    /// Nothing moved any more.
    Stalled,
}

impl fmt::Display for StageName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Send => "sending failed",
            Self::Receive => "receiving failed",
            Self::Transport => "the connection failed",
            Self::Cancelled => "the transfer was cancelled",
            Self::Stalled => "the transfer stalled",
        })
    }
}

/// A transfer that did not end well. What the target has of it can be resumed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{stage} after {bytes} bytes")]
pub struct PipelineError {
    /// Where.
    pub stage: StageName,
    /// The first cause.
    #[source]
    pub error: Error,
    /// Bytes that passed, by this transfer alone.
    pub bytes: u64,
}

impl PipelineError {
    /// The code that people and scripts see.
    pub const fn code(&self) -> &'static str {
        match self.stage {
            StageName::Send | StageName::Receive | StageName::Transport => self.error.code(),
            StageName::Cancelled => "E_TRANSFER_CANCELLED",
            StageName::Stalled => "E_TRANSFER_STALLED",
        }
    }

    /// True when the same work, planned anew, may succeed later without anybody doing anything.
    pub const fn is_retryable(&self) -> bool {
        match self.stage {
            StageName::Send | StageName::Receive | StageName::Transport => self.error.is_retryable(),
            StageName::Cancelled => false,
            StageName::Stalled => true,
        }
    }
}

/// Why a pipeline is being ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Cancelled,
    Stalled,
}

/// Runs one transfer to its end.
///
/// When it is cancelled or stalls, the sender is ended first and the receiver gets a moment to keep what it has. Dropping the future
/// kills both at once, which loses nothing but what was not yet written.
pub async fn transfer(
    request: Transfer<'_>,
    progress: &ProgressCounter,
    cancel: &CancellationToken,
) -> Result<Finished, PipelineError> {
    transfer_within(CLOSING_GRACE, request, progress, cancel).await
}

async fn transfer_within(
    closing_grace: Duration,
    request: Transfer<'_>,
    progress: &ProgressCounter,
    cancel: &CancellationToken,
) -> Result<Finished, PipelineError> {
    let send_command = Command::Send(request.send.clone());
    let receive_command = Command::Receive(request.receive.clone());
    let before = progress.bytes();
    let failed = |stage, error| PipelineError { stage, error, bytes: progress.bytes() - before };

    let pipes = std::io::pipe().and_then(|first| Ok((first, std::io::pipe()?)));
    let ((source, from_sender), (to_receiver, target)) = pipes.map_err(|error| {
        failed(StageName::Transport, no_pipe(request.source.host(), &send_command, &error))
    })?;
    let packing = packing::agree(&request).await;
    if let Some(reason) = &packing.reason {
        progress.set_packed(reason.clone());
    }
    let [at_source, at_target] = packing.far_ends();
    // The receiver first: when it can not be started nothing was read from any disk.
    let start = |runner: &dyn Runner, command: &Command, stdin, stdout, packing: Packing| match packing {
        // What is over in a moment needs no connection of its own.
        Packing::None if request.small => runner.start_small(command, stdin, stdout),
        packing => runner.start_packed(command, stdin, stdout, packing),
    };
    let started = start(request.target, &receive_command, Some(to_receiver), None, at_target);
    let mut receive = started.map_err(|error| {
        let stage = if error.kind.is_transport() { StageName::Transport } else { StageName::Receive };
        failed(stage, error)
    })?;
    let started = start(request.source, &send_command, None, Some(from_sender), at_source);
    let mut send = started.map_err(|error| {
        let stage = if error.kind.is_transport() { StageName::Transport } else { StageName::Send };
        failed(stage, error)
    })?;

    // Set when this future is dropped, too: the pump must not outlive it.
    let stop_pump = StopOnDrop(Arc::new(AtomicBool::new(false)));
    let Flow { limits, buffer, compression: _, stall_timeout } = request.flow;
    let pump = pump::Pump {
        source,
        target,
        progress: progress.clone(),
        limits: limits.clone(),
        buffer: *buffer,
        way: packing.way(),
    };
    let stop_seen = Arc::clone(&stop_pump.0);
    let mut pump = tokio::task::spawn_blocking(move || pump.run(&stop_seen));

    let mut ends = Ends::default();
    let mut stop: Option<Stop> = None;
    let mut close_by: Option<Instant> = None;
    let mut fall_silent_by: Option<Instant> = None;
    let mut stall = StallWatch::new(*stall_timeout, before);
    loop {
        tokio::select! {
            end = send.wait(), if ends.send.is_none() => ends.send = Some(end),
            end = receive.wait(), if ends.receive.is_none() => ends.receive = Some(end),
            end = &mut pump, if ends.pump.is_none() => {
                ends.pump = Some(end.unwrap_or_else(|error| pump::Ended::Failed(std::io::Error::other(error))));
            }
            () = cancel.cancelled(), if stop.is_none() => {
                stop = Some(Stop::Cancelled);
                send.terminate();
                close_by = Some(Instant::now() + closing_grace);
            }
            // Once the stream has ended the receiver may be busy for long without reading.
            () = stall.due(), if stop.is_none() && ends.pump.is_none() => {
                if stall.is_stalled(progress.bytes()) {
                    stop = Some(Stop::Stalled);
                    send.terminate();
                    close_by = Some(Instant::now() + closing_grace);
                }
            }
            () = reached(close_by) => {
                // It does not even read the end of its input.
                receive.terminate();
                stop_pump.0.store(true, Ordering::Relaxed);
                close_by = None;
            }
            () = reached(fall_silent_by) => {
                send.terminate();
                fall_silent_by = None;
            }
        }
        match &ends {
            Ends { send: None, receive: Some(receive), pump: Some(_) } if fall_silent_by.is_none() => {
                // A sender that does not write does not notice that nobody reads. One whose stream arrived is only slow to leave.
                let grace = if receive.success { closing_grace } else { LAST_WORDS.min(closing_grace) };
                fall_silent_by = Some(Instant::now() + grace);
            }
            Ends { receive: Some(_), .. } => close_by = None,
            Ends { receive: None, .. } => {}
        }
        if let Ends { send: Some(send), receive: Some(receive), pump: Some(pump) } = &ends {
            let ends = blame::Ends { send, receive, pump };
            return match judge(&request, &ends, stop) {
                None => Ok(Finished {
                    bytes: progress.bytes() - before,
                    send_stderr: send.stderr.clone(),
                    receive_stderr: receive.stderr.clone(),
                }),
                Some((stage, error)) => Err(failed(stage, error)),
            };
        }
    }
}

/// What went wrong, if anything.
fn judge(request: &Transfer<'_>, ends: &blame::Ends<'_>, stop: Option<Stop>) -> Option<(StageName, Error)> {
    let send_command = Command::Send(request.send.clone());
    let receive_command = Command::Receive(request.receive.clone());
    let send_error = || Error::ended(request.source.host(), &send_command, ends.send);
    let receive_error = || Error::ended(request.target.host(), &receive_command, ends.receive);
    let blamed = blame::blame(ends, send_error, receive_error)?;
    // A stop that came too late to change anything was no stop: `blame` finds nothing then.
    let (stage, status) = match stop {
        None => return Some(blamed),
        Some(Stop::Cancelled) => (StageName::Cancelled, "was cancelled"),
        Some(Stop::Stalled) => (StageName::Stalled, "was ended because no byte moved any more"),
    };
    let mut error = receive_error();
    error.kind = Kind::Interrupted;
    status.clone_into(&mut error.status);
    Some((stage, error))
}

#[derive(Debug, Default)]
struct Ends {
    send: Option<StageEnd>,
    receive: Option<StageEnd>,
    pump: Option<pump::Ended>,
}

/// Tells the pump to stop when it is dropped.
#[derive(Debug)]
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

async fn reached(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}

/// Notices that nothing moves.
#[derive(Debug)]
struct StallWatch {
    timeout: Option<Duration>,
    bytes: u64,
    moved_at: Instant,
    looked_at: Instant,
}

impl StallWatch {
    fn new(timeout: Option<Duration>, bytes: u64) -> Self {
        let now = Instant::now();
        Self { timeout, bytes, moved_at: now, looked_at: now }
    }

    /// When to look again: four times within the time-out, so that it is late by a quarter at most.
    async fn due(&self) {
        reached(self.timeout.map(|timeout| self.looked_at + timeout / 4)).await;
    }

    fn is_stalled(&mut self, bytes: u64) -> bool {
        let now = Instant::now();
        self.looked_at = now;
        if bytes != self.bytes {
            self.bytes = bytes;
            self.moved_at = now;
        }
        self.timeout.is_some_and(|timeout| now - self.moved_at >= timeout)
    }
}

fn no_pipe(host: &str, command: &Command, error: &std::io::Error) -> Error {
    Error {
        host: host.to_owned(),
        command: command.display_line(),
        status: format!("could not be given a pipe: {error}"),
        stderr: String::new(),
        kind: Kind::Start,
    }
}
