//! Executes one step between two hosts. Needs no witness: the command line's `replicate` uses it as agents do.
//!
//! # Design
//!
//! The plan is a proposal, made from reports that have an age. So the engine reads both sides anew, chooses the way from
//! what it sees (`route`), protects what the stream needs, moves the data, reads the target back, and tidies up
//! ([`settle()`]). It never remembers: every part looks at the present state and may run any number of times, so a crash
//! anywhere is mended by executing again.
//!
//! # Failure modes
//!
//! - Both hosts, or this process, may die between any two commands. What is left then: step holds on the source, a partial
//!   receive on the target, a bookmark for a snapshot that never arrived. The [`Watcher`] has written holds down *before*
//!   they were placed; [`settle()`] removes what nobody needs any more, and keeps what a waiting partial receive needs.
//! - `zfs receive` may exit with 1 after everything arrived (a mount that failed) and with 0 when nothing did. Only the
//!   GUID on the target counts.
//! - What is destroyed is what a plan lists, by GUID and name, and nothing while anything about it is another (`removal`).
//! - Somebody else may change either side meanwhile. Then the step is *stale* and a new plan decides; never this module.

mod as_clone;
mod facts;
mod failure;
mod fence;
mod form;
mod holds;
mod newborn;
mod rehold;
mod removal;
mod rename;
mod roll_back;
mod room;
mod route;
mod send;
mod settle;
mod stray;
#[cfg(test)]
mod tests;
mod view;
mod written;

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use zfs_sync_api::v1::agent::TransferOutcome;
use zfs_sync_core::{
    guid::Guid,
    name::{DatasetName, Label},
    plan::{Action, Protection, Step, Warning},
};
use zfs_sync_zfs::{
    command::Command,
    error::Error,
    features::Features,
    pipeline::{Flow, ProgressCounter},
    runner::Runner,
};

#[cfg(test)]
pub(crate) use self::fence::tests::ManualBootClock;
pub use self::{
    facts::{Chosen, choose_form},
    fence::{BootClock, Fence, SystemBootClock},
    form::Caution,
    settle::{Settled, settle},
};
use self::{failure::Failure, rename::Rename, roll_back::RollBack};

/// The two hosts of a step; they may be one.
#[derive(Clone, Copy, Debug)]
pub struct Sides<'a> {
    /// Where the data is.
    pub source: &'a dyn Runner,
    /// Where it is to be.
    pub target: &'a dyn Runner,
    /// What the source's ZFS can do.
    pub source_features: &'a Features,
    /// What the target's ZFS can do.
    pub target_features: &'a Features,
}

/// What an execution is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Reads both sides and protects what the stream needs.
    Preparing,
    /// Moves data.
    Sending,
    /// Destroys what the plan lists.
    Destroying,
    /// Reads the target back.
    Verifying,
    /// Moves holds and bookmarks on.
    Finishing,
}

impl Stage {
    /// As in progress reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Sending => "sending",
            Self::Destroying => "destroying",
            Self::Verifying => "verifying",
            Self::Finishing => "finishing",
        }
    }
}

/// One of the two hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Where the data is.
    Source,
    /// Where it is to be.
    Target,
}

/// A hold that is about to be placed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct HoldNote {
    /// On which host.
    pub side: Side,
    /// On which dataset.
    pub dataset: DatasetName,
    /// On which snapshot.
    pub guid: Guid,
    /// What it is called now.
    pub label: Label,
    /// The tag.
    pub tag: String,
}

/// What a [`Watcher`] could not write down.
#[derive(Debug, thiserror::Error)]
#[error("could not write down what is about to be done: {0}")]
pub struct RecordError(pub String);

/// Follows an execution. Everything but [`Self::record`] returns at once.
#[async_trait]
pub trait Watcher: Send + Sync + fmt::Debug {
    /// Counts the stream's bytes; whoever shows progress reads it whenever it likes.
    fn counter(&self) -> &ProgressCounter;

    /// How the stream is to flow: limits, buffer, compression. Asked once, when it begins; limits may change later.
    fn flow(&self) -> Flow {
        Flow::default()
    }

    /// A stage begins.
    fn stage(&self, stage: Stage);

    /// What the stream will be: its estimated bytes, and the bytes that an earlier attempt had already brought.
    fn expect(&self, total: Option<u64>, resumed_from: Option<u64>);

    /// Something is odd, and the execution goes on.
    fn warn(&self, text: &str);

    /// Something is done otherwise than wished for, or is not as it should be: `W_…`, and in words. The execution goes on.
    fn caution(&self, code: Warning, detail: &str) {
        self.warn(&format!("{code}: {detail}"));
    }

    /// Must be on disk when this returns: the hold is placed next. An error stops the execution.
    async fn record(&self, note: HoldNote) -> Result<(), RecordError>;

    /// Everything that was written down under this tag and is not known to be released: by this execution, by earlier attempts, and by
    /// other transfers of the same replica. By the GUIDs, holds are found that went to another dataset with their snapshot; a watcher
    /// that keeps nothing beyond this execution need not answer.
    fn noted(&self, tag: &str) -> Vec<HoldNote> {
        let _ = tag;
        Vec::new()
    }
}

