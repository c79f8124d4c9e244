//! Who this agent is: `agent.json` and `agent.key` in its data directory, made by enrolment.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
};

use camino::{Utf8Path, Utf8PathBuf};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;
use zfs_sync_api::{
    client::{Client, ClientError},
    codes::ErrorCode,
    v1::key::Enrol,
};
use zfs_sync_core::{ids::SystemId, name::HostName};

use crate::{
    disk,
    tls::{Credentials, CredentialsError, credentials::Request},
};

const IDENTITY_FILE: &str = "agent.json";
const KEY_FILE: &str = "agent.key";
const LOCK_FILE: &str = "agent.lock";

/// What enrolment gave this host, without its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The witness's address.
    pub witness: Url,
    /// This system, as the witness knows it.
    pub system_id: SystemId,
    /// Its host name in the fleet.
    pub hostname: String,
}

/// What a host says of itself when it enrols.
#[derive(Clone, Debug)]
pub struct EnrollOptions {
    /// Its host name in the fleet, unique.
    pub hostname: HostName,
    /// Where other systems reach it by ssh; the host name when absent.
    pub ssh_hostname: Option<String>,
    /// As whom.
    pub ssh_user: Option<String>,
    /// On which port.
    pub ssh_port: Option<u16>,
    /// Forget an earlier enrolment of this data directory. The witness keeps the earlier system until somebody deletes it.
    pub replace: bool,
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// There is one already.
    #[error("this host is already enrolled as {hostname} with {witness} ({path})")]
    AlreadyEnrolled {
        /// As whom.
        hostname: String,
        /// With which witness.
        witness: String,
        /// Where that is written.
        path: Utf8PathBuf,
    },
    /// There is none.
    #[error("this host is not enrolled: {path} does not exist")]
    NotEnrolled {
        /// Where it would be.
        path: Utf8PathBuf,
    },
    /// An agent runs on this data directory.
    #[error("another agent uses {path}")]
    Locked {
        /// The data directory.
        path: Utf8PathBuf,
    },
    /// The key could have been read by others.
    #[error(
        "{path} has mode {mode:03o}: others can read the key; run `chmod 600 {path}`, or enrol anew if they did"
    )]
    KeyUnsafe {
        /// The key's file.
        path: Utf8PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The files contradict themselves.
    #[error("{path} is damaged: {reason}")]
    Damaged {
        /// Which file.
        path: Utf8PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file can not be read or written.
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
    /// No key for a certificate could be made.
    #[error("could not make a key for a certificate")]
    Certificate(#[source] CredentialsError),
    /// The witness did not enrol this host.
    #[error("could not enrol")]
    Witness(#[source] ClientError),
}

impl IdentityError {
    /// The registered code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::AlreadyEnrolled { .. } => ErrorCode::AlreadyEnrolled,
            Self::NotEnrolled { .. } => ErrorCode::NotEnrolled,
            Self::Locked { .. } => ErrorCode::Locked,
            Self::KeyUnsafe { .. } => ErrorCode::CredentialUnsafe,
            Self::Damaged { .. } | Self::Io { .. } => ErrorCode::ConfigInvalid,
            Self::Certificate(_) => ErrorCode::Internal,
            Self::Witness(error) => error.code(),
        }
    }

    fn io(action: &'static str, path: &Utf8Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }
}

/// Holds a data directory for one process; dropping it, or the process's end however it comes, lets go.
#[derive(Debug)]
pub struct DataDirLock {
    _file: File,
}

impl DataDirLock {
    /// Makes the directory (mode 0700) where it is missing, and locks it.
    pub fn acquire(data_dir: &Utf8Path) -> Result<Self, IdentityError> {
        disk::make_private_dir(data_dir).map_err(|error| IdentityError::io("create", data_dir, error))?;
        let path = data_dir.join(LOCK_FILE);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| IdentityError::io("open", &path, error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(IdentityError::Locked { path: data_dir.to_owned() }),
            Err(TryLockError::Error(error)) => Err(IdentityError::io("lock", &path, error)),
        }
    }
}

/// Redeems `token` with the witness at `witness` and writes down who this host is from now on.
pub async fn enroll(
    data_dir: &Utf8Path,
    witness: &Url,
    token: &SecretString,
    options: &EnrollOptions,
) -> Result<Identity, IdentityError> {
    // Everything that can fail here comes before the token is spent: it is good for one enrolment.
    let _lock = DataDirLock::acquire(data_dir)?;
    match read_identity(data_dir) {
        Ok(Identity { witness, hostname, .. }) if !options.replace => {
            let path = data_dir.join(IDENTITY_FILE);
            return Err(IdentityError::AlreadyEnrolled { hostname, witness: witness.into(), path });
        }
        Ok(_) | Err(IdentityError::NotEnrolled { .. }) => {}
        Err(_) if options.replace => {}
        Err(error) => return Err(error),
    }
    let client = Client::new(witness, None).map_err(IdentityError::Witness)?;
    // Made here; the witness sees the public half.
    let certificate = Request::new().map_err(IdentityError::Certificate)?;
    let request = Enrol {
        token: token.expose_secret().trim().to_owned(),
        hostname: options.hostname.to_string(),
        platform: std::env::consts::OS.to_owned(),
        ssh_hostname: options.ssh_hostname.clone(),
        ssh_user: options.ssh_user.clone(),
        ssh_port: options.ssh_port,
        csr: Some(certificate.csr.clone()),
    };
    let enrolled = client.enrol(&request).await.map_err(IdentityError::Witness)?;
    // Without a user or password that might have stood in the address.
    let mut witness = client.base().clone();
    let path = witness.path().trim_end_matches('/').trim_end_matches("/api/v1").to_owned();
    witness.set_path(&path);
    let identity = Identity { witness, system_id: enrolled.system_id, hostname: enrolled.hostname };
    write(data_dir, &identity, &SecretString::from(enrolled.api_key))?;
    // After the identity, which counts: a certificate that is missing or another system's is asked for by the agent.
    let kept = match &enrolled.certificate {
        Some(issued) => certificate.keep(data_dir, identity.system_id, issued).map(drop),
        None => Credentials::forget(data_dir),
    };
    if let Err(error) = kept {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the agent will ask for another certificate: {error}"
        );
    }
    Ok(identity)
}

/// Writes identity and key, both mode 0600. The identity comes last: where it stands, the key is there.
pub fn write(data_dir: &Utf8Path, identity: &Identity, key: &SecretString) -> Result<(), IdentityError> {
    disk::make_private_dir(data_dir).map_err(|error| IdentityError::io("create", data_dir, error))?;
    let key_path = data_dir.join(KEY_FILE);
    let identity_path = data_dir.join(IDENTITY_FILE);
    // A new key beside an old identity would be a host that can not say who it is.
    disk::remove_durably(&identity_path)
        .map_err(|error| IdentityError::io("remove", &identity_path, error))?;
    disk::replace(&key_path, format!("{}\n", key.expose_secret()).as_bytes())
        .map_err(|error| IdentityError::io("write", &key_path, error))?;
    let mut text = serde_json::to_string_pretty(identity).expect("an identity is plain text");
    text.push('\n');
    disk::replace(&identity_path, text.as_bytes())
        .map_err(|error| IdentityError::io("write", &identity_path, error))
}

/// Reads who this host is, and its key.
pub fn load(data_dir: &Utf8Path) -> Result<(Identity, SecretString), IdentityError> {
    let identity = read_identity(data_dir)?;
    let path = data_dir.join(KEY_FILE);
    let metadata = fs::metadata(&path).map_err(|error| IdentityError::io("read", &path, error))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(IdentityError::KeyUnsafe { path, mode });
    }
    let key = fs::read_to_string(&path).map_err(|error| IdentityError::io("read", &path, error))?;
    let key = key.trim();
    if key.is_empty() {
        return Err(IdentityError::Damaged { path, reason: "it is empty".to_owned() });
    }
    Ok((identity, SecretString::from(key)))
}

