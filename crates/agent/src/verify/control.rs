//! What a reader heeds, and what it tells.

use std::{
    io,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// The longest nap, so that a cancellation is noticed soon.
const LONGEST_NAP: Duration = Duration::from_millis(200);

/// Stops a reader, slows it down, and says how far it is.
#[derive(Debug, Default)]
pub struct Control {
    cancelled: AtomicBool,
    entries: AtomicU64,
    bytes: AtomicU64,
    pace: Option<Pace>,
}

#[derive(Debug)]
struct Pace {
    /// Bytes a second.
    rate: u64,
    /// When what was read so far may have been read.
    due: Mutex<Instant>,
}

impl Control {
    /// Reads at most so many bytes a second; `None`: as fast as the disks are.
    pub fn new(rate: Option<u64>) -> Self {
        let pace = rate.map(|rate| Pace { rate: rate.max(1), due: Mutex::new(Instant::now()) });
        Self { pace, ..Self::default() }
    }

    /// Ends all reading soon.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Files, directories and other things seen so far, and bytes read.
    pub fn progress(&self) -> (u64, u64) {
        (self.entries.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    pub(super) fn entry(&self) {
        self.entries.fetch_add(1, Ordering::Relaxed);
    }

    /// So many bytes were read: waits until they may have been, and fails when it was cancelled.
    pub(super) fn read(&self, bytes: usize) -> io::Result<()> {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.check()?;
        let Some(Pace { rate, due }) = &self.pace else { return Ok(()) };
        let until = {
            let mut due = due.lock().expect("no holder of this lock panics");
            // What was not used is lost, or a pause would be followed by a burst.
            *due = (*due).max(Instant::now()) + Duration::from_nanos(nanos(bytes as u64, *rate));
            *due
        };
        while let Some(rest) = until.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero()) {
            std::thread::sleep(rest.min(LONGEST_NAP));
            self.check()?;
        }
        Ok(())
    }

    pub(super) fn check(&self) -> io::Result<()> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "the comparison was stopped"));
        }
        Ok(())
    }
}

fn nanos(bytes: u64, rate: u64) -> u64 {
    u64::try_from(u128::from(bytes) * 1_000_000_000 / u128::from(rate)).unwrap_or(u64::MAX)
}

/// This thread yields to everybody else. ZFS has its own scheduler of reads and heeds no priority of them; the processor does.
pub(super) fn be_nice() {
    #[cfg(target_os = "linux")]
    {
        // On Linux the number of a thread stands for that thread alone.
        let done = rustix::process::setpriority_process(Some(rustix::thread::gettid()), 19);
        if let Err(error) = done {
            tracing::debug!(error = %error, "could not lower the priority of a thread");
        }
    }
}
