//! The rules of comparison, said once more and otherwise: by sets and by trying every pair, whatever that costs.

use zfs_sync_core::{
    guid::Guid,
    inventory::{Dataset, Snapshot},
    plan::Relation,
};

/// A relation without what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    SourceEmpty,
    NeverSeeded,
    UpToDate,
    Behind,
    Resumable,
    Diverged,
    TargetModified,
    NameClash,
    NoCommonBase,
    TargetWithoutHistory,
    Mismatch,
}

pub(crate) fn kind_of(relation: &Relation) -> Kind {
    match relation {
        Relation::SourceEmpty => Kind::SourceEmpty,
        Relation::NeverSeeded => Kind::NeverSeeded,
        Relation::UpToDate => Kind::UpToDate,
        Relation::Behind { .. } => Kind::Behind,
        Relation::Resumable { .. } => Kind::Resumable,
        Relation::Diverged { .. } => Kind::Diverged,
        Relation::TargetModified { .. } => Kind::TargetModified,
        Relation::NameClash { .. } => Kind::NameClash,
        Relation::NoCommonBase => Kind::NoCommonBase,
        Relation::TargetWithoutHistory => Kind::TargetWithoutHistory,
        Relation::KindMismatch => Kind::Mismatch,
    }
}

/// Where the source has this GUID in its order, as snapshot or bookmark.
fn place(source: &Dataset, guid: Guid) -> Option<u64> {
    let in_snapshots = source.snapshots.iter().filter(|s| s.guid == guid).map(|s| s.createtxg.get());
    let in_bookmarks = source.bookmarks.iter().filter(|b| b.guid == guid).map(|b| b.createtxg.get());
    in_snapshots.chain(in_bookmarks).next()
}

/// Destroyed on the source, which has bookmarks of what came after it, and received there once more: the target has had it all the time.
fn is_there_again(source: &Dataset, target: &Dataset, base: Option<Guid>, sent: &Snapshot) -> bool {
    let only_marked = base.is_some_and(|base| source.snapshots.iter().all(|s| s.guid != base));
    only_marked && target.snapshots.iter().any(|s| s.guid == sent.guid)
}

/// What `zfs receive -s` left could be finished from what the source has.
fn can_finish(source: &Dataset, target: &Dataset, from: Option<Guid>) -> Option<Snapshot> {
    let partial = target.properties.partial.clone()?;
    if !partial.to_name.starts_with(&format!("{}@", source.name)) {
        return None;
    }
    if partial.from_guid != from || (source.properties.encrypted && !partial.raw) {
        return None;
    }
    let after = from.map(|guid| place(source, guid).expect("asked only for known bases"));
    source
        .snapshots
        .iter()
        .filter(|s| !is_there_again(source, target, from, s))
        .find(|s| s.guid == partial.to_guid && after.is_none_or(|after| s.createtxg.get() > after))
        .cloned()
}

/// What the relation should be.
pub(crate) fn expected(source: &Dataset, target: Option<&Dataset>) -> Kind {
    let nothing_to_send = source.snapshots.is_empty();
    let Some(target) = target else {
        return if nothing_to_send { Kind::SourceEmpty } else { Kind::NeverSeeded };
    };
    if source.properties.kind != target.properties.kind {
        return Kind::Mismatch;
    }
    // The head is what nothing else on the target comes after.
    let head =
        target.snapshots.iter().find(|s| !target.snapshots.iter().any(|other| other.createtxg > s.createtxg));
    let Some(head) = head else {
        if can_finish(source, target, None).is_some() {
            return Kind::Resumable;
        }
        return match (nothing_to_send, &target.properties.partial) {
            (true, _) => Kind::SourceEmpty,
            (false, Some(_)) => Kind::NeverSeeded,
            (false, None) => Kind::TargetWithoutHistory,
        };
    };
    let shared = target.snapshots.iter().any(|s| place(source, s.guid).is_some());
    let Some(head_place) = place(source, head.guid) else {
        return match (shared, nothing_to_send) {
            (true, _) => Kind::Diverged,
            (false, true) => Kind::SourceEmpty,
            (false, false) => Kind::NoCommonBase,
        };
    };
    if target.properties.written != 0 {
        return Kind::TargetModified;
    }
    let rest = can_finish(source, target, Some(head.guid));
    let coming: Vec<&Snapshot> = match &rest {
        Some(to) => vec![to],
        None => source
            .snapshots
            .iter()
            .filter(|s| s.createtxg.get() > head_place && !is_there_again(source, target, Some(head.guid), s))
            .collect(),
    };
    for new in &coming {
        for old in &target.snapshots {
            if old.label == new.label && old.guid != new.guid {
                return Kind::NameClash;
            }
        }
    }
    match (&rest, coming.is_empty()) {
        (Some(_), _) => Kind::Resumable,
        (None, true) => Kind::UpToDate,
        (None, false) => Kind::Behind,
    }
}
