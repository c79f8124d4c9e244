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
/// Transfers whose generation is remembered; the oldest go first.
const REMEMBERED: usize = 4096;

/// What one ticket has begun.
#[derive(Debug)]
pub(super) struct Session {
    /// As it was signed.
    pub(super) ticket: Ticket,
    /// Cancelled when a newer attempt of the same transfer has come.
    pub(super) closed: CancellationToken,
    /// Other datasets that the session may look at: those in which it was told that what it looks for may be.
    found: Mutex<BTreeSet<DatasetName>>,
}

impl Session {
    pub(super) fn new(ticket: Ticket) -> Self {
        Self { ticket, closed: CancellationToken::new(), found: Mutex::default() }
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
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    open: BTreeMap<Uuid, Entry>,
    generations: BTreeMap<TransferId, u64>,
}

#[derive(Debug)]
struct Entry {
    session: Arc<Session>,
    secret: String,
    used_at: Timestamp,
}

impl Sessions {
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
        state.admit(&ticket)?;
        let secret = new_secret();
        let session = Arc::new(Session::new(ticket));
        let entry = Entry { session: Arc::clone(&session), secret: secret.clone(), used_at: now };
        state.open.insert(session.ticket.nonce, entry);
        Ok((session, secret))
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
        let seen = self.generations.get(&ticket.transfer).copied().unwrap_or(0);
        if ticket.generation < seen {
            let detail =
                format!("attempt {seen} of this transfer was here, this is attempt {}", ticket.generation);
            return Err(Refusal::ticket(detail));
        }
        self.generations.insert(ticket.transfer, ticket.generation);
        while self.generations.len() > REMEMBERED {
            self.generations.pop_first();
        }
        for Entry { session, .. } in self.open.values() {
            let of = &session.ticket;
            if of.transfer == ticket.transfer && of.generation < ticket.generation {
                session.closed.cancel();
            }
        }
        Ok(())
    }

    /// Only what can not come again: until a ticket has expired, the memory of its use is what keeps it from being used twice.
    fn forget(&mut self, now: Timestamp) {
        let now = now.as_second();
        self.open.retain(|_, Entry { session, used_at, .. }| {
            let expired = session.ticket.expires_at.as_second() + SKEW < now;
            let idle = Arc::strong_count(session) == 1 && used_at.as_second() + IDLE < now;
            !(expired && idle)
        });
    }
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
    let now = now.as_second();
    if ticket.expires_at.as_second() + SKEW < now {
        return Err(Refusal::ticket(format!("it ended at {} by the witness's clock", ticket.expires_at)));
    }
    if ticket.issued_at.as_second() - SKEW > now {
        return Err(Refusal::ticket(format!(
            "it was made at {}, which is still to come here",
            ticket.issued_at
        )));
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
