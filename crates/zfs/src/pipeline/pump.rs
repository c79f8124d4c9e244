//! Moves bytes from one pipe to another and counts them.
//!
//! On Linux the pages themselves move (`splice`), nothing is copied. The pump has a thread of its own and never blocks longer than
//! [`TICK`] in one call, whatever its neighbours do, so that it can always be stopped: a process that hangs in the kernel can not be
//! killed and would hold a blocking pump for ever.

mod adapt;
mod buffer;
mod coded;
mod decoder;
mod encoder;
mod ends;
mod plain;

use std::{
    io::{self, PipeReader, PipeWriter},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::io::Errno;
use zfs_sync_core::flow::Compression;

use self::{coded::Coded, ends::Ends, plain::Plain};
use super::{
    ProgressCounter,
    limit::{self, Allowance, Limiter},
    progress::WaitFor,
};

/// How long a stop may take to be noticed.
const TICK: Duration = Duration::from_millis(100);
/// Pipes this large need a quarter of the wake-ups of default ones per byte (measured: 3.5 against 2.7 GiB/s).
#[cfg(target_os = "linux")]
const PIPE_SIZE: usize = 1 << 20;
/// What moves in one call at most.
const CHUNK: u64 = 1 << 20;

/// How the pump ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The sender closed its end and everything was handed on.
    Finished,
    /// The receiver closed its end.
    ReceiverGone,
    /// It was told to stop.
    Stopped,
    /// A pipe failed, which pipes do not do, or what came in compressed form can not be read.
    Failed(io::Error),
}

/// What happens to the bytes on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Nothing.
    AsIs,
    /// They come in compressed, go out compressed, or both.
    Through {
        /// What comes is compressed.
        decode: bool,
        /// What goes is to be compressed.
        encode: Compression,
    },
}

/// What passes through a pump.
#[derive(Debug)]
pub(super) struct Pump {
    pub(super) source: PipeReader,
    pub(super) target: PipeWriter,
    pub(super) progress: ProgressCounter,
    pub(super) limits: Vec<Limiter>,
    /// Bytes that may wait here.
    pub(super) buffer: usize,
    pub(super) way: Way,
}

impl Pump {
    /// Runs until one side ends or `stop` is set; both pipe ends are closed then.
    pub(super) fn run(self, stop: &AtomicBool) -> Ended {
        let done = match self.way {
            Way::AsIs => self.pump(Plain::new(self.buffer), stop),
            Way::Through { decode, encode } => {
                Coded::new(decode, encode).and_then(|mover| self.pump(mover, stop))
            }
        };
        match done {
            Ok(ended) => ended,
            Err(error) if error.raw_os_error() == Some(Errno::PIPE.raw_os_error()) => Ended::ReceiverGone,
            Err(error) => Ended::Failed(error),
        }
    }

    fn pump<M: Mover>(&self, mut mover: M, stop: &AtomicBool) -> io::Result<Ended> {
        let ends = Ends::new(&self.source, &self.target, &self.progress)?;
        while !stop.load(Ordering::Relaxed) {
            let allowed = match limit::take(&self.limits, CHUNK, Instant::now()) {
                Allowance::Bytes(bytes) => bytes,
                Allowance::Wait(time) => {
                    let time = time.min(TICK);
                    thread::sleep(time);
                    self.progress.waited(WaitFor::Limit, time);
                    if ends.receiver_is_gone()? {
                        return Ok(Ended::ReceiverGone);
                    }
                    continue;
                }
            };
            let turn = mover.turn(&ends, allowed)?;
            let wire = if let Turn::Moved { wire, .. } = &turn { *wire } else { 0 };
            limit::give_back(&self.limits, allowed.saturating_sub(wire));
            match turn {
                Turn::Moved { stream, wire } => self.progress.add(stream, wire),
                Turn::Again => {}
                Turn::Finished => return Ok(Ended::Finished),
                Turn::ReceiverGone => return Ok(Ended::ReceiverGone),
            }
        }
        Ok(Ended::Stopped)
    }
}

/// What one turn did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// So many bytes of the stream reached the receiver, and so many travelled between the hosts.
    Moved { stream: u64, wire: u64 },
    /// Nothing yet.
    Again,
    /// Everything has been handed on.
    Finished,
    /// Nobody reads any more.
    ReceiverGone,
}

/// A way to move bytes.
trait Mover {
    /// Moves some bytes, of which at most `allowed` travel between hosts; waits two ticks at most.
    fn turn(&mut self, ends: &Ends<'_>, allowed: u64) -> io::Result<Turn>;
}

#[cfg(test)]
mod tests;
