//! rustls, set up for one fleet: TLS 1.3 alone, and on both sides certificates of the witness's authority.

use std::{sync::Arc, time::Duration};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig,
    SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{ParsedCertificate, WebPkiClientVerifier},
    time_provider::TimeProvider,
    version::TLS13,
};
use x509_parser::parse_x509_certificate;
use zfs_sync_core::{ids::SystemId, time::Clock};

use super::credentials::{Credentials, Leaf};

/// The agent's clock, for rustls.
#[derive(Debug)]
struct ClockTime(Arc<dyn Clock>);

impl TimeProvider for ClockTime {
    fn current_time(&self) -> Option<UnixTime> {
        let second = u64::try_from(self.0.now().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(second)))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn roots(credentials: &Credentials) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    roots.add(credentials.authority().clone())?;
    Ok(roots)
}

/// For the agent that listens: who connects must show a certificate.
pub(super) fn server_config(
    credentials: &Credentials,
    clock: &Arc<dyn Clock>,
) -> Result<ServerConfig, Error> {
    let provider = provider();
    let roots = Arc::new(roots(credentials)?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
    let verifier = verifier.map_err(|error| Error::General(error.to_string()))?;
    ServerConfig::builder_with_details(provider, Arc::new(ClockTime(Arc::clone(clock))))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![credentials.certificate().clone()], credentials.key())
}

/// For the agent that connects: who listens must be the system that the witness named.
pub(super) fn client_config(
    credentials: &Credentials,
    clock: &Arc<dyn Clock>,
) -> Result<ClientConfig, Error> {
    let provider = provider();
    let verifier = PeerVerifier { roots: roots(credentials)?, provider: Arc::clone(&provider) };
    let mut config = ClientConfig::builder_with_details(provider, Arc::new(ClockTime(Arc::clone(clock))))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(vec![credentials.certificate().clone()], credentials.key())?;
    // The name is for the verifier and for resumption, and concerns nobody on the way.
    config.enable_sni = false;
    Ok(config)
}

/// Hands the system that is expected to the verifier.
pub(super) fn name_of(
    system: SystemId,
) -> Result<ServerName<'static>, rustls::pki_types::InvalidDnsNameError> {
    ServerName::try_from(format!("{}.zfs-sync.invalid", system.as_uuid().hyphenated()))
}

/// A certificate of the authority that names the expected system. Host names are not looked at: they are where a system is, not who it is.
#[derive(Debug)]
struct PeerVerifier {
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms)?;
        let leaf =
            Leaf::read(end_entity).map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        match name_of(leaf.system) {
            Ok(name) if name == *server_name => Ok(ServerCertVerified::assertion()),
            _ => Err(Error::InvalidCertificate(CertificateError::NotValidForName)),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// True when `authority` has signed `message`.
pub(super) fn is_signed_by(authority: &CertificateDer<'_>, message: &[u8], signature: &[u8]) -> bool {
    let Ok((_, parsed)) = parse_x509_certificate(authority) else { return false };
    let key = &parsed.public_key().subject_public_key.data;
    let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
    let fitting =
        algorithms.mapping.iter().filter(|(scheme, _)| *scheme == SignatureScheme::ECDSA_NISTP256_SHA256);
    fitting
        .flat_map(|(_, algorithms)| algorithms.iter())
        .any(|algorithm| algorithm.verify_signature(key, message, signature).is_ok())
}
