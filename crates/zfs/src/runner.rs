//! Who executes commands: this machine, one over ssh, or the in-memory ZFS.

mod local;
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

use crate::{command::Command, error::Error};

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
