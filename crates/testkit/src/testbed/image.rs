//! The guests' system disks: built once per machine by `tests/testbed/build-image`, then shared read-only.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::{fmt, fs};

use anyhow::{Context, Result, bail};

use super::process;

/// Which Debian a machine runs, and with it which OpenZFS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suite {
    /// Debian 13 with OpenZFS 2.3.
    Trixie,
    /// Debian 12 with OpenZFS 2.1: no `snapshots_changed`, no `zfs list -j`, older texts.
    Bookworm,
}

impl Suite {
    fn as_str(self) -> &'static str {
        match self {
            Self::Trixie => "trixie",
            Self::Bookworm => "bookworm",
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// One cached image.
#[derive(Debug, Clone)]
pub(super) struct Image {
    directory: PathBuf,
}

impl Image {
    /// Takes the image from the cache, or builds it, which takes some six minutes and root.
    pub(super) fn of(suite: Suite) -> Result<Self> {
        let script = repository().join("tests/testbed/build-image");
        let mut build = process::command(&script);
        // What a builder says in six minutes belongs on the screen, not into an error.
        build.arg(suite.as_str()).stderr(Stdio::inherit());
        let printed = process::output(&mut build)
            .with_context(|| format!("could not get the testbed's image of {suite}"))?;
        let directory = PathBuf::from(printed.trim_end());
        if !directory.is_absolute() {
            bail!("`{} {suite}` printed `{}` instead of a directory", script.display(), directory.display());
        }
        Ok(Self { directory })
    }

    pub(super) fn disk(&self) -> PathBuf {
        self.directory.join("image.ext4")
    }

    pub(super) fn kernel(&self) -> PathBuf {
        self.directory.join("vmlinuz")
    }

    pub(super) fn initrd(&self) -> PathBuf {
        self.directory.join("initrd.img")
    }

    /// As `zfs version` prints it, such as `zfs-2.3.9-1`.
    pub(super) fn zfs_version(&self) -> Result<String> {
        let file = self.directory.join("zfs-version");
        let text = fs::read_to_string(&file).with_context(|| format!("could not read {}", file.display()))?;
        Ok(text.trim_end().to_owned())
    }
}

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
