//! The ticket of a session, as long as its lease lasts.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use uuid::Uuid;
use zfs_sync_api::v1::certificate::{SignedTicket, Ticket};

/// What the witness has given for one session: the ticket that begins it, and the newest one, which keeps it.
#[derive(Debug)]
pub(crate) struct Pass {
    first: SignedTicket,
    newest: Mutex<Newest>,
}

#[derive(Clone, Debug)]
struct Newest {
    ticket: SignedTicket,
    nonce: Option<Uuid>,
    /// When half of its life is over: by a clock that nobody sets.
    renew_at: Instant,
}

impl Newest {
    /// Given just now.
    fn new(ticket: SignedTicket) -> Self {
        let read = serde_json::from_str::<Ticket>(&ticket.ticket).ok();
        let life = read.as_ref().map(|read| read.expires_at.duration_since(read.issued_at));
        let life = life.and_then(|life| Duration::try_from(life).ok()).unwrap_or_default();
        Self { ticket, nonce: read.map(|read| read.nonce), renew_at: Instant::now() + life / 2 }
    }
}

impl Pass {
    /// With the ticket that came with the lease.
    pub(crate) fn new(ticket: SignedTicket) -> Self {
        Self { first: ticket.clone(), newest: Mutex::new(Newest::new(ticket)) }
    }

    fn newest(&self) -> MutexGuard<'_, Newest> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when it is time to ask for another one.
    pub(crate) fn wants_renewal(&self) -> bool {
        self.newest().renew_at <= Instant::now()
    }

    /// The witness has given another one.
    pub(crate) fn renew(&self, ticket: SignedTicket) {
        *self.newest() = Newest::new(ticket);
    }

    /// Begins the session, and joins it.
    pub(super) const fn first(&self) -> &SignedTicket {
        &self.first
    }

    /// The nonce of the first.
    pub(super) fn session(&self) -> Option<Uuid> {
        serde_json::from_str::<Ticket>(&self.first.ticket).ok().map(|ticket| ticket.nonce)
    }

    /// The newest one, when the session has not been shown it.
    pub(super) fn unseen(&self, shown: Option<Uuid>) -> Option<(Uuid, SignedTicket)> {
        let newest = self.newest().clone();
        let nonce = newest.nonce.filter(|nonce| Some(*nonce) != shown)?;
        Some((nonce, newest.ticket))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing::{Authority, step, system, ticket};

    #[tokio::test(start_paused = true)]
    async fn another_one_is_wanted_after_half_of_its_life() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let made = || {
            let step = step(zfs_sync_core::guid::Guid::new(7), zfs_sync_core::guid::Guid::new(11));
            Authority::new().sign(&ticket(step, system(1), Uuid::nil(), now))
        };
        let pass = Pass::new(made());
        let session = pass.session();
        assert!(!pass.wants_renewal() && pass.unseen(session).is_none());
        tokio::time::advance(Duration::from_mins(5)).await;
        assert!(pass.wants_renewal());
        pass.renew(made());
        assert!(!pass.wants_renewal());
        let (nonce, _) = pass.unseen(session).unwrap();
        assert_eq!((pass.session(), pass.unseen(Some(nonce)).is_some()), (session, false));
    }
}
