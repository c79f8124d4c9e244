//! What the ZFS of a host can do, asked once.

use crate::{
    command::{Command, ListColumns},
    error::{Error, Kind},
    parse::{self, ParseError, Versions},
    runner::Runner,
};

/// What replication may rely on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Features {
    /// The version of the tools: `2.3.9-1`.
    pub userland: String,
    /// The version of the kernel module.
    pub kernel: String,
    /// `snapshots_changed` exists (2.2).
    pub snapshots_changed: bool,
    /// Interrupted receives can be relied on (2.1; earlier versions have them, with bugs).
    pub resumable: bool,
}

impl Features {
    /// Asks `zfs version`. Systems too old to have that command are refused with [`Kind::Unsupported`].
    pub async fn probe(runner: &dyn Runner) -> Result<Self, Error> {
        let command = Command::Version;
        let output = runner.run(&command).await?;
        let unparsable = |what: &ParseError| Error::unparsable(runner.host(), &command, what);
        let versions = parse::versions(&output.stdout).map_err(|what| unparsable(&what))?;
        let common = versions.common().ok_or_else(|| {
            unparsable(&ParseError { line: 0, what: format!("`{}` is no version", versions.userland) })
        })?;
        // 0.8 has `zfs version`, and bookmarks, `-L -c -e -w` and resumable receives with known bugs.
        if common < (0, 8) {
            let mut error = unparsable(&ParseError { line: 0, what: "OpenZFS before 0.8".to_owned() });
            error.kind = Kind::Unsupported;
            return Err(error);
        }
        Ok(Self::new(versions, common))
    }

    fn new(versions: Versions, common: (u32, u32)) -> Self {
        let Versions { userland, kernel } = versions;
        Self { userland, kernel, snapshots_changed: common >= (2, 2), resumable: common >= (2, 1) }
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
        assert_eq!(features.list_columns(), ListColumns::Dataset);
        assert_eq!((features.userland.as_str(), features.kernel.as_str()), ("2.3.9-1", "2.1.11-1"));
    }

    #[tokio::test]
    async fn a_system_without_zfs_version_is_refused_clearly() {
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
