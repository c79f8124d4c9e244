//! What a settings file may say.
//!
//! Each file is read straight into its typed struct, never through an untyped value: YAML's `on`, `off` and `no` would
//! become booleans there, and values of ZFS properties are full of them.

use std::net::SocketAddr;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;
use zfs_sync_api::codes::ErrorCode;

use super::{LogFormat, suggest};
use crate::failure::Failure;

/// `server.toml` or `server.yaml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServerFile {
    pub(super) listen: Option<SocketAddr>,
    pub(super) data_dir: Option<Utf8PathBuf>,
    pub(super) database_url: Option<String>,
    pub(super) log_level: Option<String>,
    pub(super) log_format: Option<LogFormat>,
    pub(super) heartbeat_timeout_seconds: Option<u64>,
    pub(super) sync_check_interval_seconds: Option<u64>,
    pub(super) max_transfers_per_system: Option<u32>,
    pub(super) max_transfers_per_pool: Option<u32>,
    pub(super) max_transfers_per_link: Option<u32>,
}

/// The names above, for suggestions.
const KEYS: [&str; 10] = [
    "listen",
    "data_dir",
    "database_url",
    "log_level",
    "log_format",
    "heartbeat_timeout_seconds",
    "sync_check_interval_seconds",
    "max_transfers_per_system",
    "max_transfers_per_pool",
    "max_transfers_per_link",
];

/// Reads a file, TOML or YAML by its ending.
pub(super) fn read(path: &Utf8Path) -> Result<ServerFile, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::new(ErrorCode::ConfigInvalid, format!("the settings file {path} can not be read"))
            .cause(&error)
            .unchanged()
    })?;
    match path.extension() {
        Some("toml") => toml::from_str(&text).map_err(|error| {
            let line = error.span().map(|span| text[..span.start].matches('\n').count() as u64 + 1);
            wrong(path, line, error.message())
        }),
        Some("yaml" | "yml") => parse_yaml(&text).map_err(|(line, message)| wrong(path, line, &message)),
        _ => Err(Failure::new(
            ErrorCode::ConfigInvalid,
            format!("{path}: the name of a settings file ends in .toml, .yaml or .yml"),
        )
        .unchanged()),
    }
}

fn parse_yaml<T: serde::de::DeserializeOwned + Default>(text: &str) -> Result<T, (Option<u64>, String)> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(T::default());
    }
    serde_saphyr::from_str(text).map_err(|error| {
        let error = error.without_snippet();
        (error.location().map(|location| location.line()), error.to_string())
    })
}

fn wrong(path: &Utf8Path, line: Option<u64>, message: &str) -> Failure {
    let place = line.map_or_else(|| path.to_string(), |line| format!("{path}:{line}"));
    let message = message.trim();
    let mut failure = Failure::new(ErrorCode::ConfigInvalid, format!("{place}: {message}")).unchanged();
    if let Some(key) = unknown_key(message) {
        failure = Failure::new(ErrorCode::ConfigInvalid, format!("{place}: there is no setting `{key}`"))
            .unchanged();
        failure = match suggest::nearest(key, &KEYS) {
            Some(meant) => failure.hint(format!("did you mean `{meant}`?")),
            None => failure.hint(format!("the settings are {}", KEYS.join(", "))),
        };
    }
    failure
}

/// The key in serde's words for an unknown one.
fn unknown_key(message: &str) -> Option<&str> {
    let rest = &message[message.find("unknown field")?..];
    let start = rest.find('`')? + 1;
    let length = rest[start..].find('`')?;
    Some(&rest[start..start + length])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_words_of_zfs_stay_words() {
        #[derive(Debug, Default, Deserialize)]
        struct Properties {
            compression: String,
            readonly: String,
            host: String,
        }
        let properties: Properties = parse_yaml("compression: on\nreadonly: off\nhost: no\n").unwrap();
        assert_eq!(properties.compression, "on");
        assert_eq!(properties.readonly, "off");
        assert_eq!(properties.host, "no");
    }

    #[test]
    fn every_field_is_known_to_the_suggestions() {
        let all = KEYS.map(|key| format!("{key}: x\n")).concat();
        let (_, message) = parse_yaml::<ServerFile>(&all).unwrap_err();
        assert_eq!(unknown_key(&message), None, "{message}");
        let (_, message) = parse_yaml::<ServerFile>("nothing_like_it: 1\n").unwrap_err();
        assert_eq!(unknown_key(&message), Some("nothing_like_it"), "{message}");
        for key in KEYS {
            assert!(message.contains(key), "serde lists all fields: {message}");
        }
    }

    #[test]
    fn an_empty_file_says_nothing() {
        assert_eq!(parse_yaml::<ServerFile>("# later\n\n").unwrap(), ServerFile::default());
        assert_eq!(toml::from_str::<ServerFile>("# later\n").unwrap(), ServerFile::default());
    }
}
