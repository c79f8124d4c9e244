//! A host by its name: this one, or one over ssh.

use std::{path::PathBuf, sync::Arc};

use zfs_sync_api::codes::ErrorCode;
use zfs_sync_core::name::HostName;
use zfs_sync_zfs::{
    error::Error,
    runner::{LocalRunner, Runner, SshRunner, SshTarget},
};

use crate::{
    cli::{OnHost, SshArgs},
    failure::Failure,
};

/// The runner of the host that was asked for.
pub(super) fn runner(on: &OnHost) -> Result<Arc<dyn Runner>, Failure> {
    match &on.host {
        None => Ok(Arc::new(LocalRunner::new().through(on.ssh.privilege))),
        Some(host) => Ok(Arc::new(over_ssh(host, &on.ssh)?)),
    }
}

/// The runner of `[user@]host`.
pub(super) fn over_ssh(text: &str, arguments: &SshArgs) -> Result<SshRunner, Failure> {
    let runner = SshRunner::new(target(text, arguments)?, &control_dir());
    runner.map_err(|error| {
        Failure::new(ErrorCode::Internal, "no folder for ssh's connections can be made")
            .cause(&error)
            .unchanged()
    })
}

/// `[user@]host` as ssh takes it.
pub(super) fn target(text: &str, arguments: &SshArgs) -> Result<SshTarget, Failure> {
    let wrong = |what: String| {
        Failure::new(ErrorCode::HostInvalid, format!("`{text}`: {what}"))
            .hint("write a host (nas2), or a user on it (repl@nas2)")
            .unchanged()
    };
    let (user, host) = match text.rsplit_once('@') {
        Some((user, host)) => (Some(user.to_owned()), host),
        None => (None, text),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host: HostName = host.parse().map_err(|error| wrong(format!("{error}")))?;
    let mut target = SshTarget::new(host, user).map_err(|error| wrong(error.to_string()))?;
    target.port = arguments.ssh_port;
    target.identity = arguments.ssh_identity.clone().map(camino::Utf8PathBuf::into_std_path_buf);
    target.options.clone_from(&arguments.ssh_options);
    target.privilege = arguments.privilege;
    Ok(target)
}

/// Sockets of shared ssh connections; short, because a socket's path must be.
pub(super) fn control_dir() -> PathBuf {
    let user = rustix::process::geteuid().as_raw();
    std::env::temp_dir().join(format!("zfs-sync-{user}"))
}

/// A command of ZFS that failed, for people.
pub(super) fn failed(error: &Error) -> Failure {
    let said = error.stderr.trim().to_owned();
    let failure =
        Failure::from_code(error.code(), format!("`{}` on {} {}", error.command, error.host, error.status))
            .unchanged();
    if said.is_empty() { failure } else { failure.context("said", said) }
}
