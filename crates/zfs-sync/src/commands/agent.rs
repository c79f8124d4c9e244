//! `agent`: this host as a system of a fleet.

use std::{io::Read as _, sync::Arc};

use camino::{Utf8Path, Utf8PathBuf};
use secrecy::SecretString;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use zfs_sync_agent::{
    agent::{Agent, Options, SshConnector, SshOptions},
    identity::{self, EnrollOptions, IdentityError},
    sanoid,
    tls::TlsOptions,
};
use zfs_sync_api::{client::Client, codes::ErrorCode};
use zfs_sync_core::name::HostName;
use zfs_sync_zfs::runner::LocalRunner;

use super::{Context, Exit, flow, witness_address};
use crate::{
    cli::{AgentCommand, AgentRun, EnrollArgs, OutputFormat},
    failure::Failure,
    logging,
    settings::{self, Place},
    signals::{Signals, tell_manager},
};

/// No token is longer; a wrong file is not read whole.
const TOKEN_LIMIT: u64 = 4096;

pub(super) async fn run(context: &Context, command: AgentCommand) -> Result<Exit, Failure> {
    match command {
        AgentCommand::Enroll(arguments) => enroll(context, &arguments).await,
        AgentCommand::Run(arguments) => run_agent(context, &arguments).await,
    }
}

/// The agent's folder.
pub(super) fn data_dir(given: Option<&Utf8PathBuf>) -> Utf8PathBuf {
    given.cloned().unwrap_or_else(|| settings::default_data_dir(Place::Agent))
}

/// An error of the agent's identity, with what to do.
pub(super) fn identity_failure(error: &IdentityError) -> Failure {
    let failure = Failure::new(error.code(), error.to_string()).unchanged();
    let failure = match std::error::Error::source(error) {
        Some(source) => failure.cause(source),
        None => failure,
    };
    match error {
        IdentityError::NotEnrolled { .. } => failure
            .hint("make a token on the witness (`zfs-sync system token create`), and bring it here")
            .fix("zfs-sync agent enroll http://WITNESS:8000 --token-file FILE"),
        IdentityError::AlreadyEnrolled { .. } => failure
            .hint("just run the agent; --replace forgets the earlier enrolment")
            .fix("zfs-sync agent run"),
        IdentityError::KeyUnsafe { path, .. } => failure.fix(format!("chmod 600 {path}")),
        _ => failure,
    }
}

async fn enroll(context: &Context, arguments: &EnrollArgs) -> Result<Exit, Failure> {
    let witness = witness_address(&arguments.url)?;
    let hostname: HostName = match &arguments.hostname {
        Some(name) => name
            .parse()
            .map_err(|error| Failure::new(ErrorCode::HostInvalid, format!("{error}")).unchanged())?,
        None => identity::local_hostname().ok_or_else(|| {
            Failure::new(ErrorCode::HostInvalid, "this host's own name can not be used")
                .hint("say --hostname")
                .unchanged()
        })?,
    };
    if let Some(host) = &arguments.ssh_host {
        host.parse::<HostName>()
            .map_err(|error| Failure::new(ErrorCode::HostInvalid, format!("{error}")).unchanged())?;
    }
    let token = read_token(&arguments.token_file)?;
    let data_dir = data_dir(arguments.data_dir.as_ref());
    let options = EnrollOptions {
        hostname,
        ssh_hostname: arguments.ssh_host.clone(),
        ssh_user: arguments.ssh_user.clone(),
        ssh_port: arguments.ssh_port,
        replace: arguments.replace,
    };
    let identity = match identity::enroll(&data_dir, &witness, &token, &options).await {
        Ok(identity) => identity,
        Err(IdentityError::Witness(error)) => return Err(error.into()),
        Err(error) => return Err(identity_failure(&error)),
    };
    let printer = &context.printer;
    if printer.format() == OutputFormat::Json {
        let item = json!({
            "hostname": identity.hostname, "system_id": identity.system_id, "witness": identity.witness, "data_dir": data_dir,
        });
        printer.item("agent.enroll", &item, &[], context.now())?;
    } else {
        printer
            .text(&format!("enrolled as {} with {}, in {data_dir}", identity.hostname, identity.witness))?;
        let folder = match &arguments.data_dir {
            Some(folder) => format!(" --data-dir {folder}"),
            None => String::new(),
        };
        printer.say(format!("Now start the agent: zfs-sync agent run{folder}"));
    }
    Ok(Exit::Done)
}

