//! Verifications as they are shown.

use zfs_sync_api::v1::verification::{Verification, VerificationSide};
use zfs_sync_store::{SideRow, VerificationRow};

use super::Directory;

/// One verification; names of files only where the caller may know them.
pub(crate) fn show_verification(row: VerificationRow, directory: &Directory, names: bool) -> Verification {
    let side = |side: SideRow| VerificationSide {
        system: directory.hostname(side.system),
        snapshot: side.snapshot,
        working: side.lease_until.is_some(),
        entries: side.entries,
        bytes: side.bytes,
    };
    let mut result = row.result;
    if let Some(result) = result.as_mut().filter(|_| !names) {
        result.more += result.differences.len() as u64;
        result.differences.clear();
    }
    Verification {
        id: row.id,
        group_id: row.group,
        requested_by: row.requested_by,
        state: row.state.as_str().to_owned(),
        deep: row.deep,
        rate: row.rate,
        attempts: row.attempts,
        left: side(row.left),
        right: side(row.right),
        created_at: row.created_at,
        started_at: row.started_at,
        finished_at: row.finished_at,
        result,
    }
}
