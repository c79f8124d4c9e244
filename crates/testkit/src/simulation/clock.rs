//! Virtual time, and hosts whose clocks are wrong by hours.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

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

/// The clock of one machine.
#[derive(Clone, Debug)]
pub(super) struct SkewedClock {
    pub(super) time: Arc<VirtualTime>,
    /// Milliseconds by which it is ahead.
    pub(super) ahead: i64,
}

impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        let now = BEGINNING + self.time.0.load(Ordering::Relaxed) + self.ahead;
        Timestamp::from_millisecond(now).expect("a few years after the beginning")
    }
}

/// A moment of the witness's clock.
pub(super) fn moment(milliseconds: u64) -> Timestamp {
    let now = BEGINNING + i64::try_from(milliseconds).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(now).expect("a few years after the beginning")
}
