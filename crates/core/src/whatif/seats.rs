//! What a dataset is to the groups: whose logical dataset it is, and who copies it from whom.

use std::collections::BTreeSet;

use super::loss::Role;
use crate::{
    group::{GroupMode, SyncGroup},
    ids::SystemId,
    name::DatasetName,
};

/// A dataset's part in one group.
#[derive(Clone, Debug)]
pub(super) struct Seat<'a> {
    pub(super) group: &'a SyncGroup,
    /// The member whose names logical datasets have.
    pub(super) home: SystemId,
    /// The name of the logical dataset.
    pub(super) logical: DatasetName,
    /// Source, or target only.
    pub(super) role: Role,
}

/// One copying of a logical dataset, with the names on both sides.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pair {
    pub(super) source: (SystemId, DatasetName),
    pub(super) target: (SystemId, DatasetName),
}

impl Seat<'_> {
    /// Who copies this logical dataset from whom. What the mapping gives no name is not copied.
    pub(super) fn pairs(&self) -> Vec<Pair> {
        let Self { group, home, logical, .. } = self;
        let edges = group.edges().into_iter().filter(|edge| edge.home == *home);
        edges
            .filter_map(|edge| {
                let source = group.name_on(*home, logical, edge.source).ok()?;
                let target = group.target_name(*home, logical, edge.target).ok()?;
                Some(Pair { source: (edge.source, source), target: (edge.target, target) })
            })
            .collect()
    }

    /// The systems other than `but` that the group wants to have this logical dataset.
    pub(super) fn others(&self, but: SystemId) -> BTreeSet<SystemId> {
        let pairs = self.pairs().into_iter();
        pairs.flat_map(|pair| [pair.source.0, pair.target.0]).filter(|system| *system != but).collect()
    }
}

/// What the groups have to do with one system.
#[derive(Debug)]
pub(super) struct Seating<'a> {
    system: SystemId,
    groups: Vec<Part<'a>>,
}

#[derive(Debug)]
struct Part<'a> {
    group: &'a SyncGroup,
    homes: Vec<SystemId>,
    receives: bool,
}

impl<'a> Seating<'a> {
    pub(super) fn new(groups: &[&'a SyncGroup], system: SystemId) -> Self {
        let members = groups.iter().filter(|group| group.members.contains(&system));
        let part = |group: &&'a SyncGroup| Part {
            group,
            homes: group.homes(),
            receives: group.targets().contains(&system),
        };
        Self { system, groups: members.map(part).collect() }
    }

    /// The parts that a dataset of this system has; none when no group knows it.
    pub(super) fn seats(&self, dataset: &DatasetName) -> Vec<Seat<'a>> {
        let mut seats = Vec::new();
        for Part { group, homes, receives } in &self.groups {
            for home in homes {
                let mut add = |logical, role| seats.push(Seat { group, home: *home, logical, role });
                let at_home = self.system == *home && group.selects(dataset);
                if at_home {
                    add(dataset.clone(), Role::Source);
                }
                if !receives {
                    continue;
                }
                let role = if group.mode == GroupMode::Mesh { Role::Source } else { Role::Target };
                for logical in group.logical_names(*home, dataset, self.system) {
                    // A mesh's hub has this name for it as well, which is no second part.
                    if !(at_home && logical == *dataset) {
                        add(logical, role);
                    }
                }
            }
        }
        seats
    }
}
