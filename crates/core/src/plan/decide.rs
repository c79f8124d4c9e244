//! What is done for one replica, or why nothing is.

use super::{
    compare::{Comparison, Relation},
    describe::Words,
    reason::{Reason, Warning},
    report::ReplicaState,
    set_aside::{self, Obstacle},
    step::{Action, Base, Point, Send},
    survey::{Pair, ParentProblem, Survey},
};
use crate::{
    inventory::{Dataset, Snapshot},
    name::{DatasetName, NameError},
};

/// The decision for one replica.
#[derive(Debug)]
pub(super) struct Decision {
    pub(super) state: ReplicaState,
    pub(super) reason: Option<Reason>,
    pub(super) warnings: Vec<Warning>,
    pub(super) next: String,
    pub(super) action: Option<Action>,
}

impl Decision {
    fn nothing(state: ReplicaState, reason: Reason, next: String) -> Self {
        Self { state, reason: Some(reason), warnings: Vec::new(), next, action: None }
    }

    fn act(state: ReplicaState, action: Action, next: String) -> Self {
        Self { state, reason: None, warnings: Vec::new(), next, action: Some(action) }
    }

    fn warn(mut self, applies: bool, warning: Warning) -> Self {
        if applies {
            self.warnings.push(warning);
        }
        self
    }
}

pub(super) fn decide(survey: &Survey<'_>, pair: &Pair<'_>) -> Decision {
    let words = Words::new(survey, pair);
    let decision = by_circumstances(survey, pair, &words);
    if decision.action.is_some() && !survey.input.group.auto {
        return Decision {
            reason: Some(Reason::ManualMode),
            next: words.by_hand(&decision.next),
            ..decision
        };
    }
    decision
}

/// Sorts out everything that forbids acting on the two histories, before they are looked at.
fn by_circumstances(survey: &Survey<'_>, pair: &Pair<'_>, words: &Words<'_>) -> Decision {
    let blocked = Decision::nothing;
    if !survey.input.group.enabled {
        return blocked(ReplicaState::Paused, Reason::Paused, words.paused());
    }
    let running = pair.mapped.as_ref().ok().and_then(|target| survey.running(pair.target.id, target));
    if let Some(transfer) = running {
        return blocked(ReplicaState::Syncing, Reason::TransferRunning, Words::running(transfer));
    }
    for side in [pair.source, pair.target] {
        if side.inventory.is_none() {
            return blocked(ReplicaState::Unknown, Reason::NeverReported, Words::never_reported(side));
        }
    }
    for side in [pair.source, pair.target] {
        if !side.fresh {
            return blocked(ReplicaState::Unknown, Reason::AgentOffline, Words::offline(side));
        }
    }
    let target = match &pair.mapped {
        Ok(target) => target,
        Err(error) => {
            let next = words.no_name(error);
            return blocked(ReplicaState::Unknown, Reason::NameTooLong, next);
        }
    };
    let rivals = survey.rivals(target);
    if !rivals.is_empty() {
        let next = words.collision(rivals, target);
        return blocked(ReplicaState::Unknown, Reason::MappingCollision, next);
    }
    if !survey.has_pool(pair.target.id, target.pool()) {
        return blocked(ReplicaState::Unknown, Reason::TargetPoolMissing, words.pool_missing(target));
    }
    match &pair.comparison {
        Some(comparison) => by_relation(survey, pair, target, comparison, words),
        None => blocked(ReplicaState::Unknown, Reason::NeverReported, Words::never_reported(pair.target)),
    }
}

fn by_relation(
    survey: &Survey<'_>,
    pair: &Pair<'_>,
    target: &DatasetName,
    comparison: &Comparison,
    words: &Words<'_>,
) -> Decision {
    let writable = pair
        .target_dataset
        .is_some_and(|dataset| !dataset.properties.readonly && !dataset.snapshots.is_empty());
    let empty = pair.source_dataset.snapshots.is_empty();
    if sends(&comparison.relation)
        && let Some(error) = too_long_label(pair.source_dataset, target, comparison)
    {
        let state =
            if comparison.newest_common.is_some() { ReplicaState::Behind } else { ReplicaState::NeverSeeded };
        return Decision::nothing(state, Reason::NameTooLong, words.no_name(&error));
    }
    let decision = match &comparison.relation {
        Relation::SourceEmpty => {
            let state =
                if pair.target_dataset.is_some() { ReplicaState::Unknown } else { ReplicaState::NeverSeeded };
            Decision::nothing(state, Reason::SourceNoSnapshot, words.source_empty())
        }
        Relation::UpToDate => {
            Decision::nothing(ReplicaState::InSync, Reason::NoNewSnapshot, words.up_to_date())
        }
        Relation::NeverSeeded => seed(survey, pair, target, comparison, words),
        Relation::Behind { base } => catch_up(pair, base, comparison, words),
        Relation::Resumable { base, to } => resume(pair, base.as_ref(), to, words),
        Relation::Diverged { .. } => conflict(survey, pair, target, Reason::Diverged, words),
        Relation::TargetModified { .. } => conflict(survey, pair, target, Reason::TargetModified, words),
        Relation::NameClash { .. } => conflict(survey, pair, target, Reason::NameClash, words),
        Relation::NoCommonBase => conflict(survey, pair, target, Reason::NoCommonBase, words),
        Relation::TargetWithoutHistory => conflict(survey, pair, target, Reason::TargetNotEmpty, words),
        Relation::KindMismatch => conflict(survey, pair, target, Reason::KindMismatch, words),
    };
    let discards = matches!(&decision.action, Some(Action::Send(Send { discard_partial: Some(_), .. })));
    decision
        .warn(empty, Warning::NoSnapshot)
        .warn(writable && comparison.relation.conflict().is_none(), Warning::TargetNotReadonly)
        .warn(discards, Warning::PartialDiscarded)
        .warn(comparison.common_is_bookmark, Warning::BaseIsBookmark)
}

