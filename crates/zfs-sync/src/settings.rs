//! What the witness is started with: options before variables before the file before defaults.
//!
//! A key that is not known is never ignored: it may be a misspelt one that somebody relies on.

mod file;
mod suggest;

use std::{net::SocketAddr, time::Duration};

use camino::{Utf8Path, Utf8PathBuf};
use zfs_sync_api::codes::ErrorCode;
use zfs_sync_store::TransferCaps;

use self::file::ServerFile;
pub(crate) use self::suggest::nearest;
use crate::{cli::ServerArgs, failure::Failure};

/// Where the service's file is when no other is named.
const SYSTEM_FILE: &str = "/etc/zfs-sync/server.toml";

const DEFAULT_LOG_LEVEL: &str = "info";

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Human,
    /// For programs: one JSON object a line.
    Json,
}

/// Everything the witness needs to know, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerSettings {
    pub(crate) listen: SocketAddr,
    pub(crate) data_dir: Utf8PathBuf,
    pub(crate) database_url: String,
    pub(crate) log_level: String,
    pub(crate) log_format: LogFormat,
    /// `None` leaves it to the witness's own default, as below.
    pub(crate) heartbeat_timeout: Option<Duration>,
    pub(crate) sync_check_interval: Option<Duration>,
    /// How many transfers may run at once where they meet.
    pub(crate) transfer_caps: TransferCaps,
}

/// Where a value may come from: `lookup` is the environment, passed in for tests.
pub(crate) fn resolve(
    arguments: &ServerArgs,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<ServerSettings, Failure> {
    let path = match &arguments.config {
        Some(path) => Some(path.clone()),
        None => Some(Utf8PathBuf::from(SYSTEM_FILE)).filter(|path| path.exists()),
    };
    let file = match &path {
        Some(path) => file::read(path)?,
        None => ServerFile::default(),
    };
    let variable =
        |name: &'static str| lookup(name).filter(|value| !value.is_empty()).map(|value| (name, value));
    let data_dir = arguments
        .data_dir
        .clone()
        .or_else(|| variable("ZFS_SYNC_DATA_DIR").map(|(_, value)| value.into()))
        .or(file.data_dir)
        .unwrap_or_else(|| default_data_dir(Place::Server));
    let listen = match (arguments.listen, variable("ZFS_SYNC_LISTEN")) {
        (Some(listen), _) => listen,
        (None, Some((name, value))) => {
            parsed(name, &value, "an address with a port, for example 127.0.0.1:8000")?
        }
        (None, None) => file.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8000))),
    };
    let log_format = log_format(&lookup)?.or(file.log_format).unwrap_or(LogFormat::Human);
    let seconds = |name, from_file: Option<u64>| {
        let seconds = match variable(name) {
            Some((name, value)) => Some(parsed(name, &value, "a number of seconds")?),
            None => from_file,
        };
        if seconds == Some(0) {
            let detail =
                format!("{name}, or its key in the file, is 0; it is a number of seconds, at least 1");
            return Err(Failure::new(ErrorCode::ConfigInvalid, detail).unchanged());
        }
        Ok(seconds.map(Duration::from_secs))
    };
    let heartbeat_timeout = seconds("ZFS_SYNC_HEARTBEAT_TIMEOUT_SECONDS", file.heartbeat_timeout_seconds)?;
    let sync_check_interval =
        seconds("ZFS_SYNC_SYNC_CHECK_INTERVAL_SECONDS", file.sync_check_interval_seconds)?;
    let cap = |name, from_file: Option<u32>, default: u32| {
        let cap = match variable(name) {
            Some((name, value)) => parsed(name, &value, "a number of transfers")?,
            None => from_file.unwrap_or(default),
        };
        if cap == 0 {
            let detail = format!(
                "{name}, or its key in the file, is 0; nothing would ever be transferred. It is a number of transfers, at least 1"
            );
            return Err(Failure::new(ErrorCode::ConfigInvalid, detail).unchanged());
        }
        Ok(cap)
    };
    let defaults = TransferCaps::default();
    let transfer_caps = TransferCaps {
        per_system: cap(
            "ZFS_SYNC_MAX_TRANSFERS_PER_SYSTEM",
            file.max_transfers_per_system,
            defaults.per_system,
        )?,
        per_pool: cap("ZFS_SYNC_MAX_TRANSFERS_PER_POOL", file.max_transfers_per_pool, defaults.per_pool)?,
        per_link: cap("ZFS_SYNC_MAX_TRANSFERS_PER_LINK", file.max_transfers_per_link, defaults.per_link)?,
    };
    let database_url = arguments
        .database_url
        .clone()
        .or_else(|| variable("ZFS_SYNC_DATABASE_URL").map(|(_, value)| value))
        .or(file.database_url)
        .unwrap_or_else(|| sqlite_url(&data_dir));
    let log_level =
        log_level(&lookup).or(file.log_level).unwrap_or_else(|| DEFAULT_LOG_LEVEL.to_owned()).to_lowercase();
    Ok(ServerSettings {
        listen,
        data_dir,
        database_url,
        log_level,
        log_format,
        heartbeat_timeout,
        sync_check_interval,
        transfer_caps,
    })
}

