//! Bytes that nobody touches: pages move within the kernel while both sides keep up, and wait here while the receiver does not.

use std::{io, time::Duration};

use super::{
    Mover, TICK, Turn,
    buffer::Buffer,
    ends::{Ends, Ready},
};

/// A receiver that takes nothing for so long is busy with something else, and what comes meanwhile is worth copying.
const PATIENCE: Duration = Duration::from_millis(5);
/// What is copied through where there is no `splice`.
const SMALLEST: usize = 128 << 10;

#[derive(Debug)]
pub(super) struct Plain {
    buffer: Buffer,
    buffers: bool,
    ended: bool,
}

impl Plain {
    pub(super) fn new(buffer: usize) -> Self {
        let buffer = if cfg!(target_os = "linux") { buffer } else { buffer.max(SMALLEST) };
        Self { buffer: Buffer::new(buffer), buffers: buffer > 0, ended: false }
    }

    /// Nothing waits here: straight from one to the other, unless the receiver is busy.
    fn hand_on(&mut self, ends: &Ends<'_>, allowed: u64) -> io::Result<Turn> {
        if self.ended {
            return Ok(Turn::Finished);
        }
        match ends.readable(TICK)? {
            Ready::Yes => {}
            Ready::NotYet => return Ok(Turn::Again),
            Ready::ReceiverGone => return Ok(Turn::ReceiverGone),
        }
        match ends.writable(if self.buffers { PATIENCE } else { TICK })? {
            #[cfg(target_os = "linux")]
            Ready::Yes => splice_through(ends, allowed),
            #[cfg(not(target_os = "linux"))]
            Ready::Yes => self.keep(ends),
            Ready::NotYet if self.buffers => self.keep(ends),
            Ready::NotYet => Ok(Turn::Again),
            Ready::ReceiverGone => Ok(Turn::ReceiverGone),
        }
    }

    fn keep(&mut self, ends: &Ends<'_>) -> io::Result<Turn> {
        if self.buffer.fill(ends.source)? == Some(0) {
            self.ended = true;
        }
        Ok(Turn::Again)
    }
}

/// The pages themselves.
#[cfg(target_os = "linux")]
fn splice_through(ends: &Ends<'_>, allowed: u64) -> io::Result<Turn> {
    use rustix::{
        io::Errno,
        pipe::{SpliceFlags, splice},
    };

    let most = usize::try_from(allowed).unwrap_or(usize::MAX);
    let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
    match splice(ends.source, None, ends.target, None, most, flags) {
        Ok(0) => Ok(Turn::Finished),
        Ok(bytes) => {
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            Ok(Turn::Moved { stream: bytes, wire: bytes })
        }
        Err(Errno::AGAIN | Errno::INTR) => Ok(Turn::Again),
        Err(error) => Err(error.into()),
    }
}

impl Mover for Plain {
    fn turn(&mut self, ends: &Ends<'_>, allowed: u64) -> io::Result<Turn> {
        if self.buffer.is_empty() {
            return self.hand_on(ends, allowed);
        }
        let seen = ends.either(!self.ended && self.buffer.has_room(), TICK)?;
        if seen.receiver_gone {
            return Ok(Turn::ReceiverGone);
        }
        let moved = if seen.writable { self.buffer.drain(ends.target, allowed)? } else { 0 };
        if seen.readable {
            self.keep(ends)?;
        }
        Ok(if moved > 0 { Turn::Moved { stream: moved, wire: moved } } else { Turn::Again })
    }
}