const fn sends(relation: &Relation) -> bool {
    matches!(relation, Relation::NeverSeeded | Relation::Behind { .. } | Relation::Resumable { .. })
}

/// Why a snapshot that is still to be sent can not have its name on the target.
fn too_long_label(source: &Dataset, target: &DatasetName, comparison: &Comparison) -> Option<NameError> {
    let after = comparison.newest_common.as_ref().map(|point| point.createtxg);
    let sent =
        source.snapshots.iter().filter(|snapshot| after.is_none_or(|after| snapshot.createtxg > after));
    sent.map(|snapshot| target.snapshot(&snapshot.label)).find_map(Result::err)
}

fn seed(
    survey: &Survey<'_>,
    pair: &Pair<'_>,
    target: &DatasetName,
    comparison: &Comparison,
    words: &Words<'_>,
) -> Decision {
    let state = ReplicaState::NeverSeeded;
    let Some(oldest) = pair.source_dataset.snapshots.first() else {
        return Decision::nothing(state, Reason::SourceNoSnapshot, words.source_empty());
    };
    let create_parents = match survey.missing_parents(pair.target, target) {
        Ok(missing) => missing,
        Err(ParentProblem::NotReady(parent)) => {
            return Decision::nothing(state, Reason::DependsOnParent, words.parent_first(&parent));
        }
        Err(ParentProblem::Volume(parent)) => {
            return Decision::nothing(state, Reason::KindMismatch, words.below_volume(&parent));
        }
    };
    let send = Send {
        base: None,
        to: oldest.into(),
        snapshots: 1,
        resume: false,
        discard_partial: comparison.dead_partial,
        raw: pair.source_dataset.properties.encrypted,
        target_newest: None,
        create_parents,
    };
    let next = words.seed(&send, comparison);
    Decision::act(state, Action::Send(send), next)
}

fn catch_up(pair: &Pair<'_>, base: &Base, comparison: &Comparison, words: &Words<'_>) -> Decision {
    let source = pair.source_dataset;
    let mut newer = source.snapshots.iter().filter(|snapshot| snapshot.createtxg > base.point().createtxg);
    let (to, snapshots): (Option<&Snapshot>, u32) = match base {
        Base::Snapshot(_) => (newer.next_back(), comparison.snapshot_lag),
        Base::Bookmark(_) => (newer.next(), 1),
    };
    let Some(to) = to else {
        return Decision::nothing(ReplicaState::InSync, Reason::NoNewSnapshot, words.up_to_date());
    };
    let send = Send {
        base: Some(base.clone()),
        to: to.into(),
        snapshots,
        resume: false,
        discard_partial: comparison.dead_partial,
        raw: source.properties.encrypted,
        target_newest: Some(base.point().guid),
        create_parents: Vec::new(),
    };
    let next = words.catch_up(&send);
    Decision::act(ReplicaState::Behind, Action::Send(send), next)
}

fn resume(pair: &Pair<'_>, base: Option<&Base>, to: &Point, words: &Words<'_>) -> Decision {
    let state = if base.is_some() { ReplicaState::Behind } else { ReplicaState::NeverSeeded };
    let send = Send {
        base: base.cloned(),
        to: to.clone(),
        snapshots: 1,
        resume: true,
        discard_partial: None,
        raw: pair.source_dataset.properties.encrypted,
        target_newest: base.map(|base| base.point().guid),
        create_parents: Vec::new(),
    };
    let next = words.resume(&send);
    Decision::act(state, Action::Send(send), next)
}

/// The target can take nothing as it is: it waits for a person, or is set aside.
fn conflict(
    survey: &Survey<'_>,
    pair: &Pair<'_>,
    target: &DatasetName,
    reason: Reason,
    words: &Words<'_>,
) -> Decision {
    let state = ReplicaState::Diverged;
    let Some(dataset) = pair.target_dataset else {
        return Decision::nothing(state, reason, words.conflict(reason, target));
    };
    if !set_aside::is_wanted(survey.input, pair.target.id, target) {
        let next = if target.parent().is_some() {
            words.conflict(reason, target)
        } else {
            words.obstacle(&Obstacle::PoolRoot, target)
        };
        return Decision::nothing(state, reason, next);
    }
    match set_aside::new_name(survey, pair.target, dataset) {
        Ok(rename_to) => {
            let next = words.set_aside(target, &rename_to);
            let target_newest = dataset.newest().map(|snapshot| snapshot.guid);
            let action = Action::SetAside { rename_to, target_guid: dataset.properties.guid, target_newest };
            Decision::act(state, action, next)
        }
        Err(obstacle) => {
            let reason = match &obstacle {
                Obstacle::PoolRoot => reason,
                Obstacle::Below(_) => Reason::SetAsideHasChildren,
                Obstacle::TooLong(_) => Reason::NameTooLong,
            };
            Decision::nothing(state, reason, words.obstacle(&obstacle, target))
        }
    }
}
