//! A rate limit: a bucket that fills evenly and is emptied by what passes.

use std::time::{Duration, Instant};

/// What the bucket holds at most, as a time at full rate: short enough to look even on the wire.
const BURST: Duration = Duration::from_millis(100);
/// Less than this is not worth a system call.
const MIN_BURST: u64 = 16 << 10;

/// Says how many bytes may pass now.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: u64,
    capacity: u64,
    level: u64,
    filled_at: Instant,
}

/// An answer of [`Bucket::ask`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowance {
    /// So many bytes, at least one.
    Bytes(u64),
    /// None before this has passed.
    Wait(Duration),
}

impl Bucket {
    /// For `rate` bytes a second; a rate of zero counts as one.
    pub(super) fn new(rate: u64, now: Instant) -> Self {
        let rate = rate.max(1);
        let capacity = bytes_in(rate, BURST).max(MIN_BURST.min(rate));
        Self { rate, capacity, level: capacity, filled_at: now }
    }

    /// What may pass at `now`.
    pub(super) fn ask(&mut self, now: Instant) -> Allowance {
        let earned = bytes_in(self.rate, now.saturating_duration_since(self.filled_at));
        // Nothing earned: the clock is kept, so that fractions of a byte add up.
        if earned > 0 {
            self.level = self.level.saturating_add(earned).min(self.capacity);
            self.filled_at = now;
        }
        // Half a bucket at a time rather than every byte as it comes.
        let worthwhile = (self.capacity / 2).max(1);
        if self.level >= worthwhile {
            return Allowance::Bytes(self.level);
        }
        let missing = u128::from(worthwhile - self.level) * 1_000_000_000 / u128::from(self.rate) + 1;
        Allowance::Wait(Duration::from_nanos(u64::try_from(missing).unwrap_or(u64::MAX)))
    }

    /// So many did pass.
    pub(super) fn spend(&mut self, bytes: u64) {
        self.level = self.level.saturating_sub(bytes);
    }
}

fn bytes_in(rate: u64, time: Duration) -> u64 {
    u64::try_from(u128::from(rate) * time.as_nanos() / 1_000_000_000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_more_passes_than_rate_times_time_and_one_bucket(
            rate in 1u64..1 << 40,
            pauses in prop::collection::vec(0u64..50_000_000, 1..200),
        ) {
            let start = Instant::now();
            let mut now = start;
            let mut bucket = Bucket::new(rate, now);
            let mut passed = 0;
            for pause in pauses {
                now += Duration::from_nanos(pause);
                if let Allowance::Bytes(bytes) = bucket.ask(now) {
                    bucket.spend(bytes);
                    passed += bytes;
                }
            }
            prop_assert!(passed <= bytes_in(rate, now - start) + bucket.capacity);
        }

        #[test]
        fn whoever_waits_as_told_may_pass(rate in 1u64..1 << 40) {
            let mut now = Instant::now();
            let mut bucket = Bucket::new(rate, now);
            let mut passed = 0;
            let start = now;
            for _ in 0..100 {
                match bucket.ask(now) {
                    Allowance::Bytes(bytes) => {
                        bucket.spend(bytes);
                        passed += bytes;
                    }
                    Allowance::Wait(time) => {
                        now += time;
                        prop_assert!(matches!(bucket.ask(now), Allowance::Bytes(_)));
                    }
                }
            }
            // Waiting exactly as told loses at most the rounding of each wait.
            prop_assert!(passed + 100 >= bytes_in(rate, now - start) / 2);
        }
    }
}
