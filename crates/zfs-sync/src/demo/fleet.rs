//! Three systems, their agents, and the witness.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use camino::{Utf8Path, Utf8PathBuf};
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;
use zfs_sync_agent::{
    agent::{Agent, AgentHandle, ConnectError, Connector, Options as AgentOptions},
    identity::{self, EnrollOptions},
    tls::TlsOptions,
};
use zfs_sync_api::{
    client::Client,
    codes::ErrorCode,
    v1::{
        agent::Peer,
        group::{CreateGroup, Group},
        key::CreateEnrolmentToken,
    },
};
use zfs_sync_core::{inventory::DatasetKind, time::Clock};
use zfs_sync_server::{Options as ServerOptions, Server, ServerHandle, Settings, bootstrap_admin};
use zfs_sync_store::Store;
use zfs_sync_zfs::{
    error::Error,
    memory::{Host, Network},
    runner::Runner,
};

use crate::{commands::Context, failure::Failure};

/// The group's name.
pub(super) const GROUP: &str = "demo";
/// Whose snapshots the others receive.
pub(super) const SOURCE: &str = "nas1";
/// Who receives.
pub(super) const TARGETS: [&str; 2] = ["nas2", "nas3"];
/// What is replicated, parents first.
pub(super) const DATASETS: [(&str, DatasetKind); 4] = [
    ("tank/media", DatasetKind::Filesystem),
    ("tank/media/music", DatasetKind::Filesystem),
    ("tank/media/photos", DatasetKind::Filesystem),
    ("tank/vm", DatasetKind::Volume),
];
/// The trees of which snapshots are taken.
pub(super) const ROOTS: [&str; 2] = ["tank/media", "tank/vm"];

const MIB: u64 = 1024 * 1024;
const CAPACITY: u64 = 1024 * 1024 * MIB;
/// Everything about time is shorter than in a real fleet, so that one sees it happen.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
const POLL_INTERVAL: Duration = Duration::from_millis(500);
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(3);

/// Reaches the other simulated hosts.
#[derive(Debug)]
struct Cable(Network);

impl Connector for Cable {
    fn runner(&self, peer: &Peer) -> Result<Arc<dyn Runner>, ConnectError> {
        Ok(self.0.remote(&peer.hostname))
    }
}

/// An agent that runs.
#[derive(Debug)]
struct Running {
    handle: AgentHandle,
    shutdown: CancellationToken,
}

/// The fleet.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) network: Network,
    /// With the first admin key.
    pub(super) client: Client,
    pub(super) url: Url,
    clock: Arc<dyn Clock>,
    store: Store,
    server: ServerHandle,
    server_shutdown: CancellationToken,
    agents: BTreeMap<&'static str, Running>,
    folder: TempDir,
}

impl Fleet {
    /// Starts the witness, enrols three systems with tokens, and starts their agents.
    pub(super) async fn start(context: &Context, listener: TcpListener) -> Result<Self, Failure> {
        let clock = Arc::clone(&context.clock);
        let folder = tempfile::Builder::new().prefix("zfs-sync-demo-").tempdir()?;
        let data_dir = utf8(folder.path())?.join("witness");
        std::fs::create_dir(&data_dir)?;
        let database = format!("sqlite:///{data_dir}/demo.db");
        let store = Store::connect(&database, &zfs_sync_store::Options::default())
            .await
            .map_err(|error| broken(&error))?;
        let key = bootstrap_admin(&store, data_dir.as_std_path(), clock.now())
            .await
            .map_err(|error| broken(&error))?;
        let key =
            key.ok_or_else(|| Failure::new(ErrorCode::Internal, "a new database has a key already"))?.key;
        let server_shutdown = CancellationToken::new();
        let settings = Settings { heartbeat_timeout: HEARTBEAT_TIMEOUT, ..Settings::default() };
        let options = ServerOptions { listener, store: store.clone(), clock: Arc::clone(&clock), settings };
        let server = Server::start(options, server_shutdown.clone()).await.map_err(|error| broken(&error))?;
        let url = Url::parse(&format!("http://{}/", server.address())).map_err(|error| broken(&error))?;
        let client = Client::new(&url, Some(key))?;
        let network = Network::new();
        for (seed, name) in (1..).zip([SOURCE].into_iter().chain(TARGETS)) {
            let host = Host::new(name, Arc::clone(&clock), seed);
            host.create_pool("tank", CAPACITY).map_err(|error| simulation(&error))?;
            network.add(host);
        }
        let agents = BTreeMap::new();
        let mut fleet = Self { network, client, url, clock, store, server, server_shutdown, agents, folder };
        for name in [SOURCE].into_iter().chain(TARGETS) {
            fleet.enroll(name).await?;
            fleet.start_agent(name)?;
        }
        Ok(fleet)
    }

