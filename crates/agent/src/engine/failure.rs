//! Why a step was not carried out, and what the witness is told.

use zfs_sync_api::{codes::ErrorCode, v1::agent::TransferOutcome};
use zfs_sync_core::name::NameError;
use zfs_sync_zfs::{
    error::{Error, Kind},
    pipeline::PipelineError,
};

use super::RecordError;

/// Lines of standard error that a detail quotes: `zfs` says what went wrong in the first two, `ssh` may warn before.
const LINES_QUOTED: usize = 4;

/// Why a step was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The world is another than the plan's: a new plan decides.
    Stale(String),
    /// It could not be done.
    Failed {
        /// `E_…`.
        code: String,
        /// In words, with what `zfs` or `ssh` said.
        detail: String,
        /// Trying again can help.
        retryable: bool,
    },
    /// Somebody asked to stop.
    Cancelled,
}

impl Failure {
    pub(super) fn stale(detail: impl Into<String>) -> Self {
        Self::Stale(detail.into())
    }

    pub(super) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self::Failed { code: code.code().to_owned(), detail: detail.into(), retryable: code.is_retryable() }
    }

    /// A command that failed while `doing` something ("read tank/a").
    pub(super) fn command(doing: &str, error: &Error) -> Self {
        Self::Failed {
            code: error.code().to_owned(),
            detail: format!("could not {doing}: {}", in_words(error)),
            retryable: error.is_retryable(),
        }
    }

    /// A stream that did not get through. What only a new plan can decide is no failure.
    pub(super) fn stream(doing: &str, error: &PipelineError) -> Self {
        let detail = format!("could not {doing}: {}: {}", error.stage, in_words(&error.error));
        match error.error.kind {
            // A snapshot of that name: on both sides it is compared again.
            Kind::BaseMismatch | Kind::TargetModified | Kind::DestinationExists | Kind::AlreadyExists => {
                Self::Stale(detail)
            }
            _ => Self::Failed { code: error.code().to_owned(), detail, retryable: error.is_retryable() },
        }
    }

    pub(super) fn name(error: &NameError) -> Self {
        Self::new(ErrorCode::NameInvalid, error.to_string())
    }

    pub(super) fn unrecorded(error: &RecordError) -> Self {
        // A full or failing disk: trying again later may help, going on without a record may not.
        Self::Failed {
            code: ErrorCode::LedgerInvalid.code().to_owned(),
            detail: error.to_string(),
            retryable: true,
        }
    }

    pub(super) fn into_outcome(self) -> TransferOutcome {
        match self {
            Self::Stale(detail) => TransferOutcome::Stale { detail },
            Self::Failed { code, detail, retryable } => TransferOutcome::Failed { code, detail, retryable },
            Self::Cancelled => TransferOutcome::Cancelled,
        }
    }
}

/// The error and the first lines of what was said.
pub(super) fn in_words(error: &Error) -> String {
    let Error { host, command, status, stderr, kind: _ } = error;
    let said: Vec<&str> =
        stderr.lines().map(str::trim).filter(|line| !line.is_empty()).take(LINES_QUOTED).collect();
    let said = if said.is_empty() { String::new() } else { format!(": {}", said.join("; ")) };
    format!("`{command}` on {host} {status}{said}")
}
