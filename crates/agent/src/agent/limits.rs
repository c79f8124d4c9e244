//! The limits of bandwidth that this agent's transfers share.
//!
//! The witness says with each lease and with each answer to a report of progress which limits hold, and whose they are. Transfers that
//! name the same owner pass through the same limiter. Windows are those of this host's clock and time zone.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use jiff::tz::TimeZone;
use zfs_sync_core::{
    flow::{RateLimit, SharedLimit},
    time::Timestamp,
};
use zfs_sync_zfs::pipeline::Limiter;

/// All of them, by owner. There are no more owners than groups and systems, so none is ever forgotten.
#[derive(Debug)]
pub(super) struct Limits {
    zone: TimeZone,
    by_owner: Mutex<BTreeMap<String, (RateLimit, Limiter)>>,
}

impl Limits {
    /// Windows are in this time zone.
    pub(super) fn new(zone: TimeZone) -> Self {
        Self { zone, by_owner: Mutex::default() }
    }

    /// The limiters for a transfer under these limits, which hold from now on.
    pub(super) fn of(&self, limits: &[SharedLimit], now: Timestamp) -> Vec<Limiter> {
        self.learn(limits, now);
        let by_owner = self.lock();
        limits
            .iter()
            .filter_map(|limit| by_owner.get(&limit.of))
            .map(|(_, limiter)| limiter.clone())
            .collect()
    }

    /// What the witness says anew.
    pub(super) fn learn(&self, limits: &[SharedLimit], now: Timestamp) {
        let mut by_owner = self.lock();
        for SharedLimit { of, limit } in limits {
            match by_owner.get_mut(of) {
                Some((known, _)) if known == limit => {}
                Some((known, _)) => {
                    tracing::info!(limit.owner = %of, "the limit of {of} is {limit} now");
                    known.clone_from(limit);
                }
                None => {
                    by_owner.insert(of.clone(), (limit.clone(), Limiter::new(None)));
                }
            }
        }
        drop(by_owner);
        self.follow(now);
    }

    /// Sets every limiter to what its limit says at this moment.
    pub(super) fn follow(&self, now: Timestamp) {
        for (limit, limiter) in self.lock().values() {
            let rate = limit.at(now, &self.zone);
            if limiter.rate() != rate {
                limiter.set(rate);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, (RateLimit, Limiter)>> {
        self.by_owner.lock().expect("no holder of this lock panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(of: &str, limit: &str) -> SharedLimit {
        SharedLimit { of: of.to_owned(), limit: limit.parse().unwrap() }
    }

    fn rates(limiters: &[Limiter]) -> Vec<Option<u64>> {
        limiters.iter().map(Limiter::rate).collect()
    }

    #[test]
    fn transfers_of_one_owner_share_a_limiter_that_follows_the_clock_and_the_witness() {
        let limits = Limits::new(TimeZone::UTC);
        let at = |text: &str| format!("2026-11-23T{text}:00Z").parse().unwrap();
        let first = limits.of(&[shared("group:a", "08:00-18:00 2MiB/s; 4MiB/s")], at("07:59"));
        let second = limits.of(
            &[shared("group:a", "08:00-18:00 2MiB/s; 4MiB/s"), shared("system:b", "unlimited")],
            at("07:59"),
        );
        assert_eq!(rates(&second), [Some(4 << 20), None]);
        limits.follow(at("08:00"));
        assert_eq!((rates(&first), rates(&second)), (vec![Some(2 << 20)], vec![Some(2 << 20), None]));
        limits.learn(&[shared("group:a", "unlimited"), shared("system:b", "1MiB/s")], at("08:01"));
        assert_eq!((rates(&first), rates(&second)), (vec![None], vec![None, Some(1 << 20)]));
    }
}
