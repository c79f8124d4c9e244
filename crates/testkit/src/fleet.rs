//! A witness and agents in one process, on the in-memory ZFS, talking HTTP to each other.
//!
//! Each agent has a runtime of its own, so that a crash is a crash: [`Fleet::crash_agent`] drops everything it was doing at whatever
//! await point it stood, and only its data directory remains. The clock is the machine's; tests wait for states.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use camino::Utf8PathBuf;
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::{net::TcpListener, runtime::Runtime};
use tokio_util::sync::CancellationToken;
use url::Url;
use zfs_sync_agent::{
    agent::{Agent, AgentHandle, ConnectError, Connector, Options as AgentOptions},
    identity::{self, EnrollOptions},
    tls::TlsOptions,
};
use zfs_sync_api::{
    client::{Client, TransferQuery},
    v1::{
        agent::Peer,
        group::{CreateGroup, Group},
        key::CreateEnrolmentToken,
        replica::Replica,
        transfer::Transfer,
    },
};
use zfs_sync_core::{
    name::HostName,
    plan::ReplicaState,
    time::{Clock, SystemClock},
};
use zfs_sync_server::{Options as ServerOptions, Server, ServerHandle, Settings, bootstrap_admin};
use zfs_sync_store::Store;
use zfs_sync_zfs::{
    memory::{Host, Network},
    runner::Runner,
};

/// How long a state may take to come about. Far more than it takes: a test that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(30);
/// Short, so that silence is noticed while a test waits for it.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);

/// Each fleet's hosts make other GUIDs.
static SEEDS: AtomicU64 = AtomicU64::new(1);

#[derive(Debug)]
struct MemoryConnector(Network);

impl Connector for MemoryConnector {
    fn runner(&self, peer: &Peer) -> Result<Arc<dyn Runner>, ConnectError> {
        Ok(self.0.remote(&peer.hostname))
    }
}

#[derive(Debug)]
struct RunningAgent {
    runtime: Runtime,
    handle: AgentHandle,
    shutdown: CancellationToken,
}

#[derive(Debug)]
struct RunningServer {
    handle: ServerHandle,
    shutdown: CancellationToken,
}

/// A witness, hosts and their agents.
#[derive(Debug)]
pub struct Fleet {
    directory: TempDir,
    network: Network,
    clock: Arc<dyn Clock>,
    server: Option<RunningServer>,
    address: SocketAddr,
    admin_key: SecretString,
    client: Client,
    agents: BTreeMap<String, RunningAgent>,
}

