//! A sync group: which datasets of which system are to be kept where.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    ids::{GroupId, SystemId},
    name::{DatasetName, NameError},
    pattern::DatasetPattern,
};

/// How data flows within a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GroupMode {
    /// From the source of truth to every other member.
    #[default]
    OneWay,
}

/// What happens to a replica whose history has left the source's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDivergence {
    /// Nothing, until a person decides.
    #[default]
    Stop,
    /// The replica is renamed (kept whole) and seeded anew.
    KeepBoth,
}

/// A prefix of source names and what stands in its place on targets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// Source prefix, whole components.
    pub from: DatasetName,
    /// Target prefix.
    pub to: DatasetName,
}

/// Why a text is no mapping.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// No `=`.
    #[error("expected FROM=TO, for example tank/media=backup/media")]
    Form,
    /// One of both sides is no dataset name.
    #[error("{side}: {error}")]
    Name {
        /// `FROM` or `TO`.
        side: &'static str,
        /// What is wrong with it.
        error: NameError,
    },
}

impl FromStr for Mapping {
    type Err = MappingError;

    fn from_str(text: &str) -> Result<Self, MappingError> {
        let (from, to) = text.split_once('=').ok_or(MappingError::Form)?;
        let name = |side, text: &str| text.parse().map_err(|error| MappingError::Name { side, error });
        Ok(Self { from: name("FROM", from)?, to: name("TO", to)? })
    }
}

impl fmt::Display for Mapping {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}={}", self.from, self.to)
    }
}

/// Systems, a selection of datasets, a mapping and a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncGroup {
    /// Its identity.
    pub id: GroupId,
    /// Its name, unique, for people.
    pub name: String,
    /// A disabled group plans nothing; its replicas show as paused.
    pub enabled: bool,
    /// How data flows.
    pub mode: GroupMode,
    /// The member whose history the others follow.
    pub source_of_truth: SystemId,
    /// All members, the source of truth among them.
    pub members: Vec<SystemId>,
    /// Datasets of the source of truth that are selected.
    pub include: Vec<DatasetPattern>,
    /// Datasets that are not, although included.
    pub exclude: Vec<DatasetPattern>,
    /// Names on targets; the longest matching prefix wins, no match keeps the name.
    pub mappings: Vec<Mapping>,
    /// True when steps start by themselves.
    pub auto: bool,
    /// What happens on divergence.
    pub on_divergence: OnDivergence,
}

/// One thing that is wrong with a group's definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupProblem {
    /// The field, as a JSON pointer into the request.
    pub pointer: String,
    /// A code of the registry, `E_…`.
    pub code: &'static str,
    /// What is wrong and what to do.
    pub detail: String,
}

/// Characters a group's name may have.
pub const GROUP_NAME_RULE: &str =
    "1 to 64 characters: letters, digits, `-`, `_`, `.`, space, beginning with a letter or digit";

impl SyncGroup {
    /// True when the pattern lists select this dataset of the source of truth.
    pub fn selects(&self, dataset: &DatasetName) -> bool {
        self.include.iter().any(|pattern| pattern.matches(dataset))
            && !self.exclude.iter().any(|pattern| pattern.matches(dataset))
    }

    /// The dataset's name on a target.
    pub fn map(&self, source: &DatasetName) -> Result<DatasetName, NameError> {
        let longest = self
            .mappings
            .iter()
            .filter_map(|mapping| source.strip_prefix(&mapping.from).map(|rest| (mapping, rest)))
            .max_by_key(|(mapping, _)| mapping.from.as_str().len());
        match longest {
            Some((mapping, rest)) => mapping.to.join(rest),
            None => Ok(source.clone()),
        }
    }

