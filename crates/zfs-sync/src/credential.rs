//! Where the key for a witness comes from: never from the command line.

use std::{fs, io, os::unix::fs::PermissionsExt as _};

use camino::{Utf8Path, Utf8PathBuf};
use secrecy::SecretString;
use zfs_sync_api::codes::ErrorCode;

use crate::failure::Failure;

/// The variable that holds a key itself.
pub(crate) const KEY_VARIABLE: &str = "ZFS_SYNC_API_KEY";
/// The first admin key of a witness on this host, in development and as a service.
const LOCAL_ADMIN_KEYS: [&str; 2] = ["./data/admin.key", "/var/lib/zfs-sync/admin.key"];

/// A key, and where it was found.
#[derive(Debug)]
pub(crate) struct Credential {
    pub(crate) key: SecretString,
    /// For people: the variable or the file.
    pub(crate) origin: String,
}

/// Looks in all places, in order. `None`: there is no key anywhere.
pub(crate) fn find(key_file: Option<&Utf8Path>) -> Result<Option<Credential>, Failure> {
    if let Ok(key) = std::env::var(KEY_VARIABLE)
        && !key.trim().is_empty()
    {
        return Ok(Some(Credential { key: SecretString::from(key.trim()), origin: KEY_VARIABLE.to_owned() }));
    }
    if let Some(path) = key_file {
        return read(path).map(Some);
    }
    if let Some(path) = personal_file()
        && path.exists()
    {
        return read(&path).map(Some);
    }
    for path in LOCAL_ADMIN_KEYS.map(Utf8Path::new) {
        // Not readable means: not for this user. That is no reason to stop.
        if fs::File::open(path).is_ok() {
            return read(path).map(Some);
        }
    }
    Ok(None)
}

/// `$XDG_CONFIG_HOME/zfs-sync/key`.
fn personal_file() -> Option<Utf8PathBuf> {
    let folder =
        std::env::var("XDG_CONFIG_HOME").ok().filter(|folder| folder.starts_with('/')).map(Utf8PathBuf::from);
    let folder =
        folder.or_else(|| std::env::var("HOME").ok().map(|home| Utf8PathBuf::from(home).join(".config")))?;
    Some(folder.join("zfs-sync/key"))
}

/// Reads a key that only its owner can read.
fn read(path: &Utf8Path) -> Result<Credential, Failure> {
    let unreadable = |error: &io::Error| {
        Failure::new(ErrorCode::CredentialMissing, format!("the key file {path} can not be read"))
            .cause(error)
            .unchanged()
    };
    let mode = fs::metadata(path).map_err(|error| unreadable(&error))?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Failure::new(
            ErrorCode::CredentialUnsafe,
            format!("the key file {path} can be read by others, so it is not used"),
        )
        .context("mode", format!("{mode:04o}"))
        .unchanged()
        .hint("take the rights away; if others may have read the key, replace it")
        .fix(format!("chmod 600 {path}")));
    }
    let text = fs::read_to_string(path).map_err(|error| unreadable(&error))?;
    let key = text.trim();
    if key.is_empty() {
        return Err(
            Failure::new(ErrorCode::CredentialMissing, format!("the key file {path} is empty")).unchanged()
        );
    }
    Ok(Credential { key: SecretString::from(key), origin: path.to_string() })
}

/// What to say when a key is needed and there is none.
pub(crate) fn missing() -> Failure {
    Failure::new(ErrorCode::CredentialMissing, "no key for the witness was found")
        .context(
            "looked",
            format!(
                "{KEY_VARIABLE}, --key-file or ZFS_SYNC_API_KEY_FILE, {}, {}",
                personal_file().map_or_else(|| "~/.config/zfs-sync/key".to_owned(), |path| path.to_string()),
                LOCAL_ADMIN_KEYS.join(", ")
            ),
        )
        .unchanged()
        .hint("put the key into a file that only you can read; the witness wrote the first one to admin.key in its data folder")
        .fix("install -D -m 600 /dev/stdin ~/.config/zfs-sync/key")
}
