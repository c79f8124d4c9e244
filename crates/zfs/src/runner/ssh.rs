//! Another machine, by the system's own ssh.
//!
//! OpenSSH keeps the user's configuration, keys, agents and host key rules. No terminal, no questions: what would need a person fails at once.
//!
//! - *Commands* share one connection (`ControlMaster`), and there run in a few shells that stay open ([`Shells`]): each costs a round trip and one
//!   process over there. A host that gives no shell runs them one by one, each on a channel of its own.
//! - *Small streams* have a channel on the same connection. ssh keeps a window for each channel, so that a receiver that stalls holds up
//!   nobody else's (`a_stalled_stream_holds_up_nobody` in the testbed tries it).
//! - *Other streams* have a connection of their own: encryption is one thread a connection, and many large streams want more of them.

use std::{
    ffi::OsString,
    fs, hash,
    io::{self, PipeReader, PipeWriter},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    sync::{OnceCell, OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use zfs_sync_core::name::HostName;

use super::{
    FarEnd, Output, Packing, Privilege, Runner, Stage, StageEnd,
    local::{outcome, search_path, start_error, stdio},
    packed::remote_line,
    process::{Invocation, Process, Ran},
    shells::{Answer, Shells},
};
use crate::{
    command::Command,
    error::{Error, Kind},
};

/// The remote shell may be any: no assignment before the command (csh has none), and braces around the variable (csh takes a colon
/// after a bare one for a modifier).
pub(crate) const REMOTE_ENVIRONMENT: &str = r#"env LC_ALL=C "PATH=${PATH}:/usr/sbin:/sbin:/usr/local/sbin""#;

/// How long a question beside the commands may take: ssh's own time to connect, and a little.
const QUESTION: Duration = Duration::from_secs(20);

/// What a path of a unix socket may have at most (`sun_path` has 104 to 108 bytes), less the suffix ssh adds while it binds.
const MAX_SOCKET_PATH: usize = 85;

/// Small streams on the shared connection. sshd gives a connection ten channels by default; three are for shells, and one is spare.
const SHARED_STREAMS: usize = 6;

/// A user name that could be taken for something else on a command line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no user name; use letters, digits, `.`, `-`, `_`, at most 64, not beginning with `-`")]
pub struct UserNameError(String);

/// Whom to reach, and how.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SshTarget {
    host: HostName,
    user: Option<String>,
    /// `None` leaves it to the user's ssh configuration.
    pub port: Option<u16>,
    /// A private key; `None` leaves it to the user's ssh configuration and agent.
    pub identity: Option<PathBuf>,
    /// More options as `-o` takes them: `UserKnownHostsFile=/etc/zfs-sync/known_hosts`. From whoever configures this machine, never from the wire.
    pub options: Vec<String>,
    /// What `zfs` is run through over there.
    pub privilege: Privilege,
}

impl SshTarget {
    /// A host, and the user there where it is not the one ssh would take.
    pub fn new(host: HostName, user: Option<String>) -> Result<Self, UserNameError> {
        if let Some(user) = &user {
            let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
            if user.is_empty() || user.len() > 64 || user.starts_with('-') || !user.chars().all(allowed) {
                return Err(UserNameError(user.chars().take(64).collect()));
            }
        }
        Ok(Self { host, user, port: None, identity: None, options: Vec::new(), privilege: Privilege::Own })
    }

    /// The host.
    pub const fn host(&self) -> &HostName {
        &self.host
    }

    /// The user, where one was given.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }
}

/// Runs commands on another machine over ssh.
#[derive(Debug)]
pub struct SshRunner {
    target: SshTarget,
    name: String,
    path: OsString,
    /// `None` where the path would be too long for a socket: then every command has its own connection.
    control_path: Option<PathBuf>,
    /// Asked once.
    far_end: OnceCell<FarEnd>,
    shells: Shells,
    shared_streams: Arc<Semaphore>,
}

/// Which connection a command uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connection {
    Shared,
    Own,
}

