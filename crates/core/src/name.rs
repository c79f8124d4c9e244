//! Names by OpenZFS's own rules (`module/zcommon/zfs_namecheck.c`): parsed once, trusted afterwards.
//!
//! A dataset name is `pool[/component]…`; a snapshot is `dataset@label`, a bookmark `dataset#label`. Components use
//! letters, digits, `-`, `_`, `.`, `:` and space; the pool begins with a letter and is no reserved word. The whole name, with
//! `@label`, has at most 255 bytes, and at most 50 levels. `%` is ZFS's own and is refused here.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Bytes a full name may have (`ZFS_MAX_DATASET_NAME_LEN` is 256 with its terminator).
pub const MAX_NAME_LENGTH: usize = 255;
/// Levels of nesting (`zfs_max_dataset_nesting`).
pub const MAX_NESTING: usize = 50;

/// Why a text is no ZFS name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing is there.
    #[error("the name is empty")]
    Empty,
    /// More than [`MAX_NAME_LENGTH`] bytes.
    #[error("the name has {0} bytes; ZFS allows {MAX_NAME_LENGTH}")]
    TooLong(usize),
    /// More than [`MAX_NESTING`] levels.
    #[error("the name has {0} levels; ZFS allows {MAX_NESTING}")]
    TooDeep(usize),
    /// A character that ZFS does not allow.
    #[error(
        "the character {0:?} is not allowed in a ZFS name; use letters, digits, `-`, `_`, `.`, `:` or space"
    )]
    Character(char),
    /// `a//b`, a leading or a trailing slash.
    #[error("a name component between slashes is empty")]
    EmptyComponent,
    /// `.` or `..`.
    #[error("`.` and `..` are not allowed as name components")]
    DotComponent,
    /// The pool's name begins with something else than a letter.
    #[error("a pool name begins with a letter")]
    PoolStart,
    /// `mirror`, `raidz`, `draid`, `spare`, `log`.
    #[error("`{0}` is reserved by ZFS and can not be a pool name")]
    PoolReserved(String),
    /// The part after `@` or `#` is missing, or the delimiter is.
    #[error("expected `dataset{0}name`")]
    Delimiter(char),
}

/// Why one component (or label) is refused, if it is.
fn check_component(component: &str) -> Result<(), NameError> {
    if component.is_empty() {
        return Err(NameError::EmptyComponent);
    }
    match component.chars().find(|c| !(c.is_ascii_alphanumeric() || "-_.: ".contains(*c))) {
        Some(bad) => Err(NameError::Character(bad)),
        None => Ok(()),
    }
}

fn check_pool(pool: &str) -> Result<(), NameError> {
    if !pool.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Err(NameError::PoolStart);
    }
    let reserved =
        ["mirror", "raidz", "draid", "spare"].iter().any(|word| pool.starts_with(word)) || pool == "log";
    if reserved { Err(NameError::PoolReserved(pool.to_owned())) } else { Ok(()) }
}

fn check_dataset(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > MAX_NAME_LENGTH {
        return Err(NameError::TooLong(name.len()));
    }
    for component in name.split('/') {
        check_component(component)?;
        if component == "." || component == ".." {
            return Err(NameError::DotComponent);
        }
    }
    let levels = name.split('/').count();
    if levels > MAX_NESTING {
        return Err(NameError::TooDeep(levels));
    }
    check_pool(name.split('/').next().unwrap_or_default())
}

/// The part after `@` or `#`.
fn check_label(label: &str) -> Result<(), NameError> {
    if label.is_empty() {
        return Err(NameError::Empty);
    }
    if label.len() > MAX_NAME_LENGTH {
        return Err(NameError::TooLong(label.len()));
    }
    check_component(label)
}

// Shared text: a million snapshots have a few hundred labels between them.
macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $check:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as ZFS writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                $check(text)?;
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, formatter)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

text_type! {
    /// A file system or volume: `tank/media`.
    DatasetName, check_dataset
}
text_type! {
    /// What stands after `@` in a snapshot's or after `#` in a bookmark's name.
    Label, check_label
}

impl DatasetName {
    /// The pool: what stands before the first slash.
    pub fn pool(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }

    /// The dataset above; `None` for a pool's root.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(parent, _)| Self(parent.into()))
    }

    /// The last component.
    pub fn last_component(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// True when this is `ancestor` or lies below it.
    pub fn is_within(&self, ancestor: &Self) -> bool {
        self.strip_prefix(ancestor).is_some()
    }

    /// What follows `prefix`: empty for the dataset itself, `a/b` without a leading slash for one below it.
    pub fn strip_prefix(&self, prefix: &Self) -> Option<&str> {
        let rest = self.0.strip_prefix(&*prefix.0)?;
        if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
    }

    /// `self/rest`, or `self` where `rest` is empty.
    pub fn join(&self, rest: &str) -> Result<Self, NameError> {
        if rest.is_empty() { Ok(self.clone()) } else { format!("{}/{rest}", self.0).parse() }
    }

    /// `self@label`.
    pub fn snapshot(&self, label: &Label) -> Result<SnapshotName, NameError> {
        SnapshotName::new(self.clone(), label.clone())
    }

    /// `self#label`.
    pub fn bookmark(&self, label: &Label) -> Result<BookmarkName, NameError> {
        BookmarkName::new(self.clone(), label.clone())
    }
}

