//! Whole histories of a fleet, each from one seed: hundreds of systems, people who do what they like, and everything that breaks.
//!
//! # What is real
//!
//! The scanner, the reports, the ledger and the engine of the agent; the planner and its invariants; ZFS in memory, with its text, its
//! refusals, its streams and its resume tokens. A model stands in for the witness's database and HTTP (`witness`), for the network and
//! for the agent's loops.
//!
//! # Time
//!
//! Virtual. Everything that happens is an event with a moment; the earliest is next, and of one moment the one that was thought of first.
//! An execution stops before each of its commands (`gate`) and goes on by an event of its own, so that anything may happen between any
//! two of them: its process dies there (the future is dropped, as a crash would), the way to the other host breaks, an operator acts on
//! the same dataset. A stream moves within one event, whole or up to a cut at a byte that the seed chose.
//!
//! # What is checked
//!
//! After every event that could change a pool (`truth`): no snapshot is gone but by an operator's hand or because the step that ran listed
//! it, and by a policy alone never the last copy; one GUID has one content everywhere. Of every plan: `plan::check`, and that planning a
//! dataset alone says the same as planning everything. When faults and people have stopped (`quiet`): everything is in sync or in a
//! stated conflict, nothing of ours is left over.
//!
//! One seed is one history: a failure says which, and prints what happened.

mod agent;
mod clock;
mod gate;
mod messages;
mod operator;
mod person;
mod quiet;
mod random;
mod run;
mod truth;
mod wire;
mod witness;
mod work;
mod world;

use std::fmt;

use zfs_sync_core::group::GroupMode;

pub use run::run;

/// What history to make.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Everything follows from it and from the other settings.
    pub seed: u64,
    /// How many hosts.
    pub systems: u64,
    /// How many groups.
    pub groups: u64,
    /// Only groups of this mode.
    pub mode: Option<GroupMode>,
    /// How many things operators do.
    pub acts: u64,
    /// What breaks: `None` nothing; otherwise that many faults.
    pub faults: u64,
}

impl Settings {
    /// A handful of systems, where everything meets everything.
    pub const fn small(seed: u64) -> Self {
        Self { seed, systems: 5, groups: 4, mode: None, acts: 60, faults: 25 }
    }

    /// A fleet.
    pub const fn large(seed: u64) -> Self {
        Self { seed, systems: 200, groups: 120, mode: None, acts: 1200, faults: 300 }
    }
}

/// A history that ended well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// What happened, one line an event.
    pub script: Vec<String>,
    /// Commands that executions ran.
    pub commands: u64,
    /// Transfers that were started.
    pub transfers: u64,
    /// Executions that died in the middle.
    pub deaths: u64,
    /// Those of them that died in the middle of a stream.
    pub deaths_in_streams: u64,
    /// Snapshots that steps destroyed.
    pub destroyed: u64,
    /// Decisions that were applied, and those that came too late.
    pub decisions: (u64, u64),
    /// Replicas at the end, by state and reason.
    pub replicas: std::collections::BTreeMap<String, u64>,
    /// Copies whose last other one an operator took away unseen, just before a policy destroyed them.
    pub races: u64,
    /// Virtual milliseconds.
    pub time: u64,
    /// What of ours is left on all hosts.
    pub leftovers: Leftovers,
}

/// Holds and bookmarks of ours at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Bookmarks.
    pub bookmarks: u64,
    /// The most of one dataset for one replica.
    pub most_bookmarks: u64,
    /// Holds on what both sides have.
    pub base_holds: u64,
    /// Holds that a running step places.
    pub step_holds: u64,
    /// Interrupted receives, which may be ours.
    pub partials: u64,
}

/// A history in which a rule was broken.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What made it.
    pub settings: Settings,
    /// Which rule, and where.
    pub why: String,
    /// What happened, one line an event.
    pub script: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.script {
            writeln!(formatter, "{line}")?;
        }
        writeln!(formatter, "\n{:?}\n{}", self.settings, self.why)
    }
}

impl std::error::Error for Failure {}
