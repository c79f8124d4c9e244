//! The first key: without it nobody could make any other.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret as _, SecretString};
use zfs_sync_api::v1::key::Role;
use zfs_sync_core::time::Timestamp;
use zfs_sync_store::Store;

use crate::auth::{
    new_key,
    secret::{Kind, mint},
};

/// The file's name in the data directory.
const FILE: &str = "admin.key";

/// The administrator's key of a new witness; to be printed once.
#[derive(Debug)]
pub struct BootstrapKey {
    /// The key.
    pub key: SecretString,
    /// Where it was written, readable by the witness's user alone.
    pub path: PathBuf,
}

/// Why there is no first key.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The file could not be written.
    #[error("could not write the administrator's key to {}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The database failed.
    #[error("could not store the administrator's key")]
    Store(#[from] zfs_sync_store::Error),
}

/// Makes an administrator's key where there is none, writes it to `data_dir/admin.key` (mode 0600) and answers it.
pub async fn bootstrap_admin(
    store: &Store,
    data_dir: &Path,
    now: Timestamp,
) -> Result<Option<BootstrapKey>, BootstrapError> {
    if store.count_keys(Role::Admin.as_str()).await? > 0 {
        return Ok(None);
    }
    let minted = mint(Kind::Key);
    let path = data_dir.join(FILE);
    // The file first: after a crash in between, the file holds a key that nothing knows, and the next start replaces it. The other
    // way round, the database would hold a key that nobody knows, and no start would ever make another.
    write_private(&path, minted.secret.expose_secret())
        .map_err(|source| BootstrapError::File { path: path.clone(), source })?;
    store.insert_key(&new_key(&minted, "admin", Role::Admin, None, None), now).await?;
    Ok(Some(BootstrapKey { key: minted.secret, path }))
}

/// Replaces a file whole or not at all; nobody else can read it at any moment.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let temporary = path.with_extension("key.tmp");
    // A file that a crash has left may have another mode.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    // The name is durable only with its directory.
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::{auth::authenticate_key, testing::Witness};

    #[tokio::test]
    async fn the_first_start_makes_a_key_that_works_and_the_second_none() {
        let witness = Witness::start().await;
        let folder = tempfile::tempdir().unwrap();
        let store = &witness.state.store;
        for key in store.keys().await.unwrap() {
            store.revoke_key(key.id, witness.state.now()).await.unwrap();
        }
        let first = bootstrap_admin(store, folder.path(), witness.state.now()).await.unwrap().unwrap();
        let written = fs::read_to_string(&first.path).unwrap();
        assert_eq!(written.trim(), first.key.expose_secret());
        assert_eq!(fs::metadata(&first.path).unwrap().permissions().mode() & 0o777, 0o600);
        let caller = authenticate_key(&witness.state, written.trim()).await.unwrap();
        assert_eq!(caller.role, Role::Admin);
        assert!(bootstrap_admin(store, folder.path(), witness.state.now()).await.unwrap().is_none());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing temporary stays");
    }

    #[tokio::test]
    async fn a_folder_that_does_not_exist_leaves_no_key_behind() {
        let witness = Witness::start().await;
        let store = &witness.state.store;
        for key in store.keys().await.unwrap() {
            store.revoke_key(key.id, witness.state.now()).await.unwrap();
        }
        let missing = Path::new("/nonexistent/zfs-sync");
        let error = bootstrap_admin(store, missing, witness.state.now()).await.unwrap_err();
        assert!(matches!(error, BootstrapError::File { .. }), "{error:?}");
        assert_eq!(store.count_keys("admin").await.unwrap(), 0);
    }
}
