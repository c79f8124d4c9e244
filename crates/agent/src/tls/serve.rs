//! The side that listens: executes for others what their tickets allow.

mod command;
mod stream;

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustls::ServerConfig;
use tokio::{
    io::{ReadHalf, WriteHalf},
    net::{TcpListener, TcpStream},
    sync::{Mutex as AsyncMutex, Semaphore, watch},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;
use zfs_sync_core::{ids::SystemId, time::Clock};
use zfs_sync_zfs::runner::Runner;

use super::{
    credentials::{Credentials, Leaf},
    frame::{FrameReader, FrameWriter, Kind, parse, unexpected},
    handshakes::Handshakes,
    ticket::{Listener, Session, Sessions},
    trust::server_config,
    wire::{Refusal, Reply, Request},
};

/// From the connection to the end of its handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection without a request stays open; the other side gives it up earlier.
const IDLE: Duration = Duration::from_mins(1);
/// Connections at a time. Each transfer has one for its stream and one or two for commands.
const MOST_CONNECTIONS: usize = 256;
/// Connections of one system at a time.
const MOST_OF_ONE: usize = 64;
/// After an accept that failed, out of file descriptors say.
const BREATH: Duration = Duration::from_millis(100);

type Reader = FrameReader<ReadHalf<TlsStream<TcpStream>>>;
type Writer = AsyncMutex<FrameWriter<WriteHalf<TlsStream<TcpStream>>>>;

/// An agent's listener.
#[derive(Debug)]
pub(crate) struct Serving {
    listener: Listener,
    local: Arc<dyn Runner>,
    clock: Arc<dyn Clock>,
    credentials: watch::Receiver<Option<Arc<Credentials>>>,
    config: Mutex<Option<(Arc<Credentials>, Arc<ServerConfig>)>>,
    sessions: Sessions,
    handshakes: Handshakes,
    places: Arc<Semaphore>,
    of_one: Mutex<BTreeMap<SystemId, Arc<Semaphore>>>,
}

impl Serving {
    /// For `system`, whose commands are executed by `local`.
    pub(crate) fn new(
        system: SystemId,
        instance: Uuid,
        local: Arc<dyn Runner>,
        clock: Arc<dyn Clock>,
        credentials: watch::Receiver<Option<Arc<Credentials>>>,
    ) -> Self {
        Self {
            listener: Listener { system, instance },
            local,
            clock,
            credentials,
            config: Mutex::default(),
            sessions: Sessions::default(),
            handshakes: Handshakes::default(),
            places: Arc::new(Semaphore::new(MOST_CONNECTIONS)),
            of_one: Mutex::default(),
        }
    }

    /// Serves until `shutdown`; what was started for others has ended when this returns.
    pub(crate) async fn listen(self: Arc<Self>, listener: TcpListener, shutdown: CancellationToken) {
        let connections = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            let (stream, from) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(error = %error, "could not take a connection");
                    tokio::time::sleep(BREATH).await;
                    continue;
                }
            };
            let (serving, stop) = (Arc::clone(&self), shutdown.clone());
            connections.spawn(async move {
                let served = serving.connection(stream, from, &stop).await;
                if let Err(error) = served {
                    tracing::debug!(client.address = %from, error = %error, "the connection from {from} has ended: {error}");
                }
            });
        }
        connections.close();
        connections.wait().await;
    }

    async fn connection(
        &self,
        stream: TcpStream,
        from: SocketAddr,
        stop: &CancellationToken,
    ) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let (credentials, config) = self.config()?;
        let stream = self.handshake(stream, from, config, stop).await?;
        let client = self.client(&stream)?;
        // Whoever is too many is told by the end of the connection, at no cost.
        let Ok(_any) = self.places.try_acquire() else {
            tracing::warn!(client.system = %client, "too many connections; refused one of system {client}");
            return Err(io::Error::other("there are too many connections"));
        };
        let Ok(_place) = self.places_of(client).try_acquire_owned() else {
            return Err(io::Error::other(format!("{client} has too many connections")));
        };
        let (reader, writer) = tokio::io::split(stream);
        let mut connection = Connection {
            serving: self,
            client,
            credentials,
            reader: FrameReader::new(reader),
            writer: AsyncMutex::new(FrameWriter::new(writer)),
            session: None,
        };
        connection.serve(stop).await
    }

    /// What is known before its end is only where they are.
    async fn handshake(
        &self,
        stream: TcpStream,
        from: SocketAddr,
        config: Arc<ServerConfig>,
        stop: &CancellationToken,
    ) -> io::Result<TlsStream<TcpStream>> {
        let place = self.handshakes.begin(from.ip());
        let accepted = tokio::select! {
            accepted = timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream)) => accepted,
            () = place.over.cancelled() => return Err(io::Error::other("others wanted its place before it said who it is")),
            () = stop.cancelled() => return Err(io::Error::other("the agent stops")),
        };
        match accepted {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => {
                tracing::warn!(client.address = %from, error = %error, "refused a connection from {from}: {error}");
                Err(error)
            }
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no handshake in time")),
        }
    }

    fn config(&self) -> io::Result<(Arc<Credentials>, Arc<ServerConfig>)> {
        let credentials = self.credentials.borrow().clone();
        let credentials = credentials.ok_or_else(|| io::Error::other("there is no certificate yet"))?;
        let mut made = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, config)) = made.as_ref().filter(|(of, _)| Arc::ptr_eq(of, &credentials)) {
            return Ok((Arc::clone(of), Arc::clone(config)));
        }
        let config = Arc::new(server_config(&credentials, &self.clock).map_err(io::Error::other)?);
        *made = Some((Arc::clone(&credentials), Arc::clone(&config)));
        Ok((credentials, config))
    }

    /// Who connected. A handshake that resumes an earlier one does not look at the certificate's time again, so it is looked at here.
    fn client(&self, stream: &TlsStream<TcpStream>) -> io::Result<SystemId> {
        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let shown = shown.ok_or_else(|| io::Error::other("no certificate was shown"))?;
        let leaf = Leaf::read(shown).map_err(io::Error::other)?;
        if !leaf.is_valid(self.clock.now()) {
            return Err(io::Error::other(format!("the certificate of {} is not valid now", leaf.system)));
        }
        Ok(leaf.system)
    }

    fn places_of(&self, client: SystemId) -> Arc<Semaphore> {
        let mut of_one = self.of_one.lock().unwrap_or_else(PoisonError::into_inner);
        let places = of_one.entry(client).or_insert_with(|| Arc::new(Semaphore::new(MOST_OF_ONE)));
        Arc::clone(places)
    }
}

