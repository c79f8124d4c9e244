//! One source dataset against one target dataset, by GUID.

use std::collections::{HashMap, HashSet};

use super::{
    reason::Reason,
    step::{Base, Point},
};
use crate::{
    guid::Guid,
    inventory::{Dataset, PartialReceive, Snapshot},
    name::Label,
};

/// How two histories stand to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Relation {
    /// The source has no snapshot.
    SourceEmpty,
    /// The target does not exist, or only a first receive that can not be continued.
    NeverSeeded,
    /// The target's newest snapshot is known to the source, which has no newer one.
    UpToDate,
    /// The target's newest snapshot is known to the source, which has newer ones.
    Behind {
        /// Where the stream starts.
        base: Base,
    },
    /// An interrupted receive can be continued: its snapshot is in the dataset that it names, its base (if any) is the target's newest.
    Resumable {
        /// Where its stream starts.
        base: Option<Base>,
        /// Where its stream ends.
        to: Point,
    },
    /// A common snapshot exists, but the target has newer ones of its own.
    Diverged {
        /// The newest snapshot on both sides.
        last_common: Point,
    },
    /// The target was written to since its newest snapshot, which is common.
    TargetModified {
        /// The newest snapshot on both sides.
        last_common: Point,
        /// Bytes written.
        written: u64,
    },
    /// A snapshot to be sent has the name of another one on the target.
    NameClash {
        /// The name on both sides.
        label: Label,
    },
    /// Both sides have history without anything in common.
    NoCommonBase,
    /// The target exists without snapshots and without an interrupted receive.
    TargetWithoutHistory,
    /// File system on one side, volume on the other.
    KindMismatch,
}

impl Relation {
    /// Why nothing can be sent until the target, as it is, has made room; `None` where it need not.
    pub const fn conflict(&self) -> Option<Reason> {
        match self {
            Self::Diverged { .. } => Some(Reason::Diverged),
            Self::TargetModified { .. } => Some(Reason::TargetModified),
            Self::NameClash { .. } => Some(Reason::NameClash),
            Self::NoCommonBase => Some(Reason::NoCommonBase),
            Self::TargetWithoutHistory => Some(Reason::TargetNotEmpty),
            Self::KindMismatch => Some(Reason::KindMismatch),
            Self::SourceEmpty
            | Self::NeverSeeded
            | Self::UpToDate
            | Self::Behind { .. }
            | Self::Resumable { .. } => None,
        }
    }
}

/// The relation and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// How the two stand.
    pub relation: Relation,
    /// Newest snapshot of the target that the source knows by GUID, as snapshot or as bookmark.
    pub newest_common: Option<Point>,
    /// True when the common point is only a bookmark on the source.
    pub common_is_bookmark: bool,
    /// Source snapshots that are newer than the newest common one; all of them where nothing is common.
    pub snapshot_lag: u32,
    /// Snapshots older than the newest common one that the target lacks: they can not be added any more (openzfs#16768).
    pub gaps: u32,
    /// Labels on the target of snapshots that the source has not (neither as snapshot nor bookmark), newest first.
    pub only_on_target: Vec<Label>,
    /// An interrupted receive on the target that can not be continued.
    pub dead_partial: Option<Guid>,
}

/// A source's history by GUID.
struct Known<'a> {
    snapshots: HashMap<Guid, &'a Snapshot>,
    bookmarks: HashMap<Guid, Point>,
}

impl<'a> Known<'a> {
    fn new(source: &'a Dataset) -> Self {
        // Backwards, so that the first of several bookmarks of one snapshot stands.
        Self {
            snapshots: source.snapshots.iter().rev().map(|snapshot| (snapshot.guid, snapshot)).collect(),
            bookmarks: source
                .bookmarks
                .iter()
                .rev()
                .map(|bookmark| (bookmark.guid, bookmark.into()))
                .collect(),
        }
    }

    fn base(&self, guid: Guid) -> Option<Base> {
        match self.snapshots.get(&guid) {
            Some(snapshot) => Some(Base::Snapshot((*snapshot).into())),
            None => self.bookmarks.get(&guid).cloned().map(Base::Bookmark),
        }
    }

    fn has(&self, guid: Guid) -> bool {
        self.snapshots.contains_key(&guid) || self.bookmarks.contains_key(&guid)
    }
}

