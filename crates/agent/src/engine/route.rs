//! How the data gets there, chosen from what both sides are now. Pure: no command is run here.

use zfs_sync_api::codes::ErrorCode;
use zfs_sync_core::{
    inventory::{Dataset, PartialReceive, Snapshot},
    name::SnapshotName,
    plan::{Base, Point, Relation, Send, Step, compare},
    size::ByteCount,
};

use zfs_sync_zfs::parse::resume_token::ResumeToken;

use super::{
    as_clone::{self, Origins},
    facts::Chosen,
    failure::Failure,
    view::View,
};

/// The way to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Nothing needs to move.
    AlreadyThere,
    /// A stream from its beginning.
    Fresh {
        /// Where it starts; the label is the present one.
        base: Option<Base>,
        /// Where it ends; the label is the present one.
        to: Point,
        /// An interrupted receive that leads nowhere goes first.
        discard: Option<PartialReceive>,
        /// The target becomes a clone of this.
        origin: Option<SnapshotName>,
    },
    /// An interrupted receive is continued.
    Resume {
        /// What `zfs send -t` takes.
        token: String,
        /// Where its stream starts.
        base: Option<Base>,
        /// Where its stream ends, which may be before the plan's end.
        to: Point,
        /// Bytes already there.
        bytes: u64,
    },
}

/// Chooses, or says what has moved since the plan.
pub(super) fn choose(step: &Step, send: &Send, view: &View, origins: &Origins) -> Result<Route, Failure> {
    let source = source_as_planned(step, view.source.as_ref())?;
    if view.has_arrived(send.to.guid) {
        return Ok(Route::AlreadyThere);
    }
    let target = view.target.as_ref();
    let newest = target.and_then(Dataset::newest);
    if newest.map(|snapshot| snapshot.guid) != send.target_newest {
        return Err(Failure::stale(format!("{} has {} now", step.target, newest_in_words(newest))));
    }
    match (&send.target_origin, &send.base) {
        (Some(origin), _) => return as_clone::choose(step, send, origin, view, source, origins),
        // `zfs receive` takes what starts from another dataset's snapshot only into a dataset that begins as a clone.
        (None, Some(Base::Origin { dataset, .. })) => {
            let detail = format!("what starts from {dataset} can not go into {} as it is", step.target);
            return Err(Failure::new(ErrorCode::PlanUnsafe, detail));
        }
        (None, _) => {}
    }
    let comparison = compare(source, target);
    let partial = target.and_then(|target| target.properties.partial.as_ref());
    if let (Relation::Resumable { base, to }, Some(partial)) = (&comparison.relation, partial)
        && is_of_source(step, partial)
    {
        return resume(step, send, view, partial, base.as_ref(), to);
    }
    let discard = dead_partial(step, send, view, source, partial)?;
    let base = match &comparison.relation {
        Relation::NeverSeeded => None,
        // Of another dataset: it was discarded, and the stream begins anew.
        Relation::Resumable { base, .. } => base.clone(),
        Relation::Behind { base } => Some(base.clone()),
        other => return Err(Failure::stale(in_words(step, other))),
    };
    let base = base.map(|base| own_bookmark(step, source, base));
    // With the target's newest snapshot as planned, the base has the planned GUID; here only full or not can differ.
    if base.as_ref().map(|base| base.point().guid) != send.base.as_ref().map(|base| base.point().guid) {
        return Err(Failure::stale(format!(
            "the common snapshot of {} and {} is another",
            step.source, step.target
        )));
    }
    let Some(to) = source.snapshot(send.to.guid) else {
        return Err(Failure::stale(format!("{}@{} was destroyed", step.source, send.to.label)));
    };
    if let Some(base) = &base {
        check_order(step, source, target, base, to)?;
    }
    refuse_plain(step, send, source)?;
    Ok(Route::Fresh { base, to: to.into(), discard, origin: None })
}

/// Of several bookmarks of one snapshot our own: another replica's goes as soon as that one has moved on.
pub(super) fn own_bookmark(step: &Step, source: &Dataset, base: Base) -> Base {
    let Base::Bookmark(point) = &base else { return base };
    let label = step.protection().bookmark(point.guid);
    let own = source.bookmarks.iter().find(|bookmark| bookmark.label == label && bookmark.guid == point.guid);
    own.map_or(base, |bookmark| Base::Bookmark(bookmark.into()))
}

/// Whoever planned it: with its key loaded, `zfs send` would decrypt what it sends.
pub(super) fn refuse_plain(step: &Step, send: &Send, source: &Dataset) -> Result<(), Failure> {
    if source.properties.encrypted && !send.raw {
        return Err(Failure::stale(format!("{} is encrypted and would be sent in the clear", step.source)));
    }
    Ok(())
}

/// True when the token names the dataset that is to be sent. A token comes from the target; one that names another dataset is not
/// worth its bytes: the sender looks for its snapshot beginning there, and a target that is not to be trusted could ask for anything.
pub(super) fn is_of_source(step: &Step, partial: &PartialReceive) -> bool {
    partial.to_name.split('@').next() == Some(step.source.as_str())
}

fn source_as_planned<'a>(step: &Step, source: Option<&'a Dataset>) -> Result<&'a Dataset, Failure> {
    match source {
        None => Err(Failure::stale(format!("{} does not exist any more", step.source))),
        Some(source) if source.properties.guid != step.source_guid => {
            Err(Failure::stale(format!("{} is another dataset than when it was planned", step.source)))
        }
        Some(source) => Ok(source),
    }
}

