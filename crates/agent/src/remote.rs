//! Systems that have only ssh: what an executor keeps of each, beside its identity and ledger.
//!
//! An executor runs one agent for each such system, whose commands run over ssh. Everything else is as on a system with an agent of its
//! own: the same engine, leases, ledger, janitor. Streams between two such systems pass through the executor.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use zfs_sync_api::v1::agent::Peer;
use zfs_sync_core::name::HostName;
use zfs_sync_zfs::runner::{Privilege, Runner, SshRunner, SshTarget, UserNameError};

use crate::{
    agent::{ConnectError, Connector},
    disk,
};

const FILE: &str = "remote.json";

/// How a system is reached from the executor. From whoever configures the executor, never from the witness.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remote {
    /// Where ssh connects to.
    pub host: String,
    /// As whom; `None` leaves it to ssh's own configuration.
    pub user: Option<String>,
    /// On which port; `None` leaves it to ssh's own configuration.
    pub port: Option<u16>,
    /// A private key; `None` leaves it to ssh's own configuration.
    pub identity: Option<PathBuf>,
    /// Options as `ssh -o` takes them.
    #[serde(default)]
    pub options: Vec<String>,
    /// What `zfs` is run through there: `none`, `sudo`, `doas`.
    pub privilege: String,
}

/// Why a system can not be reached as it is written down.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// The file can not be read or written.
    #[error("could not {action} {path}")]
    Io {
        /// `read`, `write`, …
        action: &'static str,
        /// Which file.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file contradicts itself.
    #[error("{path} is damaged: {reason}")]
    Damaged {
        /// Which file.
        path: Utf8PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl Remote {
    /// What is to be written down of this way.
    pub fn of(target: &SshTarget) -> Self {
        Self {
            host: target.host().to_string(),
            user: target.user().map(str::to_owned),
            port: target.port,
            identity: target.identity.clone(),
            options: target.options.clone(),
            privilege: target.privilege.to_string(),
        }
    }

    /// Writes it into a system's folder.
    pub fn write(&self, folder: &Utf8Path) -> Result<(), RemoteError> {
        let path = folder.join(FILE);
        let failed = |source| RemoteError::Io { action: "write", path: path.clone(), source };
        disk::make_private_dir(folder).map_err(failed)?;
        let mut text = serde_json::to_string_pretty(self).expect("plain text");
        text.push('\n');
        disk::replace(&path, text.as_bytes()).map_err(failed)
    }

    /// Reads it from a system's folder.
    pub fn read(folder: &Utf8Path) -> Result<Self, RemoteError> {
        let path = folder.join(FILE);
        let text = fs::read_to_string(&path).map_err(|source| RemoteError::Io {
            action: "read",
            path: path.clone(),
            source,
        })?;
        serde_json::from_str(&text).map_err(|error| RemoteError::Damaged { path, reason: error.to_string() })
    }

    /// The folders below `root` that have one, by name.
    pub fn folders(root: &Utf8Path) -> Result<Vec<Utf8PathBuf>, RemoteError> {
        let failed = |source| RemoteError::Io { action: "list", path: root.to_owned(), source };
        let mut found = Vec::new();
        let listing = match root.read_dir_utf8() {
            Ok(listing) => listing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(failed(error)),
        };
        for entry in listing {
            let folder = entry.map_err(failed)?.into_path();
            if folder.join(FILE).is_file() {
                found.push(folder);
            }
        }
        found.sort();
        Ok(found)
    }

    /// As ssh takes it; the sockets of shared connections lie in `control_dir`.
    pub fn runner(&self, folder: &Utf8Path, control_dir: &Path) -> Result<SshRunner, RemoteError> {
        let path = folder.join(FILE);
        let damaged = |reason: String| RemoteError::Damaged { path: path.clone(), reason };
        let host: HostName = self.host.parse().map_err(|error| damaged(format!("{error}")))?;
        let target = SshTarget::new(host, self.user.clone());
        let mut target = target.map_err(|error: UserNameError| damaged(error.to_string()))?;
        target.port = self.port;
        target.identity.clone_from(&self.identity);
        target.options.clone_from(&self.options);
        target.privilege = self.privilege.parse::<Privilege>().map_err(|error| damaged(error.to_string()))?;
        SshRunner::new(target, control_dir).map_err(|source| RemoteError::Io {
            action: "make the folder of ssh's connections beside",
            path,
            source,
        })
    }
}

/// Reaches the executor's own systems as they are written down here, and all others as an agent would.
#[derive(Debug)]
pub struct RelayConnector {
    own: BTreeMap<String, Arc<dyn Runner>>,
    others: Arc<dyn Connector>,
}

impl RelayConnector {
    /// `own` by host name in the fleet.
    pub fn new(own: BTreeMap<String, Arc<dyn Runner>>, others: Arc<dyn Connector>) -> Self {
        Self { own, others }
    }
}

impl Connector for RelayConnector {
    fn runner(&self, peer: &Peer) -> Result<Arc<dyn Runner>, ConnectError> {
        match self.own.get(&peer.hostname) {
            Some(runner) => Ok(Arc::clone(runner)),
            None => self.others.runner(peer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Utf8PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
        (dir, path)
    }

    fn remote() -> Remote {
        let mut target = SshTarget::new("10.0.0.7".parse().unwrap(), Some("repl".into())).unwrap();
        target.privilege = Privilege::Sudo;
        target.port = Some(2222);
        Remote::of(&target)
    }

    #[test]
    fn a_system_is_read_back_as_it_was_written() {
        let (_dir, root) = folder();
        let nas3 = root.join("nas3");
        remote().write(&nas3).unwrap();
        fs::create_dir(root.join("other")).unwrap();
        assert_eq!(Remote::folders(&root).unwrap(), std::slice::from_ref(&nas3));
        assert_eq!(Remote::read(&nas3).unwrap(), remote());
        let runner = remote().runner(&nas3, root.join("ssh").as_std_path()).unwrap();
        assert_eq!(runner.host(), "repl@10.0.0.7");
        assert!(Remote::folders(&root.join("nowhere")).unwrap().is_empty());
    }

    #[test]
    fn a_host_that_is_an_option_is_refused() {
        let (_dir, root) = folder();
        let damaged = Remote { host: "-oProxyCommand=x".into(), ..remote() };
        let error = damaged.runner(&root, root.join("ssh").as_std_path()).unwrap_err();
        assert!(matches!(error, RemoteError::Damaged { .. }), "{error}");
        let damaged = Remote { privilege: "su".into(), ..remote() };
        assert!(damaged.runner(&root, root.join("ssh").as_std_path()).is_err());
    }

    #[test]
    fn own_systems_are_reached_as_they_are_written_down_whatever_the_witness_says() {
        #[derive(Debug)]
        struct Nobody;
        impl Connector for Nobody {
            fn runner(&self, peer: &Peer) -> Result<Arc<dyn Runner>, ConnectError> {
                let (hostname, reason) = (peer.hostname.clone(), "nobody".to_owned());
                Err(ConnectError { hostname, reason, code: zfs_sync_api::codes::ErrorCode::HostInvalid })
            }
        }
        let (_dir, root) = folder();
        let own: Arc<dyn Runner> = Arc::new(remote().runner(&root, root.join("ssh").as_std_path()).unwrap());
        let connector = RelayConnector::new(BTreeMap::from([("nas3".to_owned(), own)]), Arc::new(Nobody));
        let peer = |hostname: &str| Peer {
            hostname: hostname.to_owned(),
            ssh_hostname: Some("elsewhere".to_owned()),
            ssh_user: None,
            ssh_port: 22,
            tls: None,
        };
        assert_eq!(connector.runner(&peer("nas3")).unwrap().host(), "repl@10.0.0.7");
        assert!(connector.runner(&peer("nas9")).is_err());
    }
}
