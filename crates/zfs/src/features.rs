//! What the ZFS of a host can do, asked once.
//!
//! Since 0.8 there is `zfs version`, and everything that replication needs. An older implementation (OpenZFS 0.6, zfs-fuse, …) refuses that
//! command and says all that it does know instead: the usage of each command with its options. What is not there is
//! done without, and named ([`Ability::code`]).

use std::collections::BTreeSet;

use zfs_sync_core::plan::Warning;

use crate::{
    command::{Command, ListColumns},
    error::{Error, Kind},
    parse::{self, ParseError, Release, Versions},
    runner::Runner,
};

/// Something that old implementations lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ability {
    /// `zfs list -p`: numbers are not rounded. Without it everything is read by `zfs get -p`.
    ExactLists,
    /// The property `written`.
    Written,
    /// `zfs bookmark`.
    Bookmarks,
    /// `zfs holds` lists tags. Where it does not, ours are released by name.
    ListedHolds,
    /// `zfs receive -s`, `zfs send -t`, without the faults of versions before 2.1.
    Resume,
    /// `zfs send -L`.
    LargeBlocks,
    /// `zfs send -c`.
    Compressed,
    /// `zfs send -e`.
    Embedded,
    /// `zfs send -w`, and encryption.
    Raw,
    /// `zfs receive -o` and `-x`.
    ReceiveProperties,
    /// `zfs send -nP`.
    Estimate,
}

impl Ability {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::ExactLists,
        Self::Written,
        Self::Bookmarks,
        Self::ListedHolds,
        Self::Resume,
        Self::LargeBlocks,
        Self::Compressed,
        Self::Embedded,
        Self::Raw,
        Self::ReceiveProperties,
        Self::Estimate,
    ];

    /// What its lack is called; `None` where nobody notices.
    pub const fn code(self) -> Option<Warning> {
        match self {
            // Another command tells the same; and what can not be encrypted needs no raw stream.
            Self::ExactLists | Self::Raw => None,
            Self::Written => Some(Warning::FeatureWritten),
            Self::Bookmarks => Some(Warning::FeatureBookmarks),
            Self::ListedHolds => Some(Warning::FeatureHolds),
            Self::Resume => Some(Warning::FeatureResume),
            Self::LargeBlocks => Some(Warning::FeatureLargeBlocks),
            Self::Compressed => Some(Warning::FeatureCompressed),
            Self::Embedded => Some(Warning::FeatureEmbedded),
            Self::ReceiveProperties => Some(Warning::FeatureReceiveProperties),
            Self::Estimate => Some(Warning::FeatureEstimate),
        }
    }
}

impl Ability {
    /// What its lack means.
    const fn consequence(self) -> &'static str {
        match self {
            Self::ExactLists => "everything is read by `zfs get`",
            Self::Written => "what was written to a replica is noticed only when it receives",
            Self::Bookmarks => "the common snapshot must stay on the source until the next one has arrived",
            Self::ListedHolds => "our holds are released by name",
            Self::Resume => "an interrupted transfer begins anew",
            Self::LargeBlocks => "blocks of more than 128 KiB are split",
            Self::Compressed => "compressed blocks travel expanded",
            Self::Embedded => "embedded data travels as blocks",
            Self::Raw => "nothing can be encrypted",
            Self::ReceiveProperties => "a new replica gets its properties after its first receive",
            Self::Estimate => "the size of a stream is not known before it was sent",
        }
    }
}

/// What replication may rely on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Features {
    /// The version of the tools: `2.3.9-1`; [`Self::UNKNOWN`] where they do not say.
    pub userland: String,
    /// The version of the kernel module.
    pub kernel: String,
    /// `snapshots_changed` exists (2.2).
    pub snapshots_changed: bool,
    /// Interrupted receives can be relied on (2.1; earlier versions have them, with bugs).
    pub resumable: bool,
    /// What is done without.
    pub missing: BTreeSet<Ability>,
}

impl Features {
    /// The version of an implementation without `zfs version`.
    pub const UNKNOWN: &'static str = "before 0.8";

