//! Replicas whose source has another name now (F09): nothing is sent again, the replica is renamed.

use super::{
    decide::Outcome,
    pair::Pair,
    places::{ParentProblem, datasets_below},
    reason::Reason,
    report::ReplicaState,
    sender::Sender,
    step::Action,
    survey::Survey,
    words::Words,
};
use crate::{inventory::Dataset, name::DatasetName};

/// The replica under the name that its source had before, when this group made it: the source had the same dataset GUID then, and the
/// replica's newest snapshot is one of the source's. With it, the logical name that it had.
pub(super) fn old_replica<'a>(
    survey: &Survey<'a>,
    pair: &Pair<'a>,
) -> Option<(&'a DatasetName, &'a Dataset)> {
    let source = pair.source_dataset?;
    let guid = source.properties.guid;
    let group = survey.input.group;
    let mut candidates = survey.input.memory.iter().filter(|(key, remembered)| {
        key.home == pair.home
            && key.target_system == pair.target.id
            && key.dataset != pair.dataset
            && remembered.source_guid == guid
            // Its source is not there any more under that name.
            && survey.dataset_on(pair.home, &key.dataset, pair.source.id).is_none()
    });
    candidates.find_map(|(key, _)| {
        let old = group.target_name(pair.home, &key.dataset, pair.target.id).ok()?;
        let dataset = pair.target.dataset(&old)?;
        let head = dataset.newest()?.guid;
        source.snapshot(head).is_some().then_some((&key.dataset, dataset))
    })
}

/// What is done about it; `None` when there is no such replica.
pub(super) fn follow<'a>(
    survey: &Survey<'a>,
    pair: &Pair<'a>,
    sender: Sender<'a>,
    target: &DatasetName,
    words: &Words<'_>,
) -> Option<Outcome<'a>> {
    if pair.target_dataset.is_some() {
        return None;
    }
    let (old_name, old) = old_replica(survey, pair)?;
    let state = ReplicaState::Behind;
    let by_hand = || Outcome::nothing(state, Reason::SourceRenamed, words.renamed(&old.name, target));
    let same_pool = old.name.pool() == target.pool() && target.parent().is_some();
    // Everything below goes along: what belongs to another dataset, or to nobody here, must not.
    let group = survey.input.group;
    let belongs = |below: &DatasetName| {
        let names = group.logical_names(pair.home, below, pair.target.id);
        !names.is_empty() && names.iter().all(|name| name.is_within(old_name))
    };
    // Planning one dataset alone knows the first one below and no other: whoever asks for that must not be told to rename.
    let first_only = survey.input.scope.is_some() && survey.below(&pair.target, &old.name).is_some();
    let mut all = pair.target.inventory.into_iter().flat_map(|all| datasets_below(all, &old.name));
    let coming = survey.below(&pair.target, &old.name);
    let alone = !first_only && all.all(&belongs) && coming.is_none_or(belongs);
    // A member that stands in for the followed one may have given up what the replica has: then nothing is done because of its word.
    let known = old.newest().is_some_and(|head| sender.dataset.snapshot(head.guid).is_some());
    if !group.follow_renames || !same_pool || !alone || !known {
        return Some(by_hand());
    }
    match survey.missing_parents(pair, target) {
        Ok(missing) if missing.is_empty() => {}
        // Where the parent comes, by a rename of its own or as a new dataset, this one goes along or follows. One that goes goes first.
        Err(ParentProblem::NotReady(parent)) => {
            return Some(Outcome::nothing(state, Reason::DependsOnParent, words.parent_first(&parent)));
        }
        Ok(_) | Err(ParentProblem::Volume(_)) => return Some(by_hand()),
    }
    // Nothing is renamed under a receive.
    let below = |running: &DatasetName| running.is_within(&old.name);
    let mut running = survey.running.iter().filter(|((system, _), _)| *system == pair.target.id);
    if let Some((_, running)) = running.find(|((_, name), _)| below(name)) {
        let next = Words::running(running.transfer);
        return Some(Outcome::nothing(ReplicaState::Syncing, Reason::TransferRunning, next));
    }
    let action = Action::FollowRename {
        rename_from: old.name.clone(),
        target_guid: old.properties.guid,
        target_newest: old.newest().map(|newest| newest.guid),
    };
    let next = words.follows_rename(&old.name, target);
    Some(Outcome::act(state, sender, action, next))
}
