//! Keeps a step from destroying anything once its lease may have ended.
//!
//! Without a witness that answers, nobody here knows what has become of a transfer: its time may be over, and then it may be queued
//! for somebody else, be withdrawn, or be planned anew because the copy that made it harmless is gone. Moving data is harmless
//! all the same, because ZFS refuses what does not follow; destroying is not. So a step destroys only as long as the lease that it was
//! last granted is certain to last.
//!
//! What counts is the moment in which the renewal was *asked for*: the witness counts from a later one. The lease itself was
//! asked for long before it was granted, so a fence opens with the first renewal. Time that a machine sleeps counts.

use std::{fmt::Debug, sync::Arc, time::Duration};

use tokio::sync::watch;
use zfs_sync_api::codes::ErrorCode;

use super::failure::Failure;

/// Tells how long the machine has been up.
pub trait BootClock: Debug + Send + Sync {
    /// Time since the machine was started, with the time it slept; nobody sets it back.
    fn since_boot(&self) -> Duration;
}

/// The machine's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemBootClock;

impl BootClock for SystemBootClock {
    fn since_boot(&self) -> Duration {
        use rustix::time::{ClockId, clock_gettime};
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let id = ClockId::Boottime;
        // Where there is no other: a machine that replicates in its sleep is not known.
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let id = ClockId::Monotonic;
        let time = clock_gettime(id);
        let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
        Duration::new(seconds.unwrap_or_default(), nanos.unwrap_or_default())
    }
}

/// Open while the lease is certain to last.
#[derive(Debug)]
pub struct Fence {
    clock: Arc<dyn BootClock>,
    lease: Duration,
    /// When the last renewal that was granted was asked for.
    renewed: watch::Sender<Option<Duration>>,
}

impl Fence {
    /// Closed until the first renewal; each is good for `lease`.
    pub fn new(clock: Arc<dyn BootClock>, lease: Duration) -> Self {
        Self { clock, lease, renewed: watch::Sender::new(None) }
    }

    /// To be remembered before a renewal is asked for.
    pub fn now(&self) -> Duration {
        self.clock.since_boot()
    }

    /// A renewal was granted that was asked for at `asked`, as [`Self::now`] told it.
    pub fn renewed(&self, asked: Duration) {
        self.renewed.send_modify(|renewed| *renewed = (*renewed).max(Some(asked)));
    }

    /// True when at this time, as [`Self::now`] told it, the lease was certain to last: for whoever watches from outside.
    pub fn was_open(&self, at: Duration) -> bool {
        self.renewed.borrow().is_some_and(|asked| at.saturating_sub(asked) < self.lease)
    }

    /// Fails when something else may have become of the transfer. Waits for the first renewal, at most as long as a lease lasts.
    pub(super) async fn check(&self) -> Result<(), Failure> {
        let mut renewed = self.renewed.subscribe();
        let first = tokio::time::timeout(self.lease, renewed.wait_for(Option::is_some)).await;
        // Neither a time-out nor a closed channel matters by itself: what was renewed says it all.
        drop(first);
        let renewed = *self.renewed.borrow();
        if renewed.is_some_and(|asked| self.now().saturating_sub(asked) < self.lease) {
            return Ok(());
        }
        let lease = self.lease.as_secs_f32();
        Err(Failure::new(
            ErrorCode::WitnessUnreachable,
            format!(
                "the witness has not renewed the lease for {lease:.1} s; nothing is destroyed without it"
            ),
        ))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Stands still until a test moves it.
    #[derive(Debug, Default)]
    pub(crate) struct ManualBootClock(Mutex<Duration>);

    impl ManualBootClock {
        pub(crate) fn advance(&self, by: Duration) {
            *self.0.lock().unwrap() += by;
        }
    }

    impl BootClock for ManualBootClock {
        fn since_boot(&self) -> Duration {
            *self.0.lock().unwrap()
        }
    }

    const LEASE: Duration = Duration::from_secs(15);

    fn closed(checked: &Result<(), Failure>) -> bool {
        matches!(checked, Err(Failure::Failed { code, retryable: true, .. }) if code == "E_WITNESS_UNREACHABLE")
    }

    #[tokio::test]
    async fn it_is_open_as_long_as_the_lease_lasts_that_was_asked_for() {
        let clock = Arc::new(ManualBootClock::default());
        let fence = Fence::new(clock.clone(), LEASE);
        let asked = fence.now();
        clock.advance(Duration::from_secs(5));
        fence.renewed(asked);
        assert_eq!(fence.check().await, Ok(()));
        clock.advance(Duration::from_millis(9_999));
        assert_eq!(fence.check().await, Ok(()));
        clock.advance(Duration::from_millis(1));
        assert!(closed(&fence.check().await));
        fence.renewed(fence.now());
        assert_eq!(fence.check().await, Ok(()));
        fence.renewed(asked);
        assert_eq!(fence.check().await, Ok(()), "an answer that comes late takes nothing back");
    }

    #[tokio::test]
    async fn the_first_renewal_is_waited_for() {
        let fence = Fence::new(Arc::new(ManualBootClock::default()), LEASE);
        let renew = async {
            tokio::task::yield_now().await;
            fence.renewed(fence.now());
        };
        let (checked, ()) = tokio::join!(fence.check(), renew);
        assert_eq!(checked, Ok(()));
    }

    #[tokio::test]
    async fn without_any_renewal_it_stays_closed() {
        let fence = Fence::new(Arc::new(ManualBootClock::default()), Duration::from_millis(20));
        assert!(closed(&fence.check().await));
    }

    #[test]
    fn the_machines_own_clock_moves_on() {
        let before = SystemBootClock.since_boot();
        assert!(before > Duration::ZERO && SystemBootClock.since_boot() >= before);
    }
}
