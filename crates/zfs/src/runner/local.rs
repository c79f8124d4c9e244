//! This machine.

use std::{
    ffi::OsString,
    io::{self, PipeReader, PipeWriter},
    path::Path,
    process::Stdio,
};

use async_trait::async_trait;
use zfs_sync_core::{inventory::DatasetKind, name::SnapshotName};

use super::{
    Output, Privilege, Runner, Stage, StageEnd,
    process::{Invocation, Ran},
};
use crate::{
    command::Command,
    content::{self, Content, ShownVolumes},
    error::{Error, Kind},
};

/// Where `zfs` lies on systems whose users do not search there.
const SYSTEM_DIRECTORIES: &str = "/usr/sbin:/sbin:/usr/local/sbin";

/// Runs commands on this machine, as this user or through `sudo` or `doas`.
///
/// A command ends with its [`Command::deadline`], and earlier when the caller stops waiting; a stream has none.
#[derive(Clone, Debug)]
pub struct LocalRunner {
    host: String,
    path: OsString,
    shown: ShownVolumes,
    privilege: Privilege,
}

impl Default for LocalRunner {
    fn default() -> Self {
        Self::new()
    }
}

impl LocalRunner {
    /// Finds `zfs` along `PATH` and in the directories of system tools.
    pub fn new() -> Self {
        Self {
            host: "this host".to_owned(),
            path: search_path(None),
            shown: ShownVolumes::default(),
            privilege: Privilege::Own,
        }
    }

    /// Looks into `directory` first.
    #[must_use]
    pub fn searching_first(mut self, directory: &Path) -> Self {
        self.path = search_path(Some(directory));
        self
    }

    /// Is called so in sentences.
    #[must_use]
    pub fn named(mut self, host: impl Into<String>) -> Self {
        self.host = host.into();
        self
    }

    /// Runs everything through this.
    #[must_use]
    pub const fn through(mut self, privilege: Privilege) -> Self {
        self.privilege = privilege;
        self
    }

    /// Becomes the command: this process ends here, and the command has its input, output, error and process id. Returns only when
    /// that fails.
    pub fn become_command(&self, command: &Command) -> Error {
        use std::os::unix::process::CommandExt as _;

        let Invocation { program, arguments, environment } = self.invocation(command);
        #[expect(clippy::disallowed_methods, reason = "this is one of the places that start processes")]
        let mut process = std::process::Command::new(program);
        process.args(arguments).envs(environment);
        start_error(&self.host, command, self.missing(), &process.exec())
    }

    /// What it means when the program is not there.
    const fn missing(&self) -> Kind {
        match self.privilege {
            Privilege::Own => Kind::ZfsNotFound,
            Privilege::Sudo | Privilege::Doas => Kind::Permission,
        }
    }

    fn invocation(&self, command: &Command) -> Invocation {
        let words = self.privilege.prefix().iter().map(|&word| word.to_owned());
        let words = words.chain([command.program().to_owned()]).chain(command.arguments());
        let mut words = words.map(OsString::from);
        Invocation {
            program: words.next().expect("a command has a program"),
            arguments: words.collect(),
            // Errors are recognised by their English texts.
            environment: vec![("LC_ALL", "C".into()), ("PATH", self.path.clone())],
        }
    }
}

/// `PATH` and where system tools are, optionally behind another directory.
pub(super) fn search_path(first: Option<&Path>) -> OsString {
    let mut path = OsString::new();
    for part in
        [first.map(|first| first.as_os_str().to_owned()), std::env::var_os("PATH")].into_iter().flatten()
    {
        path.push(part);
        path.push(":");
    }
    path.push(SYSTEM_DIRECTORIES);
    path
}

/// Why a process could not be started.
pub(super) fn start_error(host: &str, command: &Command, missing: Kind, error: &io::Error) -> Error {
    let kind = if error.kind() == io::ErrorKind::NotFound { missing } else { Kind::Start };
    Error {
        host: host.to_owned(),
        command: command.display_line(),
        status: format!("could not be started: {error}"),
        stderr: String::new(),
        kind,
    }
}

/// What a command that was run has come to; `missing` is what it means that its program is not there.
pub(super) fn outcome(
    host: &str,
    command: &Command,
    missing: Kind,
    ran: io::Result<Ran>,
) -> Result<Output, Error> {
    match ran {
        Ok(Ran::Ended(output, StageEnd { success: true, .. })) => Ok(output),
        Ok(Ran::Ended(_, end)) => Err(Error::ended(host, command, &end)),
        Ok(Ran::TimedOut(end)) => Err(Error::timed_out(host, command, end.stderr)),
        Err(error) => Err(start_error(host, command, missing, &error)),
    }
}

/// A pipe end, or `/dev/null`.
pub(super) fn stdio(pipe: Option<impl Into<Stdio>>) -> Stdio {
    pipe.map_or_else(Stdio::null, Into::into)
}

#[async_trait]
impl Runner for LocalRunner {
    fn host(&self) -> &str {
        &self.host
    }

    async fn run(&self, command: &Command) -> Result<Output, Error> {
        let ran = self.invocation(command).run(command.deadline()).await;
        outcome(&self.host, command, self.missing(), ran)
    }

    fn start(
        &self,
        command: &Command,
        stdin: Option<PipeReader>,
        stdout: Option<PipeWriter>,
    ) -> Result<Box<dyn Stage>, Error> {
        let process = self
            .invocation(command)
            .stage(stdio(stdin), stdio(stdout))
            .map_err(|error| start_error(&self.host, command, self.missing(), &error))?;
        Ok(Box::new(process))
    }

    fn is_this_host(&self) -> bool {
        true
    }

    async fn open_content(&self, snapshot: &SnapshotName, kind: DatasetKind) -> Result<Content, Error> {
        match kind {
            DatasetKind::Filesystem => content::open_tree(&self.host, snapshot).await,
            DatasetKind::Volume => self.shown.open(self, snapshot).await,
        }
    }

    async fn close_content(&self, content: Content) -> Result<(), Error> {
        self.shown.close(self, content).await
    }

    async fn recover_content(&self) -> Result<(), Error> {
        self.shown.recover(self).await
    }
}