impl SshRunner {
    /// Prepares for `target`; nothing is connected yet. Sockets of shared connections lie in `control_dir`, which is made if need be and must
    /// belong to this user alone.
    pub fn new(target: SshTarget, control_dir: &Path) -> io::Result<Self> {
        private_directory(control_dir)?;
        let control_path = Some(control_dir.join(short_hash(&target)))
            .filter(|path| path.as_os_str().len() <= MAX_SOCKET_PATH);
        let name = match &target.user {
            Some(user) => format!("{user}@{}", target.host),
            None => target.host.to_string(),
        };
        let shared_streams = Arc::new(Semaphore::new(SHARED_STREAMS));
        let (path, shells) = (search_path(None), Shells::default());
        Ok(Self { target, name, path, control_path, far_end: OnceCell::new(), shells, shared_streams })
    }

    /// Looks for `ssh` in `directory` first.
    #[must_use]
    pub fn searching_first(mut self, directory: &Path) -> Self {
        self.path = search_path(Some(directory));
        self
    }

    /// Ends the shared connection, if one is open. Otherwise it ends a minute after its last command.
    pub async fn close(&self) {
        self.shells.close();
        let Some(control_path) = self.control_path.as_ref().filter(|path| path.exists()) else { return };
        let mut arguments: Vec<OsString> = vec!["-O".into(), "exit".into(), "-o".into()];
        arguments.push(control_path_option(control_path));
        arguments.extend(["--".into(), self.target.host.as_str().into()]);
        if let Err(error) = self.ssh(arguments).run(QUESTION).await {
            tracing::debug!(host.name = %self.name, error = %error, "could not end the shared ssh connection to {}", self.name);
        }
    }

    fn ssh(&self, arguments: Vec<OsString>) -> Invocation {
        let environment = vec![("LC_ALL", "C".into()), ("PATH", self.path.clone())];
        Invocation { program: "ssh".into(), arguments, environment }
    }

    /// What a host's shell is given to run a command.
    fn remote_line(&self, command: &Command) -> String {
        remote_line(command, Packing::None, self.target.privilege)
    }

    /// One command as a process of its own.
    fn invocation(&self, command: &Command, connection: Connection) -> Invocation {
        self.invocation_of(&self.remote_line(command), connection)
    }

    /// A shell for many commands: `sh`, whatever the login shell is.
    fn shell(&self) -> Invocation {
        self.remote(&format!("exec {REMOTE_ENVIRONMENT} sh"), Connection::Shared)
    }

    /// A line in our environment, as a process of its own.
    fn invocation_of(&self, line: &str, connection: Connection) -> Invocation {
        self.remote(&format!("{REMOTE_ENVIRONMENT} {line}"), connection)
    }

    fn remote(&self, line: &str, connection: Connection) -> Invocation {
        let mut arguments: Vec<OsString> = vec!["-T".into()];
        let mut option = |text: OsString| arguments.extend(["-o".into(), text]);
        // First, because ssh takes the first value it sees: the operator's words win.
        for text in &self.target.options {
            option(text.into());
        }
        // A dead peer is noticed after fifteen seconds.
        let fixed = ["BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=3"];
        for text in fixed.into_iter().chain(["ClearAllForwardings=yes", "ForwardAgent=no"]) {
            option(text.into());
        }
        match (connection, &self.control_path) {
            (Connection::Shared, Some(control_path)) => {
                option("ControlMaster=auto".into());
                option("ControlPersist=60".into());
                option(control_path_option(control_path));
            }
            (Connection::Own, _) | (Connection::Shared, None) => {
                option("ControlMaster=no".into());
                option("ControlPath=none".into());
            }
        }
        if let Some(port) = self.target.port {
            arguments.extend(["-p".into(), port.to_string().into()]);
        }
        if let Some(user) = &self.target.user {
            arguments.extend(["-l".into(), user.into()]);
        }
        if let Some(identity) = &self.target.identity {
            arguments.extend(["-i".into(), identity.into()]);
        }
        arguments.extend(["--".into(), self.target.host.as_str().into()]);
        arguments.push(line.into());
        self.ssh(arguments)
    }
}

#[async_trait]
impl Runner for SshRunner {
    fn host(&self) -> &str {
        &self.name
    }