macro_rules! child_type {
    ($(#[$doc:meta])* $name:ident, $delimiter:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            dataset: DatasetName,
            label: Label,
        }

        impl $name {
            /// Joins both parts; fails when the whole is longer than ZFS allows.
            pub fn new(dataset: DatasetName, label: Label) -> Result<Self, NameError> {
                let length = dataset.as_str().len() + 1 + label.as_str().len();
                if length > MAX_NAME_LENGTH {
                    return Err(NameError::TooLong(length));
                }
                Ok(Self { dataset, label })
            }

            /// The part before the delimiter.
            pub const fn dataset(&self) -> &DatasetName {
                &self.dataset
            }

            /// The part after the delimiter.
            pub const fn label(&self) -> &Label {
                &self.label
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let (dataset, label) = text.split_once($delimiter).ok_or(NameError::Delimiter($delimiter))?;
                Self::new(dataset.parse()?, label.parse()?)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(&format!("{}{}{}", self.dataset, $delimiter, self.label))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{:?}", self.to_string())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

child_type! {
    /// `dataset@label`.
    SnapshotName, '@'
}
child_type! {
    /// `dataset#label`.
    BookmarkName, '#'
}

/// A host name as it may stand in an ssh command: letters, digits, `.`, `-`, `_`, `:`, not beginning with `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct HostName(Box<str>);

/// Why a text is no host name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no host name; use letters, digits, `.`, `-`, `_`, `:`, at most 253, not beginning with `-`"
)]
pub struct HostNameError(String);

impl HostName {
    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = HostNameError;

    fn from_str(text: &str) -> Result<Self, HostNameError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
        if text.is_empty() || text.len() > 253 || text.starts_with('-') || !text.chars().all(allowed) {
            return Err(HostNameError(text.chars().take(64).collect()));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl<'de> Deserialize<'de> for HostName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("tank")]
    #[case("tank/media/films 2024")]
    #[case("t-1_x.y:z/-a")]
    fn names_that_zfs_allows(#[case] text: &str) {
        assert_eq!(text.parse::<DatasetName>().unwrap().as_str(), text);
    }

    #[rstest]
    #[case("", NameError::Empty)]
    #[case("/tank", NameError::EmptyComponent)]
    #[case("tank/", NameError::EmptyComponent)]
    #[case("tank//a", NameError::EmptyComponent)]
    #[case("tank/..", NameError::DotComponent)]
    #[case("tank/.", NameError::DotComponent)]
    #[case("1tank", NameError::PoolStart)]
    #[case("-tank", NameError::PoolStart)]
    #[case("mirror1/a", NameError::PoolReserved("mirror1".into()))]
    #[case("log", NameError::PoolReserved("log".into()))]
    #[case("tank/a;rm -rf", NameError::Character(';'))]
    #[case("tank/$(x)", NameError::Character('$'))]
    #[case("tank/a'b", NameError::Character('\''))]
    #[case("tank/a\nb", NameError::Character('\n'))]
    #[case("tank/ü", NameError::Character('ü'))]
    #[case("tank/a%recv", NameError::Character('%'))]
    #[case("tank/a@b", NameError::Character('@'))]
    fn names_that_zfs_refuses(#[case] text: &str, #[case] expected: NameError) {
        assert_eq!(text.parse::<DatasetName>(), Err(expected));
    }

    #[test]
    fn length_and_depth_have_limits() {
        let long = format!("tank/{}", "a".repeat(251));
        assert_eq!(long.parse::<DatasetName>(), Err(NameError::TooLong(256)));
        let deep = vec!["a"; 51].join("/");
        assert_eq!(deep.parse::<DatasetName>(), Err(NameError::TooDeep(51)));
        let fits: DatasetName = format!("tank/{}", "a".repeat(250)).parse().unwrap();
        assert_eq!(fits.snapshot(&"x".parse().unwrap()), Err(NameError::TooLong(257)));
    }

    #[test]
    fn snapshots_and_bookmarks_parse_and_print() {
        let snapshot: SnapshotName = "tank/a b@auto-2026 01".parse().unwrap();
        assert_eq!(snapshot.to_string(), "tank/a b@auto-2026 01");
        assert_eq!("tank#x".parse::<BookmarkName>().unwrap().label().as_str(), "x");
        assert_eq!("tank".parse::<SnapshotName>(), Err(NameError::Delimiter('@')));
        assert_eq!("tank@".parse::<SnapshotName>(), Err(NameError::Empty));
        assert_eq!("tank@a@b".parse::<SnapshotName>(), Err(NameError::Character('@')));
        assert_eq!("tank@a/b".parse::<SnapshotName>(), Err(NameError::Character('/')));
    }

    #[test]
    fn prefixes_end_at_a_slash() {
        let media: DatasetName = "tank/media".parse().unwrap();
        let below: DatasetName = "tank/media/x".parse().unwrap();
        let beside: DatasetName = "tank/media2".parse().unwrap();
        assert_eq!(below.strip_prefix(&media), Some("x"));
        assert_eq!(media.strip_prefix(&media), Some(""));
        assert!(!beside.is_within(&media));
    }

    #[rstest]
    #[case("nas1", true)]
    #[case("fe80::1", true)]
    #[case("-oProxyCommand=x", false)]
    #[case("a b", false)]
    #[case("a;b", false)]
    #[case("", false)]
    fn host_names_are_safe_in_a_command(#[case] text: &str, #[case] fine: bool) {
        assert_eq!(text.parse::<HostName>().is_ok(), fine);
    }
}
