//! What a group's own policy decides about conflicts, and what it must leave to people.

use std::{borrow::Cow, collections::BTreeSet};

use super::{
    compare::Relation,
    pair::{Decided, Pair},
    planner::Decision,
    resolve::decision,
    room,
    sender::substitute,
    survey::Survey,
    words::Words,
};
use crate::{
    group::{GroupMode, Strategy},
    ids::SystemId,
};

/// What the policy comes to for one logical dataset.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) decisions: Vec<Decision>,
    /// Why it decides nothing, where it should.
    pub(super) stopped: Option<String>,
}

/// The policy's decisions for the replicas of one logical dataset, as far as nobody has decided about them.
pub(super) fn decisions(survey: &Survey<'_>, pairs: &[Pair<'_>]) -> Verdict {
    let group = survey.input.group;
    let Some(strategy) = group.on_divergence.strategy() else { return Verdict::default() };
    if strategy.is_destructive() && !group.allow_destroy {
        return Verdict::default();
    }
    let concerned: Vec<Pair<'_>> = pairs
        .iter()
        .filter(|pair| pair.decision.is_none() && !pair.by_name)
        .filter(|pair| !pair.split.is_empty() || pair.conflict().is_some() && !is_rescued(survey, pair))
        .cloned()
        .collect();
    if concerned.is_empty() {
        return Verdict::default();
    }
    if strategy.chooses() {
        // Where a person has decided about a part, turning the whole around is no policy's business.
        let free = pairs.iter().all(|pair| pair.decision.is_none());
        return if free { turned_around(survey, pairs, strategy) } else { Verdict::default() };
    }
    // Each follows whom it follows anyhow: in a chain not all the same.
    let sources: BTreeSet<SystemId> = concerned.iter().map(|pair| pair.source.id).collect();
    let of_source = |source: SystemId| {
        let pairs: Vec<Pair<'_>> =
            concerned.iter().filter(|pair| pair.source.id == source).cloned().collect();
        decision(survey, &pairs, strategy).ok()
    };
    Verdict { decisions: sources.into_iter().filter_map(of_source).collect(), stopped: None }
}

/// The decision to follow one member, when all others can. One that can not, because what it has is nowhere else, would go on by itself and
/// be followed the next day, and those in between would go from one to the other and back: so then nobody moves.
fn turned_around(survey: &Survey<'_>, pairs: &[Pair<'_>], strategy: Strategy) -> Verdict {
    let stopped = |why: String| Verdict { decisions: Vec::new(), stopped: Some(why) };
    let decision = match decision(survey, pairs, strategy) {
        Ok(decision) => decision,
        Err(refusal) => return stopped(format!("the group's policy does not apply: {refusal}")),
    };
    let (Some(first), winner) = (pairs.first(), survey.side(decision.winner)) else {
        return Verdict::default();
    };
    if !is_related(survey, pairs, &decision) {
        return stopped(format!(
            "the group's policy does not apply: what {} has shares nothing with what is followed now",
            winner.name
        ));
    }
    let decided = Decided { decision: Cow::Borrowed(&decision), by_policy: true };
    for target in &decision.targets {
        let pair = Pair::new(survey, first.home, &first.dataset, decision.winner, *target);
        let pair = Pair { decision: Some(decided.clone()), ..pair };
        if let Some(guard) = room::stopped_by(survey, &pair) {
            let why = Words::stopped(&guard, &pair.target);
            return stopped(format!("the group's policy would follow {}, and does not: {why}", winner.name));
        }
    }
    Verdict { decisions: vec![decision], stopped: None }
}

/// True when another member has what the source has lost, so that the target need not make room.
pub(super) fn is_rescued(survey: &Survey<'_>, pair: &Pair<'_>) -> bool {
    lacks_base(pair) && substitute(survey, pair).is_some()
}

/// True when the source lacks the target's newest snapshot, which another member may still have.
pub(super) fn lacks_base(pair: &Pair<'_>) -> bool {
    let relation = pair.comparison.as_ref().map(|comparison| &comparison.relation);
    matches!(relation, Some(Relation::NoCommonBase | Relation::Diverged { .. }))
}

/// True when the member that the policy would have others follow shares history with the one that is followed now. Something strange that
/// stands in a target's place must never make a policy replace the source by it.
fn is_related(survey: &Survey<'_>, pairs: &[Pair<'_>], decision: &Decision) -> bool {
    let Some(first) = pairs.first() else { return false };
    let sources: BTreeSet<SystemId> = pairs.iter().map(|pair| pair.source.id).collect();
    sources.into_iter().filter(|source| *source != decision.winner).all(|source| {
        let pair = Pair::new(survey, first.home, &first.dataset, decision.winner, source);
        pair.target_dataset.is_none_or(|dataset| dataset.snapshots.is_empty())
            || pair.comparison.is_some_and(|comparison| comparison.newest_common.is_some())
    })
}

/// True when whatever is on the target can only have come there by receiving, or by somebody's mistake: in all other places somebody
/// works, and what was written there is worth as much as a snapshot.
pub(super) fn only_receives(mode: GroupMode, pair: &Pair<'_>) -> bool {
    mode != GroupMode::Mesh && !pair.is_onto_the_truth(mode)
}

impl Strategy {
    /// True when it may choose another member than the one that is followed.
    pub const fn chooses(self) -> bool {
        matches!(self, Self::UseNewest | Self::UseLargest | Self::UseMajority)
    }
}
