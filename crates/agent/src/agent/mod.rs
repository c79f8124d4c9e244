//! The agent: reports, leases, executes, remembers.
//!
//! # Design
//!
//! Four loops, each of which may run at any time and reads the state it needs: the *reporter* looks at this host and tells
//! the witness ([`crate::inventory`]); the *leaser* asks for transfers; the *outbox* delivers results until the witness has
//! them; the *janitor* looks after holds that an earlier execution had to leave. Events only wake them.
//!
//! # Failure modes
//!
//! - The witness is away: reports and leases are tried again with growing waits; a running transfer goes on, because the
//!   target's own state fences it: it is sent onto the newest snapshot that the plan named, or it is stale. Its result
//!   waits in the ledger.
//! - The agent dies: leases are released by the next hello, partial receives and holds are found in the ledger and on the
//!   pools, and the witness plans anew from what is reported.
//! - The agent is stopped: transfers that are about to end may do so, the others are cancelled; what has come stays resumable, the witness
//!   hears `interrupted`.

mod backoff;
mod certifier;
mod connector;
mod drain;
mod hosts;
mod janitor;
mod leaser;
mod limits;
mod outbox;
mod peers;
mod replicas;
mod reporter;
#[cfg(test)]
mod tests;
mod transfer;
mod watcher;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, OnceLock},
    time::Duration,
};

use camino::Utf8PathBuf;
use jiff::tz::TimeZone;
use tokio::sync::{Semaphore, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;
use zfs_sync_api::{
    client::{Client, ClientError},
    codes::ErrorCode,
    v1::{agent::Hello, certificate::TransferListener},
};
use zfs_sync_core::{
    ids::SystemId,
    time::{Clock, Timestamp},
};
use zfs_sync_zfs::{
    features::Features,
    runner::{Runner, SharedReads},
};

pub use self::connector::{ConnectError, Connector, SshConnector, SshOptions};
use self::{
    backoff::Backoff, limits::Limits, outbox::Outbox, peers::Peers, replicas::Replicas,
    reporter::ReporterHandle,
};
use crate::{
    engine::{BootClock, SystemBootClock},
    identity::{DataDirLock, IdentityError},
    inventory::WitnessTime,
    ledger::{Ledger, LedgerError},
    sanoid,
    tls::{Credentials, TlsOptions, Transport, connect::Connections, serve::Serving},
};

/// How long the last results may take to reach the witness when the agent stops; they are in the ledger anyway.
const FAREWELL: Duration = Duration::from_secs(3);

/// Everything an agent is made of.
#[derive(Debug)]
pub struct Options {
    /// Talks to the witness with this system's key.
    pub client: Client,
    /// This system.
    pub system_id: SystemId,
    /// Where the ledger is.
    pub data_dir: Utf8PathBuf,
    /// Runs commands on this host.
    pub local: Arc<dyn Runner>,
    /// Reaches other hosts.
    pub connector: Arc<dyn Connector>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// A report is sent this often even when nothing happens; the witness takes longer silence for absence.
    pub report_interval: Duration,
    /// How often this host is looked at while no event stream works.
    pub poll_interval: Duration,
    /// Transfers at a time.
    pub max_transfers: u32,
    /// How long a transfer that is nearly done may go on when the agent is stopped; all others are cancelled at once.
    pub drain: Duration,
    /// Bytes that may wait in this process, for each transfer, while its receiver is busy; 0: none.
    pub buffer: usize,
    /// Where to read what sanoid keeps; `None`: nowhere, as for a host that is not this machine.
    pub sanoid: Option<sanoid::Files>,
    /// How it reaches other agents over TLS, and is reached.
    pub tls: TlsOptions,
}

impl Options {
    /// Ten seconds between reports.
    pub const REPORT_INTERVAL: Duration = Duration::from_secs(10);
    /// One second between looks, so that a snapshot is reported within a second without any events.
    pub const POLL_INTERVAL: Duration = Duration::from_secs(1);
    /// Eight transfers: most are small, and wait for disks, transaction groups and the network of two hosts rather than for a core. They share
    /// listings and connections; a few more would add nothing, and one pool has to write for all of them.
    pub const MAX_TRANSFERS: u32 = 8;
    /// Ten seconds, far below the 90 that service managers wait before they kill.
    pub const DRAIN: Duration = Duration::from_secs(10);
}

/// Why an agent can not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The data directory is in use or can not be used.
    #[error("could not take the data directory")]
    DataDir(#[from] IdentityError),
    /// It can not listen for other agents.
    #[error("could not listen at {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The ledger can not be opened.
    #[error("could not open the ledger")]
    Ledger(#[from] LedgerError),
}

impl StartError {
    /// The registered code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::DataDir(error) => error.code(),
            Self::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                ErrorCode::AddressInUse
            }
            Self::Listen { .. } => ErrorCode::ConfigInvalid,
            Self::Ledger(_) => ErrorCode::LedgerInvalid,
        }
    }
}