    async fn run(&self, command: &Command) -> Result<Output, Error> {
        // Without a shared connection each shell would have one of its own, for ever.
        let in_shell = match self.control_path {
            Some(_) => {
                let (shell, line) = (self.shell(), self.remote_line(command));
                let ran = Box::pin(self.shells.run(&shell, &line, command.is_read_only()));
                // A shell whose command hangs is given up with it.
                let ran = timeout(command.deadline(), ran).await;
                ran.map_err(|_| Error::timed_out(&self.name, command, String::new()))?
            }
            None => Answer::NoShell,
        };
        match in_shell {
            Answer::Ended(output, end) if end.success => Ok(output),
            Answer::Ended(_, end) | Answer::Gone(end) => Err(Error::ended(&self.name, command, &end)),
            Answer::NoShell => {
                let ran = self.invocation(command, Connection::Shared).run(command.deadline()).await;
                // Without ssh nothing is reachable.
                outcome(&self.name, command, Kind::SshUnreachable, ran)
            }
        }
    }

    fn start(
        &self,
        command: &Command,
        stdin: Option<PipeReader>,
        stdout: Option<PipeWriter>,
    ) -> Result<Box<dyn Stage>, Error> {
        self.start_packed(command, stdin, stdout, Packing::None)
    }

    async fn far_end(&self) -> FarEnd {
        let asked = self.far_end.get_or_try_init(|| async {
            match self.invocation_of("zstd -V", Connection::Shared).run(QUESTION).await {
                Ok(Ran::Ended(_, end)) if end.success => Ok(FarEnd::Zstd),
                // 255 is ssh's own: nothing was learned.
                Ok(Ran::Ended(_, end)) if end.status != "exited with 255" => {
                    Ok(FarEnd::Plain("has no zstd".to_owned()))
                }
                Ok(Ran::Ended(..) | Ran::TimedOut(_)) | Err(_) => Err(()),
            }
        });
        asked.await.cloned().unwrap_or_else(|()| FarEnd::Plain("could not be asked for zstd".to_owned()))
    }

    fn start_packed(
        &self,
        command: &Command,
        stdin: Option<PipeReader>,
        stdout: Option<PipeWriter>,
        packing: Packing,
    ) -> Result<Box<dyn Stage>, Error> {
        let line = remote_line(command, packing, self.target.privilege);
        Ok(Box::new(self.stage(command, &line, Connection::Own, stdin, stdout)?))
    }

    fn start_small(
        &self,
        command: &Command,
        stdin: Option<PipeReader>,
        stdout: Option<PipeWriter>,
    ) -> Result<Box<dyn Stage>, Error> {
        let place = Arc::clone(&self.shared_streams).try_acquire_owned();
        let Ok(place) = place else { return self.start(command, stdin, stdout) };
        let process = self.stage(command, &self.remote_line(command), Connection::Shared, stdin, stdout)?;
        Ok(Box::new(SharedStage { process, _place: place }))
    }
}

impl SshRunner {
    fn stage(
        &self,
        command: &Command,
        line: &str,
        connection: Connection,
        stdin: Option<PipeReader>,
        stdout: Option<PipeWriter>,
    ) -> Result<Process, Error> {
        self.invocation_of(line, connection)
            .stage(stdio(stdin), stdio(stdout))
            .map_err(|error| start_error(&self.name, command, Kind::SshUnreachable, &error))
    }
}

/// A stream beside others.
#[derive(Debug)]
struct SharedStage {
    process: Process,
    _place: OwnedSemaphorePermit,
}

#[async_trait]
impl Stage for SharedStage {
    async fn wait(&mut self) -> StageEnd {
        self.process.wait().await
    }

    fn terminate(&mut self) {
        self.process.terminate();
    }
}

fn control_path_option(path: &Path) -> OsString {
    let mut option = OsString::from("ControlPath=\"");
    // ssh expands `%` in this option.
    option.push(path.as_os_str().to_string_lossy().replace('%', "%%"));
    option.push("\"");
    option
}

/// Names the socket: another for each way to reach somebody, and short.
fn short_hash(target: &SshTarget) -> String {
    let mut hasher = hash::DefaultHasher::new();
    hash::Hash::hash(target, &mut hasher);
    format!("{:016x}", hash::Hasher::finish(&hasher))
}

