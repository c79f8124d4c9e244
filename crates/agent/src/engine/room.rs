//! Whether a stream has room on its target, before its first byte.
//!
//! A stream that carries blocks as they lie on the source (`-c`, or raw) is as large as what they will take up, give or take what the
//! target's layout adds: its size is what is needed. Without `-c` it carries them unpacked, and its size says only what they take up at the
//! most, where nothing is compressed; what they take up on the source, if that is less, is what a target takes them to that compresses like
//! it. That one is asked for then, because a stream that has room must not be refused by what is known to be too much: where it is too
//! little, `zfs receive` says so, and keeps what has come. A stream that could not end well is not begun: it would fill the pool to its brim, and everybody else there would
//! suffer. What is not known refuses nothing: `zfs receive` has the last word.

use zfs_sync_api::codes::ErrorCode;
use zfs_sync_core::{inventory::Dataset, size::ByteCount, stream::StreamForm};
use zfs_sync_zfs::{command::Scope, inventory::list_datasets};

use super::{Run, failure::Failure};

/// A smaller stream is not worth a question of its own to a target that does not exist yet.
const WORTH_ASKING: u64 = 16 << 20;

/// What must be there for a stream of `total` bytes, of which what it carries takes up at most `at_source` where it comes from.
pub(super) fn needed(total: Option<u64>, at_source: Option<u64>, form: StreamForm) -> Option<u64> {
    match form {
        StreamForm::Raw | StreamForm::Plain { compressed: true, .. } => total,
        StreamForm::Plain { compressed: false, .. } => {
            total.map(|total| at_source.map_or(total, |at_source| total.min(at_source)))
        }
    }
}

/// Refuses a stream of about `total` bytes for which the target has no room, quotas included, also when `freed` bytes are freed for it.
pub(super) async fn check(
    run: &Run<'_>,
    target: Option<&Dataset>,
    freed: u64,
    total: Option<u64>,
) -> Result<(), Failure> {
    let Some(total) = total else { return Ok(()) };
    let available = match target {
        Some(target) => Some(target.properties.available),
        None if total >= WORTH_ASKING => available_above(run).await,
        None => None,
    };
    let Some(missing) = available
        .and_then(|available| total.checked_sub(available.saturating_add(freed)))
        .filter(|more| *more > 0)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_travels_unpacked_needs_no_more_than_it_takes_up_at_its_source() {
        let unpacked = StreamForm::Plain { large_blocks: true, compressed: false, embedded: false };
        for form in [StreamForm::Raw, StreamForm::WHOLE] {
            assert_eq!(needed(Some(900), Some(300), form), Some(900), "it is stored as it comes");
        }
        assert_eq!(needed(Some(900), Some(300), unpacked), Some(300));
        assert_eq!(needed(Some(900), Some(1000), unpacked), Some(900), "of an increment only a part is sent");
        assert_eq!(needed(Some(900), None, unpacked), Some(900));
        assert_eq!(needed(None, Some(300), unpacked), None, "what is not known refuses nothing");
    }
}
