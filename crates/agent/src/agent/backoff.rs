//! Waiting longer after each failure.

use std::time::Duration;

/// Doubles from `first` to `most`; a third of each wait is chance, so that a thousand agents do not come back at once.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) const fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, next: first }
    }

    /// For the witness: it is back within seconds after a restart, and an agent should be, too.
    pub(super) const fn witness() -> Self {
        Self::new(Duration::from_millis(200), Duration::from_secs(5))
    }

    /// It went well: the next failure begins anew.
    pub(super) const fn reset(&mut self) {
        self.next = self.first;
    }

    /// How long to wait now.
    pub(super) fn delay(&mut self) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(self.most);
        full.mul_f64(2.0 / 3.0) + (full / 3).mul_f64(rand::random::<f64>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_limit_and_begin_anew() {
        let mut backoff = Backoff::new(Duration::from_millis(300), Duration::from_secs(1));
        for full in [300, 600, 1000, 1000] {
            let delay = backoff.delay();
            let full = Duration::from_millis(full);
            assert!(delay >= full * 2 / 3 && delay <= full, "{delay:?} of {full:?}");
        }
        backoff.reset();
        assert!(backoff.delay() <= Duration::from_millis(300));
    }
}
