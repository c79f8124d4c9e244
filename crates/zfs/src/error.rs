//! Errors of commands, and the one place that reads what `zfs` and `ssh` say.

mod class;
mod classify;

pub use class::Class;
pub use classify::classify;

use crate::{command::Command, parse::ParseError, runner::StageEnd};

/// What a failure means. Callers match on this, never on text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The dataset, snapshot or bookmark does not exist.
    NotFound,
    /// It exists already (hold tag, bookmark, dataset, snapshot of that name).
    AlreadyExists,
    /// The target's newest snapshot is not the stream's base.
    BaseMismatch,
    /// The target was written to since its newest snapshot.
    TargetModified,
    /// A full stream meets an existing dataset.
    DestinationExists,
    /// An interrupted receive waits there.
    PartialState,
    /// The resume token leads nowhere any more.
    TokenDead,
    /// There is no interrupted receive to abort.
    NothingToAbort,
    /// The stream was cut or damaged.
    StreamCut,
    /// The whole stream was handed over, and its checksums do not fit.
    StreamDamaged,
    /// The stream has no readable beginning, or is not understood.
    StreamInvalid,
    /// The target lacks a feature of the stream.
    StreamFeature,
    /// Encryption keys or parameters do not fit.
    Crypto,
    /// A key that is needed is not loaded.
    KeyNotLoaded,
    /// The pool is full.
    NoSpace,
    /// A quota is reached.
    Quota,
    /// The dataset is in use.
    Busy,
    /// The snapshot is held.
    Held,
    /// Datasets were cloned from the snapshot.
    HasClones,
    /// A rollback that would have to destroy newer snapshots or bookmarks first.
    NewerExist,
    /// The user may not do this.
    Permission,
    /// The pool is suspended or not imported.
    PoolUnavailable,
    /// A block of what is to be sent can not be read from its disks.
    SourceUnreadable,
    /// `zfs` or `zpool` is not there.
    ZfsNotFound,
    /// A property or option this version does not know.
    Unsupported,
    /// ssh: no connection.
    SshUnreachable,
    /// ssh: the key was refused.
    SshAuthentication,
    /// ssh: the host key is not known.
    SshHostKeyUnknown,
    /// ssh: the host key is another than last time.
    SshHostKeyChanged,
    /// TLS: no connection to the other agent, or it was lost.
    TlsUnreachable,
    /// TLS: a certificate is not accepted.
    TlsCertificate,
    /// TLS: the other agent does not accept the ticket.
    TlsTicket,
    /// TLS: the ticket does not allow this command.
    TlsForbidden,
    /// The process was ended from outside or by us.
    Interrupted,
    /// The command did not end within its time, as on a suspended pool. It may have done its work all the same.
    TimedOut,
    /// The output of a command was not what its manual promises.
    Unparsable,
    /// The process could not be started or waited for.
    Start,
    /// Text that no rule knows. Never leads to anything destructive.
    Unclassified,
}

/// A command that failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{command}` on {host} {status}{}", .stderr.trim().lines().next().map(|line| format!(": {line}")).unwrap_or_default())]
pub struct Error {
    /// The host.
    pub host: String,
    /// The command as a person would type it.
    pub command: String,
    /// `exited with 1`, `could not be started`, …
    pub status: String,
    /// Standard error, whole (tail of 16 KiB).
    pub stderr: String,
    /// What it means.
    pub kind: Kind,
}

impl Kind {
    /// All of them, in their order.
    pub const ALL: [Self; 38] = [
        Self::NotFound,
        Self::AlreadyExists,
        Self::BaseMismatch,
        Self::TargetModified,
        Self::DestinationExists,
        Self::PartialState,
        Self::TokenDead,
        Self::NothingToAbort,
        Self::StreamCut,
        Self::StreamDamaged,
        Self::StreamInvalid,
        Self::StreamFeature,
        Self::Crypto,
        Self::KeyNotLoaded,
        Self::NoSpace,
        Self::Quota,
        Self::Busy,
        Self::Held,
        Self::HasClones,
        Self::NewerExist,
        Self::Permission,
        Self::PoolUnavailable,
        Self::SourceUnreadable,
        Self::ZfsNotFound,
        Self::Unsupported,
        Self::SshUnreachable,
        Self::SshAuthentication,
        Self::SshHostKeyUnknown,
        Self::SshHostKeyChanged,
        Self::TlsUnreachable,
        Self::TlsCertificate,
        Self::TlsTicket,
        Self::TlsForbidden,
        Self::Interrupted,
        Self::TimedOut,
        Self::Unparsable,
        Self::Start,
        Self::Unclassified,
    ];

