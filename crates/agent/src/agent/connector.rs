//! How the other side of a transfer is reached.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use camino::{Utf8Path, Utf8PathBuf};
use zfs_sync_api::{codes::ErrorCode, v1::agent::Peer};
use zfs_sync_core::name::HostName;
use zfs_sync_zfs::runner::{Privilege, Runner, SshRunner, SshTarget};

/// A directory for sockets: their whole path has at most 104 to 108 bytes, and ssh adds to the name we give.
const LONGEST_CONTROL_DIR: usize = 60;

/// Why a peer can not be reached. Nothing was tried over the network yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("can not reach {hostname}: {reason}")]
pub struct ConnectError {
    /// The peer's host name in the fleet.
    pub hostname: String,
    /// What is wrong, in words.
    pub reason: String,
    /// The registered code.
    pub code: ErrorCode,
}

/// Gives a runner for the other side of a transfer.
pub trait Connector: Send + Sync + fmt::Debug {
    /// The same peer gets the same runner. Nothing is connected before its first command.
    fn runner(&self, peer: &Peer) -> Result<Arc<dyn Runner>, ConnectError>;
}

/// How this host's ssh is used. From its own configuration, never from the witness.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SshOptions {
    /// A private key; `None` leaves it to the user's ssh configuration and agent.
    pub identity: Option<PathBuf>,
    /// Options as `ssh -o` takes them.
    pub options: Vec<String>,
    /// What `zfs` is run through on other systems.
    pub privilege: Privilege,
    /// The same for single systems, by their host name in the fleet.
    pub privileges: BTreeMap<String, Privilege>,
}

/// Reaches peers by the system's ssh, one shared connection each.
#[derive(Debug)]
pub struct SshConnector {
    control_dir: Utf8PathBuf,
    options: SshOptions,
    runners: Mutex<BTreeMap<Key, Arc<dyn Runner>>>,
    /// Where sockets are when the data directory's path is too long for them; removed with this.
    _short: Option<tempfile::TempDir>,
}

type Key = (Option<String>, Option<String>, u16);

impl SshConnector {
    /// Keeps the sockets of shared connections in `<data_dir>/ssh`, or in a temporary directory where that path is too long.
    pub fn new(data_dir: &Utf8Path, options: SshOptions) -> io::Result<Self> {
        let wanted = data_dir.join("ssh");
        let (control_dir, short) = if wanted.as_str().len() <= LONGEST_CONTROL_DIR {
            (wanted, None)
        } else {
            let short = tempfile::Builder::new().prefix("zfs-sync-").tempdir()?;
            // One level deeper: that one is made private by whoever uses it.
            let path = Utf8PathBuf::from_path_buf(short.path().join("ssh"));
            (path.map_err(|path| io::Error::other(format!("{} is not UTF-8", path.display())))?, Some(short))
        };
        Ok(Self { control_dir, options, runners: Mutex::default(), _short: short })
    }

    fn connect(&self, peer: &Peer) -> Result<Arc<dyn Runner>, ConnectError> {
        let refused = |code, reason: String| ConnectError { hostname: peer.hostname.clone(), reason, code };
        let Some(host) = &peer.ssh_hostname else {
            let reason = "it has no address for ssh".to_owned();
            return Err(refused(ErrorCode::SshUnreachable, reason));
        };
        let host: HostName =
            host.parse().map_err(|error| refused(ErrorCode::HostInvalid, format!("{error}")))?;
        let target = SshTarget::new(host, peer.ssh_user.clone());
        let mut target = target.map_err(|error| refused(ErrorCode::HostInvalid, error.to_string()))?;
        // The default port is left to ssh: its own configuration may know a better one for this host.
        target.port = (peer.ssh_port != 22).then_some(peer.ssh_port);
        target.identity.clone_from(&self.options.identity);
        target.options.clone_from(&self.options.options);
        let own = self.options.privileges.get(&peer.hostname);
        target.privilege = own.copied().unwrap_or(self.options.privilege);
        let runner = SshRunner::new(target, self.control_dir.as_std_path());
        let reason = |error: io::Error| format!("could not prepare {}: {error}", self.control_dir);
        Ok(Arc::new(runner.map_err(|error| refused(ErrorCode::ConfigInvalid, reason(error)))?))
    }
}

impl Connector for SshConnector {
    fn runner(&self, peer: &Peer) -> Result<Arc<dyn Runner>, ConnectError> {
        let Peer { hostname: _, ssh_hostname, ssh_user, ssh_port, tls: _ } = peer;
        let key = (ssh_hostname.clone(), ssh_user.clone(), *ssh_port);
        let mut runners = self.runners.lock().expect("no holder of this lock panics");
        if let Some(runner) = runners.get(&key) {
            return Ok(Arc::clone(runner));
        }
        let runner = self.connect(peer)?;
        runners.insert(key, Arc::clone(&runner));
        Ok(runner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(host: &str) -> Peer {
        Peer {
            hostname: "nas2".into(),
            ssh_hostname: Some(host.into()),
            ssh_user: Some("root".into()),
            ssh_port: 22,
            tls: None,
        }
    }

    fn connector(below: &str) -> (tempfile::TempDir, SshConnector) {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap().join(below);
        (dir, SshConnector::new(&path, SshOptions::default()).unwrap())
    }

    #[test]
    fn one_peer_has_one_runner() {
        let (_dir, connector) = connector("a");
        let first = connector.runner(&peer("nas2")).unwrap();
        let second = connector.runner(&peer("nas2")).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(first.host(), "root@nas2");
    }

    #[test]
    fn a_host_that_is_an_option_is_refused() {
        let (_dir, connector) = connector("a");
        let error = connector.runner(&peer("-oProxyCommand=x")).unwrap_err();
        assert_eq!(error.code, ErrorCode::HostInvalid);
    }

    #[test]
    fn sockets_lie_elsewhere_when_the_data_directory_is_deep() {
        let (_dir, connector) = connector(&"deep/".repeat(30));
        assert!(connector.control_dir.as_str().len() <= LONGEST_CONTROL_DIR, "{}", connector.control_dir);
        connector.runner(&peer("nas2")).unwrap();
    }
}
