//! Dataset patterns: `tank/media`, `tank/*`, `tank/media/**`.
//!
//! A pattern without wildcards means that dataset alone. `*` stands for any text within one component, `?` for one
//! character, and a final `/**` for the dataset before it and everything below. Inside a pattern `**` stands for any number of
//! components.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub(crate) mod meet;
pub(crate) mod prefix;

use crate::name::{DatasetName, MAX_NAME_LENGTH};

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing is there, or a component is empty.
    #[error("the pattern is empty or has an empty component")]
    Empty,
    /// Longer than a name may be.
    #[error("the pattern has {0} bytes; a ZFS name has at most {MAX_NAME_LENGTH}")]
    TooLong(usize),
    /// A character that no dataset name has.
    #[error("the character {0:?} can not stand in a dataset name, so the pattern would never match")]
    Character(char),
    /// `a**`.
    #[error("`**` stands alone between slashes")]
    DoubleStar,
    /// `.` or `..`.
    #[error("`.` and `..` can not stand in a dataset name")]
    Dot,
}

/// A pattern that selects datasets by name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatasetPattern(Box<str>);

impl DatasetPattern {
    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The pattern that selects exactly `dataset`.
    pub fn exactly(dataset: &DatasetName) -> Self {
        Self(dataset.as_str().into())
    }

    /// The pattern that selects `dataset` and everything below it.
    pub fn tree(dataset: &DatasetName) -> Self {
        Self(format!("{dataset}/**").into())
    }

    /// True when `name` is selected.
    pub fn matches(&self, name: &DatasetName) -> bool {
        let pattern: Vec<&str> = self.0.split('/').collect();
        let components: Vec<&str> = name.as_str().split('/').collect();
        components_match(&pattern, &components)
    }
}

fn components_match(pattern: &[&str], components: &[&str]) -> bool {
    wildcard_match(
        pattern,
        components,
        |part| *part == "**",
        |part, component| text_matches(part.as_bytes(), component.as_bytes()),
    )
}

fn text_matches(pattern: &[u8], text: &[u8]) -> bool {
    wildcard_match(pattern, text, |part| *part == b'*', |part, byte| *part == b'?' || part == byte)
}

/// Glob matching without recursion, so that no pattern takes exponential time: on a mismatch the last star takes one item more.
fn wildcard_match<P, T>(
    pattern: &[P],
    text: &[T],
    is_star: impl Fn(&P) -> bool,
    is_match: impl Fn(&P, &T) -> bool,
) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && is_star(&pattern[p]) {
            star = Some((p, t));
            p += 1;
        } else if p < pattern.len() && is_match(&pattern[p], &text[t]) {
            p += 1;
            t += 1;
        } else if let Some((star_p, star_t)) = star {
            star = Some((star_p, star_t + 1));
            p = star_p + 1;
            t = star_t + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(is_star)
}

impl FromStr for DatasetPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if text.len() > MAX_NAME_LENGTH {
            return Err(PatternError::TooLong(text.len()));
        }
        let allowed = |c: &char| c.is_ascii_alphanumeric() || "-_.: /*?".contains(*c);
        if let Some(bad) = text.chars().find(|c| !allowed(c)) {
            return Err(PatternError::Character(bad));
        }
        for component in text.split('/') {
            match component {
                "" => return Err(PatternError::Empty),
                "." | ".." => return Err(PatternError::Dot),
                "**" => {}
                other if other.contains("**") => return Err(PatternError::DoubleStar),
                _ => {}
            }
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for DatasetPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl fmt::Debug for DatasetPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

impl Serialize for DatasetPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for DatasetPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("tank/media", "tank/media", true)]
    #[case("tank/media", "tank/media/x", false)]
    #[case("tank/media/**", "tank/media", true)]
    #[case("tank/media/**", "tank/media/x/y", true)]
    #[case("tank/media/**", "tank/media2", false)]
    #[case("tank/*", "tank/a", true)]
    #[case("tank/*", "tank", false)]
    #[case("tank/*", "tank/a/b", false)]
    #[case("tank/**/db", "tank/a/b/db", true)]
    #[case("tank/**/db", "tank/db", true)]
    #[case("*/vm-?0*", "pool/vm-110", false)]
    #[case("*/vm-?0*", "pool/vm-201", true)]
    #[case("**", "anything/at/all", true)]
    #[case("tank/*a*b", "tank/xaxxab", true)]
    fn patterns_select(#[case] pattern: &str, #[case] name: &str, #[case] expected: bool) {
        let pattern: DatasetPattern = pattern.parse().unwrap();
        assert_eq!(pattern.matches(&name.parse().unwrap()), expected);
    }

    #[rstest]
    #[case("", PatternError::Empty)]
    #[case("tank//x", PatternError::Empty)]
    #[case("tank/a**", PatternError::DoubleStar)]
    #[case("tank/$x", PatternError::Character('$'))]
    #[case("tank/../x", PatternError::Dot)]
    #[case("täнk", PatternError::Character('ä'))]
    fn impossible_patterns_are_refused(#[case] text: &str, #[case] expected: PatternError) {
        assert_eq!(text.parse::<DatasetPattern>(), Err(expected));
    }
}