    async fn enroll(&self, name: &'static str) -> Result<(), Failure> {
        let token =
            self.client.create_enrolment_token(&CreateEnrolmentToken { ttl_seconds: Some(60) }).await?;
        let hostname = name.parse().map_err(|error| broken(&error))?;
        let options =
            EnrollOptions { hostname, ssh_hostname: None, ssh_user: None, ssh_port: None, replace: false };
        let token = SecretString::from(token.token);
        identity::enroll(&self.agent_dir(name)?, &self.url, &token, &options)
            .await
            .map_err(|error| broken(&error))?;
        Ok(())
    }

    fn agent_dir(&self, name: &str) -> Result<Utf8PathBuf, Failure> {
        Ok(utf8(self.folder.path())?.join(name))
    }

    /// Starts a system's agent, as after a boot.
    pub(super) fn start_agent(&mut self, name: &'static str) -> Result<(), Failure> {
        let data_dir = self.agent_dir(name)?;
        let (identity, key) = identity::load(&data_dir).map_err(|error| broken(&error))?;
        let shutdown = CancellationToken::new();
        let options = AgentOptions {
            client: Client::new(&identity.witness, Some(key))?,
            system_id: identity.system_id,
            data_dir,
            local: self.host(name).runner(),
            connector: Arc::new(Cable(self.network.clone())),
            clock: Arc::clone(&self.clock),
            report_interval: REPORT_INTERVAL,
            poll_interval: POLL_INTERVAL,
            max_transfers: AgentOptions::MAX_TRANSFERS,
            drain: Duration::ZERO,
            buffer: 0,
            sanoid: None,
            tls: TlsOptions::default(),
        };
        let handle = Agent::start(options, shutdown.clone()).map_err(|error| broken(&error))?;
        self.agents.insert(name, Running { handle, shutdown });
        Ok(())
    }

    /// A system goes away: its agent ends and nobody reaches it.
    pub(super) async fn take_away(&mut self, name: &'static str) {
        self.host(name).faults().offline(true);
        if let Some(Running { handle, shutdown }) = self.agents.remove(name) {
            shutdown.cancel();
            handle.wait().await;
        }
    }

    /// It comes back.
    pub(super) fn bring_back(&mut self, name: &'static str) -> Result<(), Failure> {
        self.host(name).faults().offline(false);
        self.start_agent(name)
    }

    /// One of the three.
    pub(super) fn host(&self, name: &str) -> Host {
        self.network.host(name).expect("all hosts of the demo are added when it starts")
    }

    /// Datasets with some content and a first snapshot.
    pub(super) fn seed(&self) -> Result<(), Failure> {
        let source = self.host(SOURCE);
        for (name, kind) in DATASETS {
            source.create_dataset(name, kind).map_err(|error| simulation(&error))?;
            source.write(name, 2 * MIB).map_err(|error| simulation(&error))?;
        }
        self.snapshot("auto-0001")
    }

    /// A snapshot of everything on the source.
    pub(super) fn snapshot(&self, label: &str) -> Result<(), Failure> {
        for root in ROOTS {
            self.host(SOURCE)
                .snapshot_recursive(&format!("{root}@{label}"))
                .map_err(|error| simulation(&error))?;
        }
        Ok(())
    }

    /// The group, as an operator would make it.
    pub(super) async fn create_group(&self) -> Result<Group, Failure> {
        let request = CreateGroup {
            name: GROUP.to_owned(),
            systems: [SOURCE].into_iter().chain(TARGETS).map(str::to_owned).collect(),
            source_of_truth: Some(SOURCE.to_owned()),
            datasets: vec!["tank/media/**".to_owned(), "tank/vm".to_owned()],
            auto: true,
            ..CreateGroup::default()
        };
        Ok(self.client.create_group(&request).await?)
    }

    /// Ends everything and removes what was on disk.
    pub(super) async fn stop(self) -> Result<(), Failure> {
        let Self { agents, server, server_shutdown, store, folder, .. } = self;
        for running in agents.values() {
            running.shutdown.cancel();
        }
        for running in agents.into_values() {
            running.handle.wait().await;
        }
        server_shutdown.cancel();
        let ended = server.wait().await;
        store.close().await;
        folder.close()?;
        ended.map_err(|error| broken(&error))
    }
}

fn utf8(path: &std::path::Path) -> Result<&Utf8Path, Failure> {
    Utf8Path::from_path(path).ok_or_else(|| {
        Failure::new(ErrorCode::ConfigInvalid, "the folder for temporary files is not named in UTF-8")
    })
}

pub(super) fn broken(error: &dyn std::error::Error) -> Failure {
    Failure::new(ErrorCode::Internal, "the demo's fleet failed").cause(error)
}

/// What an operator of a simulated host was refused.
pub(super) fn simulation(error: &Error) -> Failure {
    Failure::from_code(error.code(), format!("{error}"))
}
