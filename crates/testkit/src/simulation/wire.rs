//! What agents and the witness say to each other.

use zfs_sync_api::v1::agent::{InventoryAnswer, InventoryReport, LeasedTransfer, TransferResult};
use zfs_sync_core::{ids::TransferId, time::Timestamp};

#[derive(Clone, Debug)]
pub(super) enum Request {
    Hello,
    Report {
        report: InventoryReport,
        /// When the host was really looked at; only the checks use it.
        looked_at: u64,
    },
    Lease {
        max: usize,
    },
    Progress {
        transfer: TransferId,
        generation: u64,
        /// When the renewal was asked for; only the agent itself looks at it.
        asked: u64,
    },
    Result {
        transfer: TransferId,
        result: TransferResult,
    },
}

#[derive(Clone, Debug)]
pub(super) enum Answer {
    Hello {
        now: Timestamp,
    },
    Report(InventoryAnswer),
    Lease {
        leased: Vec<LeasedTransfer>,
        report_now: bool,
        now: Timestamp,
    },
    Progress {
        lost: bool,
    },
    /// Heard, or refused for good.
    Result,
}
