//! Which tickets are good here, and the sessions that they have begun.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
};

use rand::Rng as _;
use rustls::pki_types::CertificateDer;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use zfs_sync_api::v1::certificate::{Purpose, SignedTicket, TICKET_CONTEXT, Ticket};
use zfs_sync_core::{
    ids::{SystemId, TransferId},
    name::DatasetName,
    plan::Action,
    time::Timestamp,
};

use super::{trust::is_signed_by, wire::Refusal};

/// How far clocks may be apart, in seconds.
const SKEW: i64 = 5 * 60;
/// How long a session without a connection may be joined, in seconds.
const IDLE: i64 = 10 * 60;
/// Tickets that are remembered, and transfers whose generation is: each until none of its tickets is good any more. A listener that has to
/// remember so many within a quarter of an hour is not asked for transfers.
const REMEMBERED: usize = 65_536;

/// What one ticket has begun.
#[derive(Debug)]
pub(super) struct Session {
    /// As it was signed.
    pub(super) ticket: Ticket,
    /// Cancelled when a newer attempt of the same transfer has come.
    pub(super) closed: CancellationToken,
    /// When its newest ticket ends.
    ends_at: Mutex<Timestamp>,
    /// Other datasets that the session may look at: those in which it was told that what it looks for may be.
    found: Mutex<BTreeSet<DatasetName>>,
}

impl Session {
    pub(super) fn new(ticket: Ticket) -> Self {
        let ends_at = Mutex::new(ticket.expires_at);
        Self { ticket, closed: CancellationToken::new(), ends_at, found: Mutex::default() }
    }

    fn ends_at(&self) -> Timestamp {
        *self.ends_at.lock().expect("no holder of this lock panics")
    }

    /// Refuses what begins after its ticket has ended.
    pub(super) fn check(&self, now: Timestamp) -> Result<(), Refusal> {
        check_end(self.ends_at(), now)
    }

    pub(super) fn has_found(&self, dataset: &DatasetName) -> bool {
        self.found.lock().expect("no holder of this lock panics").contains(dataset)
    }

    pub(super) fn add_found(&self, datasets: impl IntoIterator<Item = DatasetName>) {
        self.found.lock().expect("no holder of this lock panics").extend(datasets);
    }
}

/// Who listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listener {
    pub(super) system: SystemId,
    /// Of this run: a ticket for another one is refused, so that none that was used before a restart is good again.
    pub(super) instance: Uuid,
}

/// All sessions of one listener.
#[derive(Debug)]
pub(super) struct Sessions(Mutex<State>);

impl Default for Sessions {
    fn default() -> Self {
        Self::with_room_for(REMEMBERED)
    }
}

#[derive(Debug)]
struct State {
    /// How many of each are remembered.
    room: usize,
    open: BTreeMap<Uuid, Entry>,
    /// Tickets that have renewed a session, with the second from which they are good for nothing.
    renewals: BTreeMap<Uuid, i64>,
    /// The newest attempt of each transfer, and the second from which no ticket of an older one is good.
    generations: BTreeMap<TransferId, (u64, i64)>,
}

#[derive(Debug)]
struct Entry {
    session: Arc<Session>,
    secret: String,
    used_at: Timestamp,
}

