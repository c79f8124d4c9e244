//! What both sides are asked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    entry::Entry,
    text::{ByteText, Digest},
};
use crate::{
    guid::{Guid, Txg},
    health::PoolHealth,
    inventory::DatasetKind,
};

/// How digests are made. Two sides with different numbers can not be compared.
pub const PROTOCOL: u32 = 1;

/// A question about one snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Question {
    /// GUID and properties.
    Inspect,
    /// One digest of everything. All later questions are about what was found then.
    Digest {
        /// With POSIX access lists: only where both sides store them.
        access_lists: bool,
    },
    /// What is in a directory.
    Directory {
        /// Which.
        path: ByteText,
        /// Only names whose hash begins so.
        prefix: Vec<u8>,
        /// Answer with parts even if there are few entries, because the other side has many.
        split: bool,
    },
    /// Digests of blocks of a file, or of a volume.
    Content {
        /// Which file.
        path: ByteText,
        /// From this byte.
        offset: u64,
        /// So many bytes.
        length: u64,
        /// In blocks of so many bytes; the last may be shorter.
        block: u64,
    },
}

/// What one side says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// To [`Question::Inspect`].
    Inspected(Box<Inspected>),
    /// To [`Question::Digest`].
    Summary(Box<Summary>),
    /// To [`Question::Directory`]: its entries by name, in the order of bytes.
    Entries {
        /// All that were asked for.
        entries: Vec<Entry>,
    },
    /// To [`Question::Directory`] when it is large: a digest for each value of the next byte of the names' hashes.
    Parts {
        /// 256 of them.
        digests: Vec<Digest>,
    },
    /// To [`Question::Content`].
    Blocks {
        /// One a block.
        digests: Vec<Digest>,
    },
    /// To any of them: it can not be answered.
    Refused {
        /// `E_…`.
        code: String,
        /// In words.
        detail: String,
    },
}

/// What is told of a snapshot without reading its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspected {
    /// How this side makes digests: [`PROTOCOL`].
    pub protocol: u32,
    /// The snapshot's GUID.
    pub guid: Guid,
    /// Its place in the order of its pool.
    pub createtxg: Txg,
    /// When it was taken, seconds since 1970.
    pub creation: i64,
    /// File system or volume.
    pub kind: DatasetKind,
    /// Snapshots of the same dataset that are older, newest first, at most a thousand.
    pub earlier: Vec<Guid>,
    /// How the pool is that it lies in; `None` when the host could not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolHealth>,
    /// Properties of the snapshot and of its dataset, as ZFS prints them; what it does not have is left out.
    pub properties: BTreeMap<String, String>,
}

/// One digest of everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The root directory, or the volume.
    pub root: Entry,
    /// Files, directories and other entries.
    pub entries: u64,
    /// Bytes that were read.
    pub bytes: u64,
}
