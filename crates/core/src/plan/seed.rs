//! The first receive of a replica.

use super::{
    classic,
    compare::Comparison,
    decide::Outcome,
    moved,
    origin::{Origin, origin_of},
    pair::Pair,
    places::ParentProblem,
    reason::{Reason, Warning},
    report::ReplicaState,
    sender::Sender,
    set_aside,
    step::{Action, Base, Point, Send, TargetOrigin},
    survey::Survey,
    words::Words,
};
use crate::{
    inventory::{Dataset, Snapshot},
    name::DatasetName,
};

/// How the first stream comes.
struct First<'a> {
    base: Option<Base>,
    to: &'a Snapshot,
    target_origin: Option<TargetOrigin>,
}

impl First<'_> {
    /// True when an interrupted receive into the target has the same two ends.
    fn continues(&self, source: &Dataset, target: Option<&Dataset>) -> bool {
        let partial = target.filter(|target| target.snapshots.is_empty());
        let partial = partial.and_then(|target| target.properties.partial.as_ref());
        self.target_origin.is_some()
            && partial.is_some_and(|partial| {
                partial.to_guid == self.to.guid
                    && partial.from_guid == self.base.as_ref().map(|base| base.point().guid)
                    && partial.is_of(&source.name)
                    && (partial.raw || !source.properties.encrypted)
            })
    }
}

pub(super) fn seed<'a>(
    survey: &Survey<'a>,
    pair: &Pair<'a>,
    sender: Sender<'a>,
    target: &DatasetName,
    comparison: &Comparison,
    words: &Words<'_>,
) -> Outcome<'a> {
    let state = ReplicaState::NeverSeeded;
    if let Some(outcome) = moved::follow(survey, pair, sender, target, words) {
        return outcome;
    }
    let Some(oldest) = classic::sendable(survey.input.group.profile, sender.dataset).first() else {
        return Outcome::nothing(state, Reason::SourceNoSnapshot, words.source_empty());
    };
    let create_parents = match survey.missing_parents(pair, target) {
        Ok(missing) => missing,
        Err(ParentProblem::NotReady(parent)) => {
            return Outcome::nothing(state, Reason::DependsOnParent, words.parent_first(&parent));
        }
        Err(ParentProblem::Volume(parent)) => {
            return Outcome::nothing(state, Reason::KindMismatch, words.below_volume(&parent));
        }
    };
    let in_full = First { base: None, to: oldest, target_origin: None };
    let mut in_full_though_clone = false;
    let first = match clone_of(survey, pair, sender, target, oldest) {
        Clone::No => from_aside(survey, pair, sender.dataset, target).unwrap_or(in_full),
        Clone::OriginThere(first) => first,
        Clone::OriginComes(origin) => {
            return Outcome::nothing(state, Reason::OriginFirst, words.origin_first(origin));
        }
        Clone::OriginElsewhere => {
            in_full_though_clone = true;
            from_aside(survey, pair, sender.dataset, target).unwrap_or(in_full)
        }
    };
    // The beginning of what this sends may be there already.
    let resume = first.continues(sender.dataset, pair.target_dataset);
    let send = Send {
        base: first.base,
        to: first.to.into(),
        snapshots: 1,
        resume,
        discard_partial: comparison.dead_partial.filter(|_| !resume),
        raw: sender.dataset.properties.encrypted,
        target_newest: None,
        create_parents,
        target_origin: first.target_origin,
        properties: Vec::new(),
    };
    let next = if resume { words.resume(&send) } else { words.seed(&send, comparison) };
    Outcome::act(state, sender, Action::Send(send), next)
        .warn(in_full_though_clone, Warning::OriginNotReplicated)
}

