//! Key, certificate and authority of this system, in one file: they are replaced together or not at all.

use std::{fmt, fs, io};

use camino::{Utf8Path, Utf8PathBuf};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use x509_parser::{extensions::GeneralName, parse_x509_certificate};
use zfs_sync_api::v1::certificate::{IssuedCertificate, system_of_uri};
use zfs_sync_core::{ids::SystemId, time::Timestamp};

use crate::disk;

/// Private key, certificate, authority, in this order, in PEM.
const FILE: &str = "tls.pem";

/// What part of a certificate's life is left when it is renewed.
const RENEW_IN_LAST: i64 = 3;

/// Why credentials can not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// A key or a request could not be made.
    #[error("could not make a key")]
    Key(#[from] rcgen::Error),
    /// What came, or what lies there, is no certificate of this system.
    #[error("this is no certificate for this system: {0}")]
    Unusable(String),
    /// The file can not be read or written.
    #[error("could not {action} {path}")]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// Which file.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A key that was made here and a request that names it. The key leaves this host never.
#[derive(Debug)]
pub struct Request {
    key: KeyPair,
    /// PKCS #10 in PEM.
    pub csr: String,
}

/// What this system shows to others, and what it accepts of them.
pub struct Credentials {
    key: PrivateKeyDer<'static>,
    certificate: CertificateDer<'static>,
    authority: CertificateDer<'static>,
    leaf: Leaf,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Credentials").field("leaf", &self.leaf).finish_non_exhaustive()
    }
}

/// What a certificate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Whose it is.
    pub system: SystemId,
    /// From when on it is valid.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
}

impl Leaf {
    /// Reads a certificate; its signature is for others to check.
    pub fn read(certificate: &[u8]) -> Result<Self, CredentialsError> {
        let unusable = |what: String| CredentialsError::Unusable(what);
        let (_, parsed) = parse_x509_certificate(certificate).map_err(|error| unusable(error.to_string()))?;
        let names = parsed.subject_alternative_name().map_err(|error| unusable(error.to_string()))?;
        let names = names.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
        let [GeneralName::URI(uri)] = names else {
            return Err(unusable("it does not name exactly one system".to_owned()));
        };
        let system = system_of_uri(uri).ok_or_else(|| unusable(format!("`{uri}` names no system")))?;
        let moment = |time: x509_parser::time::ASN1Time| {
            Timestamp::from_second(time.timestamp()).map_err(|error| unusable(error.to_string()))
        };
        let validity = parsed.validity();
        Ok(Self { system, not_before: moment(validity.not_before)?, not_after: moment(validity.not_after)? })
    }

    /// True when it is valid at that moment.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.not_before <= now && now <= self.not_after
    }
}

impl Request {
    /// Makes a key and asks for a certificate over it.
    pub fn new() -> Result<Self, CredentialsError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let csr = CertificateParams::default().serialize_request(&key)?.pem()?;
        Ok(Self { key, csr })
    }

    /// Keeps what the witness answered, with the key, in `data_dir`.
    pub fn keep(
        &self,
        data_dir: &Utf8Path,
        system: SystemId,
        issued: &IssuedCertificate,
    ) -> Result<Credentials, CredentialsError> {
        let text = [self.key.serialize_pem(), issued.certificate.clone(), issued.authority.clone()]
            .map(|part| format!("{}\n", part.trim_end()))
            .concat();
        // Before it takes the place of what may still be good.
        let credentials = Credentials::parse(&text, system)?;
        let path = data_dir.join(FILE);
        disk::replace(&path, text.as_bytes()).map_err(|source| CredentialsError::Io {
            action: "write",
            path,
            source,
        })?;
        Ok(credentials)
    }
}

impl Credentials {
    /// Reads what lies in `data_dir`; `None` where there is nothing.
    pub fn load(data_dir: &Utf8Path, system: SystemId) -> Result<Option<Self>, CredentialsError> {
        let path = data_dir.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text, system).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(CredentialsError::Io { action: "read", path, source }),
        }
    }

    /// Removes them: they are another system's.
    pub(crate) fn forget(data_dir: &Utf8Path) -> Result<(), CredentialsError> {
        let path = data_dir.join(FILE);
        disk::remove_durably(&path).map_err(|source| CredentialsError::Io { action: "remove", path, source })
    }

    fn parse(text: &str, system: SystemId) -> Result<Self, CredentialsError> {
        let unusable = |error: rustls::pki_types::pem::Error| CredentialsError::Unusable(error.to_string());
        let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(unusable)?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
        let Ok([certificate, authority]) = <[_; 2]>::try_from(certificates.map_err(unusable)?) else {
            return Err(CredentialsError::Unusable("there are not two certificates".to_owned()));
        };
        let leaf = Leaf::read(&certificate)?;
        if leaf.system != system {
            return Err(CredentialsError::Unusable(format!("it names {}", leaf.system)));
        }
        Ok(Self { key, certificate, authority, leaf })
    }

    /// What the certificate says.
    pub const fn leaf(&self) -> Leaf {
        self.leaf
    }

    /// The private key.
    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }

    /// The certificate.
    pub(crate) const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The authority's certificate.
    pub(crate) const fn authority(&self) -> &CertificateDer<'static> {
        &self.authority
    }

    /// When it is to be renewed: after two thirds of its life.
    pub fn renew_at(&self) -> Timestamp {
        let Leaf { not_before, not_after, .. } = self.leaf;
        let life = not_after.as_second().saturating_sub(not_before.as_second());
        let at = not_after.as_second().saturating_sub(life / RENEW_IN_LAST);
        Timestamp::from_second(at).unwrap_or(not_after)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use uuid::Uuid;

    use super::*;
    use crate::tls::testing::Authority;

    fn system(number: u128) -> SystemId {
        Uuid::from_u128(number).into()
    }

    #[test]
    fn what_was_kept_is_read_back_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap();
        assert!(Credentials::load(path, system(1)).unwrap().is_none());
        let (authority, request) = (Authority::new(), Request::new().unwrap());
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let issued = authority.issue(system(1), &request.csr, now);
        let kept = request.keep(path, system(1), &issued).unwrap();
        let read = Credentials::load(path, system(1)).unwrap().unwrap();
        assert_eq!((read.leaf(), read.key().secret_der()), (kept.leaf(), kept.key().secret_der()));
        assert_eq!(read.leaf().system, system(1));
        let mode = fs::metadata(path.join(FILE)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        assert!(!format!("{read:?}").contains("PrivateKey"), "{read:?}");
        // Ten days before its end, or a little earlier.
        let left = read.leaf().not_after.duration_since(read.renew_at()).as_hours();
        assert!((10 * 24..=11 * 24).contains(&left), "{left}");
    }

    #[test]
    fn another_systems_certificate_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap();
        let (authority, request) = (Authority::new(), Request::new().unwrap());
        let issued = authority.issue(system(2), &request.csr, Timestamp::UNIX_EPOCH);
        assert!(request.keep(path, system(1), &issued).is_err());
        assert!(Credentials::load(path, system(1)).unwrap().is_none(), "nothing was written");
    }

    #[test]
    fn half_a_file_is_no_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap();
        fs::write(path.join(FILE), "-----BEGIN CERTIFICATE-----\nAAAA\n").unwrap();
        assert!(Credentials::load(path, system(1)).is_err());
    }
}
