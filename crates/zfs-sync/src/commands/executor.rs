//! `executor`: agents for systems that have only ssh, many in one process.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use camino::Utf8PathBuf;
use futures::future::join_all;
use jiff::Timestamp;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use zfs_sync_agent::{
    agent::{Agent, AgentHandle, Connector, Options, SshConnector, SshOptions},
    identity::{self, EnrollOptions},
    remote::{RelayConnector, Remote, RemoteError},
    tls::TlsOptions,
};
use zfs_sync_api::{client::Client, codes::ErrorCode};
use zfs_sync_core::name::HostName;
use zfs_sync_zfs::{features::Features, pipeline::Flow, runner::Runner};

use super::{Context, Exit, agent, reach, witness_address};
use crate::{
    cli::{ExecutorAdd, ExecutorCommand, ExecutorFolder, ExecutorRun},
    failure::Failure,
    logging,
    printer::{Beside, Cell, Row},
    settings::{self, Place},
    signals::{Signals, tell_manager},
};

/// Each look is an ssh round trip and a listing over there.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

pub(super) async fn run(context: &Context, command: ExecutorCommand) -> Result<Exit, Failure> {
    match command {
        ExecutorCommand::Add(arguments) => add(context, &arguments).await,
        ExecutorCommand::List(folder) => list(context, &folder),
        ExecutorCommand::Run(arguments) => Box::pin(run_all(context, &arguments)).await,
    }
}

fn root(folder: &ExecutorFolder) -> Utf8PathBuf {
    folder.data_dir.clone().unwrap_or_else(|| settings::default_data_dir(Place::Executor))
}

async fn add(context: &Context, arguments: &ExecutorAdd) -> Result<Exit, Failure> {
    let witness = witness_address(&arguments.url)?;
    let target = reach::target(&arguments.remote, &arguments.ssh)?;
    let hostname: HostName = match &arguments.hostname {
        Some(name) => name
            .parse()
            .map_err(|error| Failure::new(ErrorCode::HostInvalid, format!("{error}")).unchanged())?,
        None => target.host().clone(),
    };
    let token = agent::read_token(&arguments.token_file)?;
    let folder = root(&arguments.folder).join(hostname.as_str());
    // Before the token is spent: what can not be reached or has no ZFS is no system.
    let runner = reach::over_ssh(&arguments.remote, &arguments.ssh)?;
    let features = Features::probe(&runner).await.map_err(|error| reach::failed(&error))?;
    let options = EnrollOptions {
        hostname,
        ssh_hostname: Some(target.host().to_string()),
        ssh_user: target.user().map(str::to_owned),
        ssh_port: target.port,
        replace: arguments.replace,
    };
    let identity = identity::enroll(&folder, &witness, &token, &options).await;
    let identity = identity.map_err(|error| agent::identity_failure(&error))?;
    Remote::of(&target).write(&folder).map_err(|error| remote_failure(&error))?;
    context.printer.text(&format!(
        "{} is a system of {}, through this executor (zfs {})",
        identity.hostname, identity.witness, features.userland
    ))?;
    context.printer.say("Now start the executor: zfs-sync executor run");
    Ok(Exit::Done)
}

#[derive(Debug, Serialize)]
struct SystemLine {
    hostname: String,
    remote: String,
    privilege: String,
    witness: String,
    folder: String,
}

impl Row for SystemLine {
    const COLUMNS: &'static [&'static str] = &["system", "remote", "through", "witness"];
    const FIELDS: &'static [&'static str] = &["hostname", "remote", "privilege", "witness", "folder"];

    fn cells(&self, _now: Timestamp) -> Vec<Cell> {
        [&self.hostname, &self.remote, &self.privilege, &self.witness].map(Cell::text).into()
    }

    fn fields(&self) -> Vec<String> {
        let Self { hostname, remote, privilege, witness, folder } = self;
        [hostname, remote, privilege, witness, folder].map(ToString::to_string).into()
    }
}

