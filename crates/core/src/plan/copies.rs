//! The copies of a snapshot in the whole fleet, and which of them may be relied on when another one is destroyed.
//!
//! A copy is told by the GUID of its dataset, which survives an import and a rename, while a receive makes a new one. So a pool that two
//! systems report, because it has just moved from one to the other or because a machine was cloned with its disks, is *one* copy: neither
//! report may be what lets the other's snapshots be destroyed.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use super::step::{Action, Casualty, Step};
use crate::{guid::Guid, ids::SystemId};

/// How long after its lease has ended a step may still destroy: who executes it begins nothing then, but the command that it had begun in the last
/// moment goes on. No command that destroys may take longer.
pub const LAST_COMMAND: SignedDuration = SignedDuration::from_mins(30);

/// A dataset that has a copy: which one, and on which system it was reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Who reported it.
    pub system: SystemId,
    /// The dataset's own GUID.
    pub dataset: Guid,
}

/// What is known of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is there, and nobody is about to destroy it.
    Stays,
    /// A decision that stands or a transfer that is not over destroys it; or one has ended, and the system has not reported since.
    Doomed,
    /// The system's newest report is too old to rely on.
    Unheard,
}

/// All copies of one snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copies {
    reported_by: BTreeSet<SystemId>,
    kept: BTreeMap<Place, Standing>,
}

impl Copies {
    /// Notes that the system's newest report has the snapshot, in whatever dataset and however old the report is: it has not destroyed it.
    pub fn report(&mut self, system: SystemId) {
        self.reported_by.insert(system);
    }

    /// Notes a copy that a group keeps. Of two words about one place the less reliable counts.
    pub fn keep(&mut self, place: Place, standing: Standing) {
        let known = self.kept.entry(place).or_insert(standing);
        if *known == Standing::Stays {
            *known = standing;
        }
    }

    /// Notes that nobody may rely on what this system has.
    pub fn doom(&mut self, system: SystemId) {
        for (_, standing) in self.kept.iter_mut().filter(|(place, _)| place.system == system) {
            *standing = Standing::Doomed;
        }
    }

    /// All that groups keep.
    pub fn places(&self) -> impl Iterator<Item = (Place, Standing)> {
        self.kept.iter().map(|(place, standing)| (*place, *standing))
    }

    /// True when the system is known to have it in some dataset.
    pub fn is_reported_by(&self, system: SystemId) -> bool {
        self.reported_by.contains(&system)
    }

    /// Systems that keep a copy which is not the one in this dataset, and which nobody is about to destroy.
    pub fn kept_beside(&self, own: Guid) -> BTreeSet<SystemId> {
        let doomed = self.doomed();
        let stays = |(place, standing): &(&Place, &Standing)| {
            **standing == Standing::Stays && place.dataset != own && !doomed.contains(&place.dataset)
        };
        self.kept.iter().filter(stays).map(|(place, _)| place.system).collect()
    }

    /// True when the copy in `own` may go because another one stays for good.
    ///
    /// Of all copies the first one stays, so that not all are destroyed at once, each relying on the others. Copies are ordered by the
    /// first system that reports them.
    pub fn is_kept_before(&self, own: Place) -> bool {
        self.before(own).any(|(_, standing)| standing == Standing::Stays)
    }

    /// The copies that come before this one.
    fn before(&self, own: Place) -> impl Iterator<Item = (SystemId, Standing)> {
        let first = |dataset: Guid| self.kept.keys().find(|place| place.dataset == dataset);
        let limit = first(own.dataset).map_or(own.system, |place| place.system.min(own.system));
        let doomed = self.doomed();
        let others = self.kept.iter().filter(move |(place, _)| {
            place.dataset != own.dataset && first(place.dataset).is_some_and(|first| first.system < limit)
        });
        others.map(move |(place, standing)| {
            let standing = if doomed.contains(&place.dataset) { Standing::Doomed } else { *standing };
            (place.system, standing)
        })
    }

