//! The suite on SQLite, and what only SQLite has.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod suite;

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use sqlx::{AssertSqlSafe, Connection as _};
use suite::{database::Database, make::*, suite, upgrade};
use zfs_sync_store::{Error, Options, Store};

fn url(path: &Path) -> String {
    format!("sqlite:///{}", path.display())
}

async fn run(test: impl AsyncFnOnce(&Database)) {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::connect(url(&folder.path().join("test.db"))).await;
    assert_eq!(database.store.backend_name(), "sqlite");
    test(&database).await;
    database.store.close().await;
}

suite!(crate::run);

#[tokio::test]
async fn the_file_and_its_folder_are_private() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/deep/zfs_sync.db");
    let store = Store::connect(&url(&path), &Options::default()).await.unwrap();
    systems(&store, 1).await;
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&folder.path().join("new/deep/zfs_sync.db-wal")), 0o600);
}

#[tokio::test]
async fn what_was_stored_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("zfs_sync.db");
    let store = Store::connect(&url(&path), &Options::default()).await.unwrap();
    store.ping().await.unwrap();
    systems(&store, 2).await;
    store.close().await;
    assert!(matches!(store.ping().await, Err(Error::Unavailable(_))));
    let store = Store::connect(&url(&path), &Options::default()).await.unwrap();
    assert_eq!(store.systems(0, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_store_in_memory_needs_no_file() {
    let store = Store::connect("sqlite::memory:", &Options::default()).await.unwrap();
    fleet(&store).await;
    assert!(store.enqueue_transfer(&new_transfer(1), at(1)).await.unwrap());
    store.apply_report(system_id(1), &complete(1, vec![whole(&dataset("tank", 1..9))]), at(1)).await.unwrap();
    assert_eq!(store.inventory(system_id(1)).await.unwrap().unwrap().datasets.len(), 1);
    assert_eq!(store.group(group_id(1)).await.unwrap().unwrap().group, group(1));
}

#[tokio::test]
async fn a_folder_that_can_not_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Store::connect(&url(&file.join("below/zfs_sync.db")), &Options::default()).await.unwrap_err();
    assert!(matches!(&error, Error::File { path, .. } if path.ends_with("file/below")), "{error:?}");
}

#[tokio::test]
async fn groups_of_an_earlier_version_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    upgrade::migrations("sqlite", "0005").await.run(&mut connection).await.unwrap();
    let stored = upgrade::a_group_before_hubs("sqlite");
    sqlx::raw_sql(AssertSqlSafe(stored)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let store = Store::connect(&url(&path), &Options::default()).await.unwrap();
    upgrade::a_group_is_kept(&store).await;
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::connect(url(&folder.path().join("test.db"))).await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (9999, 'of the future', TRUE, x'00', 1)";
    database.execute(newer, "").await;
    let error = Store::connect(&database.url, &Options::default()).await.unwrap_err();
    assert!(matches!(&error, Error::Migrate(_)), "{error:?}");
}
