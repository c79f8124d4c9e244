//! Who copies from whom, and what a dataset is called there.

use std::collections::BTreeSet;

use super::{GroupMode, Mapping, SyncGroup};
use crate::{
    ids::SystemId,
    name::{DatasetName, NameError},
};

/// Why a logical dataset has no name on a member.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoName {
    /// The name would break a rule of ZFS.
    #[error("{0}")]
    Name(#[from] NameError),
    /// In a `many_to_one` group only what a mapping covers is copied, so that no source writes into another's place.
    #[error("no mapping of the group covers it")]
    NotMapped,
}

/// Who copies from whom. In a mesh every ordered pair is one; which are used is elected for each dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Edge {
    /// The member whose names logical datasets have.
    pub home: SystemId,
    /// The member that is followed.
    pub source: SystemId,
    /// The member that follows.
    pub target: SystemId,
}

impl SyncGroup {
    /// True when the pattern lists select this logical dataset.
    pub fn selects(&self, dataset: &DatasetName) -> bool {
        self.include.iter().any(|pattern| pattern.matches(dataset))
            && !self.exclude.iter().any(|pattern| pattern.matches(dataset))
    }

    /// The member that every other one follows, where the group fixes one.
    pub const fn source_of_truth(&self) -> Option<SystemId> {
        match self.mode {
            GroupMode::OneWay | GroupMode::Chain | GroupMode::Local => Some(self.hub),
            GroupMode::ManyToOne | GroupMode::Mesh => None,
        }
    }

    /// The members whose names logical datasets have: the hub, in `many_to_one` every source.
    pub fn homes(&self) -> Vec<SystemId> {
        match self.mode {
            GroupMode::ManyToOne => self.members.iter().copied().filter(|id| *id != self.hub).collect(),
            GroupMode::OneWay | GroupMode::Chain | GroupMode::Mesh | GroupMode::Local => vec![self.hub],
        }
    }

    /// Who copies from whom, in the order of members.
    pub fn edges(&self) -> Vec<Edge> {
        let hub = self.hub;
        let others = || self.members.iter().copied().filter(move |id| *id != hub);
        match self.mode {
            GroupMode::OneWay => others().map(|target| Edge { home: hub, source: hub, target }).collect(),
            GroupMode::ManyToOne => {
                others().map(|source| Edge { home: source, source, target: hub }).collect()
            }
            GroupMode::Chain => {
                let pairs = self.members.iter().zip(self.members.iter().skip(1));
                pairs.map(|(source, target)| Edge { home: hub, source: *source, target: *target }).collect()
            }
            GroupMode::Mesh => {
                let pairs = self.members.iter().flat_map(|source| {
                    self.members
                        .iter()
                        .filter(move |target| *target != source)
                        .map(move |target| (source, target))
                });
                pairs.map(|(source, target)| Edge { home: hub, source: *source, target: *target }).collect()
            }
            GroupMode::Local => vec![Edge { home: hub, source: hub, target: hub }],
        }
    }

    /// The members that something is received on.
    pub fn targets(&self) -> BTreeSet<SystemId> {
        self.edges().into_iter().map(|edge| edge.target).collect()
    }

    /// The mappings that give a logical dataset of `home` its name on `member`; `None` where it keeps its own.
    pub(super) fn mappings_for(&self, home: SystemId, member: SystemId) -> Option<&[Mapping]> {
        let of = |id| self.member_mappings.get(&id).unwrap_or(&self.mappings).as_slice();
        match self.mode {
            GroupMode::ManyToOne => (member == self.hub).then(|| of(home)),
            GroupMode::OneWay | GroupMode::Chain | GroupMode::Mesh => {
                (member != self.hub).then(|| of(member))
            }
            GroupMode::Local => None,
        }
    }

    /// The name of a logical dataset of `home` on a member, as source.
    pub fn name_on(
        &self,
        home: SystemId,
        dataset: &DatasetName,
        member: SystemId,
    ) -> Result<DatasetName, NoName> {
        match self.mappings_for(home, member) {
            Some(mappings) => self.map_by(mappings, dataset),
            None => Ok(dataset.clone()),
        }
    }

    /// The name under which a logical dataset of `home` is received on `member`. Differs from [`Self::name_on`] in `local` groups,
    /// where one system has it twice.
    pub fn target_name(
        &self,
        home: SystemId,
        dataset: &DatasetName,
        member: SystemId,
    ) -> Result<DatasetName, NoName> {
        match self.mode {
            GroupMode::Local => self.map_by(&self.mappings, dataset),
            _ => self.name_on(home, dataset, member),
        }
    }

