//! How long a command may take.

use std::time::Duration;

use super::Command;

/// One that answers from memory.
const QUICK: Duration = Duration::from_mins(1);
/// One that waits for a transaction group or two, on a pool that is busy with something else.
const CHANGE: Duration = Duration::from_mins(5);
/// A listing. The slowest that anybody has reported took eight minutes for 4000 snapshots, on spinning disks with a cold cache.
const LISTING: Duration = Duration::from_mins(15);
/// One that frees much, or unmounts. Whoever relies on other copies of what it destroys counts on it.
const REMOVAL: Duration = zfs_sync_core::plan::LAST_COMMAND.unsigned_abs();

impl Command {
    /// The time after which nobody waits any more for its end: what takes longer hangs, as everything does on a suspended pool. Far above
    /// what a healthy host needs, because what has been ended may have been done all the same; whoever asked looks again.
    ///
    /// Streams and watchers have no such time: for them it is progress that counts.
    pub const fn deadline(&self) -> Duration {
        match self {
            Self::Version => QUICK,
            Self::Hold { .. }
            | Self::HoldAll { .. }
            | Self::ReleaseAll { .. }
            | Self::Release { .. }
            | Self::Bookmark { .. }
            | Self::DestroyBookmark { .. }
            | Self::Snapshot { .. }
            | Self::CreatePlaceholder { .. } => CHANGE,
            Self::DestroySnapshot { .. }
            | Self::RollBack { .. }
            | Self::Rename { .. }
            | Self::AbortReceive { .. } => REMOVAL,
            // What only looks, and what is added without a thought here.
            _ => LISTING,
        }
    }
}
