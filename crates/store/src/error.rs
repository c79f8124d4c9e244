//! What can go wrong with a store.

use std::path::PathBuf;

use sqlx::migrate::MigrateError;

/// The result of every method of [`crate::Store`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the store could not do what was asked. No text of it holds a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The database URL is not understood.
    #[error(
        "the database URL is not usable: {reason}; use sqlite:///FILE, sqlite:////ABSOLUTE/FILE or postgresql://…"
    )]
    Url {
        /// What is wrong with it, without repeating it.
        reason: String,
    },
    /// The database's file or folder could not be made.
    #[error("could not create {path}")]
    File {
        /// Which one.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The database can not be reached, or has no connection left, at the moment.
    #[error("the database is not available")]
    Unavailable(#[source] sqlx::Error),
    /// The database's tables could not be brought to this version.
    #[error("could not migrate the database")]
    Migrate(#[source] MigrateError),
    /// What was asked contradicts what is stored: a name that is taken, a system that is still in a group.
    #[error("{what}")]
    Conflict {
        /// In words, complete.
        what: String,
    },
    /// Something that was referred to does not exist.
    #[error("no such {what}")]
    NotFound {
        /// `system`, `group`, ….
        what: &'static str,
    },
    /// A stored value is not what this version can have written.
    #[error("{table}.{column} of row {row} holds a value that can not be read")]
    Inconsistency {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row's key, as text.
        row: String,
    },
    /// Anything else that the driver reports.
    #[error("the database refused a statement")]
    Driver(#[source] sqlx::Error),
}

impl Error {
    /// True when the same call may succeed later without anybody changing anything.
    ///
    /// A driver error nobody foresaw counts as retryable: callers back off.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Driver(_) => true,
            Self::Url { .. }
            | Self::File { .. }
            | Self::Migrate(_)
            | Self::Conflict { .. }
            | Self::NotFound { .. }
            | Self::Inconsistency { .. } => false,
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        let unavailable = match &error {
            E::Io(_) | E::Tls(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed | E::BeginFailed => {
                true
            }
            E::Database(cause) => cause.code().is_some_and(|code| UNAVAILABLE.contains(&&*code)),
            _ => false,
        };
        if unavailable { Self::Unavailable(error) } else { Self::Driver(error) }
    }
}

/// SQLite's BUSY, LOCKED, FULL and BUSY_SNAPSHOT; PostgreSQL's too_many_connections, disk_full, the three shutdowns,
/// cannot_connect_now and query_canceled.
const UNAVAILABLE: [&str; 11] =
    ["5", "6", "13", "517", "53300", "53100", "57P01", "57P02", "57P05", "57P03", "57014"];

impl From<MigrateError> for Error {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(source) => match source.into() {
                Self::Driver(source) => Self::Migrate(MigrateError::Execute(source)),
                other => other,
            },
            other => Self::Migrate(other),
        }
    }
}

/// Turns a violated unique key or reference into what it means to the caller.
pub(crate) trait Constraints<T> {
    /// A row with this key exists already.
    fn unique(self, what: impl FnOnce() -> String) -> Result<T>;
    /// The row that is referred to does not exist, or is referred to and can not go.
    fn reference(self, meaning: impl FnOnce() -> Error) -> Result<T>;
}

impl<T, E: Into<Error>> Constraints<T> for Result<T, E> {
    fn unique(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(Into::into).map_err(|error| match error {
            Error::Driver(sqlx::Error::Database(cause)) if cause.is_unique_violation() => {
                Error::Conflict { what: what() }
            }
            other => other,
        })
    }

    fn reference(self, meaning: impl FnOnce() -> Error) -> Result<T> {
        self.map_err(Into::into).map_err(|error| match error {
            Error::Driver(sqlx::Error::Database(cause)) if cause.is_foreign_key_violation() => meaning(),
            other => other,
        })
    }
}