fn list(context: &Context, folder: &ExecutorFolder) -> Result<Exit, Failure> {
    let mut lines = Vec::new();
    for folder in Remote::folders(&root(folder)).map_err(|error| remote_failure(&error))? {
        let remote = Remote::read(&folder).map_err(|error| remote_failure(&error))?;
        let (identity, _key) = identity::load(&folder).map_err(|error| agent::identity_failure(&error))?;
        lines.push(SystemLine {
            hostname: identity.hostname,
            remote: match &remote.user {
                Some(user) => format!("{user}@{}", remote.host),
                None => remote.host.clone(),
            },
            privilege: remote.privilege,
            witness: identity.witness.to_string(),
            folder: folder.to_string(),
        });
    }
    let beside = Beside { when_empty: "this executor stands in for nobody", ..Beside::default() };
    context.printer.rows("executor.list", &lines, &beside, context.now())?;
    Ok(Exit::Done)
}

async fn run_all(context: &Context, arguments: &ExecutorRun) -> Result<Exit, Failure> {
    let (level, format) = settings::log_settings(|name| std::env::var(name).ok())?;
    let level = if context.global.verbose > 0 { "debug".to_owned() } else { level };
    logging::start(&level, format, context.printer.colors_talk())?;
    let root = root(&arguments.folder);
    let folders = Remote::folders(&root).map_err(|error| remote_failure(&error))?;
    if folders.is_empty() {
        return Err(Failure::new(ErrorCode::NotEnrolled, format!("no system was added to {root}"))
            .fix("zfs-sync executor add http://WITNESS:8000 --token-file FILE --remote USER@HOST")
            .unchanged());
    }
    let ssh = SshOptions {
        identity: arguments.ssh_identity.clone().map(Utf8PathBuf::into_std_path_buf),
        options: arguments.ssh_options.clone(),
        ..SshOptions::default()
    };
    let others = SshConnector::new(&root, ssh).map_err(|error| {
        Failure::new(ErrorCode::ConfigInvalid, "no folder for ssh's connections can be made")
            .cause(&error)
            .unchanged()
    })?;
    let mut systems = Vec::new();
    let mut runners: BTreeMap<String, Arc<dyn Runner>> = BTreeMap::new();
    for folder in folders {
        let (identity, key) = identity::load(&folder).map_err(|error| agent::identity_failure(&error))?;
        let remote = Remote::read(&folder).map_err(|error| remote_failure(&error))?;
        let runner = remote.runner(&folder, &reach::control_dir()).map_err(|error| remote_failure(&error))?;
        let runner: Arc<dyn Runner> = Arc::new(runner);
        runners.insert(identity.hostname.clone(), Arc::clone(&runner));
        systems.push((folder, identity, key, runner));
    }
    let connector: Arc<dyn Connector> = Arc::new(RelayConnector::new(runners, Arc::new(others)));
    let mut signals = Signals::listen()?;
    let shutdown = CancellationToken::new();
    let mut agents = Vec::new();
    for (data_dir, identity, key, local) in systems {
        let options = Options {
            client: Client::new(&identity.witness, Some(key))?,
            system_id: identity.system_id,
            data_dir,
            local,
            connector: Arc::clone(&connector),
            clock: context.clock.clone(),
            report_interval: arguments.report_interval.unwrap_or(Options::REPORT_INTERVAL),
            poll_interval: arguments.poll_interval.unwrap_or(POLL_INTERVAL),
            max_transfers: Options::MAX_TRANSFERS,
            // What sanoid keeps is in files of that system.
            sanoid: None,
            drain: Options::DRAIN,
            buffer: Flow::BUFFER,
            tls: TlsOptions::default(),
        };
        let started = Agent::start(options, shutdown.clone());
        let started = started.map_err(|error| {
            // Those that run already end with this process.
            shutdown.cancel();
            Failure::new(error.code(), format!("{} can not be stood in for", identity.hostname)).cause(&error)
        })?;
        context.printer.say(format!("stands in for {}; witness {}", identity.hostname, identity.witness));
        agents.push(started);
    }
    tell_manager(&sd_notify::NotifyState::Ready);
    let all = async { drop(join_all(agents.iter().map(AgentHandle::wait)).await) };
    match signals.supervise(all, &shutdown).await {
        Some(()) => Ok(Exit::Done),
        None => Ok(Exit::Interrupted),
    }
}

fn remote_failure(error: &RemoteError) -> Failure {
    let failure = Failure::new(ErrorCode::ConfigInvalid, error.to_string()).unchanged();
    match std::error::Error::source(error) {
        Some(source) => failure.cause(source),
        None => failure,
    }
}