    /// The members other than the source of truth.
    pub fn targets(&self) -> impl Iterator<Item = SystemId> + '_ {
        self.members.iter().copied().filter(|member| *member != self.source_of_truth)
    }

    /// Everything that is wrong with the definition by itself, whatever the systems hold.
    pub fn problems(&self) -> Vec<GroupProblem> {
        let mut problems = Vec::new();
        let mut problem =
            |pointer: String, code, detail: String| problems.push(GroupProblem { pointer, code, detail });
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_. ".contains(c);
        let starts_well = self.name.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !starts_well
            || self.name.chars().count() > 64
            || !self.name.chars().all(allowed)
            || self.name.ends_with(' ')
        {
            problem("/name".into(), "E_VALUE_INVALID", format!("a group's name has {GROUP_NAME_RULE}"));
        }
        if self.members.len() < 2 {
            problem("/systems".into(), "E_GROUP_INVALID", "a group has at least two systems".into());
        }
        let mut seen = BTreeSet::new();
        for (index, member) in self.members.iter().enumerate() {
            if !seen.insert(member) {
                problem(format!("/systems/{index}"), "E_GROUP_INVALID", "this system is listed twice".into());
            }
        }
        if !self.members.contains(&self.source_of_truth) {
            let detail =
                "the source of truth is not among the group's systems; add it to `systems` or choose another";
            problem("/source_of_truth".into(), "E_GROUP_INVALID", detail.into());
        }
        if self.include.is_empty() {
            let detail = "name at least one dataset pattern, for example tank/media or tank/media/**";
            problem("/datasets".into(), "E_FIELD_REQUIRED", detail.into());
        }
        for (index, mapping) in self.mappings.iter().enumerate() {
            let earlier = &self.mappings[..index];
            if earlier.iter().any(|other| other.from == mapping.from) {
                let detail = format!("`{}` is mapped twice; keep one of the mappings", mapping.from);
                problem(format!("/mappings/{index}/from"), "E_GROUP_INVALID", detail);
            } else if let Some(other) = earlier.iter().find(|other| other.to == mapping.to) {
                let detail = format!(
                    "`{}` and `{}` would both be received into `{}`; give each a target of its own",
                    other.from, mapping.from, mapping.to
                );
                problem(format!("/mappings/{index}/to"), "E_MAPPING_COLLISION", detail);
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(number: u128) -> SystemId {
        SystemId::from_uuid(uuid::Uuid::from_u128(number))
    }

    fn group() -> SyncGroup {
        SyncGroup {
            id: GroupId::from_uuid(uuid::Uuid::from_u128(9)),
            name: "prod".into(),
            enabled: true,
            mode: GroupMode::OneWay,
            source_of_truth: system(1),
            members: vec![system(1), system(2)],
            include: vec!["tank/media/**".parse().unwrap()],
            exclude: vec!["tank/media/tmp".parse().unwrap()],
            mappings: vec!["tank=backup".parse().unwrap(), "tank/media/db=fast/db".parse().unwrap()],
            auto: true,
            on_divergence: OnDivergence::Stop,
        }
    }

    #[test]
    fn the_longest_prefix_maps() {
        let group = group();
        let map = |name: &str| group.map(&name.parse().unwrap()).unwrap().to_string();
        assert_eq!(map("tank/media"), "backup/media");
        assert_eq!(map("tank/media/db/x"), "fast/db/x");
        assert_eq!(map("tank/media/db2"), "backup/media/db2");
        assert_eq!(map("other/x"), "other/x");
    }

    #[test]
    fn exclusion_beats_inclusion() {
        assert!(group().selects(&"tank/media/a".parse().unwrap()));
        assert!(!group().selects(&"tank/media/tmp".parse().unwrap()));
        assert!(!group().selects(&"tank/other".parse().unwrap()));
    }

    #[test]
    fn each_problem_names_its_field() {
        assert_eq!(group().problems(), vec![]);
        let wrong = SyncGroup {
            name: "<b>".into(),
            source_of_truth: system(3),
            members: vec![system(1), system(1)],
            include: vec![],
            mappings: vec![
                "tank/a=b/x".parse().unwrap(),
                "tank/b=b/x".parse().unwrap(),
                "tank/a=b/y".parse().unwrap(),
            ],
            ..group()
        };
        let pointers: Vec<_> = wrong.problems().into_iter().map(|problem| problem.pointer).collect();
        let expected =
            ["/name", "/systems/1", "/source_of_truth", "/datasets", "/mappings/1/to", "/mappings/2/from"];
        assert_eq!(pointers, expected);
    }
}
