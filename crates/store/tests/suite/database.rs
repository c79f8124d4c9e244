//! One test's own database.

use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use zfs_sync_store::{Options, Store};

#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) url: String,
    pub(crate) store: Store,
}

impl Database {
    pub(crate) async fn connect(url: String) -> Self {
        let store = Store::connect(&url, &options()).await.unwrap();
        Self { url, store }
    }

    /// Another handle with connections of its own, as another witness has.
    pub(crate) async fn another(&self) -> Store {
        Store::connect(&self.url, &options()).await.unwrap()
    }

    /// Executes statements behind the store's back.
    pub(crate) async fn execute(&self, sqlite: &str, postgres: &str) {
        if let Some(path) = self.url.strip_prefix("sqlite:///") {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
            let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
            sqlx::raw_sql(AssertSqlSafe(sqlite)).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        } else {
            let mut connection = sqlx::PgConnection::connect(&self.url).await.unwrap();
            sqlx::raw_sql(AssertSqlSafe(postgres)).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        }
    }

    /// The one number that a statement answers.
    pub(crate) async fn number(&self, statement: &str) -> i64 {
        if let Some(path) = self.url.strip_prefix("sqlite:///") {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
            let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
            sqlx::query(AssertSqlSafe(statement)).fetch_one(&mut connection).await.unwrap().get(0)
        } else {
            let mut connection = sqlx::PgConnection::connect(&self.url).await.unwrap();
            sqlx::query(AssertSqlSafe(statement)).fetch_one(&mut connection).await.unwrap().get(0)
        }
    }

    /// From now on every write to `table` fails, where `condition` over the row `NEW` (or `OLD`) holds.
    pub(crate) async fn forbid(&self, table: &str, operation: &str, condition: &str) {
        let sqlite = format!(
            "CREATE TRIGGER forbid_{table}_{operation} BEFORE {operation} ON {table} WHEN {condition} \
             BEGIN SELECT RAISE(ABORT, 'forbidden by the test'); END"
        );
        let postgres = format!(
            "CREATE OR REPLACE FUNCTION forbid() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION 'forbidden by the test'; END $$; \
             CREATE TRIGGER forbid_{table}_{operation} BEFORE {operation} ON {table} FOR EACH ROW WHEN ({condition}) \
             EXECUTE FUNCTION forbid()"
        );
        self.execute(&sqlite, &postgres).await;
    }

    /// From now on every write to these tables fails.
    pub(crate) async fn freeze(&self, tables: &[&str]) {
        for table in tables {
            for operation in ["INSERT", "UPDATE", "DELETE"] {
                self.forbid(table, operation, "TRUE").await;
            }
        }
    }
}

/// Few connections: many tests run at once.
fn options() -> Options {
    Options { max_connections: 4, ..Options::default() }
}