    /// The code that people and scripts see.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotFound => "E_DATASET_NOT_FOUND",
            Self::AlreadyExists => "E_DATASET_EXISTS",
            Self::BaseMismatch => "E_NO_COMMON_BASE",
            Self::TargetModified => "E_RECV_TARGET_MODIFIED",
            Self::DestinationExists => "E_RECV_DESTINATION_EXISTS",
            Self::PartialState => "E_RECV_PARTIAL_STATE",
            Self::TokenDead => "E_RESUME_TOKEN_INVALID",
            Self::NothingToAbort => "E_RECV_NOTHING_TO_ABORT",
            Self::StreamCut | Self::Interrupted => "E_TRANSFER_INTERRUPTED",
            Self::StreamDamaged | Self::StreamInvalid => "E_STREAM_CORRUPT",
            Self::StreamFeature => "E_STREAM_FEATURE",
            Self::Crypto => "E_ENCRYPTION_MISMATCH",
            Self::KeyNotLoaded => "E_KEY_NOT_LOADED",
            Self::NoSpace => "E_RECV_NO_SPACE",
            Self::Quota => "E_RECV_QUOTA",
            Self::Busy => "E_RECV_BUSY",
            Self::Held => "E_SNAPSHOT_HELD",
            Self::HasClones => "E_SNAPSHOT_HAS_CLONES",
            Self::NewerExist => "E_ROLLBACK_NEWER",
            Self::Permission => "E_ZFS_PERMISSION",
            Self::PoolUnavailable => "E_POOL_UNAVAILABLE",
            Self::SourceUnreadable => "E_SOURCE_UNREADABLE",
            Self::ZfsNotFound => "E_ZFS_NOT_FOUND",
            Self::Unsupported => "E_ZFS_UNSUPPORTED",
            Self::SshUnreachable => "E_SSH_UNREACHABLE",
            Self::SshAuthentication => "E_SSH_AUTH",
            Self::SshHostKeyUnknown => "E_SSH_HOST_KEY_UNKNOWN",
            Self::SshHostKeyChanged => "E_SSH_HOST_KEY_CHANGED",
            Self::TimedOut => "E_COMMAND_TIMEOUT",
            Self::TlsUnreachable => "E_TLS_UNREACHABLE",
            Self::TlsCertificate => "E_TLS_CERTIFICATE",
            Self::TlsTicket => "E_TLS_TICKET",
            Self::TlsForbidden => "E_TLS_FORBIDDEN",
            Self::Unparsable => "E_ZFS_OUTPUT",
            Self::Start => "E_PROCESS_START",
            Self::Unclassified => "E_ZFS_UNCLASSIFIED",
        }
    }

    /// True when the connection between two hosts failed, not `zfs`.
    pub const fn is_transport(self) -> bool {
        matches!(
            self,
            Self::SshUnreachable
                | Self::SshAuthentication
                | Self::SshHostKeyUnknown
                | Self::SshHostKeyChanged
                | Self::TlsUnreachable
                | Self::TlsCertificate
                | Self::TlsTicket
        )
    }
}

impl Error {
    /// The code that people and scripts see.
    pub const fn code(&self) -> &'static str {
        self.kind.code()
    }

    /// As [`Kind::is_retryable`].
    pub const fn is_retryable(&self) -> bool {
        self.kind.is_retryable()
    }

    /// A command that succeeded and printed something else than its manual promises.
    pub fn unparsable(host: &str, command: &Command, what: &ParseError) -> Self {
        Self {
            host: host.to_owned(),
            command: command.display_line(),
            status: format!("printed something unexpected: {what}"),
            stderr: String::new(),
            kind: Kind::Unparsable,
        }
    }

    /// A command that was ended because it took longer than [`Command::deadline`].
    pub fn timed_out(host: &str, command: &Command, stderr: String) -> Self {
        Self {
            host: host.to_owned(),
            command: command.display_line(),
            status: format!("did not end within {} s and was ended", command.deadline().as_secs()),
            stderr,
            kind: Kind::TimedOut,
        }
    }

    /// A stage or command that ended without success.
    pub fn ended(host: &str, command: &Command, end: &StageEnd) -> Self {
        let kind = match classify(&end.stderr) {
            // zfs never fails without a word: it was killed, here or (ssh says 255) over there.
            Kind::Unclassified if end.stderr.trim().is_empty() => Kind::Interrupted,
            kind => kind,
        };
        Self {
            host: host.to_owned(),
            command: command.display_line(),
            status: end.status.clone(),
            stderr: end.stderr.clone(),
            kind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_kinds_are_listed_and_have_a_code() {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index, "{kind:?}");
            assert!(kind.code().starts_with("E_"));
        }
        assert_eq!(Kind::ALL.len(), Kind::Unclassified as usize + 1, "the last one is in the list");
    }

    #[test]
    fn an_end_without_a_word_is_an_interruption() {
        let end = StageEnd {
            success: false,
            status: "was killed by signal 9".to_owned(),
            stderr: " \n".to_owned(),
            broken_pipe: false,
        };
        let error = Error::ended("nas1", &Command::Version, &end);
        assert_eq!(error.kind, Kind::Interrupted);
        assert_eq!(error.to_string(), "`zfs version` on nas1 was killed by signal 9");
    }
}
