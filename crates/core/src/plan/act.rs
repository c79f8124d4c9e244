//! What is done about two histories that stand to each other in some way, once nothing forbids to act on them.

use super::{
    classic,
    compare::{Comparison, Relation},
    decide::Outcome,
    mirror::{self, Brake, Mirror},
    pair::Pair,
    reason::{Reason, Warning},
    report::ReplicaState,
    room,
    seed::seed,
    sender::Sender,
    step::{Action, Base, Point, Send},
    survey::Survey,
    words::Words,
};
use crate::{
    group::GroupMode,
    inventory::{Dataset, Snapshot},
    name::{DatasetName, NameError},
};

pub(super) fn by_relation<'a>(
    survey: &Survey<'a>,
    pair: &Pair<'a>,
    sender: Sender<'a>,
    target: &DatasetName,
    comparison: &Comparison,
    words: &Words<'_>,
) -> Outcome<'a> {
    let mesh = survey.input.group.mode == GroupMode::Mesh;
    // Replicas of a mesh are worked on.
    let writable = !mesh
        && pair
            .target_dataset
            .is_some_and(|dataset| !dataset.properties.readonly && !dataset.snapshots.is_empty());
    let empty = sender.dataset.snapshots.is_empty();
    if sends(&comparison.relation)
        && let Some(error) = too_long_label(sender.dataset, target, comparison)
    {
        let state =
            if comparison.newest_common.is_some() { ReplicaState::Behind } else { ReplicaState::NeverSeeded };
        return Outcome::nothing(state, Reason::NameTooLong, words.no_name(&error));
    }
    let outcome = match &comparison.relation {
        Relation::SourceEmpty => {
            let state =
                if pair.target_dataset.is_some() { ReplicaState::Unknown } else { ReplicaState::NeverSeeded };
            Outcome::nothing(state, Reason::SourceNoSnapshot, words.source_empty())
        }
        Relation::UpToDate => in_sync(survey, pair, sender, target, comparison, words),
        Relation::NeverSeeded => seed(survey, pair, sender, target, comparison, words),
        Relation::Behind { base } => catch_up(survey, pair, sender, base, comparison, words),
        Relation::Resumable { base, to } => resume(sender, base.as_ref(), to, words),
        conflict => match conflict.conflict() {
            Some(reason) => room::make(survey, pair, sender, target, reason, words),
            None => Outcome::nothing(ReplicaState::Unknown, Reason::SourceNoSnapshot, words.source_empty()),
        },
    };
    let discards = matches!(&outcome.step, Some((_, Action::Send(Send { discard_partial: Some(_), .. }))));
    let outcome = at_risk(survey, pair, comparison, outcome);
    outcome
        .warn(empty, Warning::NoSnapshot)
        .warn(writable && comparison.relation.conflict().is_none(), Warning::TargetNotReadonly)
        .warn(discards, Warning::PartialDiscarded)
        .warn(in_clear(sender.dataset, pair.target_dataset), Warning::TargetInClear)
        .warn(comparison.gaps > 0 && comparison.relation.conflict().is_none(), Warning::HistoryGap)
        .warn(comparison.common_is_bookmark, Warning::BaseIsBookmark)
}

/// Warns when the source's own retention is about to destroy what the next stream starts from.
fn at_risk<'a>(
    survey: &Survey<'a>,
    pair: &Pair<'a>,
    comparison: &Comparison,
    outcome: Outcome<'a>,
) -> Outcome<'a> {
    let (Some(source), Some(base)) = (pair.source_dataset, &comparison.newest_common) else { return outcome };
    let retention = pair.source.inventory.and_then(|inventory| inventory.retention.get(&source.name));
    match crate::retention::base_at_risk(source, retention, base.guid, survey.input.now) {
        Some((_, fact, remedy)) => outcome.warn(true, Warning::BaseAtRisk).note(fact).note(remedy),
        None => outcome,
    }
}

