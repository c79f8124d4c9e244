//! What is known of the hosts that transfers reach, so that not every transfer asks again.
//!
//! A host's ZFS changes when somebody upgrades it and reboots: what it can do is asked once, and again after ten minutes or as soon as a
//! transfer with it has failed. Transfers that begin at the same time ask together.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use zfs_sync_zfs::{
    error::Error,
    features::Features,
    runner::{Runner, SharedReads},
};

/// How long an answer is believed.
const BELIEVED: Duration = Duration::from_mins(10);

/// All of them, by their host names in the fleet.
#[derive(Debug, Default)]
pub(super) struct Peers(Mutex<BTreeMap<String, Arc<Peer>>>);

#[derive(Debug)]
struct Peer {
    /// How it is reached.
    runner: Arc<dyn Runner>,
    /// The same, with readers that share listings.
    shared: Arc<dyn Runner>,
    /// Held while somebody asks.
    answer: tokio::sync::Mutex<Option<(Instant, Result<Features, Error>)>>,
}

impl Peers {
    /// The runner for a host, and what its ZFS can do.
    pub(super) async fn meet(
        &self,
        hostname: &str,
        runner: Arc<dyn Runner>,
    ) -> Result<(Arc<dyn Runner>, Features), Error> {
        let asked = Instant::now();
        let peer = self.peer(hostname, runner);
        let mut answer = peer.answer.lock().await;
        match &*answer {
            Some((at, Ok(features))) if at.elapsed() < BELIEVED => {
                return Ok((Arc::clone(&peer.shared), features.clone()));
            }
            // Somebody else has just heard it, while we waited to ask.
            Some((at, Err(error))) if *at >= asked => return Err(error.clone()),
            Some(_) | None => {}
        }
        let features = Features::probe(&*peer.runner).await;
        *answer = Some((Instant::now(), features.clone()));
        Ok((Arc::clone(&peer.shared), features?))
    }

    /// Asks the host again next time.
    pub(super) fn forget(&self, hostname: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(hostname);
    }

    fn peer(&self, hostname: &str, runner: Arc<dyn Runner>) -> Arc<Peer> {
        let mut peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(peer) = peers.get(hostname).filter(|peer| Arc::ptr_eq(&peer.runner, &runner)) {
            return Arc::clone(peer);
        }
        // Reached in another way than before: that may be another host.
        let shared: Arc<dyn Runner> = Arc::new(SharedReads::new(Arc::clone(&runner)));
        let peer = Arc::new(Peer { runner, shared, answer: tokio::sync::Mutex::default() });
        peers.insert(hostname.to_owned(), Arc::clone(&peer));
        peer
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;
    use zfs_sync_core::time::SystemClock;
    use zfs_sync_zfs::{command::Command, memory::Host};

    use super::*;

    fn host() -> Host {
        Host::new("nas2", Arc::new(SystemClock), 1)
    }

    /// The next question for the version is answered so, if it comes.
    fn next_probe_fails(host: &Host) {
        host.faults()
            .fail_next(|command| matches!(command, Command::Version), "The ZFS modules are not loaded.\n");
    }

    #[tokio::test]
    async fn a_host_is_asked_once_until_a_transfer_with_it_fails() {
        let (host, peers) = (host(), Peers::default());
        let runner: Arc<dyn Runner> = host.remote_runner();
        let (first, _) = peers.meet("nas2", Arc::clone(&runner)).await.unwrap();
        next_probe_fails(&host);
        let met = join_all((0..5).map(|_| peers.meet("nas2", Arc::clone(&runner)))).await;
        assert!(met.iter().all(|met| Arc::ptr_eq(&met.as_ref().unwrap().0, &first)));
        peers.forget("nas2");
        assert!(peers.meet("nas2", Arc::clone(&runner)).await.is_err(), "asked again");
        assert!(peers.meet("nas2", runner).await.is_ok(), "a failure is not believed for long");
    }

    #[tokio::test]
    async fn what_is_reached_in_another_way_is_asked_anew() {
        let (host, peers) = (host(), Peers::default());
        peers.meet("nas2", host.remote_runner()).await.unwrap();
        next_probe_fails(&host);
        assert!(peers.meet("nas2", host.remote_runner()).await.is_err());
    }
}
