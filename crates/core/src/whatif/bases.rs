//! What one source and one target still need of a snapshot when others are deleted at the same time.

use crate::{
    guid::Guid,
    inventory::{Bookmark, Dataset, Snapshot},
    name::Label,
};

/// Why a pair needs a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// On the source: the next incremental stream starts there.
    Base {
        /// A bookmark of it on the source, which does as well.
        bookmark: Option<Label>,
    },
    /// On the target: the newest it has in common with the source. A bookmark there is of no use: when a target's newest snapshot is
    /// destroyed, its content no longer is that of a snapshot, and incremental streams are refused.
    Head,
    /// On the source: it is newer than what the target has, and is still to be sent.
    NotYetThere {
        /// A part of it has arrived.
        interrupted: bool,
    },
}

/// Which snapshots are deleted, by GUID.
pub(super) struct Deleted<'a> {
    pub(super) on_source: &'a dyn Fn(Guid) -> bool,
    pub(super) on_target: &'a dyn Fn(Guid) -> bool,
}

impl Deleted<'_> {
    /// True when a newer common point than `position` is left on both sides.
    fn leaves_newer(&self, source: &Dataset, target: &Dataset, position: usize) -> bool {
        target.snapshots[position + 1..].iter().any(|newer| {
            let on_source = bookmark(source, newer.guid).is_some()
                || source.snapshot(newer.guid).is_some_and(|snapshot| !(self.on_source)(snapshot.guid));
            on_source && !(self.on_target)(newer.guid)
        })
    }
}

/// What `target` needs of a snapshot of `source`.
pub(super) fn on_source(
    source: &Dataset,
    target: Option<&Dataset>,
    snapshot: &Snapshot,
    deleted: &Deleted<'_>,
) -> Option<Need> {
    let history = target.map_or(&[][..], |target| &target.snapshots);
    if let Some((target, position)) = target.zip(position(history, snapshot.guid)) {
        let needed = !deleted.leaves_newer(source, target, position);
        return needed.then(|| Need::Base {
            bookmark: bookmark(source, snapshot.guid).map(|mark| mark.label.clone()),
        });
    }
    let partial = target.and_then(|target| target.properties.partial.as_ref());
    let interrupted = partial.is_some_and(|partial| partial.to_guid == snapshot.guid);
    let common = history.iter().rev().find_map(|held| {
        let snapshot = source.snapshot(held.guid).map(|snapshot| snapshot.createtxg);
        snapshot.or_else(|| bookmark(source, held.guid).map(|mark| mark.createtxg))
    });
    let still_to_send = common.is_none_or(|common| snapshot.createtxg > common);
    still_to_send.then_some(Need::NotYetThere { interrupted })
}

/// What replication from `source` needs of a snapshot of `target`.
pub(super) fn on_target(
    source: &Dataset,
    target: &Dataset,
    snapshot: &Snapshot,
    deleted: &Deleted<'_>,
) -> Option<Need> {
    let common = source.snapshot(snapshot.guid).is_some() || bookmark(source, snapshot.guid).is_some();
    let position = position(&target.snapshots, snapshot.guid)?;
    (common && !deleted.leaves_newer(source, target, position)).then_some(Need::Head)
}

fn position(history: &[Snapshot], guid: Guid) -> Option<usize> {
    history.iter().position(|snapshot| snapshot.guid == guid)
}

fn bookmark(dataset: &Dataset, guid: Guid) -> Option<&Bookmark> {
    dataset.bookmarks.iter().find(|bookmark| bookmark.guid == guid)
}
