//! `server`: the witness.

use std::{
    fs::{File, TryLockError},
    io,
    net::SocketAddr,
};

use camino::Utf8Path;
use secrecy::ExposeSecret as _;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use zfs_sync_api::codes::ErrorCode;
use zfs_sync_server::{BootstrapKey, Options, Server, Settings, bootstrap_admin};
use zfs_sync_store::Store;

use super::{Context, Exit};
use crate::{
    cli::{OutputFormat, ServerArgs},
    failure::Failure,
    logging,
    settings::{self, ServerSettings},
    signals::{Signals, tell_manager},
};

pub(super) async fn run(context: &Context, arguments: &ServerArgs) -> Result<Exit, Failure> {
    let settings = settings::resolve(arguments, |name| std::env::var(name).ok())?;
    let level = if context.global.verbose > 0 { "debug" } else { settings.log_level.as_str() };
    logging::start(level, settings.log_format, context.printer.colors_talk())?;
    let mut signals = Signals::listen()?;
    // Before anything is stored: a second witness started by mistake leaves no trace.
    let listener = listen(settings.listen).await?;
    let _lock = lock(&settings.data_dir)?;
    let store = open_store(&settings).await?;
    let first_key =
        bootstrap_admin(&store, settings.data_dir.as_std_path(), context.now()).await.map_err(|error| {
            Failure::new(ErrorCode::Internal, "the first admin key could not be made").cause(&error)
        })?;
    let shutdown = CancellationToken::new();
    let defaults = Settings::default();
    let options = Options {
        listener,
        store: store.clone(),
        clock: context.clock.clone(),
        settings: Settings {
            heartbeat_timeout: settings.heartbeat_timeout.unwrap_or(defaults.heartbeat_timeout),
            sync_check_interval: settings.sync_check_interval.unwrap_or(defaults.sync_check_interval),
            transfer_caps: settings.transfer_caps,
            ..defaults
        },
    };
    let broken =
        |error: &dyn std::error::Error| Failure::new(ErrorCode::Internal, "the witness failed").cause(error);
    let server = Server::start(options, shutdown.clone()).await.map_err(|error| broken(&error))?;
    announce(context, server.address(), first_key.as_ref())?;
    drop(first_key);
    tell_manager(&sd_notify::NotifyState::Ready);
    let ended = signals.supervise(server.wait(), &shutdown).await;
    let Some(result) = ended else { return Ok(Exit::Interrupted) };
    store.close().await;
    result.map_err(|error| broken(&error))?;
    Ok(Exit::Done)
}

/// Binds, or says who is in the way.
pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            Failure::new(ErrorCode::AddressInUse, format!("another program listens at {address}"))
                .unchanged()
                .hint("perhaps a witness runs there already; --listen takes another address")
                .fix(format!("zfs-sync status --server http://{address}"))
        }
        io::ErrorKind::PermissionDenied => {
            Failure::new(ErrorCode::ConfigInvalid, format!("this user may not listen at {address}"))
                .unchanged()
                .hint("ports below 1024 need a privilege; use 8000, behind a proxy where another is wanted")
        }
        _ => Failure::new(ErrorCode::ConfigInvalid, format!("can not listen at {address}"))
            .cause(&error)
            .unchanged(),
    })
}

/// Takes the data folder for this process: two witnesses on one SQLite file would each plan by themselves and wake nobody.
/// The lock ends with the process, however it ends.
fn lock(data_dir: &Utf8Path) -> Result<File, Failure> {
    let unusable = |error: &io::Error| {
        Failure::new(ErrorCode::ConfigInvalid, format!("the data folder {data_dir} can not be used"))
            .cause(error)
            .unchanged()
            .hint("--data-dir takes another one")
    };
    std::fs::create_dir_all(data_dir).map_err(|error| unusable(&error))?;
    let file = File::options().create(true).append(true).open(data_dir.join("server.lock"));
    let file = file.map_err(|error| unusable(&error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Failure::new(ErrorCode::Locked, format!("another witness uses the data folder {data_dir}"))
                .unchanged()
                .hint("each witness has a data folder of its own; --data-dir takes another one"))
        }
        Err(TryLockError::Error(error)) => Err(unusable(&error)),
    }
}

async fn open_store(settings: &ServerSettings) -> Result<Store, Failure> {
    let options = zfs_sync_store::Options::default();
    Store::connect(&settings.database_url, &options).await.map_err(|error| {
        use zfs_sync_store::Error;
        let code = match error {
            Error::Url { .. } | Error::File { .. } => ErrorCode::ConfigInvalid,
            _ => ErrorCode::DatabaseUnavailable,
        };
        Failure::new(code, "the database can not be opened")
            .cause(&error)
            .hint("--database-url or database_url says which")
    })
}

fn announce(context: &Context, address: SocketAddr, first_key: Option<&BootstrapKey>) -> Result<(), Failure> {
    let printer = &context.printer;
    if printer.format() == OutputFormat::Json {
        let item = json!({
            "address": format!("http://{address}"),
            "admin_key": first_key.map(|first| first.key.expose_secret()),
            "admin_key_file": first_key.map(|first| first.path.display().to_string()),
        });
        return printer.item("server", &item, &[], context.now());
    }
    if let Some(BootstrapKey { key, path }) = first_key {
        printer.text(&format!(
            "admin key, shown this once; kept in {}, readable by you alone:\n{}\n",
            path.display(),
            key.expose_secret()
        ))?;
    }
    printer.text(&format!("listening on http://{address}"))
}
