//! How many bytes vanish at least.

use super::loss::Extent;
use crate::inventory::Dataset;

/// What of one dataset exists nowhere else.
#[derive(Debug)]
pub(super) struct Gone {
    /// Positions in the history of snapshots that no other system holds, oldest first.
    pub(super) positions: Vec<usize>,
    /// The newest position that somebody else holds.
    pub(super) survives_to: Option<usize>,
}

impl Gone {
    pub(super) fn extent(&self, dataset: &Dataset) -> Extent {
        let newest = dataset.snapshots.len().checked_sub(1);
        match self.survives_to {
            // A first receive that has not ended: there is nothing that its source has not.
            None if newest.is_none() && dataset.properties.partial.is_some() => Extent::Nothing,
            None => Extent::Everything,
            survives_to if survives_to != newest || dataset.properties.written > 0 => Extent::Recent,
            Some(_) if self.positions.is_empty() => Extent::Nothing,
            Some(_) => Extent::OldSnapshots,
        }
    }

    /// A lower bound of the bytes that vanish, from what ZFS accounts for by itself:
    ///
    /// - `used` of each snapshot that only this system holds: bytes of that snapshot alone, so these sums do not overlap;
    /// - of those newer than all that survives, the largest growth of `referenced` over the newest surviving one (of a clone without
    ///   survivors: over its origin), as far as `used` of that snapshot does not hold it already. What was written over an
    ///   old block of the same size adds nothing to `referenced`; this is why the bound is a lower one;
    /// - `written`: bytes since the newest snapshot.
    pub(super) fn bytes(&self, dataset: &Dataset, origin_referenced: Option<u64>) -> u64 {
        let alone: u64 = self
            .positions
            .iter()
            .map(|position| dataset.snapshots[*position].used)
            .fold(0, u64::saturating_add);
        let before = match self.survives_to {
            Some(position) => Some(dataset.snapshots[position].referenced),
            None if dataset.properties.origin.is_none() => Some(0),
            None => origin_referenced,
        };
        let newer = self.survives_to.map_or(0, |position| position + 1);
        let grown = before.map_or(0, |before| {
            let tail = dataset.snapshots[newer..].iter();
            let growth =
                tail.map(|snapshot| snapshot.referenced.saturating_sub(before).saturating_sub(snapshot.used));
            growth.max().unwrap_or(0)
        });
        alone.saturating_add(grown).saturating_add(dataset.properties.written)
    }
}
