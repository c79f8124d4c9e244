//! Pipes between a connection and a process.

use std::io::{self, PipeReader, PipeWriter};

use rustix::pipe::fcntl_setpipe_size;
use zfs_sync_zfs::{
    command::Command,
    error::{Error, Kind},
};

/// As much as an unprivileged user may have.
const SIZE: usize = 1 << 20;

/// A pipe with much room, where the system gives it.
pub(super) fn pair() -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    let _smaller_is_slower = fcntl_setpipe_size(&writer, SIZE);
    Ok((reader, writer))
}

/// Why a command has no pipe.
pub(super) fn no_pipe(host: &str, command: &Command, error: &io::Error) -> Error {
    Error {
        host: host.to_owned(),
        command: command.display_line(),
        status: format!("could not be given a pipe: {error}"),
        stderr: String::new(),
        kind: Kind::Start,
    }
}
