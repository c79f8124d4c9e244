//! What an operator may set.

use std::time::Duration;

use zfs_sync_store::TransferCaps;

/// How the witness behaves. The defaults are right for most fleets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A system that was silent for longer is offline, whatever interval it announced.
    pub heartbeat_timeout: Duration,
    /// Every group is planned anew at least this often, also when nothing seems to have changed.
    pub sync_check_interval: Duration,
    /// How long an agent may be silent about a transfer before another lease is given.
    pub lease: Duration,
    /// A report older than this many report intervals is too old to act on.
    pub stale_reports: u32,
    /// How many transfers may run at once where they meet.
    pub transfer_caps: TransferCaps,
    /// How long events are kept for listeners that come back.
    pub event_retention: Duration,
    /// How long a stop waits for requests and background work before it goes on without them.
    pub stop_grace: Duration,
}

impl Default for Settings {
    /// The old service's 300 s for heartbeats and checks. A lease of 15 s outlives a slow second of an agent that reports each
    /// second, and is short enough that a dead one is replaced while people watch. Service managers kill after 90 s at the
    /// earliest, so that a stop of 10 s is never cut.
    fn default() -> Self {
        Self {
            heartbeat_timeout: Duration::from_mins(5),
            sync_check_interval: Duration::from_mins(5),
            lease: Duration::from_secs(15),
            stale_reports: 3,
            transfer_caps: TransferCaps::default(),
            event_retention: Duration::from_hours(24),
            stop_grace: Duration::from_secs(10),
        }
    }
}
