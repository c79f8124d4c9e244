//! Rate limits: buckets that fill evenly and are emptied by what passes.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// What the bucket holds at most, as a time at full rate: short enough to look even on the wire.
const BURST: Duration = Duration::from_millis(100);
/// Less than this is not worth a system call.
const MIN_BURST: u64 = 16 << 10;

/// A limit that may change while streams pass, and that all clones share: together they are no faster than it says.
#[derive(Clone, Debug, Default)]
pub struct Limiter(Arc<Mutex<Option<Bucket>>>);

impl Limiter {
    /// For so many bytes a second; `None`: as fast as it goes.
    pub fn new(rate: Option<u64>) -> Self {
        let limiter = Self::default();
        limiter.set(rate);
        limiter
    }

    /// From now on so many bytes a second. Streams under it heed that with their next piece.
    pub fn set(&self, rate: Option<u64>) {
        let now = Instant::now();
        let mut bucket = self.lock();
        match (&mut *bucket, rate) {
            (Some(bucket), Some(rate)) => bucket.set_rate(rate, now),
            (bucket, rate) => *bucket = rate.map(|rate| Bucket::new(rate, now)),
        }
    }

    /// Bytes a second at present.
    pub fn rate(&self) -> Option<u64> {
        self.lock().as_ref().map(|bucket| bucket.rate)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Bucket>> {
        // Whatever a holder that panicked has left, it is numbers.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, most: u64, now: Instant) -> Allowance {
        self.lock().as_mut().map_or(Allowance::Bytes(most), |bucket| bucket.take(most, now))
    }

    fn give_back(&self, bytes: u64) {
        if let Some(bucket) = self.lock().as_mut() {
            bucket.give_back(bytes);
        }
    }
}

/// Takes what may pass now from all of them, at most `most`. What does not pass then must be given back.
pub(super) fn take(limits: &[Limiter], most: u64, now: Instant) -> Allowance {
    let mut granted = most;
    for (index, limit) in limits.iter().enumerate() {
        let (less, answer) = match limit.take(granted, now) {
            Allowance::Bytes(bytes) => (granted - bytes, None),
            Allowance::Wait(time) => (granted, Some(time)),
        };
        give_back(&limits[..index], less);
        if let Some(time) = answer {
            return Allowance::Wait(time);
        }
        granted -= less;
    }
    Allowance::Bytes(granted)
}

/// What was taken and did not pass.
pub(super) fn give_back(limits: &[Limiter], bytes: u64) {
    if bytes > 0 {
        for limit in limits {
            limit.give_back(bytes);
        }
    }
}

/// How much may pass now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowance {
    /// So many bytes, at least one.
    Bytes(u64),
    /// None before this has passed.
    Wait(Duration),
}

#[derive(Debug)]
struct Bucket {
    rate: u64,
    capacity: u64,
    level: u64,
    filled_at: Instant,
}

impl Bucket {
    /// For `rate` bytes a second; a rate of zero counts as one.
    fn new(rate: u64, now: Instant) -> Self {
        let rate = rate.max(1);
        let capacity = capacity(rate);
        Self { rate, capacity, level: capacity, filled_at: now }
    }

    fn set_rate(&mut self, rate: u64, now: Instant) {
        self.fill(now);
        self.rate = rate.max(1);
        self.capacity = capacity(self.rate);
        self.level = self.level.min(self.capacity);
    }

    fn fill(&mut self, now: Instant) {
        let earned = bytes_in(self.rate, now.saturating_duration_since(self.filled_at));
        // Nothing earned: the clock is kept, so that fractions of a byte add up.
        if earned > 0 {
            self.level = self.level.saturating_add(earned).min(self.capacity);
            self.filled_at = now;
        }
    }

    fn take(&mut self, most: u64, now: Instant) -> Allowance {
        self.fill(now);
        // Half a bucket at a time rather than every byte as it comes.
        let worthwhile = (self.capacity / 2).min(most).max(1);
        if self.level >= worthwhile {
            let granted = self.level.min(most);
            self.level -= granted;
            return Allowance::Bytes(granted);
        }
        let missing = u128::from(worthwhile - self.level) * 1_000_000_000 / u128::from(self.rate) + 1;
        Allowance::Wait(Duration::from_nanos(u64::try_from(missing).unwrap_or(u64::MAX)))
    }

    fn give_back(&mut self, bytes: u64) {
        self.level = self.level.saturating_add(bytes).min(self.capacity);
    }
}

