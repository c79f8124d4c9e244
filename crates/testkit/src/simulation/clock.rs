//! Virtual time, and hosts whose clocks are wrong by hours.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use zfs_sync_agent::engine::BootClock;
use zfs_sync_core::time::{Clock, Timestamp};

/// 2026-01-05T00:00:00Z, when every history begins.
const BEGINNING: i64 = 1_767_571_200_000;

/// Milliseconds since the beginning of a history.
#[derive(Debug, Default)]
pub(super) struct VirtualTime(AtomicI64);

impl VirtualTime {
    pub(super) fn set(&self, milliseconds: u64) {
        self.0.store(i64::try_from(milliseconds).unwrap_or(i64::MAX), Ordering::Relaxed);
    }
}

/// Leases are measured by time that nobody sets back.
impl BootClock for VirtualTime {
    fn since_boot(&self) -> Duration {
        UP_BEFORE + Duration::from_millis(u64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(0))
    }
}

/// How long all machines have been up when a history begins.
pub(super) const UP_BEFORE: Duration = Duration::from_hours(1);

/// The clock of one machine.
#[derive(Clone, Debug)]
pub(super) struct SkewedClock {
    time: Arc<VirtualTime>,
    /// Milliseconds by which it is ahead.
    ahead: Arc<AtomicI64>,
}

impl SkewedClock {
    pub(super) fn new(time: Arc<VirtualTime>, ahead: i64) -> Self {
        Self { time, ahead: Arc::new(AtomicI64::new(ahead)) }
    }

    /// Somebody sets it, or a service does that has found out how late it is.
    pub(super) fn set_ahead(&self, ahead: i64) {
        self.ahead.store(ahead, Ordering::Relaxed);
    }
}

impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        let now = BEGINNING + self.time.0.load(Ordering::Relaxed) + self.ahead.load(Ordering::Relaxed);
        Timestamp::from_millisecond(now).expect("a few years after the beginning")
    }
}

/// A moment of the witness's clock.
pub(super) fn moment(milliseconds: u64) -> Timestamp {
    let now = BEGINNING + i64::try_from(milliseconds).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(now).expect("a few years after the beginning")
}