impl Fleet {
    /// Starts a witness on SQLite and an agent on each of these hosts, which have a pool `tank` of a gibibyte.
    pub async fn start(hosts: &[&str]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let network = Network::new();
        let store = open_store(&directory).await?;
        let data_dir = directory.path().join("witness");
        let key = bootstrap_admin(&store, &data_dir, clock.now())
            .await?
            .context("a new witness makes an admin key")?;
        let admin_key = key.key.clone();
        let server = start_server(store, &clock, SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let address = server.handle.address();
        let client = Client::new(&base(address)?, Some(admin_key.clone()))?;
        let mut fleet = Self {
            directory,
            network,
            clock,
            server: Some(server),
            address,
            admin_key,
            client,
            agents: BTreeMap::new(),
        };
        for name in hosts {
            let host = Host::new(*name, Arc::clone(&fleet.clock), SEEDS.fetch_add(1, Ordering::Relaxed));
            host.create_pool("tank", 1 << 30)?;
            fleet.network.add(host);
            fleet.enrol(name).await?;
            fleet.start_agent(name)?;
        }
        Ok(fleet)
    }

    fn agent_dir(&self, name: &str) -> Result<Utf8PathBuf> {
        Ok(Utf8PathBuf::try_from(self.directory.path().join(name))?)
    }

    async fn enrol(&self, name: &str) -> Result<()> {
        let token = self.client.create_enrolment_token(&CreateEnrolmentToken::default()).await?;
        let hostname: HostName = name.parse()?;
        let options =
            EnrollOptions { hostname, ssh_hostname: None, ssh_user: None, ssh_port: None, replace: false };
        identity::enroll(
            &self.agent_dir(name)?,
            &base(self.address)?,
            &SecretString::from(token.token),
            &options,
        )
        .await?;
        Ok(())
    }

    /// Starts the agent of a host.
    pub fn start_agent(&mut self, name: &str) -> Result<()> {
        ensure!(!self.agents.contains_key(name), "the agent of {name} runs already");
        let data_dir = self.agent_dir(name)?;
        let (identity, key) = identity::load(&data_dir)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let shutdown = CancellationToken::new();
        let guard = runtime.enter();
        let options = AgentOptions {
            client: Client::new(&identity.witness, Some(key))?,
            system_id: identity.system_id,
            data_dir,
            local: self.host(name).runner(),
            connector: Arc::new(MemoryConnector(self.network.clone())),
            clock: Arc::clone(&self.clock),
            report_interval: REPORT_INTERVAL,
            poll_interval: AgentOptions::POLL_INTERVAL,
            max_transfers: AgentOptions::MAX_TRANSFERS,
            drain: Duration::ZERO,
            buffer: 0,
            sanoid: None,
            tls: TlsOptions::default(),
        };
        let handle = Agent::start(options, shutdown.clone())?;
        drop(guard);
        self.agents.insert(name.to_owned(), RunningAgent { runtime, handle, shutdown });
        Ok(())
    }

    /// The agent of a host ends as a process does that is killed: nothing is finished, nobody is told.
    pub async fn crash_agent(&mut self, name: &str) -> Result<()> {
        let agent = self.agents.remove(name).with_context(|| format!("the agent of {name} does not run"))?;
        agent.runtime.shutdown_background();
        // The kernel closes a dead process's pipes at once; tasks of a dropped runtime end when their worker comes to it.
        self.host(name).settle().await;
        Ok(())
    }

    /// The agent of a host ends as it should.
    pub async fn stop_agent(&mut self, name: &str) -> Result<()> {
        let agent = self.agents.remove(name).with_context(|| format!("the agent of {name} does not run"))?;
        agent.shutdown.cancel();
        agent.handle.wait().await;
        agent.runtime.shutdown_background();
        Ok(())
    }

    /// The witness stops; agents and data go on.
    pub async fn stop_server(&mut self) -> Result<()> {
        let server = self.server.take().context("the witness does not run")?;
        server.shutdown.cancel();
        server.handle.wait().await?;
        Ok(())
    }

    /// The witness starts again on its address and database.
    pub async fn start_server(&mut self) -> Result<()> {
        let store = open_store(&self.directory).await?;
        self.server = Some(start_server(store, &self.clock, self.address).await?);
        Ok(())
    }

    /// The host of this name.
    ///
    /// # Panics
    /// When the fleet was not started with it.
    pub fn host(&self, name: &str) -> Host {
        self.network.host(name).unwrap_or_else(|| panic!("no host {name} in this fleet"))
    }

    /// Talks to the witness as admin.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// The admin's key.
    pub const fn admin_key(&self) -> &SecretString {
        &self.admin_key
    }

    /// Where the witness is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes a group whose source of truth is the first of `systems`; steps start by themselves.
    pub async fn make_group(&self, name: &str, systems: &[&str], dataset: &str, map: &str) -> Result<Group> {
        let body = CreateGroup {
            name: name.to_owned(),
            systems: systems.iter().map(|&system| system.to_owned()).collect(),
            source_of_truth: systems.first().map(|&system| system.to_owned()),
            datasets: vec![dataset.to_owned()],
            mappings: vec![map.to_owned()],
            auto: true,
            ..CreateGroup::default()
        };
        Ok(self.client.create_group(&body).await?)
    }

    /// All replicas of a group.
    pub async fn replicas(&self, group: &Group) -> Result<Vec<Replica>> {
        Ok(self.client.list_replicas(Some(group.id)).await?)
    }

    /// All transfers of a group, newest first.
    pub async fn transfers(&self, group: &Group) -> Result<Vec<Transfer>> {
        let query = TransferQuery { group: Some(group.id), limit: 500, ..TransferQuery::default() };
        Ok(self.client.list_transfers(&query).await?)
    }

    /// Waits until the group has `count` replicas and all of them have this state.
    pub async fn wait_for_state(&self, group: &Group, count: usize, state: ReplicaState) -> Result<()> {
        self.wait_for(&format!("{count} replicas of {} to be {state}", group.name), group, async |fleet| {
            let Ok(replicas) = fleet.replicas(group).await else { return Ok(false) };
            Ok(replicas.len() == count && replicas.iter().all(|replica| replica.state == state))
        })
        .await
    }

    /// Waits until `target` on `to` has exactly the snapshots, by GUID, and the newest content of `source` on `from`.
    pub async fn wait_until_equal(&self, group: &Group, from: (&str, &str), to: (&str, &str)) -> Result<()> {
        let what = format!("{to:?} to equal {from:?}");
        self.wait_for(&what, group, async |fleet| Ok(fleet.is_equal(from, to).await)).await
    }

    async fn is_equal(&self, from: (&str, &str), to: (&str, &str)) -> bool {
        let (Ok(source), Ok(target)) = (self.history(from).await, self.history(to).await) else {
            return false;
        };
        let Some((label, _)) = source.last() else { return false };
        if source != target {
            return false;
        }
        let content =
            |(host, dataset): (&str, &str)| self.host(host).content(&format!("{dataset}@{label}")).ok();
        content(from) == content(to)
    }

    /// Labels and GUIDs of a dataset, asked of its host and not of the witness.
    pub async fn history(&self, (host, dataset): (&str, &str)) -> Result<Vec<(String, u64)>> {
        let runner = self.host(host).runner();
        let features = zfs_sync_zfs::features::Features::probe(&*runner).await?;
        let found = zfs_sync_zfs::inventory::read_one(&*runner, &dataset.parse()?, &features).await?;
        let (dataset, _token) = found.with_context(|| format!("{host} has no {dataset}"))?;
        Ok(dataset
            .snapshots
            .iter()
            .map(|snapshot| (snapshot.label.to_string(), snapshot.guid.get()))
            .collect())
    }

    /// Waits until `look` says true; a failure tells how the group stands.
    pub async fn wait_for<F>(&self, what: &str, group: &Group, look: F) -> Result<()>
    where
        F: AsyncFn(&Self) -> Result<bool>,
    {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if look(self).await? {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut text = format!("waited {PATIENCE:?} for {what}\n");
        for replica in self.replicas(group).await.unwrap_or_default() {
            let Replica { target, target_system, state, reason, report, .. } = &replica;
            let _ = writeln!(text, "{target} on {target_system}: {state} {reason:?}; {}", report.next);
        }
        for transfer in self.transfers(group).await.unwrap_or_default() {
            let Transfer { source, state, attempts, bytes, resumed_from, error_code, error_detail, .. } =
                &transfer;
            let _ = writeln!(
                text,
                "{source}: {state}, attempt {attempts}, {bytes} bytes after {resumed_from:?}, {error_code:?} {error_detail:?}"
            );
        }
        bail!(text)
    }

    /// Stops everything, in order.
    pub async fn stop(mut self) -> Result<()> {
        let names: Vec<String> = self.agents.keys().cloned().collect();
        for name in names {
            self.stop_agent(&name).await?;
        }
        if self.server.is_some() {
            self.stop_server().await?;
        }
        Ok(())
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        // A runtime must not be dropped where it would have to wait, which is what a failing test does.
        while let Some((_, agent)) = self.agents.pop_first() {
            agent.runtime.shutdown_background();
        }
    }
}

fn base(address: SocketAddr) -> Result<Url> {
    Ok(format!("http://{address}").parse()?)
}

fn open_store(directory: &TempDir) -> impl Future<Output = Result<Store>> {
    let url = format!("sqlite:///{}", directory.path().join("witness/zfs-sync.db").display());
    async move { Ok(Store::connect(&url, &zfs_sync_store::Options::default()).await?) }
}

async fn start_server(store: Store, clock: &Arc<dyn Clock>, address: SocketAddr) -> Result<RunningServer> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("listen on {address}"))?;
    let shutdown = CancellationToken::new();
    let options = ServerOptions { listener, store, clock: Arc::clone(clock), settings: Settings::default() };
    let handle = Server::start(options, shutdown.clone()).await?;
    Ok(RunningServer { handle, shutdown })
}
