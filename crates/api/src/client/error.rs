//! What can go wrong between a client and its witness.

use url::Url;

use crate::{codes::ErrorCode, problem::Problem};

/// A request that did not get the answer it asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No answer: connection refused, name unknown, time-out, connection lost.
    #[error("the witness at {address} can not be reached: {reason}")]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// In a few words.
        reason: String,
    },
    /// The witness answered with a problem.
    #[error("{}", .0.detail_text())]
    Refused(Box<Problem>),
    /// Something answered that is no witness.
    #[error("what answers at {address} is no zfs-sync witness of this version (HTTP status {status})")]
    NotAWitness {
        /// Where.
        address: String,
        /// Its status.
        status: u16,
    },
    /// The address is none.
    #[error("`{address}` is no address of a witness; use http://host:8000 or https://host:8000")]
    Address {
        /// What was given.
        address: String,
    },
}

impl ClientError {
    #[expect(clippy::needless_pass_by_value, reason = "it is passed by name to `map_err`")]
    pub(super) fn build(error: reqwest::Error) -> Self {
        Self::Unreachable { address: "(no request was made)".into(), reason: innermost(&error) }
    }

    pub(super) fn unreachable(base: &Url, error: reqwest::Error) -> Self {
        let reason =
            if error.is_timeout() { "no answer in time".to_owned() } else { innermost(&error.without_url()) };
        Self::Unreachable { address: base.to_string(), reason }
    }

    /// The registered code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Unreachable { .. } => ErrorCode::WitnessUnreachable,
            Self::Refused(problem) => ErrorCode::from_code(&problem.code).unwrap_or(ErrorCode::Internal),
            Self::NotAWitness { .. } => ErrorCode::WitnessAnswer,
            Self::Address { .. } => ErrorCode::ValueInvalid,
        }
    }

    /// True when the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused(problem) => problem.retryable || problem.status >= 500,
            // A proxy in front of a restarting witness answers so.
            Self::NotAWitness { status, .. } => *status >= 500,
            Self::Address { .. } => false,
        }
    }
}

/// The cause at the end of the chain: "connection refused" rather than "error sending request".
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
