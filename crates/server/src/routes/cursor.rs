//! Where a page of replicas ended, as text that callers pass back as it is.

use zfs_sync_api::codes::ErrorCode;
use zfs_sync_core::{ids::GroupId, plan::ReplicaKey};
use zfs_sync_store::ReplicaRow;

use crate::error::{Answer, ApiError};

/// Of the last replica of a page.
pub(super) fn after(last: &ReplicaRow) -> String {
    let ReplicaRow { group, home, target_system, dataset, .. } = last;
    format!("{group}.{home}.{target_system}.{dataset}")
}

/// The replica that a page ended with. It need not exist any more.
pub(super) fn read(text: &str) -> Answer<(GroupId, ReplicaKey)> {
    let parts = || {
        // A dataset may have dots; the others are UUIDs.
        let mut parts = text.splitn(4, '.');
        let group = parts.next()?.parse().ok()?;
        let home = parts.next()?.parse().ok()?;
        let target_system = parts.next()?.parse().ok()?;
        let dataset = parts.next()?.parse().ok()?;
        Some((group, ReplicaKey { home, dataset, target_system }))
    };
    parts().ok_or_else(|| {
        ApiError::at("?cursor", ErrorCode::ValueInvalid, "this is no cursor of ours")
            .hint("pass `next_cursor` of the page before as it is, or leave it out to begin anew")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_cursor_is_refused() {
        let id = "01020304-0000-7000-8000-000000000000";
        let (_, key) = read(&format!("{id}.{id}.{id}.tank/a.b c")).unwrap();
        assert_eq!(key.dataset.as_str(), "tank/a.b c");
        for text in ["", "x", id, &format!("{id}.{id}.{id}"), &format!("{id}.{id}.{id}.tank/"), "a.b.c.d"] {
            assert_eq!(read(text).unwrap_err().code(), ErrorCode::ValueInvalid, "{text}");
        }
    }
}
