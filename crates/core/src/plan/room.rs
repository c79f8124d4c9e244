//! A target that can take nothing as it is: it waits for a person, or makes room as was decided.

use super::{
    compare::Relation,
    decide::Outcome,
    origin::clones_of,
    pair::{Decided, Pair},
    planner::MakeRoom,
    policy::only_receives,
    reason::Reason,
    report::ReplicaState,
    sender::Sender,
    set_aside::{self, Obstacle},
    step::{Action, Casualty},
    survey::Survey,
    words::Words,
};
use crate::{
    group::Profile,
    guid::Guid,
    inventory::{Dataset, Snapshot},
    name::DatasetName,
};

/// What stands in the way of making room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// Nothing is common, so there is nothing to go back to.
    NothingCommon,
    /// Somebody holds this snapshot.
    Held(Casualty),
    /// This dataset is a clone of the snapshot.
    Cloned(Casualty, DatasetName),
    /// No other system has it that would keep it, and the group's policy alone must not destroy it.
    LastCopy(Casualty),
    /// So many bytes were written where people work; they are nowhere else, and the group's policy alone must not touch them.
    Written(u64),
    /// The source of truth would be renamed, and the group's policy alone must not do that.
    Truth,
    /// It, or what was written, is not on the list that was approved.
    NotApproved,
}

impl Guard {
    pub(super) const fn reason(&self, otherwise: Reason) -> Reason {
        match self {
            Self::NothingCommon => otherwise,
            Self::Held(_) => Reason::CasualtyHeld,
            Self::Cloned(..) => Reason::CasualtyCloned,
            Self::LastCopy(_) | Self::Written(_) => Reason::LastCopy,
            Self::Truth | Self::NotApproved => Reason::NotApproved,
        }
    }
}

/// How a target makes room.
enum Way {
    Aside,
    Back(Box<Action>),
}

/// The decision for a target in conflict.
pub(super) fn make<'a>(
    survey: &Survey<'a>,
    pair: &Pair<'a>,
    sender: Sender<'a>,
    target: &DatasetName,
    reason: Reason,
    words: &Words<'_>,
) -> Outcome<'a> {
    let state = ReplicaState::Diverged;
    let reason = named(survey, pair, reason);
    let Some(dataset) = pair.target_dataset else {
        return Outcome::nothing(state, reason, words.conflict(reason, target));
    };
    let Some(decided) = pair.decision.as_ref().filter(|_| !pair.by_name) else {
        let next = if pair.by_name {
            words.conflict_by_name(target)
        } else if target.parent().is_some() {
            words.conflict(reason, target)
        } else {
            words.obstacle(&Obstacle::PoolRoot, target)
        };
        return Outcome::nothing(state, reason, next);
    };
    match way(survey, pair, dataset, decided) {
        Ok(Way::Aside) => aside(survey, pair, sender, dataset, reason, words),
        Ok(Way::Back(action)) => {
            let next = words.rolls_back(target, &action);
            Outcome::act(state, sender, *action, next)
        }
        Err(guard) => Outcome::nothing(state, guard.reason(reason), words.guarded(&guard, target)),
    }
}

/// True when the pair's target is about to be set aside.
pub(super) fn is_set_aside(survey: &Survey<'_>, pair: &Pair<'_>) -> bool {
    let decided = pair.decision.as_ref().filter(|_| !pair.by_name && pair.conflict().is_some());
    decided.zip(pair.target_dataset).is_some_and(|(decided, dataset)| {
        matches!(way(survey, pair, dataset, decided), Ok(Way::Aside))
            && set_aside::new_name(survey, pair, dataset).is_ok()
    })
}

/// What keeps the pair's target, about which somebody has decided, from making room.
pub(super) fn stopped_by(survey: &Survey<'_>, pair: &Pair<'_>) -> Option<Guard> {
    pair.conflict()?;
    way(survey, pair, pair.target_dataset?, pair.decision.as_ref()?).err()
}

fn way(survey: &Survey<'_>, pair: &Pair<'_>, dataset: &Dataset, decided: &Decided<'_>) -> Result<Way, Guard> {
    let decision = decided.decision.as_ref();
    if decision.how != MakeRoom::SetAside
        && let Some(to) = goes_back_to(pair)
    {
        return roll_back(survey, pair, dataset, to, decided).map(|action| Way::Back(Box::new(action)));
    }
    if decision.how == MakeRoom::RollBackOnly {
        return Err(Guard::NothingCommon);
    }
    let mode = survey.input.group.mode;
    let unrelated = pair.comparison.as_ref().is_none_or(|comparison| comparison.newest_common.is_none());
    // The classic profile finds a place by its path alone: what has nothing of the source may be anybody's.
    if decided.by_policy && unrelated && survey.input.group.profile == Profile::Classic {
        return Err(Guard::NothingCommon);
    }
    let written = dataset.properties.written;
    if decided.by_policy && pair.is_onto_the_truth(mode) {
        return Err(Guard::Truth);
    }
    if decided.by_policy && !only_receives(mode, pair) && written > 0 {
        return Err(Guard::Written(written));
    }
    // Whoever decided has seen that dataset, and not what may have come in its place since.
    let seen = decision.may_move.get(&pair.target.id) == Some(&dataset.properties.guid);
    if seen || decided.by_policy { Ok(Way::Aside) } else { Err(Guard::NotApproved) }
}

