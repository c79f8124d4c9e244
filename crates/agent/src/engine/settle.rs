//! Moves holds and bookmarks to where the present state of both sides wants them.
//!
//! Afterwards, whatever happened before:
//!
//! - the target's newest common snapshot has our hold, and no other snapshot of that target;
//! - the source has our bookmark of it, and none of an older snapshot, except what a waiting partial receive starts from;
//! - the source has step holds only on the two ends of a partial receive that waits on the target: were its snapshot
//!   destroyed, what has already come would be lost. A held snapshot that went to another dataset is found there ([`stray`](super::stray)).
//!
//! The new protection is always in place before the old one goes. Nothing here fails a transfer: the data has arrived.

use std::collections::BTreeSet;

use tokio_util::sync::CancellationToken;
use zfs_sync_core::{
    guid::Guid,
    inventory::{Dataset, PartialReceive, Snapshot},
    plan::{Action, Comparison, Relation, Step, compare},
};
use zfs_sync_zfs::{
    command::{Command, OwnBookmark, OwnTag},
    error::{Error, Kind},
    features::Ability,
};

use super::{
    HoldNote, Run, Side, Sides, Watcher,
    as_clone::continues,
    failure::{Failure, in_words},
    holds::{base_hold_of, tags},
    stray::{Strays, release_strays},
    view::{View, name_of},
};

/// Held snapshots that one sweep asks about on one side, newest first. Each costs one command; ours are among the newest,
/// and somebody else's thousand holds must not stop us for minutes.
pub(super) const SWEEP_LIMIT: usize = 256;

/// What is left of holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Nothing was held, and nothing was looked after: what earlier executions have left is as it was.
    Untouched,
    /// Nothing of this step is held any more, whoever held it.
    Clean,
    /// Step holds protect a partial receive that waits on the target, until it is continued or discarded.
    Waiting,
    /// Something could not be read, placed or released: to be done again later.
    Open,
}

/// Tidies up after `step`, however it ended and however long ago: reads both sides and needs nothing else.
///
/// Never while the step is being executed.
pub async fn settle(step: &Step, sides: &Sides<'_>, watcher: &dyn Watcher) -> Settled {
    // What concerns the target alone holds nothing that has to be looked after, and may know no source.
    if step.action.is_local() {
        return Settled::Clean;
    }
    let cancel = CancellationToken::new();
    let run = Run::new(step, sides, watcher, &cancel);
    match View::read_wherever(step, sides).await {
        // Destroyed, and its holds with it, but for what a promoted clone has taken over before; the target's hold stays on what may
        // be the last copy.
        Ok(View { source: None, .. }) => match release_strays(&run, &BTreeSet::new()).await {
            Strays::None => Settled::Clean,
            Strays::Unknown => Settled::Open,
        },
        Ok(view) => tidy_up(&run, &view).await,
        Err(failure) => {
            run.warn_failure(failure);
            Settled::Open
        }
    }
}

/// Tidies up, given what both sides are now.
pub(super) async fn tidy_up(run: &Run<'_>, view: &View) -> Settled {
    let as_planned = |source: &&Dataset| source.properties.guid == run.step.source_guid;
    let Some(source) = view.source.as_ref().filter(as_planned) else {
        // Destroyed or renamed in the middle of it. Where it went to is found out later, in peace.
        return Settled::Open;
    };
    let comparison = compare(source, view.target.as_ref());
    let mut tidy = Tidy { run, source, target: view.target.as_ref(), open: false, released: BTreeSet::new() };
    match tidy.everything(&comparison).await {
        Ok(waiting) if !tidy.open => {
            if waiting {
                Settled::Waiting
            } else {
                Settled::Clean
            }
        }
        Ok(_) | Err(Unreachable) => Settled::Open,
    }
}

/// One of the hosts is gone: every further command would only wait for it.
struct Unreachable;

struct Tidy<'a> {
    run: &'a Run<'a>,
    source: &'a Dataset,
    target: Option<&'a Dataset>,
    /// Something did not succeed.
    open: bool,
    /// Source snapshots that had a step hold of ours.
    released: BTreeSet<Guid>,
}

impl<'a> Tidy<'a> {
    /// True when step holds stay because a partial receive waits.
    async fn everything(&mut self, comparison: &Comparison) -> Result<bool, Unreachable> {
        let partial = self.target.and_then(|target| target.properties.partial.as_ref());
        let waiting: BTreeSet<Guid> = match (&comparison.relation, partial) {
            (relation, Some(partial)) if self.is_awaited(relation, partial) => {
                partial.from_guid.into_iter().chain([partial.to_guid]).collect()
            }
            _ => BTreeSet::new(),
        };
        if let Some(newest) = self.common_head(comparison) {
            self.protect_base(newest, &waiting).await?;
        }
        self.keep_step_holds(&waiting).await?;
        // What waits may need holds for days, and each look reads the whole host: strays have time until then. What is open is looked at
        // again in any case.
        if waiting.is_empty() && !self.open {
            self.open = release_strays(self.run, &self.released).await == Strays::Unknown;
        }
        Ok(!waiting.is_empty())
    }

