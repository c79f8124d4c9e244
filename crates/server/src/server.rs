//! Start and stop.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use futures::FutureExt as _;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use zfs_sync_core::time::Clock;
use zfs_sync_store::Store;

use crate::{background, router, settings::Settings, state::AppState};

/// What a server is made of.
#[derive(Debug)]
pub struct Options {
    /// Where it listens; port 0 has been resolved by binding.
    pub listener: TcpListener,
    /// Its database.
    pub store: Store,
    /// Its time.
    pub clock: Arc<dyn Clock>,
    /// Its behaviour.
    pub settings: Settings,
}

/// Why a server did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The listener is of no use.
    #[error("could not use the listener")]
    Listener(#[source] io::Error),
    /// The database does not answer.
    #[error("could not use the database")]
    Database(#[source] zfs_sync_store::Error),
    /// The certificate authority can neither be read nor made.
    #[error("could not use the certificate authority; the log says why")]
    Authority,
    /// Serving failed.
    #[error("could not go on serving")]
    Serve(#[source] io::Error),
    /// A task ended that should not have.
    #[error("the task `{0}` ended by itself; the log says why")]
    Ended(&'static str),
    /// Tasks did not end in time.
    #[error("not ended in time: {}", .0.join(", "))]
    Late(Vec<&'static str>),
}

/// The witness.
#[derive(Debug)]
pub struct Server;

/// A server that runs.
#[derive(Debug)]
pub struct ServerHandle {
    address: SocketAddr,
    shutdown: CancellationToken,
    tasks: Tasks,
    settings: Settings,
}

impl Server {
    /// Serves until `shutdown` is cancelled.
    pub async fn start(options: Options, shutdown: CancellationToken) -> Result<ServerHandle, ServerError> {
        let Options { listener, store, clock, settings } = options;
        let address = listener.local_addr().map_err(ServerError::Listener)?;
        // A witness without its database would look alive and know nothing.
        store.ping().await.map_err(ServerError::Database)?;
        let state = AppState::new(store, clock, settings.clone(), shutdown.clone());
        state.authority().await.map_err(|_| ServerError::Authority)?;
        let tasks = Tasks::new(shutdown.clone());
        background::start(&state, &tasks);
        let service = router::router(state).into_make_service_with_connect_info::<SocketAddr>();
        let stop = shutdown.clone();
        let failed = Arc::clone(&tasks.failed);
        tasks.spawn("http", async move {
            let served = axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned()).await;
            if let Err(error) = served {
                lock(&failed).get_or_insert(ServerError::Serve(error));
            }
        });
        tasks.tracker.close();
        tracing::info!(address = %address, "the witness listens at {address}");
        Ok(ServerHandle { address, shutdown, tasks, settings })
    }
}

impl ServerHandle {
    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends when the server has stopped: after `shutdown` was cancelled, or because something in it broke.
    pub async fn wait(self) -> Result<(), ServerError> {
        let Self { shutdown, tasks, settings, .. } = self;
        shutdown.cancelled().await;
        if tokio::time::timeout(settings.stop_grace, tasks.tracker.wait()).await.is_err() {
            let late = tasks.running();
            tracing::warn!("not ended within {:?}: {}", settings.stop_grace, late.join(", "));
            return Err(ServerError::Late(late));
        }
        let failed = lock(&tasks.failed).take();
        failed.map_or(Ok(()), Err)
    }
}

/// Tasks that run, by name, so that a stop can say who is late.
#[derive(Clone, Debug)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    shutdown: CancellationToken,
    running: Arc<Mutex<BTreeMap<&'static str, u32>>>,
    failed: Arc<Mutex<Option<ServerError>>>,
}

/// A poisoned lock still guards a good value: nothing here panics half way.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tasks {
    fn new(shutdown: CancellationToken) -> Self {
        let (tracker, running, failed) = <(TaskTracker, Arc<_>, Arc<_>)>::default();
        Self { tracker, shutdown, running, failed }
    }

    /// Runs a task that ends only when the server stops; ending earlier stops the server, which is better than going on without it.
    pub(crate) fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let tasks = self.clone();
        *lock(&tasks.running).entry(name).or_default() += 1;
        self.tracker.spawn(async move {
            let panicked = std::panic::AssertUnwindSafe(task).catch_unwind().await.is_err();
            let mut running = lock(&tasks.running);
            if let Some(count) = running.get_mut(name) {
                *count -= 1;
            }
            running.retain(|_, count| *count > 0);
            drop(running);
            if panicked || !tasks.shutdown.is_cancelled() {
                tracing::error!("the task `{name}` ended by itself");
                lock(&tasks.failed).get_or_insert(ServerError::Ended(name));
                tasks.shutdown.cancel();
            }
        });
    }

    fn running(&self) -> Vec<&'static str> {
        lock(&self.running).keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_by_itself_stops_the_server_and_is_named() {
        let shutdown = CancellationToken::new();
        let tasks = Tasks::new(shutdown.clone());
        tasks.spawn("fragile", async { panic!("as it happens") });
        tasks.tracker.close();
        let address = "127.0.0.1:1".parse().unwrap();
        let handle = ServerHandle { address, shutdown, tasks, settings: Settings::default() };
        let error = handle.wait().await.unwrap_err();
        assert!(matches!(error, ServerError::Ended("fragile")), "{error:?}");
    }

    #[tokio::test]
    async fn who_does_not_end_in_time_is_named() {
        let shutdown = CancellationToken::new();
        let tasks = Tasks::new(shutdown.clone());
        tasks.spawn("deaf", std::future::pending());
        tasks.tracker.close();
        let address = "127.0.0.1:1".parse().unwrap();
        let settings = Settings { stop_grace: Duration::from_millis(1), ..Settings::default() };
        let handle = ServerHandle { address, shutdown: shutdown.clone(), tasks, settings };
        shutdown.cancel();
        let error = handle.wait().await.unwrap_err();
        assert!(matches!(&error, ServerError::Late(names) if names == &["deaf"]), "{error:?}");
    }
}
