//! A private PostgreSQL: the one that `ZFS_SYNC_TEST_POSTGRES` names, or one that all tests of this user share and that
//! ends by itself (`ci/postgres-cluster`).

use std::{env, path::Path, process::Command, sync::OnceLock};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use uuid::Uuid;

/// The URL of a database in which others can be made.
fn cluster() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    URL.get_or_init(|| env::var("ZFS_SYNC_TEST_POSTGRES").unwrap_or_else(|_| shared()))
}

#[expect(clippy::disallowed_methods, reason = "a test starts its own database server")]
fn shared() -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ci/postgres-cluster");
    let output = Command::new(&script).arg("shared").output().expect("ci/postgres-cluster can be executed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "these tests need PostgreSQL: {said}");
    String::from_utf8(output.stdout).expect("a URL is text").trim().to_owned()
}

async fn execute(statement: String) {
    let mut connection = PgConnection::connect(cluster()).await.expect("the test cluster answers");
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.expect("the statement is right");
    connection.close().await.expect("the connection ends");
}

/// Gives the test the URL of an empty database of its own.
///
/// A test that fails leaves it behind; it goes with the cluster.
pub(crate) async fn with_database(test: impl AsyncFnOnce(String)) {
    let name = format!("test_{}", Uuid::new_v4().simple());
    execute(format!("CREATE DATABASE {name}")).await;
    test(cluster().replacen("/postgres?", &format!("/{name}?"), 1)).await;
    execute(format!("DROP DATABASE {name} WITH (FORCE)")).await;
}