    fn map_by(&self, mappings: &[Mapping], dataset: &DatasetName) -> Result<DatasetName, NoName> {
        let longest = mappings
            .iter()
            .filter_map(|mapping| dataset.strip_prefix(&mapping.from).map(|rest| (mapping, rest)))
            .max_by_key(|(mapping, _)| mapping.from.as_str().len());
        match longest {
            Some((mapping, rest)) => Ok(mapping.to.join(rest)?),
            None if self.mode == GroupMode::ManyToOne => Err(NoName::NotMapped),
            None => Ok(dataset.clone()),
        }
    }

    /// The logical datasets of `home` that would be received as `name` on `member`, whether they exist or not; in order.
    pub fn logical_names(&self, home: SystemId, name: &DatasetName, member: SystemId) -> Vec<DatasetName> {
        let mappings = match self.mode {
            GroupMode::Local => self.mappings.as_slice(),
            _ => self.mappings_for(home, member).unwrap_or_default(),
        };
        let through = mappings.iter().filter_map(|mapping| {
            name.strip_prefix(&mapping.to).and_then(|rest| mapping.from.join(rest).ok())
        });
        let candidates: BTreeSet<DatasetName> = through.chain([name.clone()]).collect();
        let arrives =
            |candidate: &DatasetName| self.target_name(home, candidate, member).as_ref() == Ok(name);
        candidates.into_iter().filter(|candidate| self.selects(candidate) && arrives(candidate)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{group, system},
        *,
    };

    fn name(text: &str) -> DatasetName {
        text.parse().unwrap()
    }

    #[test]
    fn the_longest_prefix_maps() {
        let group = group();
        let map = |text: &str| group.name_on(system(1), &name(text), system(2)).unwrap().to_string();
        assert_eq!(map("tank/media"), "backup/media");
        assert_eq!(map("tank/media/db/x"), "fast/db/x");
        assert_eq!(map("tank/media/db2"), "backup/media/db2");
        assert_eq!(map("other/x"), "other/x");
        assert_eq!(group.name_on(system(1), &name("tank/media"), system(1)), Ok(name("tank/media")));
    }

    #[test]
    fn names_are_found_back() {
        let group = group();
        let back = |text: &str| group.logical_names(system(1), &name(text), system(2));
        assert_eq!(back("backup/media/a"), vec![name("tank/media/a")]);
        assert_eq!(back("fast/db/a"), vec![name("tank/media/db/a")]);
        // `tank/media/db/a` goes elsewhere, and `backup/other` is not selected.
        assert_eq!(back("backup/media/db/a"), vec![]);
        assert_eq!(back("backup/other"), vec![]);
    }

    #[test]
    fn exclusion_beats_inclusion() {
        assert!(group().selects(&name("tank/media/a")));
        assert!(!group().selects(&name("tank/media/tmp")));
        assert!(!group().selects(&name("tank/other")));
    }

    #[test]
    fn each_mode_has_its_edges() {
        let edges = |mode| {
            let group = SyncGroup { mode, members: vec![system(1), system(2), system(3)], ..group() };
            let number = |id: SystemId| id.as_uuid().as_u128();
            let edges = group.edges().into_iter();
            edges
                .map(|edge| (number(edge.home), number(edge.source), number(edge.target)))
                .collect::<Vec<_>>()
        };
        assert_eq!(edges(GroupMode::OneWay), [(1, 1, 2), (1, 1, 3)]);
        assert_eq!(edges(GroupMode::ManyToOne), [(2, 2, 1), (3, 3, 1)]);
        assert_eq!(edges(GroupMode::Chain), [(1, 1, 2), (1, 2, 3)]);
        assert_eq!(edges(GroupMode::Mesh).len(), 6);
        assert_eq!(edges(GroupMode::Local), [(1, 1, 1)]);
    }

    #[test]
    fn many_sources_keep_to_their_own_prefix() {
        let group = SyncGroup {
            mode: GroupMode::ManyToOne,
            mappings: vec![],
            member_mappings: [(system(2), vec!["tank=backup/two".parse().unwrap()])].into(),
            ..group()
        };
        let target = |text: &str| group.target_name(system(2), &name(text), system(1));
        assert_eq!(target("tank/media"), Ok(name("backup/two/media")));
        assert_eq!(target("other/media"), Err(NoName::NotMapped));
        assert_eq!(group.name_on(system(2), &name("tank/media"), system(2)), Ok(name("tank/media")));
    }

    #[test]
    fn a_local_group_has_two_names_on_one_system() {
        let group = SyncGroup { mode: GroupMode::Local, members: vec![system(1)], ..group() };
        assert_eq!(group.name_on(system(1), &name("tank/media"), system(1)), Ok(name("tank/media")));
        assert_eq!(group.target_name(system(1), &name("tank/media"), system(1)), Ok(name("backup/media")));
    }
}