/// Level and form of the log where no file says them: the agent's.
pub(crate) fn log_settings(lookup: impl Fn(&str) -> Option<String>) -> Result<(String, LogFormat), Failure> {
    let level = log_level(&lookup).unwrap_or_else(|| DEFAULT_LOG_LEVEL.to_owned()).to_lowercase();
    Ok((level, log_format(&lookup)?.unwrap_or(LogFormat::Human)))
}

fn log_level(lookup: &impl Fn(&str) -> Option<String>) -> Option<String> {
    lookup("ZFS_SYNC_LOG_LEVEL").filter(|value| !value.is_empty())
}

fn log_format(lookup: &impl Fn(&str) -> Option<String>) -> Result<Option<LogFormat>, Failure> {
    const NAME: &str = "ZFS_SYNC_LOG_FORMAT";
    match lookup(NAME).as_deref() {
        None | Some("") => Ok(None),
        Some("human") => Ok(Some(LogFormat::Human)),
        Some("json") => Ok(Some(LogFormat::Json)),
        Some(other) => Err(wrong_variable(NAME, other, "`human` or `json`")),
    }
}

fn sqlite_url(data_dir: &Utf8Path) -> String {
    let absolute = camino::absolute_utf8(data_dir).unwrap_or_else(|_| data_dir.to_owned());
    // Three slashes belong to the form, the fourth to the absolute path.
    format!("sqlite:///{absolute}/zfs-sync.db")
}

fn parsed<T: std::str::FromStr>(name: &str, value: &str, expected: &str) -> Result<T, Failure> {
    value.parse().map_err(|_| wrong_variable(name, value, expected))
}

fn wrong_variable(name: &str, value: &str, expected: &str) -> Failure {
    Failure::new(ErrorCode::ConfigInvalid, format!("{name} is `{value}`; expected {expected}")).unchanged()
}

/// Who asks for a folder.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// The witness.
    Server,
    /// The agent.
    Agent,
    /// The executor.
    Executor,
}