/// Compares a source dataset with what its target has.
///
/// What the source is a clone of is no base: a stream from a snapshot of another dataset begins a new one, and `zfs receive` takes it for
/// nothing else ("destination exists", OpenZFS 2.1 to 2.3). So a target whose snapshots a `zfs promote` moved away on the source has
/// nothing in common with it any more.
pub fn compare(source: &Dataset, target: Option<&Dataset>) -> Comparison {
    let Some(target) = target else {
        return Comparison {
            gaps: 0,
            relation: if source.snapshots.is_empty() { Relation::SourceEmpty } else { Relation::NeverSeeded },
            newest_common: None,
            common_is_bookmark: false,
            snapshot_lag: count(source.snapshots.len()),
            only_on_target: Vec::new(),
            dead_partial: None,
        };
    };
    let known = Known::new(source);
    let common = target.snapshots.iter().rev().find_map(|snapshot| known.base(snapshot.guid));
    let newer: Vec<&Snapshot> = match &common {
        Some(base) => newer_than(source, base, target),
        None => source.snapshots.iter().collect(),
    };
    let only_on_target: Vec<Label> = target
        .snapshots
        .iter()
        .rev()
        .filter(|snapshot| !known.has(snapshot.guid))
        .map(|snapshot| snapshot.label.clone())
        .collect();

    let head = target.newest().map(|newest| known.base(newest.guid));
    let partial = target.properties.partial.as_ref();
    let mut continued = None;
    let relation = match head {
        _ if source.properties.kind != target.properties.kind => Relation::KindMismatch,
        None => {
            continued = partial.and_then(|partial| continuable(partial, None, source, &newer));
            without_snapshots(source, partial, continued)
        }
        Some(Some(base)) => {
            continued = partial.and_then(|partial| continuable(partial, Some(&base), source, &newer));
            on_common_head(base, target, &newer, continued)
        }
        Some(None) => match &common {
            Some(base) => Relation::Diverged { last_common: base.point().clone() },
            None if source.snapshots.is_empty() => Relation::SourceEmpty,
            None => Relation::NoCommonBase,
        },
    };
    let gaps = gaps(source, target, common.as_ref());
    Comparison {
        relation,
        gaps,
        common_is_bookmark: matches!(common, Some(Base::Bookmark(_))),
        newest_common: common.map(|base| base.point().clone()),
        snapshot_lag: count(newer.len()),
        only_on_target,
        dead_partial: partial.filter(|_| continued.is_none()).map(|partial| partial.to_guid),
    }
}

/// Source snapshots between the oldest and the newest common one that the target lacks.
fn gaps(source: &Dataset, target: &Dataset, common: Option<&Base>) -> u32 {
    let Some(newest) = common.map(|base| base.point().createtxg) else { return 0 };
    let there: HashSet<Guid> = target.snapshots.iter().map(|snapshot| snapshot.guid).collect();
    let between = source
        .snapshots
        .iter()
        .skip_while(|snapshot| !there.contains(&snapshot.guid))
        .take_while(|snapshot| snapshot.createtxg < newest);
    count(between.filter(|snapshot| !there.contains(&snapshot.guid)).count())
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// What is to be sent after `base`. A source that destroyed what it had and received it again has it later than its bookmarks say: what the
/// target has needs no sending.
fn newer_than<'a>(source: &'a Dataset, base: &Base, target: &Dataset) -> Vec<&'a Snapshot> {
    let after = base.point().createtxg;
    let there: HashSet<Guid> = match base {
        Base::Bookmark(_) => target.snapshots.iter().map(|snapshot| snapshot.guid).collect(),
        Base::Snapshot(_) | Base::Origin { .. } => HashSet::new(),
    };
    let newer = source.snapshots.iter().filter(|snapshot| snapshot.createtxg > after);
    newer.filter(|snapshot| !there.contains(&snapshot.guid)).collect()
}

/// The source snapshot at which an interrupted receive ends, when it starts from `base` and may be continued.
fn continuable<'a>(
    partial: &PartialReceive,
    base: Option<&Base>,
    source: &Dataset,
    newer: &[&'a Snapshot],
) -> Option<&'a Snapshot> {
    // The token decides whether the rest is raw: continuing a plain one would send an encrypted source in the clear.
    let may_be_sent = partial.raw || !source.properties.encrypted;
    // And it names the dataset that is sent, whatever else has the same snapshot: one that was renamed since is not found any more, and
    // another one may have taken its name.
    if !may_be_sent || !partial.is_of(&source.name) || partial.from_guid != base.map(|base| base.point().guid)
    {
        return None;
    }
    newer.iter().find(|snapshot| snapshot.guid == partial.to_guid).copied()
}

fn without_snapshots(
    source: &Dataset,
    partial: Option<&PartialReceive>,
    continued: Option<&Snapshot>,
) -> Relation {
    match (partial, continued) {
        (_, Some(to)) => Relation::Resumable { base: None, to: to.into() },
        (_, None) if source.snapshots.is_empty() => Relation::SourceEmpty,
        // `receive -A` makes a dataset disappear whose first receive never ended.
        (Some(_), None) => Relation::NeverSeeded,
        (None, None) => Relation::TargetWithoutHistory,
    }
}

/// The target's newest snapshot is `base`.
fn on_common_head(
    base: Base,
    target: &Dataset,
    newer: &[&Snapshot],
    continued: Option<&Snapshot>,
) -> Relation {
    // What an interrupted receive has brought is not in the dataset itself, so it never counts as written; and a continued
    // receive ends in the same refusal as a new one when somebody has.
    let written = target.properties.written;
    if written > 0 {
        return Relation::TargetModified { last_common: base.point().clone(), written };
    }
    let sent = continued.as_ref().map_or(newer, std::slice::from_ref);
    if let Some(label) = clash(sent, target) {
        return Relation::NameClash { label };
    }
    match continued {
        Some(to) => Relation::Resumable { base: Some(base), to: to.into() },
        None if newer.is_empty() => Relation::UpToDate,
        None => Relation::Behind { base },
    }
}

/// The first label among `sent` that another snapshot has on the target.
fn clash(sent: &[&Snapshot], target: &Dataset) -> Option<Label> {
    if sent.is_empty() {
        return None;
    }
    let taken: HashMap<&Label, Guid> =
        target.snapshots.iter().map(|snapshot| (&snapshot.label, snapshot.guid)).collect();
    let clashes =
        |snapshot: &&&Snapshot| taken.get(&snapshot.label).is_some_and(|guid| *guid != snapshot.guid);
    sent.iter().find(clashes).map(|snapshot| snapshot.label.clone())
}