fn resume(
    step: &Step,
    send: &Send,
    view: &View,
    partial: &PartialReceive,
    base: Option<&Base>,
    to: &Point,
) -> Result<Route, Failure> {
    // The token decides how the rest travels: continuing a plain stream would send an encrypted source in the clear.
    if send.raw && !partial.raw {
        return Err(waiting(step, partial, "it is not raw, the plan's stream is"));
    }
    let Some(token) = view.token.clone() else {
        return Err(waiting(step, partial, "its token can not be read"));
    };
    Ok(Route::Resume { token, base: base.cloned(), to: to.clone(), bytes: partial.bytes })
}

/// A token says how its stream travels, and it comes from the receiver: what contradicts the replica's form is not continued.
pub(super) fn check_token(step: &Step, token: &str, chosen: &Chosen) -> Result<(), Failure> {
    let Ok(token) = ResumeToken::decode(token) else {
        let detail = format!("the token of the interrupted receive into {} can not be read", step.target);
        return Err(Failure::new(ErrorCode::ResumeTokenInvalid, detail));
    };
    let form = chosen.form;
    // A stream says that it has large blocks only when there are some: their absence says nothing.
    if token.raw != form.is_raw() || (token.large_blocks && !form.has_large_blocks()) {
        let detail = format!(
            "what waits in {} came otherwise than with `{form}`; `zfs receive -A {}` discards it",
            step.target, step.target
        );
        return Err(Failure::new(ErrorCode::StreamPinned, detail));
    }
    Ok(())
}

/// The interrupted receive that may be discarded: the plan says so, its snapshot does not exist any more, or it is of another
/// dataset.
pub(super) fn dead_partial(
    step: &Step,
    send: &Send,
    view: &View,
    source: &Dataset,
    partial: Option<&PartialReceive>,
) -> Result<Option<PartialReceive>, Failure> {
    let Some(partial) = partial else {
        return match &view.token {
            None => Ok(None),
            Some(_) => Err(Failure::new(
                ErrorCode::ResumeTokenInvalid,
                format!("the token of the interrupted receive into {} can not be read", step.target),
            )),
        };
    };
    let is_dead = source.snapshot(partial.to_guid).is_none() || !is_of_source(step, partial);
    if is_dead || send.discard_partial == Some(partial.to_guid) {
        return Ok(Some(partial.clone()));
    }
    Err(waiting(step, partial, "it can not be continued from here, yet its snapshot still exists"))
}

pub(super) fn waiting(step: &Step, partial: &PartialReceive, why: &str) -> Failure {
    let PartialReceive { to_name, bytes, .. } = partial;
    let came = ByteCount(*bytes);
    let detail = format!("an interrupted receive of {to_name} waits in {} ({came}): {why}", step.target);
    Failure::new(ErrorCode::PartialState, detail)
}

/// `zfs send -i` from a bookmark to an *older* snapshot is accepted silently, and skips what lies between.
fn check_order(
    step: &Step,
    source: &Dataset,
    target: Option<&Dataset>,
    base: &Base,
    to: &Snapshot,
) -> Result<(), Failure> {
    let after = base.point().createtxg;
    if to.createtxg <= after {
        return Err(Failure::stale(format!(
            "{}@{} is not newer than what the target has",
            step.source, to.label
        )));
    }
    let is_there = |guid| target.is_some_and(|target| target.snapshot(guid).is_some());
    let between = |snapshot: &&Snapshot| {
        snapshot.createtxg > after && snapshot.createtxg < to.createtxg && !is_there(snapshot.guid)
    };
    match base {
        Base::Bookmark(_) if source.snapshots.iter().any(|snapshot| between(&snapshot)) => {
            let detail = format!("of the common snapshot of {} only a bookmark is left", step.source);
            Err(Failure::stale(detail))
        }
        Base::Bookmark(_) | Base::Origin { .. } | Base::Snapshot(_) => Ok(()),
    }
}

fn newest_in_words(newest: Option<&Snapshot>) -> String {
    newest.map_or_else(
        || "no snapshot".to_owned(),
        |newest| format!("@{} as its newest snapshot", newest.label),
    )
}

fn in_words(step: &Step, relation: &Relation) -> String {
    let Step { source, target, .. } = step;
    match relation {
        Relation::SourceEmpty => format!("{source} has no snapshot any more"),
        Relation::NeverSeeded => format!("{target} does not exist"),
        Relation::UpToDate => format!("{target} is up to date"),
        Relation::Behind { .. } | Relation::Resumable { .. } => format!("{target} stands elsewhere"),
        Relation::Diverged { .. } => format!("{target} has snapshots that {source} has not"),
        Relation::TargetModified { written, .. } => {
            format!("{} were written to {target} since its newest snapshot", ByteCount(*written))
        }
        Relation::NameClash { label } => {
            format!("{target}@{label} is another snapshot than {source}@{label}")
        }
        Relation::NoCommonBase => format!("{source} and {target} have no snapshot in common"),
        Relation::TargetWithoutHistory => format!("{target} exists and has no snapshot"),
        Relation::KindMismatch => {
            format!("one of {source} and {target} is a file system, the other a volume")
        }
    }
}