    /// True when an interrupted receive is to be continued. One that makes a clone has no base in its own dataset, which is all that
    /// a comparison looks at.
    fn is_awaited(&self, relation: &Relation, partial: &PartialReceive) -> bool {
        let as_clone = match &self.run.step.action {
            Action::Send(send) => continues(self.run.step, send, self.source, partial),
            _ => false,
        };
        match relation {
            Relation::Resumable { .. } => true,
            Relation::NeverSeeded => as_clone,
            _ => false,
        }
    }

    /// The target's newest snapshot, when the source knows it. Where the target has gone its own way the protection
    /// stays where it is: on the last common snapshot, which both sides need to come together again.
    fn common_head(&self, comparison: &Comparison) -> Option<&'a Snapshot> {
        let target: &'a Dataset = self.target?;
        let newest = target.newest()?;
        let common = comparison.newest_common.as_ref()?;
        (newest.guid == common.guid).then_some(newest)
    }

    async fn protect_base(&mut self, newest: &Snapshot, waiting: &BTreeSet<Guid>) -> Result<(), Unreachable> {
        let Some(target) = self.target else { return Ok(()) };
        let tag = OwnTag::base(&self.run.protection);
        let held = self.hold(Side::Target, target, newest, &tag).await?;
        if held {
            let older = target.snapshots.iter().rev().filter(|snapshot| snapshot.guid != newest.guid);
            // Also those for a former source of this replica: nobody sends from there any more.
            let receiver = &self.run.step.receiver;
            let gone = self.release_base(target, &tag).await?;
            let older = older.filter(|snapshot| Some(snapshot.guid) != gone);
            self.sweep(Side::Target, target, older, |tag| base_hold_of(receiver, tag)).await?;
        }
        if self.bookmark(newest.guid).await? {
            self.drop_older_bookmarks(newest.guid, waiting).await?;
        }
        Ok(())
    }

    /// True when the source has a bookmark of this snapshot afterwards: our own, as long as the snapshot is there to make it from, since
    /// another replica's goes with that one's next step.
    async fn bookmark(&mut self, guid: Guid) -> Result<bool, Unreachable> {
        let label = self.run.protection.bookmark(guid);
        if self.source.bookmarks.iter().any(|bookmark| bookmark.label == label) {
            return Ok(true);
        }
        let Some(snapshot) = self.source.snapshot(guid) else {
            return Ok(self.source.bookmarks.iter().any(|bookmark| bookmark.guid == guid));
        };
        match bookmark(self.run, self.source, snapshot).await {
            Ok(()) => Ok(true),
            Err(failure) => self.note(failure).map(|()| false),
        }
    }

    async fn drop_older_bookmarks(
        &mut self,
        base: Guid,
        waiting: &BTreeSet<Guid>,
    ) -> Result<(), Unreachable> {
        let position = |guid: Guid| {
            let snapshot = self.source.snapshot(guid).map(|snapshot| snapshot.createtxg);
            let bookmarks = self.source.bookmarks.iter();
            snapshot.or_else(|| bookmarks.clone().find(|b| b.guid == guid).map(|bookmark| bookmark.createtxg))
        };
        let Some(base_txg) = position(base) else { return Ok(()) };
        for bookmark in &self.source.bookmarks {
            let ours = self.run.protection.owns_bookmark(&bookmark.label);
            if !ours || bookmark.createtxg >= base_txg || waiting.contains(&bookmark.guid) {
                continue;
            }
            let name = self.source.name.bookmark(&bookmark.label).ok();
            let Some(bookmark) = name.and_then(|name| OwnBookmark::new(name).ok()) else { continue };
            let doing = format!("destroy our bookmark {bookmark}");
            self.attempt(Side::Source, &doing, Command::DestroyBookmark { bookmark }).await?;
        }
        Ok(())
    }

    /// Step holds stay on the snapshots in `waiting`, or come there, and leave all others.
    async fn keep_step_holds(&mut self, waiting: &BTreeSet<Guid>) -> Result<(), Unreachable> {
        let source = self.source;
        let tag = OwnTag::step(&self.run.protection);
        // A stream of many snapshots was cut in the middle: its token names one that nobody has held yet.
        for snapshot in source.snapshots.iter().filter(|snapshot| waiting.contains(&snapshot.guid)) {
            self.hold(Side::Source, source, snapshot, &tag).await?;
        }
        self.release_noted(waiting, &tag).await?;
        let done = self.released.clone();
        let others = source.snapshots.iter().rev();
        let others = others.filter(|found| !waiting.contains(&found.guid) && !done.contains(&found.guid));
        self.sweep(Side::Source, source, others, |held| (held == tag.as_str()).then(|| tag.clone())).await
    }

    /// What this execution itself has held is released by one command, without looking first. What that leaves, the sweep finds.
    async fn release_noted(&mut self, waiting: &BTreeSet<Guid>, tag: &OwnTag) -> Result<(), Unreachable> {
        let source = self.source;
        let noted = self.run.held_by_us(tag.as_str());
        let wanted = |found: &&Snapshot| {
            found.holds > 0 && noted.contains(&found.guid) && !waiting.contains(&found.guid)
        };
        let held: Vec<&Snapshot> = source.snapshots.iter().filter(wanted).collect();
        if self.release_unseen(Side::Source, source, &held, tag).await? {
            self.released.extend(held.iter().map(|found| found.guid));
        }
        Ok(())
    }

    /// The hold on the base of this step goes likewise, when it is the only one there. Answers what is free of holds now.
    async fn release_base(&mut self, target: &Dataset, tag: &OwnTag) -> Result<Option<Guid>, Unreachable> {
        let base = match &self.run.step.action {
            Action::Send(send) => send.base.as_ref().map(|base| base.point().guid),
            _ => None,
        };
        let is_newest = |found: &&Snapshot| target.newest().is_some_and(|newest| newest.guid == found.guid);
        let base = base.and_then(|guid| target.snapshot(guid));
        let Some(base) = base.filter(|found| found.holds == 1 && !is_newest(found)) else { return Ok(None) };
        let released = self.release_unseen(Side::Target, target, &[base], tag).await?;
        Ok(released.then_some(base.guid))
    }

    /// True when all of them had this hold, and have it no more.
    async fn release_unseen(
        &mut self,
        side: Side,
        dataset: &Dataset,
        held: &[&Snapshot],
        tag: &OwnTag,
    ) -> Result<bool, Unreachable> {
        let names: Result<Vec<_>, _> = held.iter().map(|found| name_of(dataset, found)).collect();
        let Some(snapshots) = names.ok().filter(|names| !names.is_empty()) else { return Ok(false) };
        match self.run.run(side, Command::ReleaseAll { tag: tag.clone(), snapshots }).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind.is_transport() => {
                self.tolerate(&format!("release our holds on {}", dataset.name), &error).map(|()| false)
            }
            // Some may have gone, some may have never been there: each is looked at.
            Err(_) => Ok(false),
        }
    }

    /// Releases the tags that are `ours` wherever they are found.
    async fn sweep<'s>(
        &mut self,
        side: Side,
        dataset: &Dataset,
        snapshots: impl Iterator<Item = &'s Snapshot>,
        ours: impl Fn(&str) -> Option<OwnTag>,
    ) -> Result<(), Unreachable> {
        let held: Vec<&Snapshot> = snapshots.filter(|snapshot| snapshot.holds > 0).collect();
        if held.len() > SWEEP_LIMIT {
            let (count, name) = (held.len(), &dataset.name);
            self.run
                .watcher
                .warn(&format!("{count} snapshots of {name} are held; looked at the newest {SWEEP_LIMIT}"));
        }
        for found in held.into_iter().take(SWEEP_LIMIT) {
            let Ok(snapshot) = name_of(dataset, found) else { continue };
            let tags = match tags(self.run, side, &snapshot).await {
                // It was held a moment ago: released or destroyed since, or renamed, and our holds went along.
                Ok(tags) if tags.is_empty() => {
                    self.open = true;
                    continue;
                }
                Ok(tags) => tags,
                Err(error) => {
                    self.tolerate(&format!("list the holds of {snapshot}"), &error)?;
                    continue;
                }
            };
            for tag in tags.iter().filter_map(|tag| ours(tag)) {
                let doing = format!("release our hold on {snapshot}");
                let release = Command::Release { tag, snapshot: snapshot.clone() };
                match self.run.run(side, release).await {
                    Ok(()) => {}
                    // Where nobody lists holds, ours are tried.
                    Err(error)
                        if error.kind == Kind::NotFound
                            && !self.run.features(side).can(Ability::ListedHolds) => {}
                    Err(error) => self.tolerate(&doing, &error)?,
                }
                // Of the source, only step holds are released.
                if side == Side::Source {
                    self.released.insert(found.guid);
                }
            }
        }
        Ok(())
    }

    /// True when the snapshot is held by `tag` afterwards.
    async fn hold(
        &mut self,
        side: Side,
        dataset: &Dataset,
        snapshot: &Snapshot,
        tag: &OwnTag,
    ) -> Result<bool, Unreachable> {
        match hold(self.run, side, dataset, &[snapshot], tag).await {
            Ok(()) => Ok(true),
            Err(failure) => self.note(failure).map(|()| false),
        }
    }

    async fn attempt(&mut self, side: Side, doing: &str, command: Command) -> Result<(), Unreachable> {
        match self.run.run(side, command).await {
            Ok(()) => Ok(()),
            Err(error) => self.tolerate(doing, &error),
        }
    }

    fn tolerate(&mut self, doing: &str, error: &Error) -> Result<(), Unreachable> {
        self.open = true;
        // Released or destroyed by somebody else meanwhile, as wanted; or renamed, and our holds went along. Whoever looks later tells.
        if error.kind == Kind::NotFound {
            return Ok(());
        }
        self.run.watcher.warn(&format!("could not {doing}: {}", in_words(error)));
        if error.kind.is_transport() { Err(Unreachable) } else { Ok(()) }
    }

    fn note(&mut self, failure: Protecting) -> Result<(), Unreachable> {
        match failure {
            Protecting::Command { doing, error } => self.tolerate(&doing, &error),
            Protecting::Other(failure) => {
                self.open = true;
                self.run.warn_failure(failure);
                Ok(())
            }
        }
    }
}

