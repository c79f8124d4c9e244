//! Carrying deletions over to a target, where a group asks for it, and everything that forbids it.

use super::{origin::clones_of, pair::Pair, step::Casualty, survey::Survey, words::snapshots};
use crate::{guid::Guid, inventory::Snapshot};

/// What is to be destroyed on a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mirror {
    /// The group does not ask, or nothing is left over.
    Nothing,
    /// Only what a guard protects is left over; each sentence names one guard.
    HeldBack(Vec<String>),
    /// More than the brake lets pass.
    Braked { would: usize, of: usize },
    /// These.
    Destroys { destroys: Vec<Casualty>, target_guid: Guid },
}

/// Looks at a target that is in sync, whose newest snapshot is `common`.
///
/// A snapshot older than that can only have come from the source, so when the source has it no more, it was destroyed there. It stays all
/// the same when it is held by anybody, when something is a clone of it, or when no other system would keep it: of all systems that have
/// a snapshot one keeps it for good.
pub(super) fn look(survey: &Survey<'_>, pair: &Pair<'_>, common: Guid) -> Mirror {
    let group = survey.input.group;
    let (Some(mirror), Some(source), Some(target)) =
        (group.mirror_deletes, pair.source_dataset, pair.target_dataset)
    else {
        return Mirror::Nothing;
    };
    // Where the source itself has lost the common snapshot, the target's may be needed for more than this replica.
    let known = !pair.by_name && pair.source.fresh && pair.target.fresh && source.snapshot(common).is_some();
    if !group.allow_destroy || !known || target.newest().map(|newest| newest.guid) != Some(common) {
        return Mirror::Nothing;
    }
    let bookmarked = |guid: Guid| source.bookmarks.iter().any(|bookmark| bookmark.guid == guid);
    // A promotion moves snapshots to another dataset: what the source's system still has was not destroyed there.
    let moved =
        |guid: Guid| survey.input.holders.get(&guid).is_some_and(|holders| holders.contains(&pair.source.id));
    let left_over: Vec<&Snapshot> = target
        .snapshots
        .iter()
        .filter(|snapshot| snapshot.guid != common && source.snapshot(snapshot.guid).is_none())
        .filter(|snapshot| !bookmarked(snapshot.guid) && !moved(snapshot.guid))
        .collect();
    let (mut destroys, mut held, mut cloned, mut last) = (Vec::new(), 0, 0, 0);
    for snapshot in left_over {
        if snapshot.holds > 0 {
            held += 1;
        } else if clones_of(pair.target.inventory, &target.name, snapshot.label.as_str()).is_some() {
            cloned += 1;
        } else if !survey.is_kept_elsewhere(pair, snapshot.guid) {
            last += 1;
        } else {
            destroys.push(Casualty::from(snapshot));
        }
    }
    if destroys.is_empty() {
        let text = |count: u32, why: &str| {
            let kept = format!("destroyed on {} and kept on {}", pair.source.name, pair.target.name);
            (count > 0).then(|| format!("{kept}: {} {why}", snapshots(count)))
        };
        let texts = [
            text(held, "held by somebody"),
            text(cloned, "with clones"),
            text(last, "that no other system would keep"),
        ];
        let texts: Vec<String> = texts.into_iter().flatten().collect();
        return if texts.is_empty() { Mirror::Nothing } else { Mirror::HeldBack(texts) };
    }
    let approved = pair.decision.as_ref().filter(|decided| !decided.by_policy).is_some_and(|decided| {
        destroys.iter().all(|casualty| decided.decision.gives_up(pair.target.id, casualty.guid))
    });
    let (would, of) = (destroys.len(), target.snapshots.len());
    if !approved && would * 100 > of * usize::from(mirror.max_percent) {
        return Mirror::Braked { would, of };
    }
    destroys.reverse();
    Mirror::Destroys { destroys, target_guid: target.properties.guid }
}