    /// Asks `zfs version`, and where there is none, what the usage says.
    pub async fn probe(runner: &dyn Runner) -> Result<Self, Error> {
        let command = Command::Version;
        let output = match runner.run(&command).await {
            Ok(output) => output,
            Err(error) if error.kind == Kind::Unsupported => return Self::of_usage(error),
            Err(error) => return Err(error),
        };
        let unparsable = |what: &ParseError| Error::unparsable(runner.host(), &command, what);
        let versions = parse::versions(&output.stdout).map_err(|what| unparsable(&what))?;
        let common = versions.common().ok_or_else(|| {
            unparsable(&ParseError { line: 0, what: format!("`{}` is no version", versions.userland) })
        })?;
        Ok(Self::new(versions, common))
    }

    fn new(versions: Versions, common: (u32, u32)) -> Self {
        let Versions { userland, kernel } = versions;
        let resumable = common >= (2, 1);
        let missing = BTreeSet::from_iter((!resumable).then_some(Ability::Resume));
        Self { userland, kernel, snapshots_changed: common >= (2, 2), resumable, missing }
    }

    /// Reads the usage that came instead of a version.
    fn of_usage(error: Error) -> Result<Self, Error> {
        // What has neither holds nor exact numbers is no ZFS to replicate with.
        let Some(found) = parse::abilities(&error.stderr) else { return Err(error) };
        let mut missing: BTreeSet<Ability> =
            Ability::ALL.into_iter().filter(|ability| !found.contains(ability)).collect();
        // Before 0.8 it is there at most with the faults of 0.7.
        missing.insert(Ability::Resume);
        Ok(Self {
            userland: Self::UNKNOWN.to_owned(),
            kernel: Self::UNKNOWN.to_owned(),
            snapshots_changed: false,
            resumable: false,
            missing,
        })
    }

    /// True when the host has it.
    pub fn can(&self, ability: Ability) -> bool {
        !self.missing.contains(&ability)
    }

    /// What is done without here, and what that means, for people.
    pub fn reductions(&self) -> impl Iterator<Item = (Warning, &'static str)> + '_ {
        self.missing.iter().filter_map(|ability| Some((ability.code()?, ability.consequence())))
    }

    /// The older one of tools and module; `None` where they do not say.
    pub fn release(&self) -> Option<Release> {
        Some(parse::release(&self.userland)?.min(parse::release(&self.kernel)?))
    }

    /// The columns a listing of datasets can have here.
    pub const fn list_columns(&self) -> ListColumns {
        if self.snapshots_changed { ListColumns::DatasetWithChanges } else { ListColumns::Dataset }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::scripted::Scripted;

    #[tokio::test]
    async fn the_older_of_tools_and_module_decides() {
        let runner = Scripted::new().succeeds(&Command::Version, "zfs-2.3.9-1\nzfs-kmod-2.1.11-1\n");
        let features = Features::probe(&runner).await.unwrap();
        assert!(!features.snapshots_changed);
        assert!(features.resumable);
        assert_eq!(features.missing, BTreeSet::new());
        assert_eq!(features.list_columns(), ListColumns::Dataset);
        assert_eq!((features.userland.as_str(), features.kernel.as_str()), ("2.3.9-1", "2.1.11-1"));
    }

    #[tokio::test]
    async fn before_2_1_nothing_is_continued() {
        let runner = Scripted::new().succeeds(&Command::Version, "zfs-2.0.3-9\nzfs-kmod-2.0.3-9\n");
        let features = Features::probe(&runner).await.unwrap();
        assert!(!features.can(Ability::Resume) && features.can(Ability::Raw));
    }

    #[tokio::test]
    async fn an_old_implementation_is_known_by_its_usage() {
        let usage = include_str!("../tests/golden/zfs-fuse/version.stderr");
        let runner = Scripted::new().fails(&Command::Version, usage);
        let features = Features::probe(&runner).await.unwrap();
        assert_eq!(features.missing, BTreeSet::from(Ability::ALL));
        assert_eq!(features.userland, "before 0.8");
    }

    #[tokio::test]
    async fn a_program_that_is_no_zfs_is_refused_clearly() {
        let runner =
            Scripted::new().fails(&Command::Version, "unrecognized command 'version'\nusage: zfs command\n");
        assert_eq!(Features::probe(&runner).await.unwrap_err().kind, Kind::Unsupported);
    }

    #[tokio::test]
    async fn a_system_without_its_kernel_module_is_refused_clearly() {
        let runner = Scripted::new().succeeds(&Command::Version, "zfs-2.3.9-1\n");
        assert_eq!(Features::probe(&runner).await.unwrap_err().kind, Kind::Unparsable);
    }
}
