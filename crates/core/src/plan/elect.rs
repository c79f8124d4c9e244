//! Whom a mesh follows: the member whose history contains all others'.

use std::{borrow::Cow, collections::BTreeSet};

use super::{by_name::by_name, survey::Survey};
use crate::{guid::Guid, ids::SystemId, inventory::Dataset, name::DatasetName};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Election {
    /// This one has what all others have.
    Elected(SystemId),
    /// Nobody has: `heads` end histories that go different ways, one member for each, the one that stands for the rest first.
    Split { stands_for: SystemId, heads: Vec<SystemId> },
    /// Nobody has the dataset.
    Nobody,
}

/// One member's history.
struct Candidate<'a> {
    id: SystemId,
    dataset: Cow<'a, Dataset>,
    known: BTreeSet<Guid>,
    fresh: bool,
}

impl Candidate<'_> {
    fn head(&self) -> Option<Guid> {
        self.dataset.newest().map(|newest| newest.guid)
    }

    /// True when the other's newest snapshot does not come after this one's newest.
    fn is_past(&self, other: &Candidate<'_>) -> bool {
        let place = |head: Option<Guid>| head.and_then(|head| self.dataset.place_of(head));
        other.head().is_none() || place(other.head()).is_some_and(|other| Some(other) <= place(self.head()))
    }

    /// Bookmarks count: whoever has one had the snapshot.
    fn has_the_head_of(&self, other: &Candidate<'_>) -> bool {
        other.head().is_none_or(|head| self.known.contains(&head))
    }
}

/// Who goes beyond whom: `(a, b)` where what `b` has is the beginning of what `a` has. It need not have `b`'s newest snapshot itself, which
/// may be missing in between: having that of one that is past it tells as much. One that has a bookmark beyond its own newest snapshot has
/// destroyed what came after: who has its newest snapshot has not got that.
fn contained(candidates: &[Candidate<'_>]) -> BTreeSet<(SystemId, SystemId)> {
    let pairs = |one| candidates.iter().map(move |other| (one, other));
    let direct = || candidates.iter().flat_map(pairs).filter(|(one, other)| one.has_the_head_of(other));
    let mut contained: BTreeSet<(SystemId, SystemId)> =
        direct().map(|(one, other)| (one.id, other.id)).collect();
    let past = direct().filter(|(one, other)| one.is_past(other));
    let past: BTreeSet<(SystemId, SystemId)> = past.map(|(one, other)| (one.id, other.id)).collect();
    loop {
        let through = |(one, other): &(SystemId, SystemId)| {
            let before_other = candidates.iter().filter(|third| past.contains(&(*other, third.id)));
            before_other.map(|third| (*one, third.id)).collect::<Vec<_>>()
        };
        let more: BTreeSet<(SystemId, SystemId)> = contained.iter().flat_map(through).collect();
        if more.is_subset(&contained) {
            return contained;
        }
        contained.extend(more);
    }
}

/// Elects for one logical dataset. A silent member counts with what it last reported: what it has is not less for being silent.
pub(super) fn elect(survey: &Survey<'_>, home: SystemId, dataset: &DatasetName) -> Election {
    let group = survey.input.group;
    let members = || group.members.iter().copied();
    // One that reports no GUIDs is matched by name and time, and then all are.
    let by_names =
        members().any(|id| survey.side(id).inventory.is_some_and(|inventory| inventory.without_guids));
    let candidates: Vec<Candidate<'_>> = members()
        .filter_map(|id| {
            let dataset = survey.dataset_on(home, dataset, id)?;
            let dataset = if by_names { Cow::Owned(by_name(dataset)) } else { Cow::Borrowed(dataset) };
            let snapshots = dataset.snapshots.iter().map(|snapshot| snapshot.guid);
            let known = snapshots.chain(dataset.bookmarks.iter().map(|bookmark| bookmark.guid)).collect();
            let fresh = survey.side(id).fresh;
            Some(Candidate { id, dataset, known, fresh })
        })
        .collect();
    if candidates.is_empty() {
        return Election::Nobody;
    }
    let contained = contained(&candidates);
    let contains = |one: &Candidate<'_>, other: &Candidate<'_>| contained.contains(&(one.id, other.id));
    let contains_all = |candidate: &&Candidate<'_>| candidates.iter().all(|other| contains(candidate, other));
    // Among equals: who is being written, since it will have the next snapshot; who can be asked; the hub; and then any fixed one.
    let rank = |candidate: &&Candidate<'_>| {
        (
            candidate.head().is_some(),
            candidate.dataset.properties.written > 0,
            candidate.fresh,
            candidate.id == group.hub,
            std::cmp::Reverse(candidate.id),
        )
    };
    if let Some(elected) = candidates.iter().filter(contains_all).max_by_key(rank) {
        return Election::Elected(elected.id);
    }
    // A history that no other one goes beyond. Several members may have the same one.
    let is_beyond = |other: &Candidate<'_>, candidate: &Candidate<'_>| {
        contains(other, candidate) && !contains(candidate, other)
    };
    let farthest = |candidate: &&Candidate<'_>| !candidates.iter().any(|other| is_beyond(other, candidate));
    // Who is written to, and who is heard of, changes by the minute. Who stands for the rest must not, or those that are behind would
    // follow one today and another one tomorrow.
    let rank = |candidate: &&Candidate<'_>| (candidate.id == group.hub, std::cmp::Reverse(candidate.id));
    let mut ends: Vec<&Candidate<'_>> = candidates.iter().filter(farthest).collect();
    ends.sort_by_key(|candidate| std::cmp::Reverse(rank(candidate)));
    let mut heads: Vec<SystemId> = Vec::new();
    let mut seen: BTreeSet<Option<Guid>> = BTreeSet::new();
    heads.extend(ends.iter().filter(|end| seen.insert(end.head())).map(|end| end.id));
    let stands_for =
        heads.first().copied().or_else(|| candidates.iter().max_by_key(rank).map(|candidate| candidate.id));
    match stands_for {
        Some(stands_for) => Election::Split { stands_for, heads },
        None => Election::Nobody,
    }
}
