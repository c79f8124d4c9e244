//! Ends a service: the first signal asks it to, the second does not ask.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use zfs_sync_api::codes::ErrorCode;

use crate::failure::Failure;

/// SIGTERM and SIGINT.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on the signals no longer end the process by themselves.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                Failure::new(ErrorCode::Internal, "signals can not be listened for").cause(&error)
            })
        };
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// The next one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Runs a service until it ends. The first signal cancels `shutdown`; on the second this returns `None` at once.
    pub(crate) async fn supervise<T>(
        &mut self,
        service: impl Future<Output = T>,
        shutdown: &CancellationToken,
    ) -> Option<T> {
        tokio::pin!(service);
        tokio::select! {
            ended = &mut service => return Some(ended),
            () = self.next() => {}
        }
        tracing::info!("stopping; a second signal stops at once");
        tell_manager(&sd_notify::NotifyState::Stopping);
        shutdown.cancel();
        tokio::select! {
            ended = &mut service => Some(ended),
            () = self.next() => None,
        }
    }
}

/// Tells systemd, where it is the one that started us.
pub(crate) fn tell_manager(state: &sd_notify::NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(std::slice::from_ref(state)) {
        tracing::warn!(error = %error, "could not tell the service manager: {error}");
    }
}
