//! How many transfers may run at once where they meet, and whose turn it is.
//!
//! An agent takes no more transfers than it can carry out, but it does not see who else uses the far side: a hundred sources that push into
//! one hub would all begin at once. Only the witness sees all of them, so it counts when it gives leases.

use std::collections::BTreeMap;

use zfs_sync_core::ids::SystemId;

use crate::TransferRow;

/// How many transfers may run at once in one place. Whatever they do, each counts for both of its sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferCaps {
    /// That read from one system or write to it, whoever carries them out.
    pub per_system: u32,
    /// That read from one pool of a system or write to it.
    pub per_pool: u32,
    /// Between the same two systems, in both directions together.
    pub per_link: u32,
}

impl TransferCaps {
    /// No cap at all.
    pub const NONE: Self = Self { per_system: u32::MAX, per_pool: u32::MAX, per_link: u32::MAX };
}

impl Default for TransferCaps {
    /// An agent executes eight at a time; twice as many for a system that others push to as well. More streams than that do not make a pool
    /// of disks faster, they make it seek.
    fn default() -> Self {
        Self { per_system: 16, per_pool: 8, per_link: 8 }
    }
}

/// Where a transfer takes place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    /// The system that reads, and its pool.
    pub source: (SystemId, String),
    /// The system that writes, and its pool.
    pub target: (SystemId, String),
}

impl Course {
    fn sides(&self) -> impl Iterator<Item = &(SystemId, String)> {
        // A pool that is both is one.
        std::iter::once(&self.source).chain(Some(&self.target).filter(|target| **target != self.source))
    }

    fn systems(&self) -> impl Iterator<Item = SystemId> {
        let (source, target) = (self.source.0, self.target.0);
        std::iter::once(source).chain(Some(target).filter(|target| *target != source))
    }

    /// The two systems, in an order that does not depend on the direction; nothing within one.
    fn link(&self) -> Option<(SystemId, SystemId)> {
        let (source, target) = (self.source.0, self.target.0);
        (source != target).then(|| (source.min(target), source.max(target)))
    }
}

impl From<&TransferRow> for Course {
    fn from(row: &TransferRow) -> Self {
        Self {
            source: (row.source_system, row.source.pool().to_owned()),
            target: (row.target_system, row.target.pool().to_owned()),
        }
    }
}

/// A place where as many transfers run as may.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Crowded {
    /// A system.
    System(SystemId),
    /// A pool of a system.
    Pool(SystemId, String),
    /// What connects two systems.
    Link(SystemId, SystemId),
}

/// What runs, by place.
#[derive(Clone, Debug, Default)]
pub struct Turns {
    running: BTreeMap<Crowded, u32>,
}

impl Turns {
    /// Counts a transfer that runs.
    pub fn begin(&mut self, course: &Course) {
        for place in places(course) {
            *self.running.entry(place).or_default() += 1;
        }
    }

    /// How many run in a place.
    pub fn running(&self, place: &Crowded) -> u32 {
        self.running.get(place).copied().unwrap_or(0)
    }

    /// The place for whose sake a transfer has to wait.
    pub fn in_the_way(&self, caps: &TransferCaps, course: &Course) -> Option<Crowded> {
        places(course).find(|place| self.running(place) >= caps.of(place))
    }

    /// All places that are full.
    pub(crate) fn crowded(&self, caps: &TransferCaps) -> Vec<Crowded> {
        let full = self.running.iter().filter(|(place, running)| **running >= caps.of(place));
        full.map(|(place, _)| place.clone()).collect()
    }
}

impl TransferCaps {
    /// How many may run in a place.
    pub const fn of(&self, place: &Crowded) -> u32 {
        match place {
            Crowded::System(_) => self.per_system,
            Crowded::Pool(..) => self.per_pool,
            Crowded::Link(..) => self.per_link,
        }
    }
}

fn places(course: &Course) -> impl Iterator<Item = Crowded> {
    let systems = course.systems().map(Crowded::System);
    let pools = course.sides().map(|(system, pool)| Crowded::Pool(*system, pool.clone()));
    let link = course.link().map(|(one, other)| Crowded::Link(one, other));
    systems.chain(pools).chain(link)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn course(source: u128, from: &str, target: u128, into: &str) -> Course {
        let side = |number, pool: &str| (SystemId::from_uuid(Uuid::from_u128(number)), pool.to_owned());
        Course { source: side(source, from), target: side(target, into) }
    }

    #[test]
    fn each_side_counts_once_and_the_link_in_both_directions() {
        let mut turns = Turns::default();
        turns.begin(&course(1, "tank", 2, "backup"));
        turns.begin(&course(2, "backup", 1, "old"));
        let system = |number| SystemId::from_uuid(Uuid::from_u128(number));
        assert_eq!(turns.running(&Crowded::System(system(1))), 2);
        assert_eq!(turns.running(&Crowded::Pool(system(2), "backup".into())), 2);
        assert_eq!(turns.running(&Crowded::Pool(system(1), "tank".into())), 1);
        assert_eq!(turns.running(&Crowded::Link(system(1), system(2))), 2);
        turns.begin(&course(3, "tank", 3, "tank"));
        assert_eq!(turns.running(&Crowded::System(system(3))), 1, "within one system it is one transfer");
        assert_eq!(turns.running(&Crowded::Pool(system(3), "tank".into())), 1);
    }

    #[test]
    fn what_is_full_keeps_out_only_what_goes_there() {
        let mut turns = Turns::default();
        turns.begin(&course(1, "tank", 2, "backup"));
        let caps = TransferCaps { per_pool: 1, ..TransferCaps::NONE };
        let system = |number| SystemId::from_uuid(Uuid::from_u128(number));
        let pool = Some(Crowded::Pool(system(2), "backup".into()));
        assert_eq!(turns.in_the_way(&caps, &course(3, "tank", 2, "backup")), pool);
        assert_eq!(turns.in_the_way(&caps, &course(3, "tank", 2, "other")), None);
        let caps = TransferCaps { per_link: 1, ..TransferCaps::NONE };
        assert_eq!(
            turns.in_the_way(&caps, &course(2, "x", 1, "y")),
            Some(Crowded::Link(system(1), system(2)))
        );
        assert_eq!(turns.in_the_way(&caps, &course(3, "x", 1, "y")), None);
        let caps = TransferCaps { per_system: 1, ..TransferCaps::NONE };
        assert_eq!(turns.in_the_way(&caps, &course(3, "x", 1, "y")), Some(Crowded::System(system(1))));
    }
}