/// `/var/lib/zfs-sync` for root, `./data` for everybody else; the agent's below it.
pub(crate) fn default_data_dir(place: Place) -> Utf8PathBuf {
    let root = rustix::process::geteuid().is_root();
    let base = Utf8PathBuf::from(if root { "/var/lib/zfs-sync" } else { "./data" });
    match place {
        Place::Server => base,
        Place::Agent => base.join("agent"),
        Place::Executor => base.join("executor"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(config: Option<&Utf8Path>) -> ServerArgs {
        ServerArgs {
            config: config.map(Utf8Path::to_owned),
            listen: None,
            data_dir: None,
            database_url: None,
        }
    }

    fn file(name: &str, text: &str) -> (tempfile::TempDir, Utf8PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().join(name)).unwrap();
        std::fs::write(&path, text).unwrap();
        (dir, path)
    }

    #[test]
    fn options_win_over_variables_over_the_file() {
        let (_dir, path) =
            file("s.toml", "listen = \"127.0.0.1:1\"\ndata_dir = \"/one\"\nlog_level = \"debug\"\n");
        let lookup = |name: &str| match name {
            "ZFS_SYNC_LISTEN" => Some("127.0.0.1:2".to_owned()),
            "ZFS_SYNC_DATA_DIR" => Some("/two".to_owned()),
            _ => None,
        };
        let given = ServerArgs { data_dir: Some("/three".into()), ..arguments(Some(&path)) };
        let settings = resolve(&given, lookup).unwrap();
        assert_eq!(settings.listen.port(), 2);
        assert_eq!(settings.data_dir, "/three");
        assert_eq!(settings.database_url, "sqlite:////three/zfs-sync.db");
        assert_eq!(settings.log_level, "debug");
    }

    #[test]
    fn caps_have_defaults_and_none_is_nothing() {
        let (_dir, path) = file("s.toml", "max_transfers_per_pool = 3\nmax_transfers_per_link = 5\n");
        let lookup = |name: &str| (name == "ZFS_SYNC_MAX_TRANSFERS_PER_LINK").then(|| "2".to_owned());
        let caps = resolve(&arguments(Some(&path)), lookup).unwrap().transfer_caps;
        assert_eq!(caps, TransferCaps { per_system: 16, per_pool: 3, per_link: 2 });
        for wrong in ["0", "-1", "many", "4294967296"] {
            let lookup = |name: &str| (name == "ZFS_SYNC_MAX_TRANSFERS_PER_SYSTEM").then(|| wrong.to_owned());
            let refused = resolve(&arguments(None), lookup).unwrap_err();
            assert_eq!(refused.code(), ErrorCode::ConfigInvalid.code(), "{wrong}");
        }
        let (_dir, path) = file("s.toml", "max_transfers_per_system = 0\n");
        assert_eq!(
            resolve(&arguments(Some(&path)), |_| None).unwrap_err().code(),
            ErrorCode::ConfigInvalid.code()
        );
    }

    #[test]
    fn toml_and_yaml_say_the_same() {
        let toml = "listen = \"127.0.0.1:9\"\nheartbeat_timeout_seconds = 7\nlog_format = \"json\"\n";
        let yaml = "listen: 127.0.0.1:9\nheartbeat_timeout_seconds: 7\nlog_format: json\n";
        let settings = |name, text| {
            let (_dir, path) = file(name, text);
            resolve(&arguments(Some(&path)), |_| None).unwrap()
        };
        assert_eq!(settings("s.toml", toml), settings("s.yaml", yaml));
        assert_eq!(settings("s.toml", toml).heartbeat_timeout, Some(Duration::from_secs(7)));
    }

    #[test]
    fn a_misspelt_key_is_named_with_its_line_and_the_right_one() {
        for (name, text) in [
            ("s.toml", "listen = \"127.0.0.1:9\"\nhartbeat_timeout_seconds = 7\n"),
            ("s.yaml", "listen: 127.0.0.1:9\nhartbeat_timeout_seconds: 7\n"),
        ] {
            let (_dir, path) = file(name, text);
            let failure = resolve(&arguments(Some(&path)), |_| None).unwrap_err();
            assert_eq!(failure.exit(), 12);
            let text = failure.to_text(str::to_owned);
            assert!(text.starts_with(&format!("error[E_CONFIG_INVALID]: {path}:2: ")), "{text}");
            assert!(text.contains("`hartbeat_timeout_seconds`"), "{text}");
            assert!(text.contains("did you mean `heartbeat_timeout_seconds`?"), "{text}");
        }
    }

    #[test]
    fn a_wrong_value_is_named_with_its_line() {
        for (name, text) in [("s.toml", "\nlisten = \"here\"\n"), ("s.yaml", "\nlisten: here\n")] {
            let (_dir, path) = file(name, text);
            let text = resolve(&arguments(Some(&path)), |_| None).unwrap_err().to_text(str::to_owned);
            assert!(text.contains(&format!("{path}:2: ")), "{text}");
        }
        let wrong = resolve(&arguments(None), |name| (name == "ZFS_SYNC_LISTEN").then(|| "x".to_owned()));
        assert!(wrong.unwrap_err().detail().contains("ZFS_SYNC_LISTEN is `x`"));
    }
}