/// The target's snapshot at which it would follow again. There is none where going back would change nothing: not the kind of a dataset,
/// and not the name of an older snapshot that is in the way.
pub(super) fn goes_back_to<'a>(pair: &Pair<'a>) -> Option<&'a Snapshot> {
    let comparison = pair.comparison.as_ref()?;
    match &comparison.relation {
        Relation::Diverged { last_common } | Relation::TargetModified { last_common, .. } => {
            pair.target_dataset?.snapshot(last_common.guid)
        }
        _ => None,
    }
}

/// A divergence is called by what brought it about, where that is remembered.
pub(super) fn named(survey: &Survey<'_>, pair: &Pair<'_>, reason: Reason) -> Reason {
    let Some((remembered, source)) = survey.remembered(pair).zip(pair.source_dataset) else { return reason };
    let is_only_on_target = |guid: Guid| {
        pair.target_dataset.is_some_and(|target| target.snapshot(guid).is_some())
            && source.snapshot(guid).is_none()
            // A rollback takes bookmarks along; where one is left, the snapshot was destroyed by itself.
            && !source.bookmarks.iter().any(|bookmark| bookmark.guid == guid)
    };
    match reason {
        Reason::NoCommonBase if remembered.source_guid != source.properties.guid => Reason::SourceRecreated,
        Reason::Diverged
            if remembered.source_guid == source.properties.guid
                && remembered.common.is_some_and(is_only_on_target) =>
        {
            Reason::SourceRolledBack
        }
        _ => reason,
    }
}

/// Going back to a common snapshot, or what forbids it.
fn roll_back(
    survey: &Survey<'_>,
    pair: &Pair<'_>,
    dataset: &Dataset,
    to: &Snapshot,
    decided: &Decided<'_>,
) -> Result<Action, Guard> {
    let newest = dataset.newest().ok_or(Guard::NothingCommon)?;
    if let Some(guard) = protected(survey, pair, dataset, to) {
        return Err(guard);
    }
    let destroys: Vec<Casualty> = casualties(dataset, to).map(Casualty::from).collect();
    let written = dataset.properties.written;
    let decision = decided.decision.as_ref();
    if decided.by_policy {
        let not_kept = |casualty: &&Casualty| !survey.is_kept_elsewhere(pair, casualty.guid);
        if let Some(casualty) = destroys.iter().find(not_kept) {
            return Err(Guard::LastCopy(casualty.clone()));
        }
        if written > 0 && !only_receives(survey.input.group.mode, pair) {
            return Err(Guard::Written(written));
        }
    } else {
        let discard = decision.may_discard.get(&pair.target.id).copied().unwrap_or(0);
        let listed = destroys.iter().all(|casualty| decision.gives_up(pair.target.id, casualty.guid));
        if !listed || written > discard {
            return Err(Guard::NotApproved);
        }
    }
    Ok(Action::RollBack {
        to: to.guid,
        to_label: to.label.clone(),
        target_guid: dataset.properties.guid,
        target_newest: newest.guid,
        destroys,
        discards: written,
    })
}

/// What nobody's approval lifts: a hold or a clone on what would be destroyed by going back.
pub(super) fn protected(
    survey: &Survey<'_>,
    pair: &Pair<'_>,
    dataset: &Dataset,
    to: &Snapshot,
) -> Option<Guard> {
    casualties(dataset, to).find_map(|snapshot| {
        // The hold of ours on what was once common goes with it; any other is somebody's wish.
        let ours = survey.remembered(pair).is_some_and(|remembered| remembered.common == Some(snapshot.guid));
        if snapshot.holds > u32::from(ours) {
            return Some(Guard::Held(snapshot.into()));
        }
        let clone = clones_of(pair.target.inventory, &dataset.name, snapshot.label.as_str());
        clone.map(|clone| Guard::Cloned(snapshot.into(), clone))
    })
}

/// Everything newer than `to`, newest first.
pub(super) fn casualties<'a>(dataset: &'a Dataset, to: &Snapshot) -> impl Iterator<Item = &'a Snapshot> {
    let guid = to.guid;
    dataset.snapshots.iter().rev().take_while(move |snapshot| snapshot.guid != guid)
}

fn aside<'a>(
    survey: &Survey<'a>,
    pair: &Pair<'a>,
    sender: Sender<'a>,
    dataset: &Dataset,
    reason: Reason,
    words: &Words<'_>,
) -> Outcome<'a> {
    let state = ReplicaState::Diverged;
    match set_aside::new_name(survey, pair, dataset) {
        Ok(rename_to) => {
            let next = words.set_aside(&dataset.name, &rename_to);
            let target_newest = dataset.newest().map(|snapshot| snapshot.guid);
            let action = Action::SetAside { rename_to, target_guid: dataset.properties.guid, target_newest };
            Outcome::act(state, sender, action, next)
        }
        Err(obstacle) => {
            let reason = match &obstacle {
                Obstacle::PoolRoot => reason,
                Obstacle::Below(_) => Reason::SetAsideHasChildren,
                Obstacle::TooLong(_) => Reason::NameTooLong,
            };
            Outcome::nothing(state, reason, words.obstacle(&obstacle, &dataset.name))
        }
    }
}
