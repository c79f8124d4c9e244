//! The handle on one database.

use std::{fmt, time::Duration};

use crate::{
    Result, postgres, sqlite,
    url::{Location, parse},
};

/// How to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Connections at most; SQLite has one more, the only one that writes.
    pub max_connections: u32,
    /// How long to wait for a free connection.
    pub acquire_timeout: Duration,
}

impl Default for Options {
    /// 8 connections: requests wait for the disk or the network, not for the processor, and PostgreSQL admits 100 by default,
    /// which leaves room for a dozen witnesses. 10 seconds: less than clients wait for an answer.
    fn default() -> Self {
        Self { max_connections: 8, acquire_timeout: Duration::from_secs(10) }
    }
}

/// One database; clones share its connections.
#[derive(Clone)]
pub struct Store {
    backend: Backend,
}

/// The two drivers.
#[derive(Clone)]
pub(crate) enum Backend {
    Sqlite(sqlite::Db),
    Postgres(postgres::Db),
}

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Store").field(&self.backend_name()).finish()
    }
}

/// Calls the same function of the driver in use.
macro_rules! dispatch {
    ($store:expr, $module:ident::$function:ident($($argument:expr),* $(,)?)) => {
        match $store.backend() {
            crate::store::Backend::Sqlite(db) => crate::sqlite::query::$module::$function(db, $($argument),*).await,
            crate::store::Backend::Postgres(db) => crate::postgres::query::$module::$function(db, $($argument),*).await,
        }
    };
}
pub(crate) use dispatch;

impl Store {
    /// Connects, and brings the tables to this version.
    ///
    /// `url` is `sqlite:///relative/file`, `sqlite:////absolute/file`, `sqlite::memory:`, `postgresql://…`, `postgres://…` or
    /// `postgresql+psycopg2://…`. A file that does not exist is made, with its folder, readable by its owner alone.
    pub async fn connect(url: &str, options: &Options) -> Result<Self> {
        let backend = match parse(url)? {
            Location::Memory => Backend::Sqlite(sqlite::Db::in_memory(options).await?),
            Location::File(path) => Backend::Sqlite(sqlite::Db::open(&path, options).await?),
            Location::Postgres(connect) => Backend::Postgres(postgres::Db::connect(*connect, options).await?),
        };
        let store = Self { backend };
        store.migrate().await?;
        Ok(store)
    }

    /// Brings the tables to this version; [`Self::connect`] has done so already.
    pub async fn migrate(&self) -> Result<()> {
        match &self.backend {
            Backend::Sqlite(db) => db.migrate().await,
            Backend::Postgres(db) => db.migrate().await,
        }
    }

    /// Succeeds when the database answers.
    pub async fn ping(&self) -> Result<()> {
        match &self.backend {
            Backend::Sqlite(db) => db.ping().await,
            Backend::Postgres(db) => db.ping().await,
        }
    }

    /// `sqlite` or `postgresql`.
    pub const fn backend_name(&self) -> &'static str {
        match &self.backend {
            Backend::Sqlite(_) => "sqlite",
            Backend::Postgres(_) => "postgresql",
        }
    }

    /// Closes every connection; what is under way is finished first.
    pub async fn close(&self) {
        match &self.backend {
            Backend::Sqlite(db) => db.close().await,
            Backend::Postgres(db) => db.close().await,
        }
    }

    pub(crate) const fn backend(&self) -> &Backend {
        &self.backend
    }
}
