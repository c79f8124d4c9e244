//! SQLite: a file in WAL mode, one connection that writes, several that read.
//!
//! Write transactions begin IMMEDIATE: they wait for the lock at the start, where waiting is harmless, instead of failing in
//! the middle where a read has to become a write. One connection writes because SQLite has one writer anyway, and a queue in
//! the pool is fair where `busy_timeout` is not.

use std::{path::Path, time::Duration};

use sqlx::{
    Sqlite, Transaction,
    migrate::Migrator,
    pool::PoolOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use crate::{Error, Options, Result};

/// The driver.
pub(crate) type Driver = Sqlite;
/// One connection, in a transaction or not.
pub(crate) type Connection = sqlx::SqliteConnection;
/// One row.
pub(crate) type DbRow = sqlx::sqlite::SqliteRow;

/// Locks rows that are read to be changed: `BEGIN IMMEDIATE` has locked everything.
macro_rules! for_update {
    () => {
        ""
    };
}
/// Lets no other lease be given until the transaction ends: `BEGIN IMMEDIATE` has locked everything.
macro_rules! lock_leases {
    () => {
        "SELECT 1"
    };
}
/// For each row of what stands before, looks up datasets by the condition that follows, until `looked_up!`: CROSS JOIN keeps this
/// order.
macro_rules! look_up_datasets {
    () => {
        " CROSS JOIN datasets WHERE "
    };
}
macro_rules! looked_up {
    () => {
        ""
    };
}
/// The pool of a dataset's name.
macro_rules! pool_of {
    ($name:literal) => {
        concat!("substr(", $name, ", 1, instr(", $name, " || '/', '/') - 1)")
    };
}

#[path = "../query/mod.rs"]
pub(crate) mod query;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// The connections.
#[derive(Clone)]
pub(crate) struct Db {
    writer: sqlx::SqlitePool,
    reader: sqlx::SqlitePool,
}

impl Db {
    pub(crate) async fn in_memory(options: &Options) -> Result<Self> {
        let connect = configure(SqliteConnectOptions::new().in_memory(true));
        // A second connection would see another, empty database; a reconnect would lose everything.
        let pool = PoolOptions::new()
            .max_connections(1)
            .acquire_timeout(options.acquire_timeout)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(connect)
            .await?;
        Ok(Self { writer: pool.clone(), reader: pool })
    }

    pub(crate) async fn open(path: &Path, options: &Options) -> Result<Self> {
        create_private(path).await?;
        let connect =
            configure(SqliteConnectOptions::new().filename(path)).journal_mode(SqliteJournalMode::Wal);
        let pool = || PoolOptions::new().acquire_timeout(options.acquire_timeout);
        // The writer comes first: it switches a new file to WAL.
        let writer = pool().max_connections(1).connect_with(connect.clone()).await?;
        let reader = pool()
            .max_connections(options.max_connections)
            .connect_with(connect.pragma("query_only", "on"))
            .await?;
        Ok(Self { writer, reader })
    }

    pub(crate) async fn migrate(&self) -> Result<()> {
        Ok(MIGRATIONS.run(&self.writer).await?)
    }

    pub(crate) async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1").execute(&self.reader).await?;
        Ok(())
    }

    pub(crate) async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }

    /// For single statements that read.
    pub(crate) fn reader(&self) -> &sqlx::SqlitePool {
        &self.reader
    }

    /// For single statements that write.
    pub(crate) fn writer(&self) -> &sqlx::SqlitePool {
        &self.writer
    }

    /// For several statements that must see the same state.
    pub(crate) async fn begin_read(&self) -> Result<Transaction<'static, Sqlite>> {
        Ok(self.reader.begin().await?)
    }

    /// For several statements that must take effect together.
    pub(crate) async fn begin_write(&self) -> Result<Transaction<'static, Sqlite>> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }
}

fn configure(connect: SqliteConnectOptions) -> SqliteConnectOptions {
    connect
        .foreign_keys(true)
        // In WAL mode a power failure may lose the newest transactions but never damages the file. What is lost is reported
        // or planned again.
        .synchronous(SqliteSynchronous::Normal)
        // Only another process (a backup, a shell) can hold the lock.
        .busy_timeout(Duration::from_secs(5))
}

/// SQLite gives its `-wal` and `-shm` files the mode of the database file, so that one decides.
async fn create_private(path: &Path) -> Result<()> {
    let failed = |path: &Path, source| Error::File { path: path.to_owned(), source };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let made = tokio::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).await;
        made.map_err(|error| failed(folder, error))?;
    }
    let file = tokio::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path).await;
    file.map_err(|error| failed(path, error))?;
    Ok(())
}
