//! A sync group: which datasets of which system are to be kept where.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

mod names;
mod overlap;
mod problems;
mod standing;

pub use names::{Edge, NoName};
pub use overlap::clashes;
pub use problems::{GROUP_NAME_RULE, GroupProblem};

use crate::{
    ids::{GroupId, SystemId},
    name::{DatasetName, NameError},
    pattern::DatasetPattern,
};

/// How data flows within a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupMode {
    /// From the hub to every other member.
    #[default]
    OneWay,
    /// From every other member to the hub.
    ManyToOne,
    /// From the hub to the second member, from there to the third, and so on in the order of members.
    Chain,
    /// From whichever member's history contains all others', for each dataset by itself.
    Mesh,
    /// Within the hub, from one name to another.
    Local,
}

/// Which snapshots of a source a group copies, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// All of them, as soon as they are there.
    #[default]
    Standard,
    /// As the old service did: up to the newest midnight snapshot, and only when the target is more than 72 hours behind it.
    Classic,
}

/// What ends a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The replica is renamed (kept whole) and seeded anew.
    KeepBoth,
    /// The replica goes back to what it has in common with its source, and follows again; it is set aside where nothing is common.
    UseSourceOfTruth,
    /// All follow the member with the most recent snapshot.
    UseNewest,
    /// All follow the member whose dataset refers to the most data.
    UseLargest,
    /// All follow the history that most members have; without a majority nothing is done.
    UseMajority,
    /// As `use_source_of_truth`, and refused where nothing is common.
    RollbackTarget,
}

impl Strategy {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::KeepBoth,
        Self::UseSourceOfTruth,
        Self::UseNewest,
        Self::UseLargest,
        Self::UseMajority,
        Self::RollbackTarget,
    ];

    /// True when it may destroy snapshots or discard what was written.
    pub const fn is_destructive(self) -> bool {
        !matches!(self, Self::KeepBoth)
    }

    /// As in JSON and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeepBoth => "keep_both",
            Self::UseSourceOfTruth => "use_source_of_truth",
            Self::UseNewest => "use_newest",
            Self::UseLargest => "use_largest",
            Self::UseMajority => "use_majority",
            Self::RollbackTarget => "rollback_target",
        }
    }

    /// Back from [`Self::as_str`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.as_str() == name)
    }
}

/// What happens by itself to a replica whose history has left the source's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDivergence {
    /// Nothing, until a person decides. Also read as `manual`, which is what the old service's clients call it.
    #[default]
    #[serde(alias = "manual")]
    Stop,
    /// [`Strategy::KeepBoth`].
    KeepBoth,
    /// [`Strategy::UseSourceOfTruth`].
    UseSourceOfTruth,
    /// [`Strategy::UseNewest`].
    UseNewest,
    /// [`Strategy::UseLargest`].
    UseLargest,
    /// [`Strategy::UseMajority`].
    UseMajority,
    /// [`Strategy::RollbackTarget`].
    RollbackTarget,
}

impl OnDivergence {
    /// The strategy that is applied without asking.
    pub const fn strategy(self) -> Option<Strategy> {
        match self {
            Self::Stop => None,
            Self::KeepBoth => Some(Strategy::KeepBoth),
            Self::UseSourceOfTruth => Some(Strategy::UseSourceOfTruth),
            Self::UseNewest => Some(Strategy::UseNewest),
            Self::UseLargest => Some(Strategy::UseLargest),
            Self::UseMajority => Some(Strategy::UseMajority),
            Self::RollbackTarget => Some(Strategy::RollbackTarget),
        }
    }
}

/// Destroying on targets what was destroyed on the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MirrorDeletes {
    /// The brake: at most this share of a replica's snapshots in one run, 1 to 100; more is a conflict that a person decides.
    pub max_percent: u8,
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
    /// The member at the centre: in `one_way`, `chain` and `local` groups the source of truth, in `many_to_one` the target, in
    /// `mesh` the one that is preferred where several could be the source.
    pub hub: SystemId,
    /// All members, the hub among them; in `chain` groups in the order of the chain.
    pub members: Vec<SystemId>,
    /// Logical datasets that are selected: names on the source of truth, in `many_to_one` on each source.
    pub include: Vec<DatasetPattern>,
    /// Datasets that are not, although included.
    pub exclude: Vec<DatasetPattern>,
    /// Names on targets; the longest matching prefix wins, no match keeps the name.
    pub mappings: Vec<Mapping>,
    /// For single members, in place of `mappings`: the names on that member; in `many_to_one` the names on the hub of what comes
    /// from that member.
    pub member_mappings: BTreeMap<SystemId, Vec<Mapping>>,
    /// True when steps start by themselves.
    pub auto: bool,
    /// What happens on divergence.
    pub on_divergence: OnDivergence,
    /// True when `on_divergence` and `mirror_deletes` may destroy snapshots; guards still hold.
    pub allow_destroy: bool,
    /// Deletions on the source are carried over to targets.
    pub mirror_deletes: Option<MirrorDeletes>,
    /// A replica is renamed when its source was.
    pub follow_renames: bool,
    /// Which snapshots are copied.
    pub profile: Profile,
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn system(number: u128) -> SystemId {
        SystemId::from_uuid(uuid::Uuid::from_u128(number))
    }

    pub(super) fn group() -> SyncGroup {
        SyncGroup {
            id: GroupId::from_uuid(uuid::Uuid::from_u128(9)),
            name: "prod".into(),
            enabled: true,
            mode: GroupMode::OneWay,
            hub: system(1),
            members: vec![system(1), system(2)],
            include: vec!["tank/media/**".parse().unwrap()],
            exclude: vec!["tank/media/tmp".parse().unwrap()],
            mappings: vec!["tank=backup".parse().unwrap(), "tank/media/db=fast/db".parse().unwrap()],
            member_mappings: BTreeMap::new(),
            auto: true,
            on_divergence: OnDivergence::Stop,
            allow_destroy: false,
            mirror_deletes: None,
            follow_renames: false,
            profile: Profile::Standard,
        }
    }

    #[test]
    fn strategies_have_names() {
        for strategy in Strategy::ALL {
            assert_eq!(Strategy::from_name(strategy.as_str()), Some(strategy));
            assert_eq!(serde_json::to_value(strategy).unwrap(), strategy.as_str());
        }
    }
}