enum Clone<'a> {
    /// It begins with itself.
    No,
    /// The target has the origin: only the difference travels.
    OriginThere(First<'a>),
    /// The origin is copied by this group and is still to come.
    OriginComes(Origin<'a>),
    /// The origin is not copied by this group.
    OriginElsewhere,
}

/// F15: a clone is received as a clone of the same snapshot, once that is there.
fn clone_of<'a>(
    survey: &Survey<'a>,
    pair: &Pair<'a>,
    sender: Sender<'a>,
    target: &DatasetName,
    oldest: &'a Snapshot,
) -> Clone<'a> {
    let inventory = survey.side(sender.system).inventory;
    let Some(origin) = origin_of(inventory, sender.dataset) else {
        return if sender.dataset.properties.origin.is_some() { Clone::OriginElsewhere } else { Clone::No };
    };
    let group = survey.input.group;
    // The origin's logical name: what its own name on the sender stands for.
    let logical = if sender.system == pair.home {
        vec![origin.dataset.clone()].into_iter().filter(|name| group.selects(name)).collect()
    } else {
        group.logical_names(pair.home, origin.dataset, sender.system)
    };
    // One that is not older than what it is the beginning of came there by a promotion.
    let older = origin.snapshot.createtxg < oldest.createtxg;
    // What was set aside is copied by nobody.
    let copied = logical.into_iter().find(|name| !set_aside::is_aside(name));
    let Some(logical) = copied.filter(|_| older) else { return Clone::OriginElsewhere };
    let Ok(on_target) = group.target_name(pair.home, &logical, pair.target.id) else {
        return Clone::OriginElsewhere;
    };
    let guid = origin.snapshot.guid;
    // F17: after a promotion the origin may be in what was set aside, and not in the replica of the dataset that it belongs to now.
    let replica = pair.target.dataset(&on_target);
    let mut places =
        replica.into_iter().chain(asides_of(pair, target).filter(|aside| is_alike(aside, sender.dataset)));
    if let Some(place) = places.find(|dataset| dataset.snapshot(guid).is_some()) {
        let base = Base::Origin { dataset: origin.dataset.clone(), point: origin.snapshot.into() };
        let target_origin = Some(TargetOrigin { dataset: place.name.clone(), guid });
        return Clone::OriginThere(First { base: Some(base), to: oldest, target_origin });
    }
    match replica {
        // What the replica's newest snapshot comes after will never arrive there.
        Some(dataset) if newer_than(survey, sender, origin.dataset, dataset, origin.snapshot) => {
            Clone::OriginElsewhere
        }
        _ => Clone::OriginComes(origin),
    }
}

/// What was set aside from `target`.
fn asides_of<'a>(pair: &Pair<'a>, target: &DatasetName) -> impl Iterator<Item = &'a Dataset> {
    let inventory = pair.target.inventory.into_iter();
    inventory.flat_map(|inventory| set_aside::asides_of(inventory, target))
}

/// True when the origin's replica has gone past the origin without having it.
fn newer_than(
    survey: &Survey<'_>,
    sender: Sender<'_>,
    origin: &DatasetName,
    replica: &Dataset,
    snapshot: &Snapshot,
) -> bool {
    let source = survey.side(sender.system).inventory.and_then(|inventory| inventory.datasets.get(origin));
    let head = replica.newest().map(|newest| newest.guid);
    let place = source.zip(head).and_then(|(source, head)| source.place_of(head));
    place.is_some_and(|head| head > snapshot.createtxg)
}

/// True when a replica of `source` can begin as a clone of this: a raw stream can not go on from what was received in the clear, nor the
/// other way round.
fn is_alike(aside: &Dataset, source: &Dataset) -> bool {
    aside.properties.kind == source.properties.kind
        && aside.properties.encrypted == source.properties.encrypted
}

/// A replica that was set aside still has most of what is to come: the new one begins as its clone, and only what is newer than the newest
/// common snapshot travels.
fn from_aside<'a>(
    survey: &Survey<'a>,
    pair: &Pair<'a>,
    source: &'a Dataset,
    target: &DatasetName,
) -> Option<First<'a>> {
    let sendable = classic::sendable(survey.input.group.profile, source);
    // Where everything is common there is nothing to receive, and without a receive there is no replica: then the last one is sent again.
    let after = |base: &Snapshot| sendable.iter().find(|sent| sent.createtxg > base.createtxg);
    let usable = asides_of(pair, target).filter(|aside| is_alike(aside, source)).flat_map(|aside| {
        let of_aside = aside.snapshots.iter();
        of_aside.filter_map(move |snapshot| {
            let base = sendable.iter().find(|sent| sent.guid == snapshot.guid)?;
            Some((base, after(base)?, aside))
        })
    });
    let (base, to, aside) = usable.max_by_key(|(base, _, aside)| (base.createtxg, &aside.name))?;
    let target_origin = Some(TargetOrigin { dataset: aside.name.clone(), guid: base.guid });
    Some(First { base: Some(Base::Snapshot(Point::from(base))), to, target_origin })
}
