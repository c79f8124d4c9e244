//! Looks after holds that an execution had to leave, until nothing is left.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::future::join_all;
use tokio::time::{Instant, timeout};
use zfs_sync_api::v1::{
    agent::Peer,
    certificate::{RequestTicket, SignedTicket},
};
use zfs_sync_core::ids::TransferId;
use zfs_sync_zfs::pipeline::Flow;

use super::{Shared, backoff::Backoff, hosts::Hosts, replicas::Worker, watcher::LedgerWatcher};
use crate::{
    engine::{self, Settled},
    ledger::{Entry, Phase},
    tls::{Transport, pass::Pass},
};

/// How often a partial receive that waits is looked at: when it is gone, its holds go within this time.
const INTERVAL: Duration = Duration::from_mins(1);

/// What fails again and again, a missing permission say, is tried at least this often.
const LONGEST: Duration = Duration::from_hours(1);

/// How long an agent that starts may be busy with what its last run has left, before it goes to work.
const RECOVERY: Duration = Duration::from_secs(30);

/// After a start: nothing of the last run is under way any more, so everything unfinished is looked after once.
///
/// Holds go unless a partial receive waits for them. What the witness should do next it plans from the first report.
pub(super) async fn recover(shared: &Shared) {
    let unfinished = entries(shared, |phase| phase != Phase::Settled);
    if unfinished.is_empty() {
        return;
    }
    tracing::info!(count = unfinished.len(), "looking after transfers that the last run has left");
    let all = join_all(unfinished.iter().map(|entry| look_after(shared, entry)));
    if timeout(RECOVERY, all).await.is_err() {
        tracing::warn!("some holds of the last run are still to be looked after");
    }
}

/// The janitor's loop.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut failing: BTreeMap<TransferId, (Instant, Backoff)> = BTreeMap::new();
    while shared.sleep(INTERVAL).await {
        // Not those that run: they tidy up themselves. One whose task has died is found at the next start.
        let entries = entries(&shared, |phase| phase == Phase::Open);
        failing.retain(|id, _| entries.iter().any(|entry| entry.transfer == *id));
        for entry in entries {
            let id = entry.transfer;
            if failing.get(&id).is_some_and(|(due, _)| *due > Instant::now()) {
                continue;
            }
            match shared.unless_shutdown(look_after(&shared, &entry)).await {
                None => return,
                Some(Some(Settled::Open)) => {
                    let (due, backoff) = failing
                        .entry(id)
                        .or_insert_with(|| (Instant::now(), Backoff::new(INTERVAL, LONGEST)));
                    *due = Instant::now() + backoff.delay();
                }
                Some(Some(Settled::Clean | Settled::Untouched | Settled::Waiting) | None) => {
                    failing.remove(&id);
                }
            }
        }
    }
}

/// The ticket of the transfer was good for its one session. To tidy up the witness gives another, and says where the peer listens now;
/// where it does not answer, there may be ssh.
async fn admission(
    shared: &Shared,
    transfer_id: TransferId,
    peer: Option<Peer>,
) -> (Option<Peer>, Option<SignedTicket>) {
    let Some(mut peer) = peer else { return (None, None) };
    if peer.tls.is_none() || shared.transport == Transport::Ssh {
        return (Some(peer), None);
    }
    let granted = shared.client.request_ticket(shared.system_id, &RequestTicket { transfer_id }).await;
    let ticket = match granted {
        Ok(granted) => {
            peer.tls = granted.tls;
            granted.ticket
        }
        Err(error) => {
            tracing::debug!(transfer.id = %transfer_id, error = %error, "has no ticket to tidy up with");
            None
        }
    };
    (Some(peer), ticket)
}

fn entries(shared: &Shared, wanted: impl Fn(Phase) -> bool) -> Vec<Entry> {
    shared.ledger.entries().into_iter().filter(|entry| wanted(entry.phase)).collect()
}

/// `None`: somebody works on the replica, and will tidy up.
async fn look_after(shared: &Shared, entry: &Entry) -> Option<Settled> {
    let Entry { transfer, generation, step, peer, push, .. } = entry;
    let (transfer, generation) = (*transfer, *generation);
    let _claim = shared.replicas.claim(step, Worker::Janitor).ok()?;
    let (peer, ticket) = admission(shared, transfer, peer.clone()).await;
    let pass = ticket.map(|ticket| Arc::new(Pass::new(ticket)));
    let settled = match Hosts::connect(shared, step, peer.as_ref(), pass.as_ref(), *push).await {
        Ok(hosts) => {
            let watcher = LedgerWatcher::new(transfer, Arc::clone(&shared.ledger), Flow::default());
            engine::settle(step, &hosts.sides(), &watcher).await
        }
        Err(outcome) => {
            tracing::debug!(transfer.id = %transfer, ?outcome, "could not look after holds of transfer {transfer}");
            Settled::Open
        }
    };
    if let Err(error) = shared.ledger(move |ledger| ledger.settle(transfer, generation, settled)).await {
        tracing::error!(transfer.id = %transfer, error = %error, "could not note that holds were looked after");
        return Some(Settled::Open);
    }
    Some(settled)
}
