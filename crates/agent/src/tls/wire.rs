//! What is said over a connection.
//!
//! The side that connected asks; one request at a time. A stream ends with the listener's [`Reply::Ended`] and the asker's
//! [`Request::Finished`], after which the connection is as before and serves the next request.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use zfs_sync_api::v1::certificate::SignedTicket;
use zfs_sync_zfs::{command::Command, error::Kind, runner::StageEnd};

/// How often each side lets itself be heard.
pub(super) const PING_EVERY: Duration = Duration::from_secs(5);
/// A side that was not heard for so long is gone.
pub(super) const DEADLINE: Duration = Duration::from_secs(15);

/// From the side that connected.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub(super) enum Request {
    /// Begins a session, or joins it with the secret that its beginning was answered with.
    Open {
        /// From the witness.
        ticket: SignedTicket,
        /// From an earlier [`Reply::Opened`].
        secret: Option<String>,
    },
    /// Keeps the session of this connection, whose ticket ends.
    Renew {
        /// Of the same lease.
        ticket: SignedTicket,
    },
    /// Executes a command to its end.
    Run {
        /// Which.
        command: Box<Command>,
    },
    /// Starts a stage of a pipeline: `zfs send` or `zfs receive`.
    Start {
        /// Which.
        command: Box<Command>,
    },
    /// The stage is to end.
    Terminate,
    /// Nobody takes the stage's output any more.
    StopReading,
    /// The end of a stage was heard, and nothing more is under way.
    Finished,
}

/// From the side that listens.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub(super) enum Reply {
    /// The session is open.
    Opened {
        /// Joins it from another connection.
        secret: String,
    },
    /// The session goes on.
    Renewed,
    /// Not done, and nothing was begun.
    Refused {
        /// `E_TLS_TICKET` or `E_TLS_FORBIDDEN`.
        code: String,
        /// In words.
        detail: String,
    },
    /// The command succeeded; its output came before.
    Done {
        /// Standard error.
        stderr: String,
    },
    /// The command failed.
    Failed {
        /// `exited with 1`, …
        status: String,
        /// Standard error.
        stderr: String,
        /// What it means.
        kind: Kind,
    },
    /// The stage runs.
    Started,
    /// The stage has ended.
    Ended {
        /// True for exit status 0.
        success: bool,
        /// In words.
        status: String,
        /// The end of its standard error.
        stderr: String,
        /// It was cut off by its neighbour.
        broken_pipe: bool,
    },
}

impl From<StageEnd> for Reply {
    fn from(end: StageEnd) -> Self {
        let StageEnd { success, status, stderr, broken_pipe } = end;
        Self::Ended { success, status, stderr, broken_pipe }
    }
}

/// Why something was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// `E_…`.
    pub(super) code: &'static str,
    /// In words.
    pub(super) detail: String,
}

impl Refusal {
    pub(super) fn ticket(detail: impl Into<String>) -> Self {
        Self { code: Kind::TlsTicket.code(), detail: detail.into() }
    }

    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self { code: Kind::TlsForbidden.code(), detail: detail.into() }
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        Self::Refused { code: refusal.code.to_owned(), detail: refusal.detail }
    }
}