/// Whoever can write beside a socket can take our connections over.
fn private_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let metadata = fs::symlink_metadata(path)?;
    let ours = metadata.uid() == rustix::process::geteuid().as_raw();
    if !metadata.is_dir() || !ours || metadata.permissions().mode() & 0o077 != 0 {
        let text = format!("`{}` must be a directory of this user with mode 0700", path.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn target() -> SshTarget {
        SshTarget::new("nas2".parse().unwrap(), Some("root".into())).unwrap()
    }

    #[rstest]
    #[case("root", true)]
    #[case("zfs-sync_1.x", true)]
    #[case("-oProxyCommand=reboot", false)]
    #[case("a b", false)]
    #[case("a;b", false)]
    #[case("a@b", false)]
    #[case("", false)]
    fn user_names_are_safe_in_a_command(#[case] user: &str, #[case] fine: bool) {
        assert_eq!(SshTarget::new("nas2".parse().unwrap(), Some(user.into())).is_ok(), fine);
    }

    #[test]
    fn a_command_is_one_quoted_word_after_the_host() {
        let directory = tempfile::tempdir().unwrap();
        let target = SshTarget {
            port: Some(2222),
            identity: Some("/etc/key".into()),
            options: vec!["UserKnownHostsFile=/etc/known".into()],
            ..target()
        };
        let runner = SshRunner::new(target, &directory.path().join("ssh")).unwrap();
        let command = Command::Holds { snapshot: "tank/a b@x".parse().unwrap() };
        let arguments = runner.invocation(&command, Connection::Own).arguments;
        let arguments: Vec<_> = arguments.iter().map(|argument| argument.to_str().unwrap()).collect();
        let expected = [
            "-T",
            "-o",
            "UserKnownHostsFile=/etc/known",
            "-o",
            "BatchMode=yes",
            "-o",
            "ConnectTimeout=10",
            "-o",
            "ServerAliveInterval=5",
            "-o",
            "ServerAliveCountMax=3",
            "-o",
            "ClearAllForwardings=yes",
            "-o",
            "ForwardAgent=no",
            "-o",
            "ControlMaster=no",
            "-o",
            "ControlPath=none",
            "-p",
            "2222",
            "-l",
            "root",
            "-i",
            "/etc/key",
            "--",
            "nas2",
            r#"env LC_ALL=C "PATH=${PATH}:/usr/sbin:/sbin:/usr/local/sbin" zfs holds -H 'tank/a b@x'"#,
        ];
        assert_eq!(arguments, expected);
    }

    #[test]
    fn sudo_stands_right_before_the_command() {
        let directory = tempfile::tempdir().unwrap();
        let target = SshTarget { privilege: Privilege::Sudo, ..target() };
        let runner = SshRunner::new(target, &directory.path().join("ssh")).unwrap();
        let arguments = runner.invocation(&Command::Version, Connection::Own).arguments;
        let line = format!("{REMOTE_ENVIRONMENT} sudo -n zfs version");
        assert_eq!(arguments.last().and_then(|line| line.to_str()), Some(line.as_str()));
    }

    #[test]
    fn small_commands_share_a_connection_in_a_private_directory() {
        let directory = tempfile::tempdir().unwrap();
        let control_dir = directory.path().join("ssh");
        let runner = SshRunner::new(target(), &control_dir).unwrap();
        assert_eq!(fs::metadata(&control_dir).unwrap().permissions().mode() & 0o777, 0o700);
        let arguments = runner.invocation(&Command::Version, Connection::Shared).arguments;
        assert!(arguments.contains(&"ControlMaster=auto".into()));
        assert!(arguments.contains(&control_path_option(runner.control_path.as_ref().unwrap())));
        let other = SshTarget { port: Some(23), ..target() };
        assert_ne!(short_hash(&target()), short_hash(&other));
    }

    #[test]
    fn a_directory_that_others_can_enter_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let error = SshRunner::new(target(), directory.path()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn a_path_too_long_for_a_socket_means_no_shared_connection() {
        let directory = tempfile::tempdir().unwrap();
        let runner = SshRunner::new(target(), &directory.path().join("x".repeat(90))).unwrap();
        let arguments = runner.invocation(&Command::Version, Connection::Shared).arguments;
        assert!(arguments.contains(&"ControlPath=none".into()));
    }
}
