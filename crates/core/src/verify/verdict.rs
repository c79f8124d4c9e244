//! What a comparison has found.

use serde::{Deserialize, Serialize};

use super::{entry::EntryKind, property::PropertyDifference, text::ByteText};
use crate::{guid::Guid, health::PoolHealth};

/// How a comparison ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything that was compared is the same.
    Matched,
    /// Something is not.
    Differs,
    /// What was asked for can not be compared at present, an encrypted copy without its key say. Neither good nor bad.
    Unproven,
    /// It could not be carried out.
    Failed,
}

impl Outcome {
    /// As in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::Differs => "differs",
            Self::Unproven => "unproven",
            Self::Failed => "failed",
        }
    }
}

/// One way in which both sides differ; `left` is the side that was named first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "aspect", rename_all = "snake_case")]
#[expect(missing_docs, reason = "`left` and `right` are the same everywhere")]
pub enum Aspect {
    /// What it is.
    Kind { left: EntryKind, right: EntryKind },
    /// It can not be read: what the system said.
    Unreadable { left: Option<String>, right: Option<String> },
    /// Bytes.
    Size { left: u64, right: u64 },
    /// Permissions.
    Mode { left: u32, right: u32 },
    /// User and group.
    Owner { left: (u32, u32), right: (u32, u32) },
    /// Seconds since 1970 and nanoseconds.
    Modified { left: (i64, u32), right: (i64, u32) },
    /// Number of a device.
    Device { left: u64, right: u64 },
    /// What a symbolic link says.
    Target { left: Option<ByteText>, right: Option<ByteText> },
    /// With which other path it is one file.
    HardLink { left: Option<ByteText>, right: Option<ByteText> },
    /// An extended attribute.
    Attribute { name: ByteText },
    /// What is in it: from this byte on. `None`: it was not looked for.
    Content { first_byte: Option<u64> },
    /// Its content had different digests, and no difference when it was read again: a disk, its cable or memory gives other bytes each time.
    Unstable,
}

impl Aspect {
    /// In words, with what the sides are called.
    pub fn words(&self, left_name: &str, right_name: &str) -> String {
        let both = |what: &str, left: String, right: String| {
            format!("{what} is {left} on {left_name} and {right} on {right_name}")
        };
        let linked = |with: &Option<ByteText>| match with {
            Some(path) => format!("the same file as {path}"),
            None => "a file of its own".to_owned(),
        };
        match self {
            Self::Kind { left, right } => {
                format!("{} on {left_name}, {} on {right_name}", left.words(), right.words())
            }
            Self::Unreadable { left, right } => {
                let sides = [(left, left_name), (right, right_name)];
                let said: Vec<String> = sides
                    .iter()
                    .filter_map(|(said, name)| {
                        said.as_ref().map(|said| format!("can not be read on {name}: {said}"))
                    })
                    .collect();
                said.join("; ")
            }
            Self::Size { left, right } => both("its size", left.to_string(), right.to_string()),
            Self::Mode { left, right } => both("its mode", format!("{left:04o}"), format!("{right:04o}")),
            Self::Owner { left, right } => {
                both("its owner", format!("{}:{}", left.0, left.1), format!("{}:{}", right.0, right.1))
            }
            Self::Modified { left, right } => {
                let time = |(seconds, nanos): &(i64, u32)| format!("{seconds}.{nanos:09}");
                both("its modification time", time(left), time(right))
            }
            Self::Device { left, right } => both("its device number", left.to_string(), right.to_string()),
            Self::Target { left, right } => {
                let text =
                    |target: &Option<ByteText>| target.as_ref().map(ToString::to_string).unwrap_or_default();
                both("its target", text(left), text(right))
            }
            Self::HardLink { left, right } => both("it", linked(left), linked(right)),
            Self::Attribute { name } => format!("the attribute {name} differs"),
            Self::Content { first_byte: Some(byte) } => format!("content differs from byte {byte}"),
            Self::Content { first_byte: None } => "content differs".to_owned(),
            Self::Unstable => "content differed, and no longer when it was read again".to_owned(),
        }
    }
}

/// What is wrong at one path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// It is only on the side that was named first; of a directory, with everything below it.
    OnlyLeft,
    /// It is only on the side that was named second.
    OnlyRight,
    /// It is on both, and differs.
    Differs {
        /// In these ways.
        aspects: Vec<Aspect>,
    },
}

/// One path that is not the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Below the root of the snapshot; empty for the root itself, or for a volume.
    pub path: ByteText,
    /// What is wrong.
    #[serde(flatten)]
    pub what: What,
}

impl Difference {
    /// One line, with what the sides are called.
    pub fn words(&self, left: &str, right: &str) -> String {
        let path = if self.path.is_empty() { "(the whole)".to_owned() } else { self.path.to_string() };
        match &self.what {
            What::OnlyLeft => format!("{path}: only on {left}"),
            What::OnlyRight => format!("{path}: only on {right}"),
            What::Differs { aspects } => {
                let aspects: Vec<String> = aspects.iter().map(|aspect| aspect.words(left, right)).collect();
                format!("{path}: {}", aspects.join("; "))
            }
        }
    }
}

impl Verdict {
    /// What it says of the copy: that it is the same, or that it is not. Nothing where two different snapshots were compared, or where
    /// nobody could compare them.
    pub const fn proves(&self) -> Option<bool> {
        match self.outcome {
            Outcome::Matched => Some(true),
            Outcome::Differs if self.guid.is_some() => Some(false),
            Outcome::Differs | Outcome::Unproven | Outcome::Failed => None,
        }
    }
}

/// The result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// How it ended.
    pub outcome: Outcome,
    /// True when contents were compared, and not GUID and properties alone.
    pub deep: bool,
    /// `E_…`, where it could not be carried out or not be proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The snapshot's GUID, when it is the same.
    pub guid: Option<Guid>,
    /// Properties that differ, expected or not.
    pub properties: Vec<PropertyDifference>,
    /// Paths that differ, in the order in which they were found, up to a limit.
    pub differences: Vec<Difference>,
    /// Differences found beyond these.
    pub more: u64,
    /// Directories that differ somewhere, and were not looked into because of the limit.
    pub not_looked_into: u64,
    /// Files, directories and other entries that were compared.
    pub entries: u64,
    /// Bytes that each side read for its digest.
    pub bytes: u64,
    /// How the pool of the side that was named first was then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_pool: Option<PoolHealth>,
    /// How the other side's pool was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right_pool: Option<PoolHealth>,
}