/// An encrypted source whose replica anybody with the disks can read. It takes no raw stream any more, and no other one is sent.
fn in_clear(source: &Dataset, target: Option<&Dataset>) -> bool {
    let is_open = |target: &Dataset| !target.properties.encrypted && !target.snapshots.is_empty();
    source.properties.encrypted && target.is_some_and(is_open)
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

/// Nothing is to be sent; what was destroyed on the source may be to be destroyed on the target.
fn in_sync<'a>(
    survey: &Survey<'a>,
    pair: &Pair<'a>,
    sender: Sender<'a>,
    target: &DatasetName,
    comparison: &Comparison,
    words: &Words<'_>,
) -> Outcome<'a> {
    let state = ReplicaState::InSync;
    let up_to_date = || Outcome::nothing(state, Reason::NoNewSnapshot, words.up_to_date());
    let Some(common) = &comparison.newest_common else { return up_to_date() };
    match mirror::look(survey, pair, common.guid) {
        Mirror::Nothing => up_to_date(),
        Mirror::HeldBack(texts) => {
            let outcome = Outcome::nothing(state, Reason::DeletesHeldBack, words.up_to_date());
            held_back(outcome, texts)
        }
        Mirror::Braked { would, of, why: Brake::Share } => {
            Outcome::nothing(state, Reason::DeleteBrake, words.braked(would, of, target))
        }
        Mirror::Braked { would, why: Brake::Replaced, .. } => {
            let outcome = Outcome::nothing(state, Reason::DeleteBrake, words.replaced(would, target));
            outcome.warn(true, Warning::DeletesHeldBack)
        }
        Mirror::Destroys { destroys, target_guid, held_back: texts, .. } => {
            let next = words.mirrors(target, &destroys);
            let action = Action::DestroySnapshots { target_guid, keeps: common.guid, destroys };
            held_back(Outcome::act(state, sender, action, next), texts)
        }
    }
}

/// Tells what a guard keeps on the target.
fn held_back(outcome: Outcome<'_>, texts: Vec<String>) -> Outcome<'_> {
    let outcome = outcome.warn(!texts.is_empty(), Warning::DeletesHeldBack);
    texts.into_iter().fold(outcome, Outcome::note)
}

fn catch_up<'a>(
    survey: &Survey<'a>,
    pair: &Pair<'a>,
    sender: Sender<'a>,
    base: &Base,
    comparison: &Comparison,
    words: &Words<'_>,
) -> Outcome<'a> {
    let source = sender.dataset;
    let after = base.point().createtxg;
    let sendable = classic::sendable(survey.input.group.profile, source);
    let mut newer = sendable.iter().filter(|snapshot| snapshot.createtxg > after);
    let (to, snapshots): (Option<&Snapshot>, u32) = match base {
        Base::Snapshot(_) => (newer.next_back(), comparison.snapshot_lag),
        // `-I` starts from a snapshot of the dataset itself (openzfs#12415).
        Base::Bookmark(_) | Base::Origin { .. } => {
            let is_there = |guid| pair.target_dataset.is_some_and(|target| target.snapshot(guid).is_some());
            (newer.find(|snapshot| !is_there(snapshot.guid)), 1)
        }
    };
    let Some(to) = to else {
        return Outcome::nothing(ReplicaState::InSync, Reason::NoNewSnapshot, words.up_to_date());
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
        target_origin: None,
        properties: Vec::new(),
    };
    let next = words.catch_up(&send);
    Outcome::act(ReplicaState::Behind, sender, Action::Send(send), next)
}

fn resume<'a>(sender: Sender<'a>, base: Option<&Base>, to: &Point, words: &Words<'_>) -> Outcome<'a> {
    let state = if base.is_some() { ReplicaState::Behind } else { ReplicaState::NeverSeeded };
    let send = Send {
        base: base.cloned(),
        to: to.clone(),
        snapshots: 1,
        resume: true,
        discard_partial: None,
        raw: sender.dataset.properties.encrypted,
        target_newest: base.map(|base| base.point().guid),
        create_parents: Vec::new(),
        target_origin: None,
        properties: Vec::new(),
    };
    let next = words.resume(&send);
    Outcome::act(state, sender, Action::Send(send), next)
}
