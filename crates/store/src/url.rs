//! Database URLs, in the forms the v1 service took.

use std::path::PathBuf;

use sqlx::postgres::PgConnectOptions;

use crate::{Error, Result};

/// Where the data is.
#[derive(Clone)]
pub(crate) enum Location {
    /// In memory, gone with the store.
    Memory,
    /// In a file.
    File(PathBuf),
    /// In PostgreSQL; boxed because the options are large.
    Postgres(Box<PgConnectOptions>),
}

fn refuse<T>(reason: &str) -> Result<T> {
    Err(Error::Url { reason: reason.to_owned() })
}

/// Understands `sqlite::memory:`, `sqlite:///relative`, `sqlite:////absolute`, `postgresql://…`, `postgres://…` and
/// `postgresql+psycopg2://…`.
pub(crate) fn parse(url: &str) -> Result<Location> {
    if url == "sqlite::memory:" {
        return Ok(Location::Memory);
    }
    if let Some(path) = url.strip_prefix("sqlite:///") {
        return match path {
            "" => refuse("the file's name is missing"),
            ":memory:" => Ok(Location::Memory),
            path if path.contains('?') => refuse("options after `?` are not understood for SQLite"),
            path => Ok(Location::File(PathBuf::from(path))),
        };
    }
    if url.starts_with("sqlite:") {
        return refuse("`sqlite:` is followed by three slashes and the file's name");
    }
    for scheme in ["postgresql://", "postgres://", "postgresql+psycopg2://"] {
        if let Some(rest) = url.strip_prefix(scheme) {
            return match format!("postgres://{rest}").parse::<PgConnectOptions>() {
                Ok(options) => Ok(Location::Postgres(Box::new(options))),
                Err(sqlx::Error::Configuration(cause)) => {
                    refuse(&format!("as an address of PostgreSQL: {cause}"))
                }
                Err(_) => refuse("it is no address of PostgreSQL"),
            };
        }
    }
    refuse("its scheme is neither `sqlite` nor `postgresql`")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn shown(url: &str) -> String {
        match parse(url) {
            Ok(Location::Memory) => "memory".to_owned(),
            Ok(Location::File(path)) => format!("file {}", path.display()),
            Ok(Location::Postgres(options)) => format!(
                "postgres {}@{}:{}/{}",
                options.get_username(),
                options.get_host(),
                options.get_port(),
                options.get_database().unwrap_or_default()
            ),
            Err(error) => error.to_string(),
        }
    }

    #[rstest]
    #[case("sqlite::memory:", "memory")]
    #[case("sqlite:///:memory:", "memory")]
    #[case("sqlite:///data/zfs_sync.db", "file data/zfs_sync.db")]
    #[case("sqlite:////var/lib/zfs-sync/zfs_sync.db", "file /var/lib/zfs-sync/zfs_sync.db")]
    #[case("postgresql://sync:pw@db:5433/fleet", "postgres sync@db:5433/fleet")]
    #[case("postgres://sync:pw@db/fleet", "postgres sync@db:5432/fleet")]
    #[case("postgresql+psycopg2://sync:pw@db/fleet", "postgres sync@db:5432/fleet")]
    fn addresses_of_databases_are_understood(#[case] url: &str, #[case] expected: &str) {
        assert_eq!(shown(url), expected);
    }

    #[rstest]
    #[case("sqlite:///", "the file's name is missing")]
    #[case("sqlite://file.db", "three slashes")]
    #[case("sqlite:///a.db?mode=ro", "options after `?`")]
    #[case("mysql://root:hunter2@db/x", "scheme is neither")]
    #[case("postgres://sync:hunter2@db:notaport/x", "as an address of PostgreSQL")]
    #[case("postgres://sync:hunter2@[::1/x", "as an address of PostgreSQL")]
    #[case("postgres://sync:hunter2@db/x?sslmode=hunter2", "as an address of PostgreSQL")]
    fn other_addresses_are_refused_without_repeating_them(#[case] url: &str, #[case] expected: &str) {
        let text = shown(url);
        assert!(text.contains(expected), "{text}");
        assert!(!text.contains("sync:hunter2") && !text.contains("root:hunter2"), "{text}");
    }
}