/// The token in a file, or on standard input.
pub(super) fn read_token(path: &Utf8Path) -> Result<SecretString, Failure> {
    let read = |mut source: Box<dyn std::io::Read>| {
        let mut text = String::new();
        source.by_ref().take(TOKEN_LIMIT).read_to_string(&mut text).map(|_| text)
    };
    let text = if path == "-" {
        read(Box::new(std::io::stdin()))
    } else {
        std::fs::File::open(path).and_then(|file| read(Box::new(file)))
    };
    let text = text.map_err(|error| {
        Failure::new(ErrorCode::CredentialMissing, format!("the token file {path} can not be read"))
            .cause(&error)
            .unchanged()
    })?;
    let token = text.trim();
    if token.is_empty() {
        return Err(Failure::new(ErrorCode::CredentialMissing, format!("the token file {path} is empty"))
            .unchanged()
            .fix("zfs-sync system token create"));
    }
    Ok(SecretString::from(token))
}

async fn run_agent(context: &Context, arguments: &AgentRun) -> Result<Exit, Failure> {
    let (level, format) = settings::log_settings(|name| std::env::var(name).ok())?;
    let level = if context.global.verbose > 0 { "debug".to_owned() } else { level };
    logging::start(&level, format, context.printer.colors_talk())?;
    let data_dir = data_dir(arguments.data_dir.as_ref());
    let (identity, key) = identity::load(&data_dir).map_err(|error| identity_failure(&error))?;
    let transfer_host = arguments.transfer_host.as_deref().map(str::parse::<HostName>).transpose();
    let transfer_host = transfer_host.map_err(|error| {
        Failure::new(ErrorCode::HostInvalid, format!("--transfer-host: {error}")).unchanged()
    })?;
    let mut signals = Signals::listen()?;
    let mut ssh = SshOptions {
        identity: arguments.ssh_identity.clone().map(Utf8PathBuf::into_std_path_buf),
        options: arguments.ssh_options.clone(),
        ..SshOptions::default()
    };
    for (system, privilege) in &arguments.peer_privilege {
        match system {
            Some(system) => drop(ssh.privileges.insert(system.clone(), *privilege)),
            None => ssh.privilege = *privilege,
        }
    }
    let connector = SshConnector::new(&data_dir, ssh).map_err(|error| {
        Failure::new(ErrorCode::ConfigInvalid, "no folder for ssh's connections can be made")
            .cause(&error)
            .unchanged()
    })?;
    let options = Options {
        client: Client::new(&identity.witness, Some(key))?,
        system_id: identity.system_id,
        data_dir,
        local: Arc::new(LocalRunner::new().named(identity.hostname.clone()).through(arguments.privilege)),
        connector: Arc::new(connector),
        clock: context.clock.clone(),
        report_interval: arguments.report_interval.unwrap_or(Options::REPORT_INTERVAL),
        poll_interval: arguments.poll_interval.unwrap_or(Options::POLL_INTERVAL),
        max_transfers: Options::MAX_TRANSFERS,
        drain: arguments.drain.unwrap_or(Options::DRAIN),
        buffer: flow::buffer(arguments.buffer_mib),
        sanoid: Some(sanoid::Files::standard()),
        tls: TlsOptions {
            listen: arguments.transfer_listen,
            host: transfer_host,
            transport: arguments.transport.into(),
        },
    };
    let shutdown = CancellationToken::new();
    let agent = Agent::start(options, shutdown.clone())
        .map_err(|error| Failure::new(error.code(), "the agent can not start").cause(&error).unchanged())?;
    context.printer.say(format!("agent of {} runs; witness {}", identity.hostname, identity.witness));
    tell_manager(&sd_notify::NotifyState::Ready);
    match signals.supervise(agent.wait(), &shutdown).await {
        Some(()) => Ok(Exit::Done),
        None => Ok(Exit::Interrupted),
    }
}
