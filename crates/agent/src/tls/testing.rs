//! A witness's authority for tests: what the server crate does, which agents do not depend on.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, SigningKey as _, date_time_ymd,
};
use uuid::Uuid;
use zfs_sync_api::v1::certificate::{
    IssuedCertificate, Purpose, SignedTicket, TICKET_CONTEXT, Ticket, system_uri,
};
use zfs_sync_core::{
    guid::{Guid, Txg},
    ids::SystemId,
    inventory::DatasetKind,
    name::DatasetName,
    plan::{Action, Point, Receiver, Send, Step},
    time::Timestamp,
};

const DAY: Duration = Duration::from_hours(24);

pub(crate) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let pem = parameters.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(parameters, key) }
    }

    /// Valid from a day before `now` until thirty days after.
    pub(crate) fn issue(&self, system: SystemId, csr: &str, now: Timestamp) -> IssuedCertificate {
        let key = CertificateSigningRequestParams::from_pem(csr).unwrap().public_key;
        let mut parameters = CertificateParams::default();
        parameters.subject_alt_names = vec![SanType::URI(system_uri(system).try_into().unwrap())];
        parameters.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let at =
            |second: i64| date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(second).unwrap());
        let day = i64::try_from(DAY.as_secs()).unwrap();
        parameters.not_before = at((now.as_second() - day).max(0));
        parameters.not_after = at(now.as_second() + 30 * day);
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap().pem();
        let expires_at = Timestamp::from_second(now.as_second() + 30 * day).unwrap();
        IssuedCertificate { certificate, authority: self.pem.clone(), expires_at }
    }

    pub(crate) fn sign(&self, ticket: &Ticket) -> SignedTicket {
        let ticket = serde_json::to_string(ticket).unwrap();
        let message = [TICKET_CONTEXT.as_bytes(), ticket.as_bytes()].concat();
        let signature = self.issuer.key().sign(&message).unwrap();
        let signature = super::ticket::hexadecimal(&signature);
        SignedTicket { ticket, signature }
    }
}

/// Two systems: 1 has `tank/a`, 2 gets `backup/a`.
pub(crate) fn system(number: u128) -> SystemId {
    Uuid::from_u128(number).into()
}

/// A step that sends `tank/a` of system 1 up to the snapshot with this GUID into `backup/new/a` of system 2.
pub(crate) fn step(source_guid: Guid, to: Guid) -> Step {
    let target: DatasetName = "backup/new/a".parse().unwrap();
    let point = Point { guid: to, createtxg: Txg::new(5), label: "one".parse().unwrap(), creation: 0 };
    Step {
        source_system: system(1),
        target_system: system(2),
        source: "tank/a".parse().unwrap(),
        target: target.clone(),
        kind: DatasetKind::Filesystem,
        source_guid,
        receiver: Receiver::new(system(2), &target),
        action: Action::Send(Send {
            base: None,
            to: point,
            snapshots: 1,
            resume: false,
            discard_partial: None,
            raw: false,
            properties: Vec::new(),
            target_newest: None,
            create_parents: vec!["backup/new".parse().unwrap()],
            target_origin: None,
        }),
    }
}

/// A ticket for `client` at the other one of both systems, made at `now`.
pub(crate) fn ticket(step: Step, client: SystemId, instance: Uuid, now: Timestamp) -> Ticket {
    let server = if client == step.source_system { step.target_system } else { step.source_system };
    Ticket {
        nonce: Uuid::new_v4(),
        purpose: Purpose::Transfer,
        transfer: Uuid::from_u128(77).into(),
        generation: 3,
        client,
        server,
        instance,
        step,
        issued_at: now,
        expires_at: now.checked_add(Duration::from_mins(10)).unwrap(),
    }
}
