//! The witness's bookkeeping as plain maps: what the server keeps in its database, by the same rules, without HTTP and SQL.
//!
//! Planning itself is the real planner's; every plan goes through `plan::check` before anything of it is queued.

mod planning;
mod queue;
mod reports;

use std::collections::{BTreeMap, BTreeSet};

use zfs_sync_core::{
    group::SyncGroup,
    ids::SystemId,
    inventory::{HistoryDigest, Inventory},
    name::DatasetName,
    plan::{Decision, ReplicaKey, ReplicaReport},
    time::Timestamp,
};

pub(super) use self::{
    planning::Refused,
    planning::words,
    queue::{Basis, State, Transfer},
};
use super::wire::{Answer, Request};

/// How often agents report when nothing happens.
pub(super) const REPORT_INTERVAL: u64 = 60_000;
/// A report that is older is not acted on.
const PATIENCE: i64 = 3 * 60_000;
/// Nor is anything destroyed because of a look that is older.
const PATIENCE_FOR_COPIES: i64 = 10 * 60_000;
/// How long an agent may be silent about a transfer.
pub(super) const LEASE: u64 = 15_000;

/// One system, as the witness knows it.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) name: String,
    sequence: Option<u64>,
    digests: BTreeMap<DatasetName, HistoryDigest>,
    pub(super) inventory: Inventory,
    needed: BTreeSet<DatasetName>,
    pub(super) as_of: Option<Timestamp>,
    /// What the inventory shows at the earliest, as the agent says.
    shows: Option<Timestamp>,
    wanted_at: Option<Timestamp>,
    /// When the newest look at the host was taken that any report told of.
    pub(super) looked_at: u64,
}

impl Known {
    fn is_report_wanted(&self) -> bool {
        self.wanted_at.is_some_and(|wanted| self.shows().is_none_or(|shown| wanted > shown))
    }

    fn shows(&self) -> Option<Timestamp> {
        self.shows.or(self.as_of)
    }

    /// Also enough to destroy another copy because of it.
    fn is_heard(&self, now: Timestamp) -> bool {
        let age = |shows: Timestamp| now.as_millisecond() - shows.as_millisecond();
        self.is_fresh(now) && self.shows.is_some_and(|shows| age(shows) <= PATIENCE_FOR_COPIES)
    }

    fn is_fresh(&self, now: Timestamp) -> bool {
        self.as_of.is_some_and(|as_of| now.as_millisecond() - as_of.as_millisecond() <= PATIENCE)
    }
}

/// One group, with what was planned and decided for it.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) group: SyncGroup,
    pub(super) rows: BTreeMap<ReplicaKey, ReplicaReport>,
    pub(super) decisions: Vec<Decision>,
    planned_at: Option<Timestamp>,
    /// Its transfers, by their place among all.
    transfers: Vec<usize>,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Witness {
    pub(super) systems: BTreeMap<SystemId, Known>,
    pub(super) groups: Vec<Kept>,
    pub(super) transfers: Vec<Transfer>,
    /// The places of those that are queued or leased.
    open: BTreeSet<usize>,
    fresh: BTreeMap<SystemId, bool>,
    /// Groups to be planned.
    pub(super) dirty: BTreeSet<usize>,
    /// Systems that something waits for.
    pub(super) woken: BTreeSet<SystemId>,
}

impl Witness {
    pub(super) fn add_system(&mut self, id: SystemId, name: String) {
        let known = Known {
            name,
            sequence: None,
            digests: BTreeMap::new(),
            inventory: Inventory::empty(Timestamp::UNIX_EPOCH),
            needed: BTreeSet::new(),
            as_of: None,
            shows: None,
            wanted_at: None,
            looked_at: 0,
        };
        self.systems.insert(id, known);
    }

    pub(super) fn add_group(&mut self, group: SyncGroup) {
        self.dirty.insert(self.groups.len());
        self.groups.push(Kept {
            group,
            rows: BTreeMap::new(),
            decisions: Vec::new(),
            planned_at: None,
            transfers: Vec::new(),
        });
    }

    fn groups_of(&self, system: SystemId) -> impl Iterator<Item = usize> {
        let groups = self.groups.iter().enumerate();
        groups.filter(move |(_, kept)| kept.group.members.contains(&system)).map(|(index, _)| index)
    }

    /// Answers an agent. `None`: a lease that waits.
    pub(super) fn handle(
        &mut self,
        system: SystemId,
        request: &Request,
        now: Timestamp,
        jitter: f64,
    ) -> Option<Answer> {
        Some(match request {
            Request::Hello => {
                self.release_leases(system, now);
                Answer::Hello { now }
            }
            Request::Report { report, looked_at } => {
                Answer::Report(self.apply_report(system, report, *looked_at, now))
            }
            Request::Lease { max } => return self.lease(system, *max, now),
            Request::Progress { transfer, generation, .. } => {
                Answer::Progress { lost: !self.renew(*transfer, *generation, now) }
            }
            Request::Result { transfer, result } => {
                self.finish(*transfer, result, now, jitter);
                Answer::Result
            }
        })
    }

    /// Forgets what only the process knew.
    pub(super) fn restart(&mut self) {
        self.fresh.clear();
        self.dirty.extend(0..self.groups.len());
        for kept in &mut self.groups {
            kept.planned_at = None;
        }
    }
}
