//! Which member the others are to follow, for the strategies that choose one.

use std::{cmp::Reverse, collections::BTreeSet};

use super::{pair::Pair, resolve::Refusal, survey::Survey};
use crate::{
    group::Strategy,
    guid::Guid,
    ids::SystemId,
    inventory::{Dataset, Snapshot},
};

/// One member that could be followed.
struct Candidate<'a> {
    system: SystemId,
    dataset: &'a Dataset,
    newest: &'a Snapshot,
    known: BTreeSet<Guid>,
}

/// Chooses among the members whose newest snapshot nobody else has: all others are behind one of these, and following them would lose
/// what came after. Among equals the one that is followed now stays.
pub(super) fn choose(
    survey: &Survey<'_>,
    pairs: &[Pair<'_>],
    strategy: Strategy,
) -> Result<SystemId, Refusal> {
    let first = pairs.first().ok_or(Refusal::NoConflict)?;
    let systems: BTreeSet<SystemId> =
        pairs.iter().flat_map(|pair| [pair.source.id, pair.target.id]).collect();
    if systems.len() < 2 {
        let text = "there is no other member to follow";
        return Err(Refusal::Obstacle(text.to_owned()));
    }
    if let Some(silent) = systems.iter().map(|id| survey.side(*id)).find(|side| !side.fresh) {
        let text = format!("{} has not reported lately, so what it has can not be weighed", silent.name);
        return Err(Refusal::Obstacle(text));
    }
    let candidates: Vec<Candidate<'_>> = systems
        .iter()
        .filter_map(|system| {
            let dataset = survey.dataset_on(first.home, &first.dataset, *system)?;
            let known = dataset.snapshots.iter().map(|snapshot| snapshot.guid).collect();
            Some(Candidate { system: *system, dataset, newest: dataset.newest()?, known })
        })
        .collect();
    let is_ahead = |candidate: &&Candidate<'_>| {
        let head = candidate.newest.guid;
        candidates.iter().all(|other| other.newest.guid == head || !other.known.contains(&head))
    };
    let heads = candidates.iter().filter(is_ahead);
    let rank = |candidate: &Candidate<'_>| (candidate.system == first.source.id, Reverse(candidate.system));
    let chosen = match strategy {
        Strategy::UseLargest => {
            let size =
                |dataset: &Dataset, newest: &Snapshot| dataset.properties.referenced.max(newest.referenced);
            heads.max_by_key(|candidate| (size(candidate.dataset, candidate.newest), rank(candidate)))
        }
        Strategy::UseMajority => {
            let votes = |candidate: &Candidate<'_>| {
                candidates.iter().filter(|other| candidate.known.contains(&other.newest.guid)).count()
            };
            let heads: Vec<&Candidate<'_>> = heads.collect();
            let best = heads.iter().copied().max_by_key(|candidate| (votes(candidate), rank(candidate)));
            let most = best.map_or(0, votes);
            if most * 2 <= candidates.len() {
                let text = format!(
                    "no history is on more than half of the {} members: the most have {most}",
                    candidates.len()
                );
                return Err(Refusal::Obstacle(text));
            }
            // A member that is behind could follow either.
            let other = |head: &&&Candidate<'_>| {
                votes(head) == most && best.is_some_and(|best| best.newest.guid != head.newest.guid)
            };
            if let Some((best, other)) = best.zip(heads.iter().find(other)) {
                let (one, two) = (&best.newest.label, &other.newest.label);
                let text = format!("{most} members could follow @{one}, and as many @{two}");
                return Err(Refusal::Obstacle(text));
            }
            best
        }
        _ => heads.max_by_key(|candidate| (candidate.newest.creation, rank(candidate))),
    };
    let nobody = || Refusal::Obstacle("no member has a snapshot".to_owned());
    chosen.map(|candidate| candidate.system).ok_or_else(nobody)
}
