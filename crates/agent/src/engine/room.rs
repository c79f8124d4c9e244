//! Whether a stream has room on its target, before its first byte.
//!
//! The stream carries blocks as they lie on the source (`-c`, or raw), so that its size is what they will take up, give or take what the
//! target's layout adds. A stream that could not end well is not begun: it would fill the pool to its brim, and everybody else there would
//! suffer. What is not known refuses nothing: `zfs receive` has the last word.

use zfs_sync_api::codes::ErrorCode;
use zfs_sync_core::{inventory::Dataset, size::ByteCount};
use zfs_sync_zfs::{command::Scope, inventory::list_datasets};

use super::{Run, failure::Failure};

/// A smaller stream is not worth a question of its own to a target that does not exist yet.
const WORTH_ASKING: u64 = 16 << 20;

/// Refuses a stream of about `total` bytes for which the target has no room, quotas included.
pub(super) async fn check(
    run: &Run<'_>,
    target: Option<&Dataset>,
    total: Option<u64>,
) -> Result<(), Failure> {
    let Some(total) = total else { return Ok(()) };
    let available = match target {
        Some(target) => Some(target.properties.available),
        None if total >= WORTH_ASKING => available_above(run).await,
        None => None,
    };
    let Some(missing) = available.and_then(|available| total.checked_sub(available)).filter(|more| *more > 0)
    else {
        return Ok(());
    };
    let room = ByteCount(total - missing);
    let detail = format!(
        "{} on {} has room for {room} and about {} are to come: {} are missing. Nothing was sent",
        run.step.target,
        run.sides.target.host(),
        ByteCount(total),
        ByteCount(missing),
    );
    Err(Failure::new(ErrorCode::NoSpace, detail))
}

/// What the dataset that the target will lie in can take.
async fn available_above(run: &Run<'_>) -> Option<u64> {
    let parent = run.step.target.parent()?;
    let rows = list_datasets(run.sides.target, &Scope::Only(parent), run.sides.target_features).await.ok()?;
    rows.into_iter().next().map(|row| row.properties.available)
}
