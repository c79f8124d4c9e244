//! The witness's own certificate authority: who a system is, is signed here, and what it may do at another one.
//!
//! Its key lies in the database, because all witnesses of a database must have the same. It signs certificates of systems, and tickets,
//! whose text begins with [`TICKET_CONTEXT`], so that neither can be taken for the other. A certificate alone admits nobody to anything:
//! each session needs a ticket. So a system that was deleted is out at once, and there is no revocation list.

use std::{fmt, time::Duration};

use jiff::SignedDuration;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SanType, SigningKey as _, date_time_ymd,
};
use zfs_sync_api::{
    codes::ErrorCode,
    v1::certificate::{IssuedCertificate, SignedTicket, TICKET_CONTEXT, Ticket, system_uri},
};
use zfs_sync_core::{ids::SystemId, time::Timestamp};
use zfs_sync_store::{AuthorityRow, Store};

use crate::error::{Answer, ApiError};

/// How long a certificate of a system is valid; its agent renews it after two thirds of that.
pub(crate) const CERTIFICATE_LIFE: SignedDuration = SignedDuration::from_hours(30 * 24);
/// The authority itself outlives the hosts.
const AUTHORITY_LIFE: SignedDuration = SignedDuration::from_hours(20 * 365 * 24);
/// A host whose clock is late must not find its new certificate to be from the future.
const BACKDATED: SignedDuration = SignedDuration::from_hours(24);

/// Signs certificates and tickets.
pub(crate) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// Reads it from the database, or makes it there.
    pub(crate) async fn open(store: &Store, now: Timestamp) -> Answer<Self> {
        let row = match store.authority().await? {
            Some(row) => row,
            None => store.keep_authority(&make(now).map_err(ApiError::internal)?, now).await?,
        };
        Self::read(&row).map_err(ApiError::internal)
    }

    fn read(row: &AuthorityRow) -> Result<Self, rcgen::Error> {
        let key = KeyPair::try_from(row.key.as_slice())?;
        let pem = String::from_utf8_lossy(&row.certificate).into_owned();
        let issuer = Issuer::from_ca_cert_pem(&pem, key)?;
        Ok(Self { pem, issuer })
    }

    /// A certificate for `system` over the public key in `csr`. Whatever else the request says is not looked at.
    pub(crate) fn issue(&self, system: SystemId, csr: &str, now: Timestamp) -> Answer<IssuedCertificate> {
        let wrong = |why: String| ApiError::at("/csr", ErrorCode::ValueInvalid, why);
        // The signature of the request is checked in here: the key is the sender's own.
        let request = CertificateSigningRequestParams::from_pem(csr)
            .map_err(|error| wrong(format!("this is no certificate request: {error}")))?;
        let key = request.public_key;
        let known = [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519];
        if !known.contains(&key.algorithm()) {
            return Err(wrong("the key must be of ECDSA (P-256, P-384) or Ed25519".into()));
        }
        let expires_at = now.checked_add(CERTIFICATE_LIFE).map_err(ApiError::internal)?;
        let mut parameters = parameters("zfs-sync system", now, CERTIFICATE_LIFE);
        let uri = system_uri(system).try_into().map_err(ApiError::internal)?;
        parameters.subject_alt_names = vec![SanType::URI(uri)];
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        parameters.use_authority_key_identifier_extension = true;
        let certificate = parameters.signed_by(&key, &self.issuer).map_err(ApiError::internal)?;
        Ok(IssuedCertificate { certificate: certificate.pem(), authority: self.pem.clone(), expires_at })
    }

    /// Signs a ticket.
    pub(crate) fn sign(&self, ticket: &Ticket) -> Answer<SignedTicket> {
        let ticket = serde_json::to_string(ticket).map_err(ApiError::internal)?;
        let message = [TICKET_CONTEXT.as_bytes(), ticket.as_bytes()].concat();
        let signature = self.issuer.key().sign(&message).map_err(ApiError::internal)?;
        Ok(SignedTicket { ticket, signature: hexadecimal(&signature) })
    }
}

fn make(now: Timestamp) -> Result<AuthorityRow, rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut parameters = parameters("zfs-sync witness", now, AUTHORITY_LIFE);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let certificate = parameters.self_signed(&key)?;
    Ok(AuthorityRow { certificate: certificate.pem().into_bytes(), key: key.serialize_der() })
}

fn parameters(name: &str, now: Timestamp, life: SignedDuration) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    let at = |moment: Timestamp| {
        // No witness was there before 1970.
        let seconds = u64::try_from(moment.as_second()).unwrap_or(0);
        date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds)
    };
    parameters.not_before = at(now.checked_sub(BACKDATED).unwrap_or(now));
    parameters.not_after = at(now.checked_add(life).unwrap_or(now));
    parameters
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing into a String never fails.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