    /// Datasets whose copy is about to be destroyed, on whichever of the systems that report it.
    fn doomed(&self) -> BTreeSet<Guid> {
        let doomed = self.kept.iter().filter(|(_, standing)| **standing == Standing::Doomed);
        doomed.map(|(place, _)| place.dataset).collect()
    }
}

/// The first snapshot of a step that no other copy outlives, and whose copy disappoints, when there is one.
pub fn first_lost<'a>(
    step: &'a Step,
    copies: &BTreeMap<Guid, Copies>,
) -> Option<(&'a Casualty, Option<(SystemId, Standing)>)> {
    let (Action::DestroySnapshots { target_guid, destroys, .. }
    | Action::RollBack { target_guid, destroys, .. }) = &step.action
    else {
        return None;
    };
    let own = Place { system: step.target_system, dataset: *target_guid };
    destroys.iter().find_map(|lost| {
        let Some(copies) = copies.get(&lost.guid) else { return Some((lost, None)) };
        (!copies.is_kept_before(own)).then(|| (lost, copies.before(own).next()))
    })
}

#[cfg(test)]
mod tests {
    use Standing::{Doomed, Stays, Unheard};

    use super::*;

    fn place(system: u128, dataset: u64) -> Place {
        let system = SystemId::from_uuid(uuid::Uuid::from_u128(system));
        Place { system, dataset: Guid::new(dataset) }
    }

    fn copies(all: &[(u128, u64, Standing)]) -> Copies {
        let mut copies = Copies::default();
        for (system, dataset, standing) in all {
            copies.keep(place(*system, *dataset), *standing);
        }
        copies
    }

    /// Who may destroy what they have, when each asks by itself.
    fn goes(all: &[(u128, u64, Standing)]) -> Vec<u128> {
        let copies = copies(all);
        let may_go =
            all.iter().filter(|(system, dataset, _)| copies.is_kept_before(place(*system, *dataset)));
        may_go.map(|(system, ..)| *system).collect()
    }

    #[test]
    fn the_first_copy_stays() {
        assert_eq!(goes(&[(1, 10, Stays), (2, 20, Stays), (3, 30, Stays)]), [2, 3]);
        assert_eq!(goes(&[(1, 10, Unheard), (2, 20, Doomed), (3, 30, Stays)]), Vec::<u128>::new());
        assert_eq!(goes(&[(1, 10, Unheard), (2, 20, Stays), (3, 30, Stays)]), [3]);
    }

    #[test]
    fn two_datasets_of_one_system_do_not_keep_one_another() {
        assert_eq!(goes(&[(1, 10, Stays), (1, 11, Stays)]), Vec::<u128>::new());
    }

    #[test]
    fn one_copy_that_two_systems_report_is_one() {
        assert_eq!(goes(&[(1, 10, Stays), (2, 10, Stays)]), Vec::<u128>::new(), "a pool has moved");
        assert_eq!(
            goes(&[(1, 10, Unheard), (2, 10, Stays), (3, 30, Stays)]),
            [3],
            "it stays where it is now"
        );
        assert_eq!(
            goes(&[(1, 10, Stays), (2, 20, Stays), (3, 10, Stays)]),
            [2],
            "else 2 and 3 would both go"
        );
        assert_eq!(
            goes(&[(1, 10, Stays), (2, 20, Stays), (3, 10, Doomed)]),
            Vec::<u128>::new(),
            "it goes from 3"
        );
    }

    #[test]
    fn who_else_has_it_is_told_without_the_same_copy() {
        let all =
            copies(&[(1, 10, Stays), (2, 10, Stays), (3, 30, Doomed), (4, 40, Unheard), (5, 50, Stays)]);
        assert_eq!(all.kept_beside(Guid::new(10)), BTreeSet::from([place(5, 0).system]));
    }

    #[test]
    fn a_doubt_is_not_taken_back() {
        let mut all = copies(&[(1, 10, Stays), (1, 10, Doomed), (1, 10, Stays)]);
        assert!(!all.is_kept_before(place(2, 20)));
        all.keep(place(1, 11), Stays);
        assert!(all.is_kept_before(place(2, 20)));
        all.doom(place(1, 0).system);
        assert!(!all.is_kept_before(place(2, 20)));
    }
}
