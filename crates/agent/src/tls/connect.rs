//! The side that connects: connections to other agents, kept for the next command.

use std::{
    collections::BTreeMap,
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustls::{AlertDescription, ClientConfig};
use tokio::{
    io::{ReadHalf, WriteHalf},
    net::TcpStream,
    sync::{Mutex as AsyncMutex, watch},
    time::{Instant, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use uuid::Uuid;
use zfs_sync_api::v1::certificate::TlsAddress;
use zfs_sync_core::{ids::SystemId, time::Clock};
use zfs_sync_zfs::error::Kind;

use super::{
    credentials::Credentials,
    frame::{FrameReader, FrameWriter, Kind as FrameKind, parse, unexpected},
    trust::{client_config, name_of},
    wire::{DEADLINE, Reply},
};

/// From the first packet to the end of the handshake.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a connection without a request is kept: less than the listener keeps it.
const KEEP: Duration = Duration::from_secs(20);
/// Connections to one system that are kept.
const KEPT: usize = 8;

/// Why another agent did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// One of the TLS kinds.
    pub(super) kind: Kind,
    /// In words, without the code.
    pub(super) detail: String,
}

impl Trouble {
    pub(super) fn unreachable(detail: impl Into<String>) -> Self {
        Self { kind: Kind::TlsUnreachable, detail: detail.into() }
    }

    /// What the listener has refused.
    pub(super) fn refused(code: &str, detail: String) -> Self {
        let known = [Kind::TlsTicket, Kind::TlsForbidden, Kind::TlsCertificate];
        let kind = known.into_iter().find(|kind| kind.code() == code).unwrap_or(Kind::TlsForbidden);
        Self { kind, detail }
    }

    /// On standard error of a stage: `classify` knows these words.
    pub(super) fn text(&self) -> String {
        format!("{}: {}", self.kind.code(), self.detail)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.detail)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        let kind = match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
                Kind::TlsCertificate
            }
            Some(rustls::Error::AlertReceived(alert)) if is_of_certificates(*alert) => Kind::TlsCertificate,
            _ => Kind::TlsUnreachable,
        };
        Self { kind, detail: error.to_string() }
    }
}

/// What the listener says when it does not like our certificate.
fn is_of_certificates(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::CertificateRequired
            | AlertDescription::DecryptError
    )
}

pub(super) type Reader = FrameReader<ReadHalf<TlsStream<TcpStream>>>;
pub(super) type Writer = AsyncMutex<FrameWriter<WriteHalf<TlsStream<TcpStream>>>>;

/// One connection, idle or at work.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) reader: Reader,
    pub(super) writer: Writer,
    /// The session that it belongs to, by its ticket.
    pub(super) session: Option<Uuid>,
}

impl Link {
    /// The next reply, while nothing but that is to come.
    pub(super) async fn reply(&mut self) -> io::Result<Reply> {
        loop {
            match self.reader.next(DEADLINE).await? {
                (FrameKind::Message, payload) => return parse(payload),
                (FrameKind::Ping, _) => {}
                (FrameKind::Data | FrameKind::End, _) => {
                    return Err(unexpected("a stream that nobody asked for"));
                }
            }
        }
    }
}

/// Connects to other agents, with this system's certificate.
#[derive(Debug)]
pub(crate) struct Connections {
    clock: Arc<dyn Clock>,
    credentials: watch::Receiver<Option<Arc<Credentials>>>,
    config: Mutex<Option<(Arc<Credentials>, Arc<ClientConfig>)>>,
    kept: Mutex<BTreeMap<Address, Vec<(Link, Instant)>>>,
}

type Address = (SystemId, String, u16);

fn key(address: &TlsAddress) -> Address {
    (address.system_id, address.host.clone(), address.port)
}

impl Connections {
    /// Nothing is connected yet.
    pub(crate) fn new(clock: Arc<dyn Clock>, credentials: watch::Receiver<Option<Arc<Credentials>>>) -> Self {
        Self { clock, credentials, config: Mutex::default(), kept: Mutex::default() }
    }

    /// True when this system can show a certificate.
    pub(crate) fn has_certificate(&self) -> bool {
        let now = self.clock.now();
        self.credentials.borrow().as_ref().is_some_and(|credentials| credentials.leaf().is_valid(now))
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<Address, Vec<(Link, Instant)>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that was kept.
    pub(super) fn idle(&self, address: &TlsAddress) -> Option<Link> {
        let mut kept = self.kept();
        let links = kept.get_mut(&key(address))?;
        links.retain(|(_, since)| since.elapsed() < KEEP);
        links.pop().map(|(link, _)| link)
    }

    /// Keeps a connection over which nothing is under way.
    pub(super) fn keep(&self, address: &TlsAddress, link: Link) {
        let mut kept = self.kept();
        let links = kept.entry(key(address)).or_default();
        links.retain(|(_, since)| since.elapsed() < KEEP);
        if links.len() < KEPT {
            links.push((link, Instant::now()));
        }
        // One system more or less is nothing; all that were ever reached are something.
        kept.retain(|_, links| !links.is_empty());
    }

    /// A new connection.
    pub(super) async fn connect(&self, address: &TlsAddress) -> Result<Link, Trouble> {
        let TlsAddress { system_id, host, port } = address;
        let at = |trouble: Trouble| Trouble { detail: format!("{host}:{port}: {trouble}"), ..trouble };
        let config = self.config()?;
        let name = name_of(*system_id).map_err(|error| Trouble::unreachable(error.to_string()))?;
        let connecting = async {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            TlsConnector::from(config).connect(name, stream).await
        };
        let stream = match timeout(CONNECT, connecting).await {
            Ok(connected) => connected.map_err(|error| at(error.into()))?,
            Err(_) => return Err(at(Trouble::unreachable("no answer in ten seconds"))),
        };
        let (reader, writer) = tokio::io::split(stream);
        let (reader, writer) = (FrameReader::new(reader), AsyncMutex::new(FrameWriter::new(writer)));
        Ok(Link { reader, writer, session: None })
    }

    fn config(&self) -> Result<Arc<ClientConfig>, Trouble> {
        let wrong = |detail: String| Trouble { kind: Kind::TlsCertificate, detail };
        let credentials = self.credentials.borrow().clone();
        let credentials =
            credentials.ok_or_else(|| wrong("this system has no certificate yet".to_owned()))?;
        let mut made = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, config)) = made.as_ref().filter(|(of, _)| Arc::ptr_eq(of, &credentials)) {
            return Ok(Arc::clone(config));
        }
        let config = client_config(&credentials, &self.clock).map_err(|error| wrong(error.to_string()))?;
        let config = Arc::new(config);
        *made = Some((credentials, Arc::clone(&config)));
        Ok(config)
    }
}