/// Why something could not be protected.
pub(super) enum Protecting {
    Command { doing: String, error: Error },
    Other(Failure),
}

impl From<Failure> for Protecting {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

impl From<Protecting> for Failure {
    fn from(protecting: Protecting) -> Self {
        match protecting {
            // It was there a moment ago.
            Protecting::Command { doing, error } if error.kind == Kind::NotFound => {
                Self::stale(format!("could not {doing}: {}", in_words(&error)))
            }
            Protecting::Command { doing, error } => Self::command(&doing, &error),
            Protecting::Other(failure) => failure,
        }
    }
}

/// Holds snapshots, after writing that down; a hold of ours that is there already is fine.
pub(super) async fn hold(
    run: &Run<'_>,
    side: Side,
    dataset: &Dataset,
    snapshots: &[&Snapshot],
    tag: &OwnTag,
) -> Result<(), Protecting> {
    let names = snapshots.iter().map(|snapshot| name_of(dataset, snapshot)).collect::<Result<Vec<_>, _>>()?;
    for snapshot in snapshots {
        // What is held between steps is found by looking; only what a step holds must not outlive a crash unknown.
        if *tag != OwnTag::step(&run.protection) {
            break;
        }
        let note = HoldNote {
            side,
            dataset: dataset.name.clone(),
            guid: snapshot.guid,
            label: snapshot.label.clone(),
            tag: tag.as_str().to_owned(),
        };
        run.record(note).await?;
    }
    // All by one command. One that fails for many does not say clearly for which: then each is asked alone.
    if names.len() > 1 {
        let all = Command::HoldAll { tag: tag.clone(), snapshots: names.clone() };
        if run.run(side, all).await.is_ok() {
            return Ok(());
        }
    }
    for name in names {
        let doing = format!("hold {name}");
        match run.run(side, Command::Hold { tag: tag.clone(), snapshot: name }).await {
            Ok(()) => {}
            Err(error) if error.kind == Kind::AlreadyExists => {}
            Err(error) => return Err(Protecting::Command { doing, error }),
        }
    }
    Ok(())
}

/// Bookmarks a snapshot of the source; a bookmark of that name has that snapshot's GUID in it and is fine.
///
/// Where there are no bookmarks, the hold on the target's newest snapshot is all that protects.
pub(super) async fn bookmark(run: &Run<'_>, source: &Dataset, snapshot: &Snapshot) -> Result<(), Protecting> {
    if !run.sides.source_features.can(Ability::Bookmarks) {
        return Ok(());
    }
    let label = run.protection.bookmark(snapshot.guid);
    let name = name_of(source, snapshot)?;
    source.name.bookmark(&label).map_err(|error| Failure::name(&error))?;
    let doing = format!("bookmark {name}");
    match run.run(Side::Source, Command::Bookmark { snapshot: name, label }).await {
        Ok(()) => Ok(()),
        Err(error) if error.kind == Kind::AlreadyExists => Ok(()),
        Err(error) => Err(Protecting::Command { doing, error }),
    }
}

impl Run<'_> {
    pub(super) fn warn_failure(&self, failure: Failure) {
        match failure {
            Failure::Stale(detail) | Failure::Failed { detail, .. } => self.watcher.warn(&detail),
            Failure::Cancelled => {}
        }
    }
}
