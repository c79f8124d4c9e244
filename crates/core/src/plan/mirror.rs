//! Carrying deletions over to a target, where a group asks for it, and everything that forbids it.

use std::collections::HashSet;

use super::{origin::clones_of, pair::Pair, step::Casualty, survey::Survey, words::snapshots};
use crate::{
    guid::Guid,
    inventory::{Dataset, Snapshot},
};

/// What is to be destroyed on a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mirror {
    /// The group does not ask, or nothing is left over.
    Nothing,
    /// Only what a guard protects is left over; each sentence names one guard.
    HeldBack(Vec<String>),
    /// A person has to let them through.
    Braked { would: usize, of: usize, why: Brake },
    /// These; and what a guard protects all the same, a sentence for each guard. Others may still be braked.
    Destroys { destroys: Vec<Casualty>, target_guid: Guid, held_back: Vec<String>, braked: bool },
}

impl Mirror {
    /// True when a person has to let some of them through.
    pub(super) const fn is_braked(&self) -> bool {
        matches!(self, Self::Braked { .. } | Self::Destroys { braked: true, .. })
    }
}

/// What stops deletions until a person lets them through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Brake {
    /// They are more than the group's share.
    Share,
    /// The source is another dataset than the one that the replica was made from: what it lacks it may never have had, as after a restore
    /// that brought only the newest snapshots back.
    Replaced,
}

/// Snapshots of a target that its source has neither as such nor as bookmarks.
pub(super) fn left_over<'a>(source: &Dataset, target: &'a Dataset) -> impl Iterator<Item = &'a Snapshot> {
    let snapshots = source.snapshots.iter().map(|snapshot| snapshot.guid);
    let known: HashSet<Guid> =
        snapshots.chain(source.bookmarks.iter().map(|bookmark| bookmark.guid)).collect();
    target.snapshots.iter().filter(move |snapshot| !known.contains(&snapshot.guid))
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
    // A promotion moves snapshots to another dataset: what the source's system still has was not destroyed there.
    let moved = |guid: Guid| {
        survey.input.holders.get(&guid).is_some_and(|copies| copies.is_reported_by(pair.source.id))
    };
    let (mut destroys, mut held, mut cloned, mut last) = (Vec::new(), 0, 0, 0);
    for snapshot in left_over(source, target).filter(|snapshot| !moved(snapshot.guid)) {
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
    let text = |count: u32, why: &str| {
        let kept = format!("destroyed on {} and kept on {}", pair.source.name, pair.target.name);
        (count > 0).then(|| format!("{kept}: {} {why}", snapshots(count)))
    };
    let held_back = [
        text(held, "held by somebody"),
        text(cloned, "with clones"),
        text(last, "that no other system would keep"),
    ];
    let mut held_back: Vec<String> = held_back.into_iter().flatten().collect();
    if destroys.is_empty() {
        return if held_back.is_empty() { Mirror::Nothing } else { Mirror::HeldBack(held_back) };
    }
    let approved = pair.decision.as_ref().filter(|decided| !decided.by_policy).is_some_and(|decided| {
        destroys.iter().all(|casualty| decided.decision.gives_up(pair.target.id, casualty.guid))
    });
    let (would, of) = (destroys.len(), target.snapshots.len());
    let mut braked = false;
    if !approved {
        let earlier = of_earlier_source(survey, pair, source, target);
        destroys.retain(|casualty| !earlier.contains(&casualty.guid));
        let old = would - destroys.len();
        if destroys.is_empty() {
            return Mirror::Braked { would, of, why: Brake::Replaced };
        }
        if destroys.len() * 100 > of * usize::from(mirror.max_percent) {
            return Mirror::Braked { would, of, why: Brake::Share };
        }
        braked = old > 0;
        if braked {
            let old = snapshots(u32::try_from(old).unwrap_or(u32::MAX));
            let target = &pair.target.name;
            held_back.push(format!(
                "kept on {target} until a person decides: {old} that only an earlier source had"
            ));
        }
    }
    destroys.reverse();
    Mirror::Destroys { destroys, target_guid: target.properties.guid, held_back, braked }
}

/// What the source lacks and was never known to have been in it, because it is another dataset than the one that the replica was made from.
/// What the replica got after those has come from the present source.
pub(super) fn of_earlier_source(
    survey: &Survey<'_>,
    pair: &Pair<'_>,
    source: &Dataset,
    target: &Dataset,
) -> HashSet<Guid> {
    let Some(before) = survey.remembered(pair) else { return HashSet::new() };
    let same = before.source_guid == source.properties.guid;
    if same && !before.replaced {
        return HashSet::new();
    }
    // Where nobody knows how far they go, all may be of them.
    let until = before.replaced_until.filter(|_| same).and_then(|guid| target.snapshot(guid));
    let of_it = left_over(source, target)
        .filter(|snapshot| until.is_none_or(|until| snapshot.createtxg <= until.createtxg));
    of_it.map(|snapshot| snapshot.guid).collect()
}

/// The newest snapshot of the replica that only an earlier source had.
pub(super) fn newest_of_earlier_source(
    survey: &Survey<'_>,
    pair: &Pair<'_>,
    source: &Dataset,
    target: &Dataset,
) -> Option<Guid> {
    let earlier = of_earlier_source(survey, pair, source, target);
    target.snapshots.iter().map(|snapshot| snapshot.guid).rfind(|guid| earlier.contains(guid))
}
