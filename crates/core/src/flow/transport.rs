//! By what the two sides of a transfer reach each other.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What a group lets its transfers use. An agent that was started with less uses less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Transport {
    /// TLS where the other agent listens, else ssh.
    #[default]
    Auto,
    /// TLS alone: what can not be reached so waits.
    Tls,
    /// ssh alone.
    Ssh,
}

/// Why a text is no transport.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write `auto`, `tls` or `ssh`")]
pub struct TransportError;

impl Transport {
    /// As in JSON and SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Tls => "tls",
            Self::Ssh => "ssh",
        }
    }

    /// True where TLS may be used.
    pub const fn allows_tls(self) -> bool {
        matches!(self, Self::Auto | Self::Tls)
    }

    /// True where ssh may be used.
    pub const fn allows_ssh(self) -> bool {
        matches!(self, Self::Auto | Self::Ssh)
    }
}

impl FromStr for Transport {
    type Err = TransportError;

    fn from_str(text: &str) -> Result<Self, TransportError> {
        [Self::Auto, Self::Tls, Self::Ssh].into_iter().find(|one| one.as_str() == text).ok_or(TransportError)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl TryFrom<String> for Transport {
    type Error = TransportError;

    fn try_from(text: String) -> Result<Self, TransportError> {
        text.parse()
    }
}

impl From<Transport> for String {
    fn from(transport: Transport) -> Self {
        transport.as_str().to_owned()
    }
}
