//! Small files that are either the old or the new, never half of one.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
};

use camino::Utf8Path;

/// Replaces `path` with `content`, mode 0600: after this returns, a power cut leaves the new content, before it the old.
pub(crate) fn replace(path: &Utf8Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    // What a crash has left under this name may have another mode.
    remove(&temporary)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_parent(path)
}

/// Removes a file; one that is not there is fine.
pub(crate) fn remove(path: &Utf8Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Removes a file so that it does not come back after a power cut.
pub(crate) fn remove_durably(path: &Utf8Path) -> io::Result<()> {
    remove(path)?;
    sync_parent(path)
}

/// Makes a directory and those above it, mode 0700.
pub(crate) fn make_private_dir(path: &Utf8Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// A rename is only on disk when its directory is.
pub(crate) fn sync_parent(path: &Utf8Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}
