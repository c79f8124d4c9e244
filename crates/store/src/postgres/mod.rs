//! PostgreSQL: rows are locked, not the database, and several witnesses may share it.

use sqlx::{Postgres, Transaction, migrate::Migrator, pool::PoolOptions, postgres::PgConnectOptions};

use crate::{Options, Result};

/// The driver.
pub(crate) type Driver = Postgres;
/// One connection, in a transaction or not.
pub(crate) type Connection = sqlx::PgConnection;
/// One row.
pub(crate) type DbRow = sqlx::postgres::PgRow;

/// Locks rows that are read to be changed. NO KEY: rows that refer to them can still be added meanwhile, so that nobody who
/// writes replicas waits for a long report.
macro_rules! for_update {
    () => {
        " FOR NO KEY UPDATE"
    };
}
/// Lets no other lease be given until the transaction ends: caps are counted over all executors.
macro_rules! lock_leases {
    () => {
        "SELECT pg_advisory_xact_lock(7226114)"
    };
}
/// For each row of what stands before, looks up datasets by the condition that follows, until `looked_up!`: OFFSET keeps the planner
/// from guessing that reading all of them is cheaper.
macro_rules! look_up_datasets {
    () => {
        " CROSS JOIN LATERAL (SELECT * FROM datasets WHERE "
    };
}
macro_rules! looked_up {
    () => {
        " OFFSET 0) AS found"
    };
}
/// The pool of a dataset's name.
macro_rules! pool_of {
    ($name:literal) => {
        concat!("split_part(", $name, ", '/', 1)")
    };
}

#[expect(clippy::duplicate_mod, reason = "one SQL text, compiled with the types of each driver")]
#[path = "../query/mod.rs"]
pub(crate) mod query;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// The connections.
#[derive(Clone)]
pub(crate) struct Db {
    pool: sqlx::PgPool,
}

impl Db {
    pub(crate) async fn connect(connect: PgConnectOptions, options: &Options) -> Result<Self> {
        let pool = PoolOptions::new()
            .max_connections(options.max_connections)
            .acquire_timeout(options.acquire_timeout)
            .connect_with(connect.application_name("zfs-sync"))
            .await?;
        Ok(Self { pool })
    }

    pub(crate) async fn migrate(&self) -> Result<()> {
        Ok(MIGRATIONS.run(&self.pool).await?)
    }

    pub(crate) async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    /// For single statements that read.
    pub(crate) fn reader(&self) -> &sqlx::PgPool {
        &self.pool
    }

    /// For single statements that write.
    pub(crate) fn writer(&self) -> &sqlx::PgPool {
        &self.pool
    }

    /// For several statements that must see the same state.
    pub(crate) async fn begin_read(&self) -> Result<Transaction<'static, Postgres>> {
        Ok(self.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?)
    }

    /// For several statements that must take effect together; rows that are read to be changed are locked `for_update!`.
    pub(crate) async fn begin_write(&self) -> Result<Transaction<'static, Postgres>> {
        Ok(self.pool.begin().await?)
    }
}
