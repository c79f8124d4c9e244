use std::time::Duration;

use camino::Utf8Path;
use zfs_sync_core::guid::Guid;

use super::*;
use crate::tls::{
    credentials::{Credentials, Request},
    testing::{Authority, step, system, ticket},
};

const INSTANCE: Uuid = Uuid::from_u128(42);

struct World {
    authority: Authority,
    credentials: Credentials,
    sessions: Sessions,
    now: Timestamp,
    _dir: tempfile::TempDir,
}

impl World {
    /// System 1 listens; system 2 pulls from it.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (authority, request) = (Authority::new(), Request::new().unwrap());
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let issued = authority.issue(system(1), &request.csr, now);
        let path = Utf8Path::from_path(dir.path()).unwrap();
        let credentials = request.keep(path, system(1), &issued).unwrap();
        Self { authority, credentials, sessions: Sessions::default(), now, _dir: dir }
    }

    fn ticket(&self) -> Ticket {
        ticket(step(Guid::new(7), Guid::new(11)), system(2), INSTANCE, self.now)
    }

    fn show(&self, signed: &SignedTicket, secret: Option<&str>) -> Result<(Arc<Session>, String), String> {
        self.show_as(system(2), signed, secret)
    }

    fn show_as(
        &self,
        client: SystemId,
        signed: &SignedTicket,
        secret: Option<&str>,
    ) -> Result<(Arc<Session>, String), String> {
        let listener = Listener { system: system(1), instance: INSTANCE };
        let authority = self.credentials.authority();
        let opened = self.sessions.open(listener, authority, client, signed, secret, self.now);
        opened.map_err(|refusal| {
            assert_eq!(refusal.code, "E_TLS_TICKET");
            refusal.detail
        })
    }

    fn signed(&self, change: impl FnOnce(&mut Ticket)) -> SignedTicket {
        let mut ticket = self.ticket();
        change(&mut ticket);
        self.authority.sign(&ticket)
    }

    fn refusal(&self, change: impl FnOnce(&mut Ticket)) -> String {
        self.show(&self.signed(change), None).unwrap_err()
    }
}

#[test]
fn a_ticket_is_good_for_one_session_of_several_connections() {
    let world = World::new();
    let signed = world.signed(|_| {});
    let (first, secret) = world.show(&signed, None).unwrap();
    let (second, _) = world.show(&signed, Some(&secret)).unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(world.show(&signed, None).unwrap_err(), "it was used before");
    let wrong = "0".repeat(secret.len());
    assert_eq!(world.show(&signed, Some(&wrong)).unwrap_err(), "its session is over");
    // Another ticket's session is not joined by it.
    let other = world.signed(|ticket| ticket.generation += 1);
    assert_eq!(world.show(&other, Some(&secret)).unwrap_err(), "its session is over");
}

#[test]
fn a_ticket_that_anything_of_was_changed_is_refused() {
    let world = World::new();
    let mut signed = world.signed(|_| {});
    signed.ticket = signed.ticket.replace("tank/a", "tank/b");
    assert_eq!(world.show(&signed, None).unwrap_err(), "the witness has not signed it");
    let mut signed = world.signed(|_| {});
    signed.signature.replace_range(10..12, "00");
    signed.signature.replace_range(20..22, "00");
    assert_eq!(world.show(&signed, None).unwrap_err(), "the witness has not signed it");
    for signature in ["", "zz", "0"] {
        signed.signature = signature.to_owned();
        assert_eq!(world.show(&signed, None).unwrap_err(), "the witness has not signed it");
    }
    let foreign = Authority::new().sign(&world.ticket());
    assert_eq!(world.show(&foreign, None).unwrap_err(), "the witness has not signed it");
}

#[test]
fn a_ticket_is_for_these_two_systems_and_this_run() {
    let world = World::new();
    assert_eq!(world.refusal(|ticket| ticket.client = system(3)), "it is another system's");
    assert_eq!(world.refusal(|ticket| ticket.server = system(3)), "it is for another system");
    let earlier = world.refusal(|ticket| ticket.instance = Uuid::from_u128(41));
    assert_eq!(earlier, "it is for an earlier run of this agent");
    let elsewhere = world.refusal(|ticket| ticket.step.target_system = system(3));
    assert_eq!(elsewhere, "its transfer is not between these two systems");
    let (keeps, destroys) = (Guid::new(1), Vec::new());
    let local = Action::DestroySnapshots { target_guid: Guid::new(7), keeps, destroys };
    let refused = world.refusal(|ticket| ticket.step.action = local);
    assert_eq!(refused, "its transfer moves no data between systems");
    // Stolen by another system of the fleet, which has a certificate of its own.
    let signed = world.signed(|_| {});
    assert_eq!(world.show_as(system(3), &signed, None).unwrap_err(), "it is another system's");
    world.show(&signed, None).unwrap();
}

#[test]
fn a_ticket_ends_and_clocks_may_differ_by_minutes() {
    let mut world = World::new();
    let signed = world.signed(|_| {});
    let late = world.signed(|ticket| ticket.nonce = Uuid::from_u128(1));
    world.now = world.now.checked_add(Duration::from_mins(14)).unwrap();
    let (_session, secret) = world.show(&signed, None).unwrap();
    world.now = world.now.checked_add(Duration::from_mins(2)).unwrap();
    assert!(world.show(&late, None).unwrap_err().starts_with("it ended at"));
    // What has begun may be joined, and begins nothing more.
    let (session, _) = world.show(&signed, Some(&secret)).unwrap();
    assert!(session.check(world.now).unwrap_err().detail.starts_with("it ended at"));
    let early = world
        .signed(|ticket| ticket.issued_at = ticket.issued_at.checked_add(Duration::from_mins(6)).unwrap());
    assert!(world.show(&early, None).unwrap_err().starts_with("it was made at"));
}

