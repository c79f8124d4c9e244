//! What a snapshot holds, opened for reading in such a way that nobody else sees anything of it.
//!
//! **File systems.** Replicas are not mounted, and should not be. A snapshot is mounted by `fsopen`, `fsmount` (Linux 5.2) into nothing: the
//! mount has no place in any directory tree, is in no mount table, and exists exactly as long as the file descriptor that we
//! hold. Whatever becomes of this process, nothing is left behind. While it is open, ZFS refuses to destroy the snapshot (*dataset is busy*).
//!
//! **Volumes.** A snapshot of a volume has a device node only with `snapdev=visible`, a property of the volume. It is set for as long as
//! somebody reads, and what was there before is written into a property of ours in the same `zfs set`, so that the next start finds on the
//! pool itself what a process that died has left. A clone would have changed nothing of the volume, but would have to be destroyed
//! afterwards, and this program has no way to destroy a dataset.

mod tree;
mod volume;

use std::{any::Any, fs::File, os::fd::OwnedFd};

use zfs_sync_core::name::{DatasetName, SnapshotName};

pub(crate) use self::{tree::open as open_tree, volume::ShownVolumes};
use crate::error::{Error, Kind};

/// What a snapshot holds.
#[derive(Debug)]
pub enum Content {
    /// The root directory of a file system.
    Tree(Tree),
    /// A volume, as one row of bytes.
    Volume(Volume),
}

/// A file system.
#[derive(Debug)]
pub struct Tree {
    root: OwnedFd,
    /// What keeps it in existence besides the descriptor.
    _keeper: Option<Box<dyn Any + Send + Sync>>,
}

impl Tree {
    pub(crate) fn new(root: OwnedFd, keeper: Option<Box<dyn Any + Send + Sync>>) -> Self {
        Self { root, _keeper: keeper }
    }

    /// Its root directory, read-only.
    pub const fn root(&self) -> &OwnedFd {
        &self.root
    }
}

/// A volume.
#[derive(Debug)]
pub struct Volume {
    device: File,
    size: u64,
    /// Whose property was changed for it.
    shown: Option<DatasetName>,
}

impl Volume {
    pub(crate) const fn new(device: File, size: u64, shown: Option<DatasetName>) -> Self {
        Self { device, size, shown }
    }

    /// Its bytes.
    pub const fn device(&self) -> &File {
        &self.device
    }

    /// How many they are.
    pub const fn size(&self) -> u64 {
        self.size
    }
}

/// Why content can not be opened.
pub(crate) fn error(host: &str, snapshot: &SnapshotName, kind: Kind, why: impl Into<String>) -> Error {
    Error {
        host: host.to_owned(),
        command: format!("read {snapshot}"),
        status: why.into(),
        stderr: String::new(),
        kind,
    }
}
