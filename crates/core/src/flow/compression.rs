//! Compression of streams on their way.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Whether a stream is compressed between two hosts. It never changes what is stored, only what travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Compression {
    /// As `zfs send` gives it.
    #[default]
    Off,
    /// Where it saves bytes and the connection is what is slow; measured on the stream itself.
    Auto,
    /// zstd at this level, 1 to 19, whatever it saves.
    Level(u8),
}

/// Why a text is no compression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write `off`, `auto`, or a level of zstd from 1 to 19")]
pub struct CompressionError;

impl FromStr for Compression {
    type Err = CompressionError;

    fn from_str(text: &str) -> Result<Self, CompressionError> {
        match text {
            "off" => Ok(Self::Off),
            "auto" => Ok(Self::Auto),
            level => match level.parse() {
                Ok(level @ 1..=19) => Ok(Self::Level(level)),
                Ok(_) | Err(_) => Err(CompressionError),
            },
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => formatter.pad("off"),
            Self::Auto => formatter.pad("auto"),
            Self::Level(level) => formatter.pad(&level.to_string()),
        }
    }
}

impl TryFrom<String> for Compression {
    type Error = CompressionError;

    fn try_from(text: String) -> Result<Self, CompressionError> {
        text.parse()
    }
}

impl From<Compression> for String {
    fn from(compression: Compression) -> Self {
        compression.to_string()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("off", Some(Compression::Off))]
    #[case("auto", Some(Compression::Auto))]
    #[case("1", Some(Compression::Level(1)))]
    #[case("19", Some(Compression::Level(19)))]
    #[case("0", None)]
    #[case("20", None)]
    #[case("-1", None)]
    #[case("zstd", None)]
    fn texts(#[case] text: &str, #[case] expected: Option<Compression>) {
        assert_eq!(text.parse().ok(), expected);
        if let Some(compression) = expected {
            assert_eq!(compression.to_string(), text);
        }
    }
}