impl Sessions {
    fn with_room_for(room: usize) -> Self {
        let (open, renewals, generations) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self(Mutex::new(State { room, open, renewals, generations }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no holder of this lock panics")
    }

    /// Begins the session of a ticket, or joins it; answers the secret by which it is joined.
    pub(super) fn open(
        &self,
        listener: Listener,
        authority: &CertificateDer<'_>,
        client: SystemId,
        signed: &SignedTicket,
        secret: Option<&str>,
        now: Timestamp,
    ) -> Result<(Arc<Session>, String), Refusal> {
        let ticket = read(authority, signed)?;
        check_parties(&ticket, listener, client)?;
        let mut state = self.state();
        state.forget(now);
        if let Some(entry) = state.open.get_mut(&ticket.nonce) {
            return match secret {
                Some(secret) if is_equal(secret, &entry.secret) && !entry.session.closed.is_cancelled() => {
                    // Not looked at its end: it may be about to be renewed.
                    entry.used_at = now;
                    Ok((Arc::clone(&entry.session), entry.secret.clone()))
                }
                Some(_) => Err(Refusal::ticket("its session is over")),
                None => Err(Refusal::ticket("it was used before")),
            };
        }
        if secret.is_some() {
            return Err(Refusal::ticket("its session is over"));
        }
        check_time(&ticket, now)?;
        if state.renewals.contains_key(&ticket.nonce) {
            return Err(Refusal::ticket("it was used before"));
        }
        state.admit(&ticket)?;
        let secret = new_secret();
        let session = Arc::new(Session::new(ticket));
        let entry = Entry { session: Arc::clone(&session), secret: secret.clone(), used_at: now };
        state.open.insert(session.ticket.nonce, entry);
        Ok((session, secret))
    }

    /// Lets a session go on until the end of another ticket of the same lease. Shown again it changes nothing.
    pub(super) fn renew(
        &self,
        listener: Listener,
        authority: &CertificateDer<'_>,
        client: SystemId,
        session: &Session,
        signed: &SignedTicket,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let ticket = read(authority, signed)?;
        check_parties(&ticket, listener, client)?;
        check_time(&ticket, now)?;
        let of = &session.ticket;
        let parts = |ticket: &Ticket| (ticket.transfer, ticket.generation, ticket.purpose);
        if parts(&ticket) != parts(of) || ticket.step != of.step {
            return Err(Refusal::ticket("it is of another lease than the session"));
        }
        if session.closed.is_cancelled() {
            return Err(Refusal::ticket("its session is over"));
        }
        let mut state = self.state();
        state.forget(now);
        if state.open.contains_key(&ticket.nonce) {
            return Err(Refusal::ticket("it was used before"));
        }
        let end = good_until(ticket.expires_at);
        state.check_room(state.renewals.len())?;
        state.renewals.insert(ticket.nonce, end);
        state.remember(&ticket);
        let mut ends_at = session.ends_at.lock().expect("no holder of this lock panics");
        *ends_at = (*ends_at).max(ticket.expires_at);
        Ok(())
    }

    /// A session is still in use.
    pub(super) fn touch(&self, session: &Session, now: Timestamp) {
        if let Some(entry) = self.state().open.get_mut(&session.ticket.nonce) {
            entry.used_at = now;
        }
    }
}

impl State {
    /// An attempt that is older than one that was here is over, and a newer one ends it.
    fn admit(&mut self, ticket: &Ticket) -> Result<(), Refusal> {
        let seen = self.generations.get(&ticket.transfer).map_or(0, |(seen, _)| *seen);
        if ticket.generation < seen {
            let detail =
                format!("attempt {seen} of this transfer was here, this is attempt {}", ticket.generation);
            return Err(Refusal::ticket(detail));
        }
        self.check_room(self.open.len().max(self.generations.len()))?;
        self.remember(ticket);
        for Entry { session, .. } in self.open.values() {
            let of = &session.ticket;
            if of.transfer == ticket.transfer && of.generation < ticket.generation {
                session.closed.cancel();
            }
        }
        Ok(())
    }

    /// What is forgotten could be used again, so whoever would need that is refused instead.
    fn check_room(&self, remembered: usize) -> Result<(), Refusal> {
        if remembered < self.room {
            return Ok(());
        }
        Err(Refusal::ticket("so many others are remembered here that this one could not be; try again later"))
    }

    fn remember(&mut self, ticket: &Ticket) {
        let end = good_until(ticket.expires_at);
        let known = self.generations.entry(ticket.transfer).or_insert((ticket.generation, end));
        *known = (known.0.max(ticket.generation), known.1.max(end));
    }

    /// Only what can not come again: until a ticket has expired, the memory of its use is what keeps it from being used twice.
    fn forget(&mut self, now: Timestamp) {
        let second = now.as_second();
        self.open.retain(|_, Entry { session, used_at, .. }| {
            let expired = good_until(session.ends_at()) < second;
            let idle = Arc::strong_count(session) == 1 && used_at.as_second() + IDLE < second;
            !(expired && idle)
        });
        self.renewals.retain(|_, end| *end >= second);
        self.generations.retain(|_, (_, end)| *end >= second);
    }
}

/// The last second in which a ticket is good by any clock that is not more wrong than it may be.
fn good_until(expires_at: Timestamp) -> i64 {
    expires_at.as_second() + SKEW
}

fn read(authority: &CertificateDer<'_>, signed: &SignedTicket) -> Result<Ticket, Refusal> {
    let message = [TICKET_CONTEXT.as_bytes(), signed.ticket.as_bytes()].concat();
    let signature = from_hexadecimal(&signed.signature);
    if !signature.is_some_and(|signature| is_signed_by(authority, &message, &signature)) {
        return Err(Refusal::ticket("the witness has not signed it"));
    }
    // What was signed is the witness's word; that it can not be read says that the versions differ.
    serde_json::from_str(&signed.ticket)
        .map_err(|error| Refusal::ticket(format!("it can not be read: {error}")))
}

fn check_parties(ticket: &Ticket, listener: Listener, client: SystemId) -> Result<(), Refusal> {
    let step = &ticket.step;
    if ticket.client != client {
        return Err(Refusal::ticket("it is another system's"));
    }
    if ticket.server != listener.system {
        return Err(Refusal::ticket("it is for another system"));
    }
    if ticket.instance != listener.instance {
        return Err(Refusal::ticket("it is for an earlier run of this agent"));
    }
    let pushes = (ticket.client, ticket.server) == (step.source_system, step.target_system);
    let pulls = (ticket.server, ticket.client) == (step.source_system, step.target_system);
    if !(pushes || pulls) || step.source_system == step.target_system {
        return Err(Refusal::ticket("its transfer is not between these two systems"));
    }
    // What concerns the target alone is carried out by the target itself.
    if !matches!(step.action, Action::Send(_)) {
        return Err(Refusal::ticket("its transfer moves no data between systems"));
    }
    Ok(())
}

fn check_time(ticket: &Ticket, now: Timestamp) -> Result<(), Refusal> {
    check_end(ticket.expires_at, now)?;
    if ticket.issued_at.as_second() - SKEW > now.as_second() {
        return Err(Refusal::ticket(format!(
            "it was made at {}, which is still to come here",
            ticket.issued_at
        )));
    }
    Ok(())
}

fn check_end(expires_at: Timestamp, now: Timestamp) -> Result<(), Refusal> {
    if good_until(expires_at) < now.as_second() {
        return Err(Refusal::ticket(format!("it ended at {expires_at} by the witness's clock")));
    }
    Ok(())
}

fn new_secret() -> String {
    let mut bytes = [0_u8; 32];
    rand::rng().fill(&mut bytes);
    hexadecimal(&bytes)
}

/// Two digits a byte.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// In a time that does not depend on where they differ.
fn is_equal(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.bytes().zip(other.bytes()).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

fn from_hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || digits.len() > 1024 {
        return None;
    }
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(byte).collect()
}

/// True when the session may move data, not only tidy up.
pub(super) fn moves_data(ticket: &Ticket) -> bool {
    ticket.purpose == Purpose::Transfer
}

#[cfg(test)]
mod tests;
