//! What every handler and every background task shares.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::{Mutex, OnceCell, watch};
use tokio_util::sync::CancellationToken;
use zfs_sync_core::time::{Clock, Timestamp};
use zfs_sync_store::{NewAudit, Store};

use crate::{
    auth::Actor, authority::Authority, error::Answer, events::EventHub, settings::Settings, wake::Wake,
};

/// Cheap to clone. Holds no truth: that is in the database, which other witnesses may share.
#[derive(Clone, Debug)]
pub(crate) struct AppState {
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) wake: Wake,
    pub(crate) events: EventHub,
    /// Cancelled when the server stops: whoever waits for something else ends at once.
    pub(crate) shutdown: CancellationToken,
    /// One planning at a time in this process, so that a request and the background do not tell each other's transitions twice.
    pub(crate) planning: Arc<Mutex<()>>,
    /// Read once: it never changes.
    authority: Arc<OnceCell<Authority>>,
}

impl AppState {
    pub(crate) fn new(
        store: Store,
        clock: Arc<dyn Clock>,
        settings: Settings,
        shutdown: CancellationToken,
    ) -> Self {
        let events = EventHub::new(store.clone(), Arc::clone(&clock));
        let planning = Arc::new(Mutex::new(()));
        let (settings, authority) = (Arc::new(settings), Arc::new(OnceCell::new()));
        Self { store, clock, settings, wake: Wake::default(), events, shutdown, planning, authority }
    }

    /// The certificate authority of this witness and of all that share its database; made where there is none.
    pub(crate) async fn authority(&self) -> Answer<&Authority> {
        self.authority.get_or_try_init(|| Authority::open(&self.store, self.now())).await
    }

    /// A count that moves whenever something is told to listeners.
    pub(crate) fn watch_changes(&self) -> watch::Receiver<u64> {
        self.events.watch_changes()
    }

    /// Cancelled when the server stops.
    pub(crate) fn shutdown(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Writes down who changed what. The change has happened already, so that a failure here is told to the log, not to the caller.
    pub(crate) async fn audit(&self, actor: &Actor, action: &str, object: String, detail: Value) {
        let entry = NewAudit {
            actor: actor.name(),
            action: action.to_owned(),
            object,
            detail,
            request_id: Some(actor.origin.request_id.clone()),
            address: actor.origin.address.clone(),
        };
        let NewAudit { actor, action, object, .. } = &entry;
        tracing::info!(%actor, %action, %object, "{actor}: {action} {object}");
        if let Err(error) = self.store.append_audit(&entry, self.now()).await {
            tracing::error!(error = &error as &dyn std::error::Error, "could not write the audit entry");
        }
    }
}