#[test]
fn a_newer_attempt_ends_an_older_one() {
    let world = World::new();
    let (old, secret) = world.show(&world.signed(|_| {}), None).unwrap();
    assert!(!old.closed.is_cancelled());
    let (new, _) = world.show(&world.signed(|ticket| ticket.generation = 4), None).unwrap();
    assert!(old.closed.is_cancelled() && !new.closed.is_cancelled());
    let signed = world.authority.sign(&old.ticket);
    assert_eq!(world.show(&signed, Some(&secret)).unwrap_err(), "its session is over");
    let refused = world.refusal(|ticket| ticket.generation = 2);
    assert_eq!(refused, "attempt 4 of this transfer was here, this is attempt 2");
}

#[test]
fn what_was_used_is_remembered_until_it_could_not_be_used_anyway() {
    let mut world = World::new();
    let signed = world.signed(|_| {});
    let (session, _) = world.show(&signed, None).unwrap();
    drop(session);
    world.now = world.now.checked_add(Duration::from_mins(14)).unwrap();
    assert_eq!(world.show(&signed, None).unwrap_err(), "it was used before");
    world.now = world.now.checked_add(Duration::from_mins(30)).unwrap();
    assert!(world.show(&signed, None).unwrap_err().starts_with("it ended at"));
    assert!(world.sessions.state().open.is_empty());
}

impl World {
    fn renew(&self, session: &Session, signed: &SignedTicket) -> Result<(), String> {
        let listener = Listener { system: system(1), instance: INSTANCE };
        let authority = self.credentials.authority();
        let renewed = self.sessions.renew(listener, authority, system(2), session, signed, self.now);
        renewed.map_err(|refusal| refusal.detail)
    }

    fn pass_minutes(&mut self, minutes: u64) {
        self.now = self.now.checked_add(Duration::from_mins(minutes)).unwrap();
    }
}

#[test]
fn a_session_lasts_as_long_as_its_newest_ticket() {
    let mut world = World::new();
    let (session, _) = world.show(&world.signed(|_| {}), None).unwrap();
    world.pass_minutes(9);
    let next = world.signed(|_| {});
    world.renew(&session, &next).unwrap();
    world.renew(&session, &next).unwrap();
    assert_eq!(world.show(&next, None).unwrap_err(), "it was used before", "it begins no session of its own");
    world.pass_minutes(15);
    assert_eq!(session.check(world.now), Ok(()));
    world.pass_minutes(1);
    assert!(session.check(world.now).is_err());
    assert!(world.renew(&session, &next).unwrap_err().starts_with("it ended at"));
    world.renew(&session, &world.signed(|_| {})).unwrap();
    assert_eq!(session.check(world.now), Ok(()));
}

#[test]
fn a_session_is_renewed_by_a_ticket_of_the_same_lease_alone() {
    let world = World::new();
    let first = world.signed(|_| {});
    let (session, _) = world.show(&first, None).unwrap();
    let wrong = "it is of another lease than the session";
    let renewed = |change: &dyn Fn(&mut Ticket)| world.renew(&session, &world.signed(change)).unwrap_err();
    assert_eq!(renewed(&|ticket| ticket.generation = 4), wrong);
    assert_eq!(renewed(&|ticket| ticket.transfer = Uuid::from_u128(5).into()), wrong);
    assert_eq!(renewed(&|ticket| ticket.purpose = Purpose::Settle), wrong);
    assert_eq!(renewed(&|ticket| ticket.step.source = "tank/b".parse().unwrap()), wrong);
    assert_eq!(renewed(&|ticket| ticket.client = system(3)), "it is another system's");
    assert_eq!(world.renew(&session, &first).unwrap_err(), "it was used before");
    let (_newer, _) = world.show(&world.signed(|ticket| ticket.generation = 4), None).unwrap();
    assert_eq!(world.renew(&session, &world.signed(|_| {})).unwrap_err(), "its session is over");
}

#[test]
fn whoever_could_not_be_remembered_is_refused_and_nobody_is_forgotten_for_it() {
    let mut world = World::new();
    world.sessions = Sessions::with_room_for(4);
    let of = |number: u128| world.signed(|ticket| ticket.transfer = Uuid::from_u128(number).into());
    let tickets: Vec<SignedTicket> = (1..=4).map(of).collect();
    for ticket in &tickets {
        world.show(ticket, None).unwrap();
    }
    let fifth = of(5);
    assert!(world.show(&fifth, None).unwrap_err().starts_with("so many others"));
    for ticket in &tickets {
        assert_eq!(world.show(ticket, None).unwrap_err(), "it was used before");
    }
    let old = world.refusal(|ticket| (ticket.transfer, ticket.generation) = (Uuid::from_u128(1).into(), 2));
    assert_eq!(old, "attempt 3 of this transfer was here, this is attempt 2");
    world.pass_minutes(30);
    world.show(&world.signed(|ticket| ticket.transfer = Uuid::from_u128(5).into()), None).unwrap();
    assert_eq!(world.sessions.state().generations.len(), 1);
}