fn read_identity(data_dir: &Utf8Path) -> Result<Identity, IdentityError> {
    let path = data_dir.join(IDENTITY_FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(IdentityError::NotEnrolled { path });
        }
        Err(error) => return Err(IdentityError::io("read", &path, error)),
    };
    serde_json::from_str(&text).map_err(|error| IdentityError::Damaged { path, reason: error.to_string() })
}

/// What this machine calls itself, when that is a host name.
pub fn local_hostname() -> Option<HostName> {
    ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .into_iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .find_map(|text| text.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data_dir() -> (tempfile::TempDir, Utf8PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().join("agent")).unwrap();
        (dir, path)
    }

    fn identity() -> Identity {
        Identity {
            witness: "http://witness.example:8000/".parse().unwrap(),
            system_id: uuid::Uuid::from_u128(7).into(),
            hostname: "nas1".into(),
        }
    }

    fn options(replace: bool) -> EnrollOptions {
        let hostname = "nas1".parse().unwrap();
        EnrollOptions { hostname, ssh_hostname: None, ssh_user: None, ssh_port: None, replace }
    }

    #[test]
    fn an_identity_is_read_back_and_its_files_are_private() {
        let (_dir, path) = data_dir();
        write(&path, &identity(), &"s3cret".into()).unwrap();
        let (read, key) = load(&path).unwrap();
        assert_eq!(read, identity());
        assert_eq!(key.expose_secret(), "s3cret");
        for (file, mode) in [("", 0o700), (KEY_FILE, 0o600), (IDENTITY_FILE, 0o600)] {
            let found = fs::metadata(path.join(file)).unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode, "{file}");
        }
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let (_dir, path) = data_dir();
        write(&path, &identity(), &"s3cret".into()).unwrap();
        fs::set_permissions(path.join(KEY_FILE), fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(load(&path).unwrap_err().code(), ErrorCode::CredentialUnsafe);
    }

    #[test]
    fn a_missing_and_a_torn_identity_are_told_apart() {
        let (_dir, path) = data_dir();
        assert_eq!(load(&path).unwrap_err().code(), ErrorCode::NotEnrolled);
        write(&path, &identity(), &"s3cret".into()).unwrap();
        fs::write(path.join(IDENTITY_FILE), "{\"witness\":").unwrap();
        assert_eq!(load(&path).unwrap_err().code(), ErrorCode::ConfigInvalid);
    }

    #[test]
    fn two_agents_never_share_a_data_directory() {
        let (_dir, path) = data_dir();
        let first = DataDirLock::acquire(&path).unwrap();
        assert_eq!(DataDirLock::acquire(&path).unwrap_err().code(), ErrorCode::Locked);
        drop(first);
        DataDirLock::acquire(&path).unwrap();
    }

    #[tokio::test]
    async fn enrolling_twice_is_refused_before_the_token_is_spent() {
        let (_dir, path) = data_dir();
        write(&path, &identity(), &"s3cret".into()).unwrap();
        // Nobody listens there: an answer of any other kind would mean that the witness had been asked.
        let nowhere: Url = "http://127.0.0.1:1".parse().unwrap();
        let refused = enroll(&path, &nowhere, &"token".into(), &options(false)).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::AlreadyEnrolled);
        let asked = enroll(&path, &nowhere, &"token".into(), &options(true)).await.unwrap_err();
        assert_eq!(asked.code(), ErrorCode::WitnessUnreachable);
        assert_eq!(load(&path).unwrap().0, identity(), "a failed enrolment leaves the former one");
    }
}
