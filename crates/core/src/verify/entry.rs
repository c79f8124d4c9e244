//! One file, directory or other thing in a snapshot.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    text::{ByteText, Digest},
    verdict::Aspect,
};

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A block device.
    BlockDevice,
    /// A character device.
    CharacterDevice,
    /// A named pipe.
    Pipe,
    /// A socket.
    Socket,
    /// The whole of a volume.
    Volume,
}

impl EntryKind {
    /// In a sentence.
    pub const fn words(self) -> &'static str {
        match self {
            Self::File => "a file",
            Self::Directory => "a directory",
            Self::Symlink => "a symbolic link",
            Self::BlockDevice => "a block device",
            Self::CharacterDevice => "a character device",
            Self::Pipe => "a pipe",
            Self::Socket => "a socket",
            Self::Volume => "a volume",
        }
    }
}

/// What one side says of one name in a directory. What does not apply has its default.
///
/// Access times are not here: reading changes them. Neither is what depends on how the pool stores it: holes, blocks, inode numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name in its directory; empty for the root.
    pub name: ByteText,
    /// What it is.
    pub kind: EntryKind,
    /// Permissions, set-user-id, set-group-id, sticky.
    #[serde(default)]
    pub mode: u32,
    /// Owner.
    #[serde(default)]
    pub uid: u32,
    /// Group.
    #[serde(default)]
    pub gid: u32,
    /// When it was modified, seconds since 1970.
    #[serde(default)]
    pub modified: i64,
    /// And nanoseconds.
    #[serde(default)]
    pub modified_nanos: u32,
    /// Bytes of a file or volume.
    #[serde(default)]
    pub size: u64,
    /// The number of a device.
    #[serde(default)]
    pub device: u64,
    /// What a symbolic link says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<ByteText>,
    /// Extended attributes, each by the digest of its value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<ByteText, Digest>,
    /// The first path, in the order of the walk, of the same file: a hard link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linked: Option<ByteText>,
    /// Of what is in a file or volume, or of everything below a directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Digest>,
    /// Why it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

impl Entry {
    /// An entry of which nothing is known but its name and kind.
    pub const fn new(name: ByteText, kind: EntryKind) -> Self {
        Self {
            name,
            kind,
            mode: 0,
            uid: 0,
            gid: 0,
            modified: 0,
            modified_nanos: 0,
            size: 0,
            device: 0,
            target: None,
            attributes: BTreeMap::new(),
            linked: None,
            content: None,
            unreadable: None,
        }
    }

    /// In which way both sides' entries of one name differ, apart from content that both could read.
    pub(super) fn aspects(&self, other: &Self) -> Vec<Aspect> {
        // Every field is named, so that a new one can not be forgotten.
        let Self {
            name: _,
            kind,
            mode,
            uid,
            gid,
            modified,
            modified_nanos,
            size,
            device,
            target,
            attributes,
            linked,
            content: _,
            unreadable,
        } = self;
        if *kind != other.kind {
            return vec![Aspect::Kind { left: *kind, right: other.kind }];
        }
        let mut found = Vec::new();
        if unreadable.is_some() || other.unreadable.is_some() {
            found.push(Aspect::Unreadable { left: unreadable.clone(), right: other.unreadable.clone() });
        }
        if *size != other.size {
            found.push(Aspect::Size { left: *size, right: other.size });
        }
        if *mode != other.mode {
            found.push(Aspect::Mode { left: *mode, right: other.mode });
        }
        if (*uid, *gid) != (other.uid, other.gid) {
            found.push(Aspect::Owner { left: (*uid, *gid), right: (other.uid, other.gid) });
        }
        if (*modified, *modified_nanos) != (other.modified, other.modified_nanos) {
            let (left, right) = ((*modified, *modified_nanos), (other.modified, other.modified_nanos));
            found.push(Aspect::Modified { left, right });
        }
        if *device != other.device {
            found.push(Aspect::Device { left: *device, right: other.device });
        }
        if *target != other.target {
            found.push(Aspect::Target { left: target.clone(), right: other.target.clone() });
        }
        if *linked != other.linked {
            found.push(Aspect::HardLink { left: linked.clone(), right: other.linked.clone() });
        }
        let names = attributes.keys().chain(other.attributes.keys());
        let mut different: Vec<&ByteText> =
            names.filter(|name| attributes.get(*name) != other.attributes.get(*name)).collect();
        different.sort();
        different.dedup();
        found.extend(different.into_iter().map(|name| Aspect::Attribute { name: name.clone() }));
        found
    }
}
