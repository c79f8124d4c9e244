//! The suite on PostgreSQL, what only PostgreSQL has, and that both backends have the same tables.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster;
mod suite;

use std::{fmt::Write as _, path::Path};

use cluster::with_database;
use sqlx::{AssertSqlSafe, Connection as _};
use suite::{database::Database, suite, upgrade};
use zfs_sync_store::{Error, Options, Store};

async fn run(test: impl AsyncFnOnce(&Database)) {
    with_database(async |url| {
        let database = Database::connect(url).await;
        assert_eq!(database.store.backend_name(), "postgresql");
        test(&database).await;
        database.store.close().await;
    })
    .await;
}

suite!(crate::run);

mod parity {
    mod columns;
    mod files;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn witnesses_that_start_at_once_migrate_once() {
    with_database(async |url| {
        let options = Options { max_connections: 2, ..Options::default() };
        let stores = futures::future::join_all((0..4).map(|_| Store::connect(&url, &options))).await;
        for store in stores {
            store.unwrap().ping().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn groups_of_an_earlier_version_are_kept() {
    with_database(async |url| {
        let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
        upgrade::migrations("postgres", "0005").await.run(&mut connection).await.unwrap();
        let stored = upgrade::a_group_before_hubs("postgres");
        sqlx::raw_sql(AssertSqlSafe(stored)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        let store = Store::connect(&url, &Options::default()).await.unwrap();
        upgrade::a_group_is_kept(&store).await;
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_unavailable_and_the_password_stays_secret() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere");
    let address =
        |path: &Path| format!("postgresql+psycopg2://ops:hunter2@localhost/fleet?host={}", path.display());
    let options = Options { acquire_timeout: std::time::Duration::from_millis(200), ..Options::default() };
    let error = Store::connect(&address(&nowhere), &options).await.unwrap_err();
    assert!(matches!(&error, Error::Unavailable(_)) && error.is_retryable(), "{error:?}");
    let mut text = format!("{error:?}");
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(error) = cause {
        write!(text, " {error}").unwrap();
        cause = error.source();
    }
    assert!(!text.contains("hunter2"), "{text}");
}