/// How an execution ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    /// For the witness.
    pub outcome: TransferOutcome,
    /// Bytes of stream that this attempt moved.
    pub bytes: u64,
    /// Bytes that were there before this attempt, when it resumed.
    pub resumed_from: Option<u64>,
    /// What is left of holds; [`Settled::Open`] asks for [`settle()`] later.
    pub settled: Settled,
}

/// Executes one step. Never fails: whatever happens is an outcome.
///
/// Dropping the future stops it where it is, as a crash would. Where a witness has leased the step out, `fence` keeps it from
/// destroying anything once that may be over.
pub async fn execute(
    step: &Step,
    sides: &Sides<'_>,
    watcher: &dyn Watcher,
    cancel: &CancellationToken,
    fence: Option<&Fence>,
) -> Execution {
    let run = Run { fence, ..Run::new(step, sides, watcher, cancel) };
    // What concerns the target alone must not look at the source: it may be out of reach, and the target be passed for both.
    let done = match &step.action {
        Action::Send(send) => return Box::pin(send::execute(&run, send)).await,
        Action::SetAside { rename_to, target_guid, target_newest } => {
            let (target_guid, target_newest) = (*target_guid, *target_newest);
            let (from, to) = (&step.target, rename_to);
            let rename = Rename { from, to, target_guid, target_newest, with_what_lies_below: false };
            Box::pin(rename::set_aside(&run, rename)).await
        }
        Action::FollowRename { rename_from, target_guid, target_newest } => {
            let (target_guid, target_newest) = (*target_guid, *target_newest);
            let (from, to) = (rename_from, &step.target);
            let rename = Rename { from, to, target_guid, target_newest, with_what_lies_below: true };
            Box::pin(rename::follow(&run, rename)).await
        }
        Action::RollBack { to, to_label: _, target_guid, target_newest: _, destroys, discards } => {
            let (to, target_guid, discards) = (*to, *target_guid, *discards);
            let plan = RollBack { to, target_guid, destroys, discards };
            Box::pin(roll_back::execute(&run, plan)).await
        }
        Action::DestroySnapshots { target_guid, keeps, destroys } => {
            Box::pin(removal::destroy(&run, *target_guid, *keeps, destroys)).await
        }
    };
    let outcome = done.map_or_else(Failure::into_outcome, |()| TransferOutcome::Succeeded);
    Execution { outcome, bytes: 0, resumed_from: None, settled: Settled::Untouched }
}

/// One execution under way.
#[derive(Debug)]
struct Run<'a> {
    step: &'a Step,
    sides: &'a Sides<'a>,
    watcher: &'a dyn Watcher,
    cancel: &'a CancellationToken,
    fence: Option<&'a Fence>,
    protection: Protection,
    /// What was written down, so that it is looked after whatever happens next.
    notes: Mutex<Vec<HoldNote>>,
}

impl<'a> Run<'a> {
    fn new(
        step: &'a Step,
        sides: &'a Sides<'a>,
        watcher: &'a dyn Watcher,
        cancel: &'a CancellationToken,
    ) -> Self {
        let (protection, notes) = (step.protection(), Mutex::default());
        Self { step, sides, watcher, cancel, fence: None, protection, notes }
    }

    fn runner(&self, side: Side) -> &'a dyn Runner {
        match side {
            Side::Source => self.sides.source,
            Side::Target => self.sides.target,
        }
    }

    fn features(&self, side: Side) -> &'a Features {
        match side {
            Side::Source => self.sides.source_features,
            Side::Target => self.sides.target_features,
        }
    }

    async fn run(&self, side: Side, command: Command) -> Result<(), Error> {
        self.runner(side).run(&command).await.map(drop)
    }

    async fn record(&self, note: HoldNote) -> Result<(), Failure> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(note.clone());
        self.watcher.record(note).await.map_err(|error| Failure::unrecorded(&error))
    }

    /// True when a hold may have been placed.
    fn has_noted(&self) -> bool {
        !self.notes.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Holds under this tag that may be there, of this execution and of those before it.
    fn noted(&self, tag: &str) -> Vec<HoldNote> {
        let mut notes = self.watcher.noted(tag);
        let own = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.extend(own.iter().filter(|note| note.tag == tag).cloned());
        notes
    }

    /// Source snapshots that this execution itself has held with this tag, or may have.
    fn held_by_us(&self, tag: &str) -> BTreeSet<Guid> {
        let own = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let of_source = own.iter().filter(|note| note.side == Side::Source && note.tag == tag);
        of_source.map(|note| note.guid).collect()
    }

    /// To be asked right before every command that takes something away.
    async fn check_may_destroy(&self) -> Result<(), Failure> {
        self.check_cancelled()?;
        let Some(fence) = self.fence else { return Ok(()) };
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Failure::Cancelled),
            checked = fence.check() => checked,
        }
    }

    fn check_cancelled(&self) -> Result<(), Failure> {
        if self.cancel.is_cancelled() { Err(Failure::Cancelled) } else { Ok(()) }
    }
}