/// What the loops share.
#[derive(Debug)]
struct Shared {
    client: Client,
    system_id: SystemId,
    local: Arc<dyn Runner>,
    /// Known before the first loop starts.
    local_features: OnceLock<Features>,
    connector: Arc<dyn Connector>,
    peers: Peers,
    clock: Arc<dyn Clock>,
    /// Leases are counted on it.
    boot_clock: Arc<dyn BootClock>,
    witness_time: WitnessTime,
    report_interval: Duration,
    poll_interval: Duration,
    sanoid: Option<sanoid::Files>,
    drain: Duration,
    buffer: usize,
    limits: Limits,
    ledger: Arc<Ledger>,
    data_dir: Utf8PathBuf,
    /// This system's certificate, once it has one.
    credentials: watch::Sender<Option<Arc<Credentials>>>,
    /// How it reaches others.
    transport: Transport,
    connections: Arc<Connections>,
    /// What hello says of this listener.
    listener: Option<TransferListener>,
    /// Free places for transfers.
    places: Arc<Semaphore>,
    replicas: Replicas,
    reporter: ReporterHandle,
    outbox: Outbox,
    /// Transfers, which end before the last results are sent.
    transfers: TaskTracker,
    shutdown: CancellationToken,
}

/// A zfs-sync agent.
#[derive(Debug)]
pub struct Agent;

/// A running agent. Dropping it does not stop the agent; the token given to [`Agent::start`] does.
#[derive(Debug)]
pub struct AgentHandle {
    shared: Arc<Shared>,
    tasks: TaskTracker,
    address: Option<SocketAddr>,
}

impl AgentHandle {
    /// Waits until the agent has stopped: transfers are cancelled, their results are delivered or in the ledger.
    pub async fn wait(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Where it listens for other agents.
    pub const fn transfer_address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Something happened on this host (a zed hook says so): look at it now.
    pub fn wake(&self) {
        self.shared.reporter.wake();
    }
}

impl Agent {
    /// Starts an agent on the present tokio runtime. Needs no witness to start: it is looked for until it answers.
    pub fn start(options: Options, shutdown: CancellationToken) -> Result<AgentHandle, StartError> {
        Self::start_with(options, Arc::new(SystemBootClock), shutdown)
    }

    fn start_with(
        options: Options,
        boot_clock: Arc<dyn BootClock>,
        shutdown: CancellationToken,
    ) -> Result<AgentHandle, StartError> {
        let Options {
            client,
            system_id,
            data_dir,
            local,
            connector,
            clock,
            report_interval,
            poll_interval,
            max_transfers,
            drain,
            buffer,
            sanoid,
            tls,
        } = options;
        let lock = DataDirLock::acquire(&data_dir)?;
        let zone = TimeZone::system();
        tracing::info!(
            "limits follow this host's clock in the time zone {}",
            zone.iana_name().unwrap_or("of its settings")
        );
        let ledger = Ledger::open(&data_dir)?.ledger;
        let credentials = watch::Sender::new(None);
        let listening = tls.listen.map(bind).transpose()?;
        let listener = listening.as_ref().map(|(_, address)| TransferListener {
            host: tls.host.as_ref().map(ToString::to_string),
            port: address.port(),
            instance: Uuid::new_v4(),
        });
        let serving = listener.as_ref().map(|listener| {
            let (local, clock) = (Arc::clone(&local), Arc::clone(&clock));
            Arc::new(Serving::new(system_id, listener.instance, local, clock, credentials.subscribe()))
        });
        let connections = Connections::new(Arc::clone(&clock), credentials.subscribe());
        let shared = Arc::new(Shared {
            client,
            system_id,
            // Many transfers at a time read this host again and again.
            local: Arc::new(SharedReads::new(local)),
            local_features: OnceLock::new(),
            connector,
            peers: Peers::default(),
            clock,
            boot_clock,
            witness_time: WitnessTime::default(),
            report_interval,
            poll_interval,
            sanoid,
            drain,
            buffer,
            limits: Limits::new(zone),
            ledger: Arc::new(ledger),
            data_dir,
            credentials,
            transport: tls.transport,
            connections: Arc::new(connections),
            listener,
            places: Arc::new(Semaphore::new(max_transfers.max(1) as usize)),
            replicas: Replicas::default(),
            reporter: ReporterHandle::default(),
            outbox: Outbox::default(),
            transfers: TaskTracker::new(),
            shutdown,
        });
        let tasks = TaskTracker::new();
        let address = listening.as_ref().map(|(_, address)| *address);
        if let (Some((listener, _)), Some(serving)) = (listening, serving) {
            let at = address.expect("it listens");
            let listener = tokio::net::TcpListener::from_std(listener)
                .map_err(|source| StartError::Listen { address: at, source })?;
            tasks.spawn(serving.listen(listener, shared.shutdown.clone()));
        }
        tasks.spawn(run(Arc::clone(&shared), tasks.clone(), lock));
        Ok(AgentHandle { shared, tasks, address })
    }
}

/// Port 0 becomes a real one here.
fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    bound.map_err(|source| StartError::Listen { address, source })
}

