//! Names that are ours by prefix. What carries another prefix belongs to somebody else and can not even be put into a command.

use std::{fmt, ops::Deref};

use serde::{Deserialize, Serialize};
use zfs_sync_core::{name::BookmarkName, plan::Protection};

/// The longest tag ZFS stores (`MAXNAMELEN` with its terminator).
const MAX_TAG_LENGTH: usize = 255;

/// A tag or bookmark that does not begin with our prefix, or that ZFS would not store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not ours: our tags and bookmarks begin with `{prefix}` and are printable", prefix = Protection::PREFIX)]
pub struct NotOurs(String);

/// A hold tag that begins with our prefix `zfs-sync:`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OwnTag(String);

impl OwnTag {
    /// What a doctor tries permissions with: a hold and a bookmark of this name, taken back at once.
    pub const PROBE: &'static str = "zfs-sync:probe";

    /// Takes a tag when it is ours.
    pub fn new(tag: impl Into<String>) -> Result<Self, NotOurs> {
        let tag = tag.into();
        let printable = tag.chars().all(|c| c.is_ascii_graphic() || c == ' ');
        if tag.starts_with(Protection::PREFIX) && tag.len() <= MAX_TAG_LENGTH && printable {
            Ok(Self(tag))
        } else {
            Err(NotOurs(tag))
        }
    }

    /// The hold on source snapshots while a step runs.
    pub fn step(protection: &Protection) -> Self {
        Self(protection.step_hold())
    }

    /// The hold on the target's newest common snapshot between steps.
    pub fn base(protection: &Protection) -> Self {
        Self(protection.base_hold())
    }

    /// The tag as ZFS stores it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for OwnTag {
    type Error = NotOurs;

    fn try_from(tag: String) -> Result<Self, NotOurs> {
        Self::new(tag)
    }
}

impl From<OwnTag> for String {
    fn from(tag: OwnTag) -> Self {
        tag.0
    }
}

impl Deref for OwnTag {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OwnTag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

/// A bookmark whose label begins with our prefix `zfs-sync:`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "BookmarkName", into = "BookmarkName")]
pub struct OwnBookmark(BookmarkName);

impl OwnBookmark {
    /// Takes a bookmark when it is ours.
    pub fn new(bookmark: BookmarkName) -> Result<Self, NotOurs> {
        if bookmark.label().as_str().starts_with(Protection::PREFIX) {
            Ok(Self(bookmark))
        } else {
            Err(NotOurs(bookmark.to_string()))
        }
    }

    /// The whole name.
    pub const fn name(&self) -> &BookmarkName {
        &self.0
    }
}

impl TryFrom<BookmarkName> for OwnBookmark {
    type Error = NotOurs;

    fn try_from(bookmark: BookmarkName) -> Result<Self, NotOurs> {
        Self::new(bookmark)
    }
}

impl From<OwnBookmark> for BookmarkName {
    fn from(bookmark: OwnBookmark) -> Self {
        bookmark.0
    }
}

impl Deref for OwnBookmark {
    type Target = BookmarkName;

    fn deref(&self) -> &BookmarkName {
        &self.0
    }
}

impl fmt::Display for OwnBookmark {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("zfs-sync:step:1f:0a0b0c0d", true)]
    #[case("zrepl_last_received_J_x", false)]
    #[case(".send-1234-0", false)]
    #[case("zfs-sync", false)]
    #[case("zfs-sync:a\nb", false)]
    #[case("", false)]
    fn only_tags_with_our_prefix_are_ours(#[case] tag: &str, #[case] ours: bool) {
        assert_eq!(OwnTag::new(tag).is_ok(), ours);
    }

    #[test]
    fn only_bookmarks_with_our_prefix_are_ours() {
        assert!(OwnBookmark::new("tank/a#zfs-sync:1f:0a0b0c0d".parse().unwrap()).is_ok());
        assert_eq!(OwnBookmark::new("tank/a#mine".parse().unwrap()), Err(NotOurs("tank/a#mine".to_owned())));
    }
}
