//! Who executes commands: this machine, one over ssh, or the in-memory ZFS.

mod local;
mod packed;
mod privilege;
mod process;
#[cfg(test)]
pub(crate) mod scripted;
mod shared_reads;
mod shell;
mod shells;
mod ssh;

use std::{
    fmt::Debug,
    io::{PipeReader, PipeWriter},
};

use async_trait::async_trait;
pub use local::LocalRunner;
pub use privilege::{Privilege, PrivilegeError};
pub use shared_reads::SharedReads;
pub(crate) use ssh::REMOTE_ENVIRONMENT;
pub use ssh::{SshRunner, SshTarget, UserNameError};
use zfs_sync_core::{flow::Compression, inventory::DatasetKind, name::SnapshotName};

use crate::{
    command::Command,
    content::{self, Content},
    error::{Error, Kind},
};

/// What a finished command printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Standard output.
    pub stdout: String,
    /// Standard error, whole; `zfs` warns there even when it succeeds.
    pub stderr: String,
}

/// How a stage of a pipeline ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageEnd {
    /// True for exit status 0.
    pub success: bool,
    /// In words: `exited with 1`, `was killed by signal 13`.
    pub status: String,
    /// The end of its standard error, at most 16 KiB.
    pub stderr: String,
    /// True when a signal ended it because its neighbour had gone (SIGPIPE): a symptom, not a cause.
    pub broken_pipe: bool,
}

/// One running stage of a pipeline. Dropping it kills the process.
#[async_trait]
pub trait Stage: Send + Debug {
    /// Waits for its end; cancel-safe.
    async fn wait(&mut self) -> StageEnd;
    /// Asks it to end (TERM to its process group, KILL after two seconds in [`Self::wait`]).
    fn terminate(&mut self);
}

/// What the far end of a runner's streams can do for them on their way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FarEnd {
    /// There is no way: the process is on this machine.
    Here,
    /// It can pack and unpack zstd.
    Zstd,
    /// It takes and gives streams as they are; why, in words that follow the host's name: `has no zstd`.
    Plain(String),
}

/// How a stream travels between this process and a stage at the far end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// As it is.
    None,
    /// As zstd: what the stage writes is packed there, what it reads is unpacked there. Only where [`Runner::far_end`] says so.
    Zstd(Compression),
}

/// Executes commands on one host.
#[async_trait]
pub trait Runner: Send + Sync + Debug {
    /// The host, for sentences: `nas1`, `root@nas2`.
    fn host(&self) -> &str;

    /// Runs a command to its end. A non-zero exit is an [`Error`], classified.
    async fn run(&self, command: &Command) -> Result<Output, Error>;

    /// Starts a stage of a pipeline. A missing `stdin` or `stdout` is `/dev/null`.
    fn start(
        &self,
        command: &Command,
        stdin: Option<PipeReader>,
        stdout: Option<PipeWriter>,
    ) -> Result<Box<dyn Stage>, Error>;

    /// True where commands run on the machine on which this process does, so that its clock and time zone are theirs.
    fn is_this_host(&self) -> bool {
        false
    }

    /// Opens what a snapshot holds, for reading, without changing what anybody else sees of it.
    ///
    /// Only where this program itself runs on the host: a [`Kind::Unsupported`] otherwise.
    async fn open_content(&self, snapshot: &SnapshotName, _kind: DatasetKind) -> Result<Content, Error> {
        Err(content::error(self.host(), snapshot, Kind::Unsupported, "can not be read over this connection"))
    }

    /// Closes it, and takes back what had to be changed to reach it.
    async fn close_content(&self, content: Content) -> Result<(), Error> {
        drop(content);
        Ok(())
    }

    /// Takes back what an earlier process, which died, had changed to reach the content of volumes.
    async fn recover_content(&self) -> Result<(), Error> {
        Ok(())
    }

    /// What the far end can do for streams on their way. May ask it, the first time.
    async fn far_end(&self) -> FarEnd {
        FarEnd::Here
    }

    /// As [`Self::start`], with a stream that travels packed. Standard error and status are those of the command itself. A packed stream
    /// that is cut must reach the command as a stream that is cut, with everything that had come.
    fn start_packed(
        &self,
        command: &Command,
        stdin: Option<PipeReader>,
        stdout: Option<PipeWriter>,
        packing: Packing,
    ) -> Result<Box<dyn Stage>, Error> {
        match packing {
            Packing::None => self.start(command, stdin, stdout),
            Packing::Zstd(_) => Err(Error {
                host: self.host().to_owned(),
                command: command.display_line(),
                status: "could not be started: no packed streams here".to_owned(),
                stderr: String::new(),
                kind: Kind::Start,
            }),
        }
    }

    /// As [`Self::start`], for a stream that is known to be small: where setting a connection up costs more than the stream, it may
    /// travel beside others.
    fn start_small(
        &self,
        command: &Command,
        stdin: Option<PipeReader>,
        stdout: Option<PipeWriter>,
    ) -> Result<Box<dyn Stage>, Error> {
        self.start(command, stdin, stdout)
    }
}