async fn run(shared: Arc<Shared>, tasks: TaskTracker, lock: DataDirLock) {
    if let Some(features) = begin(&shared).await {
        tasks.spawn(reporter::run(Arc::clone(&shared), features));
        tasks.spawn(reporter::watch(Arc::clone(&shared)));
        let leasing = tasks.spawn(leaser::run(Arc::clone(&shared)));
        tasks.spawn(janitor::run(Arc::clone(&shared)));
        tasks.spawn(outbox::run(Arc::clone(&shared)));
        tasks.spawn(certifier::run(Arc::clone(&shared)));
        shared.shutdown.cancelled().await;
        // First who starts transfers, then the transfers.
        if let Err(error) = leasing.await {
            tracing::error!(error = %error, "the leaser has died");
        }
        shared.transfers.close();
        shared.transfers.wait().await;
        if tokio::time::timeout(FAREWELL, outbox::deliver_all(&shared)).await.is_err() {
            tracing::warn!("the witness did not take the last results in time; the next start sends them");
        }
    }
    drop(lock);
}

/// Says hello and tidies up after an earlier run. `None`: shut down before that.
async fn begin(shared: &Shared) -> Option<Features> {
    let features = shared.unless_shutdown(probe(shared)).await?;
    let features = shared.local_features.get_or_init(|| features).clone();
    // Before hello: where a certificate is missing, leases that need one can not be planned.
    shared.unless_shutdown(certifier::begin(shared)).await?;
    shared.unless_shutdown(say_hello(shared, Some(&features))).await?;
    shared.unless_shutdown(janitor::recover(shared)).await?;
    Some(features)
}

async fn probe(shared: &Shared) -> Features {
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_mins(1));
    let mut heard = false;
    loop {
        match Features::probe(&*shared.local).await {
            Ok(features) => return features,
            Err(error) => {
                tracing::error!(code = error.code(), "can not use ZFS on this host: {error}");
            }
        }
        // The witness shall know that the agent is there, and that ZFS is not.
        if !heard {
            heard = shared.client.hello(shared.system_id, &hello(shared, None)).await.is_ok();
        }
        tokio::time::sleep(backoff.delay()).await;
    }
}

async fn say_hello(shared: &Shared, features: Option<&Features>) {
    let mut backoff = Backoff::witness();
    loop {
        // Results of the last run first: hello releases their leases, and what was done would be queued again.
        outbox::deliver_all(shared).await;
        match shared.client.hello(shared.system_id, &hello(shared, features)).await {
            Ok(answer) => {
                shared.hear(answer.now);
                let released = answer.released;
                tracing::info!(witness = %shared.client.base(), released, "connected to the witness");
                return;
            }
            Err(error) => {
                log_witness_error("say hello", &error);
                tokio::time::sleep(backoff.delay()).await;
            }
        }
    }
}

fn hello(shared: &Shared, features: Option<&Features>) -> Hello {
    Hello {
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        zfs_version: features.map(|features| features.userland.clone()),
        os: std::env::consts::OS.to_owned(),
        report_interval_ms: u64::try_from(shared.report_interval.as_millis()).unwrap_or(u64::MAX),
        clock_ms: shared.clock.now().as_millisecond(),
        listener: shared.listener.clone(),
    }
}

fn log_witness_error(doing: &str, error: &ClientError) {
    if error.is_retryable() {
        tracing::warn!(code = %error.code(), "could not {doing}: {error}");
    } else {
        tracing::error!(code = %error.code(), "could not {doing}: {error}");
    }
}

impl Shared {
    /// The witness has just said what time it is.
    fn hear(&self, now: Option<Timestamp>) {
        self.witness_time.heard(now, self.boot_clock.since_boot());
    }

    /// `None` when the agent stops first.
    async fn unless_shutdown<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => None,
            done = work => Some(done),
        }
    }

    /// False when the agent stops first.
    async fn sleep(&self, time: Duration) -> bool {
        self.unless_shutdown(tokio::time::sleep(time)).await.is_some()
    }

    /// Writes to the ledger, which waits for a disk.
    async fn ledger<T: Send + 'static>(&self, work: impl FnOnce(&Ledger) -> T + Send + 'static) -> T {
        let ledger = Arc::clone(&self.ledger);
        tokio::task::spawn_blocking(move || work(&ledger)).await.expect("the ledger does not panic")
    }
}
