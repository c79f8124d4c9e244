//! The log: on standard error, for people or as JSON.

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};
use zfs_sync_api::codes::ErrorCode;

use crate::{failure::Failure, settings::LogFormat};

/// Starts the log at a level (`info`) or with a filter (`info,zfs_sync_server=debug`).
pub(crate) fn start(level: &str, format: LogFormat, color: bool) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(level).map_err(|error| {
        Failure::new(
            ErrorCode::ConfigInvalid,
            format!("log_level `{level}` is none; use error, warn, info, debug or trace"),
        )
        .cause(&error)
        .unchanged()
    })?;
    let started = match format {
        LogFormat::Human => {
            let layer = fmt::layer().with_writer(std::io::stderr).with_ansi(color).with_target(false);
            tracing_subscriber::registry().with(filter).with(layer).try_init()
        }
        LogFormat::Json => {
            let layer = fmt::layer().json().flatten_event(true).with_writer(std::io::stderr);
            tracing_subscriber::registry().with(filter).with(layer).try_init()
        }
    };
    started.map_err(|error| Failure::new(ErrorCode::Internal, "the log can not be started").cause(&error))
}