/// One connection.
#[derive(Debug)]
struct Connection<'a> {
    serving: &'a Serving,
    client: SystemId,
    credentials: Arc<Credentials>,
    reader: Reader,
    writer: Writer,
    session: Option<Arc<Session>>,
}

impl Connection<'_> {
    async fn serve(&mut self, stop: &CancellationToken) -> io::Result<()> {
        loop {
            let request = tokio::select! {
                frame = self.reader.next(IDLE) => match frame? {
                    (Kind::Message, payload) => parse::<Request>(payload)?,
                    (Kind::Ping, _) => continue,
                    (Kind::Data | Kind::End, _) => return Err(unexpected("a stream that nobody asked for")),
                },
                () = stop.cancelled() => return Ok(()),
            };
            match request {
                Request::Open { ticket, secret } => {
                    let reply = self.open(&ticket, secret.as_deref());
                    self.reply(&reply).await?;
                }
                Request::Renew { ticket } => {
                    let reply = self.renew(&ticket);
                    self.reply(&reply).await?;
                }
                Request::Run { command } => match self.admitted() {
                    Ok(session) => self.run(&session, *command, stop).await?,
                    Err(refusal) => self.refuse(refusal).await?,
                },
                Request::Start { command } => match self.admitted() {
                    Ok(session) => self.stream(&session, *command, stop).await?,
                    Err(refusal) => self.refuse(refusal).await?,
                },
                Request::Terminate | Request::StopReading | Request::Finished => {
                    return Err(unexpected("the end of a stream that does not run"));
                }
            }
            if let Some(session) = &self.session {
                self.serving.sessions.touch(session, self.serving.clock.now());
            }
        }
    }

    fn open(&mut self, ticket: &zfs_sync_api::v1::certificate::SignedTicket, secret: Option<&str>) -> Reply {
        let Serving { listener, sessions, clock, .. } = self.serving;
        let authority = self.credentials.authority();
        match sessions.open(*listener, authority, self.client, ticket, secret, clock.now()) {
            Ok((session, secret)) => {
                self.session = Some(session);
                Reply::Opened { secret }
            }
            Err(refusal) => {
                self.session = None;
                self.tell(&refusal);
                refusal.into()
            }
        }
    }

    fn renew(&self, ticket: &zfs_sync_api::v1::certificate::SignedTicket) -> Reply {
        let Serving { listener, sessions, clock, .. } = self.serving;
        let authority = self.credentials.authority();
        let renewed = match &self.session {
            Some(session) => sessions.renew(*listener, authority, self.client, session, ticket, clock.now()),
            None => Err(Refusal::ticket("there is no session that it could renew")),
        };
        match renewed {
            Ok(()) => Reply::Renewed,
            Err(refusal) => {
                self.tell(&refusal);
                refusal.into()
            }
        }
    }

    /// The session, as long as its ticket lasts.
    fn admitted(&self) -> Result<Arc<Session>, Refusal> {
        let session = self.session.clone().ok_or_else(|| Refusal::ticket("none was shown"))?;
        session.check(self.serving.clock.now())?;
        Ok(session)
    }

    /// Whoever tries what is not allowed is seen in the log.
    fn tell(&self, refusal: &Refusal) {
        let Refusal { code, detail } = refusal;
        tracing::warn!(client.system = %self.client, code, "refused system {}: {code}: {detail}", self.client);
    }

    async fn refuse(&mut self, refusal: Refusal) -> io::Result<()> {
        self.tell(&refusal);
        self.reply(&refusal.into()).await
    }

    async fn reply(&self, reply: &Reply) -> io::Result<()> {
        self.writer.lock().await.message(reply).await
    }
}
