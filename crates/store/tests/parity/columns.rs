use std::collections::BTreeSet;

use sqlx::{Connection as _, PgConnection, Row as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{cluster::with_database, suite::database::Database};

/// `table.column type null|not null`, `table key column`, `index on table (columns) unique|plain whole|partial`.
type Shape = BTreeSet<String>;

/// What PostgreSQL's types are in SQLite.
fn sqlite_type(postgres: &str) -> &str {
    match postgres {
        "bigint" | "boolean" => "INTEGER",
        "uuid" | "bytea" => "BLOB",
        "text" => "TEXT",
        other => panic!("the type {other} has no counterpart in SQLite"),
    }
}

fn nullable(nullable: bool) -> &'static str {
    if nullable { "null" } else { "not null" }
}

async fn sqlite_shape(path: &str) -> Shape {
    let mut connection =
        SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path)).await.unwrap();
    let mut shape = Shape::new();
    let columns = "SELECT t.name, c.name, c.type, c.\"notnull\", c.pk FROM sqlite_master t, pragma_table_info(t.name) c \
         WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND t.name <> '_sqlx_migrations'";
    for row in sqlx::query(columns).fetch_all(&mut connection).await.unwrap() {
        let (table, column): (String, String) = (row.get(0), row.get(1));
        let (kind, not_null, key): (String, i64, i64) = (row.get(2), row.get(3), row.get(4));
        shape.insert(format!("{table}.{column} {kind} {}", nullable(not_null == 0)));
        if key > 0 {
            shape.insert(format!("{table} key {key} {column}"));
        }
    }
    let indexes = "SELECT i.name, t.name, i.\"unique\", i.partial, \
         (SELECT group_concat(name, ', ') FROM (SELECT name FROM pragma_index_info(i.name) ORDER BY seqno)) \
         FROM sqlite_master t, pragma_index_list(t.name) i WHERE t.type = 'table' AND i.origin = 'c'";
    for row in sqlx::query(indexes).fetch_all(&mut connection).await.unwrap() {
        let (index, table, columns): (String, String, String) = (row.get(0), row.get(1), row.get(4));
        let (unique, partial): (i64, i64) = (row.get(2), row.get(3));
        shape.insert(index_line(&index, &table, &columns, unique == 1, partial == 1));
    }
    let references = "SELECT t.name, f.\"from\", f.\"table\", f.on_delete FROM sqlite_master t, \
         pragma_foreign_key_list(t.name) f WHERE t.type = 'table'";
    for row in sqlx::query(references).fetch_all(&mut connection).await.unwrap() {
        let (table, column, other, action): (String, String, String, String) =
            (row.get(0), row.get(1), row.get(2), row.get(3));
        shape.insert(format!("{table}.{column} refers to {other}, {action}"));
    }
    shape
}

fn index_line(index: &str, table: &str, columns: &str, unique: bool, partial: bool) -> String {
    let unique = if unique { "unique" } else { "plain" };
    let partial = if partial { "partial" } else { "whole" };
    format!("{index} on {table} ({columns}) {unique} {partial}")
}

async fn postgres_shape(url: &str) -> Shape {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let mut shape = Shape::new();
    let columns = "SELECT table_name::text, column_name::text, data_type::text, is_nullable::text \
         FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> '_sqlx_migrations'";
    for row in sqlx::query(columns).fetch_all(&mut connection).await.unwrap() {
        let (table, column): (String, String) = (row.get(0), row.get(1));
        let (kind, null): (String, String) = (row.get(2), row.get(3));
        shape.insert(format!("{table}.{column} {} {}", sqlite_type(&kind), nullable(null == "YES")));
    }
    let indexes = "SELECT i.relname::text, t.relname::text, x.indisunique, x.indpred IS NOT NULL, x.indisprimary, \
         (SELECT string_agg(a.attname::text, ', ' ORDER BY k.place) FROM unnest(x.indkey) WITH ORDINALITY k (number, place) \
         JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.number) \
         FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid \
         WHERE t.relnamespace = 'public'::regnamespace AND t.relname <> '_sqlx_migrations'";
    for row in sqlx::query(indexes).fetch_all(&mut connection).await.unwrap() {
        let (index, table, columns): (String, String, String) = (row.get(0), row.get(1), row.get(5));
        let (unique, partial, primary): (bool, bool, bool) = (row.get(2), row.get(3), row.get(4));
        if primary {
            shape.extend(
                (1..).zip(columns.split(", ")).map(|(place, column)| format!("{table} key {place} {column}")),
            );
        } else {
            shape.insert(index_line(&index, &table, &columns, unique, partial));
        }
    }
    let references = "SELECT t.relname::text, a.attname::text, o.relname::text, \
         CASE c.confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'a' THEN 'NO ACTION' ELSE c.confdeltype::text END \
         FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid JOIN pg_class o ON o.oid = c.confrelid \
         JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = c.conkey[1] WHERE c.contype = 'f'";
    for row in sqlx::query(references).fetch_all(&mut connection).await.unwrap() {
        let (table, column, other, action): (String, String, String, String) =
            (row.get(0), row.get(1), row.get(2), row.get(3));
        shape.insert(format!("{table}.{column} refers to {other}, {action}"));
    }
    shape
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_backends_have_the_same_columns_keys_and_indexes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.db").display().to_string();
    let sqlite = Database::connect(format!("sqlite:///{path}")).await;
    sqlite.store.close().await;
    let sqlite = sqlite_shape(&path).await;
    with_database(async |url| {
        let postgres = Database::connect(url.clone()).await;
        postgres.store.close().await;
        let postgres = postgres_shape(&url).await;
        let only_sqlite: Vec<_> = sqlite.difference(&postgres).collect();
        let only_postgres: Vec<_> = postgres.difference(&sqlite).collect();
        assert_eq!((only_sqlite, only_postgres), (vec![], vec![]), "(only SQLite, only PostgreSQL)");
    })
    .await;
    assert!(sqlite.contains("transfers_unfinished on transfers (target_system_id, target) unique partial"));
    assert!(sqlite.contains("snapshots key 2 guid"));
}