fn capacity(rate: u64) -> u64 {
    bytes_in(rate, BURST).max(MIN_BURST.min(rate))
}

fn bytes_in(rate: u64, time: Duration) -> u64 {
    u64::try_from(u128::from(rate) * time.as_nanos() / 1_000_000_000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CHUNK: u64 = 1 << 20;

    fn limiter(rate: u64, now: Instant) -> Limiter {
        Limiter(Arc::new(Mutex::new(Some(Bucket::new(rate, now)))))
    }

    proptest! {
        #[test]
        fn no_more_passes_than_rate_times_time_and_one_bucket(
            rate in 1u64..1 << 40,
            pauses in prop::collection::vec((0u64..50_000_000, 0u64..=100), 1..200),
        ) {
            let start = Instant::now();
            let mut now = start;
            let limits = [limiter(rate, now)];
            let mut passed = 0;
            for (pause, percent) in pauses {
                now += Duration::from_nanos(pause);
                if let Allowance::Bytes(bytes) = take(&limits, CHUNK, now) {
                    // Not everything that is granted can pass at once.
                    let moved = bytes * percent / 100;
                    give_back(&limits, bytes - moved);
                    passed += moved;
                }
            }
            prop_assert!(passed <= bytes_in(rate, now - start) + capacity(rate));
        }

        #[test]
        fn whoever_waits_as_told_may_pass(rate in 1u64..1 << 40) {
            let mut now = Instant::now();
            let limits = [limiter(rate, now)];
            let mut passed = 0;
            let start = now;
            for _ in 0..100 {
                match take(&limits, CHUNK, now) {
                    Allowance::Bytes(bytes) => passed += bytes,
                    Allowance::Wait(time) => {
                        now += time;
                        match take(&limits, CHUNK, now) {
                            Allowance::Bytes(bytes) => passed += bytes,
                            Allowance::Wait(_) => prop_assert!(false, "waited in vain"),
                        }
                    }
                }
            }
            // Waiting exactly as told loses at most the rounding of each wait.
            prop_assert!(passed + 100 >= bytes_in(rate, now - start) / 2);
        }

        #[test]
        fn of_several_limits_the_lowest_holds_and_the_others_lose_nothing(
            rates in prop::collection::vec(1024u64..1 << 30, 1..4),
        ) {
            let start = Instant::now();
            let limits: Vec<Limiter> = rates.iter().map(|rate| limiter(*rate, start)).collect();
            let lowest = *rates.iter().min().unwrap();
            let (mut now, mut passed) = (start, 0);
            while now - start < Duration::from_secs(5) {
                match take(&limits, CHUNK, now) {
                    Allowance::Bytes(bytes) => passed += bytes,
                    Allowance::Wait(time) => now += time,
                }
            }
            let exact = bytes_in(lowest, now - start);
            prop_assert!(passed <= exact + capacity(lowest), "{passed} of {exact}");
            prop_assert!(passed >= exact * 9 / 10, "{passed} of {exact}");
        }
    }

    #[test]
    fn a_limit_that_is_shared_holds_for_all_together() {
        let start = Instant::now();
        let shared = limiter(1 << 20, start);
        let limits = [[shared.clone()], [shared]];
        let (mut now, mut passed) = (start, [0u64; 2]);
        for _ in 0..10_000 {
            now += Duration::from_millis(1);
            for (limits, passed) in limits.iter().zip(&mut passed) {
                if let Allowance::Bytes(bytes) = take(limits, CHUNK, now) {
                    *passed += bytes;
                }
            }
        }
        let together = passed[0] + passed[1];
        assert!((10 << 20..=11 << 20).contains(&together), "{passed:?}");
    }

    #[test]
    fn a_change_holds_at_once() {
        let limiter = Limiter::new(Some(1000));
        assert_eq!(limiter.rate(), Some(1000));
        limiter.set(None);
        assert_eq!(limiter.rate(), None);
        let other = limiter.clone();
        other.set(Some(5000));
        assert_eq!(limiter.rate(), Some(5000));
        other.set(Some(2000));
        assert_eq!(limiter.rate(), Some(2000));
        let now = Instant::now();
        let limits = [limiter];
        let Allowance::Bytes(first) = take(&limits, CHUNK, now) else { panic!("a fresh bucket is full") };
        assert!(first <= 2000, "the bucket shrinks with the rate: {first}");
        assert!(matches!(take(&limits, CHUNK, now), Allowance::Wait(_)));
        limits[0].set(None);
        assert_eq!(take(&limits, CHUNK, now), Allowance::Bytes(CHUNK));
    }
}
