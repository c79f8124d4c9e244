//! The test's way into a machine: the system's ssh over one kept connection.
//!
//! A new connection costs 1.5 s of emulated cryptography, a command over a kept one 0.2 s.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::process::{Bound, POLL, command, line_of, mortal_command};

/// What a command in a machine left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The exit code, as the machine's shell reports it (128 and more: ended by a signal).
    pub status: i32,
    /// Standard output, with what is not UTF-8 replaced.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
}

impl Output {
    /// Whether the exit code was 0.
    pub fn is_success(&self) -> bool {
        self.status == 0
    }
}

/// Where a machine's ssh is and how to be let in.
#[derive(Debug, Clone)]
pub(super) struct Door {
    pub(super) name: String,
    pub(super) port: u16,
    pub(super) key: PathBuf,
    pub(super) known_hosts: PathBuf,
    pub(super) control: PathBuf,
}

impl Door {
    fn arguments(&self) -> Vec<OsString> {
        let option = |name: &str, value: &Path| {
            let mut text = OsString::from(format!("-o{name}="));
            text.push(value);
            text
        };
        let mut arguments: Vec<OsString> = vec!["-F".into(), "/dev/null".into()];
        arguments.extend([
            option("IdentityFile", &self.key),
            option("UserKnownHostsFile", &self.known_hosts),
            option("GlobalKnownHostsFile", Path::new("/dev/null")),
            option("ControlPath", &self.control),
            format!("-oHostKeyAlias={}", self.name).into(),
            format!("-oPort={}", self.port).into(),
        ]);
        let fixed = ["IdentitiesOnly=yes", "StrictHostKeyChecking=yes", "BatchMode=yes", "LogLevel=ERROR"];
        arguments.extend(fixed.iter().map(|option| format!("-o{option}").into()));
        arguments
    }

    /// Runs a line by the machine's shell with a limit of time; an error means that ssh itself failed.
    pub(super) fn run(&self, line: &str, stdin: Stdio, limit: Duration) -> Result<Output> {
        let output = self
            .client(line, limit)
            .stdin(stdin)
            .output()
            .with_context(|| format!("could not start ssh to {}", self.name))?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        self.checked(line, limit, output.status.code(), stdout, stderr)
    }

    /// Like [`Door::run`], with standard output written to a file as it is.
    pub(super) fn run_into(&self, line: &str, stdout: File, limit: Duration) -> Result<Output> {
        let output = self
            .client(line, limit)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .output()
            .with_context(|| format!("could not start ssh to {}", self.name))?;
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        self.checked(line, limit, output.status.code(), String::new(), stderr)
    }

    /// `timeout` ends the client when the machine hangs, so that a test fails with the line that hung.
    fn client(&self, line: &str, limit: Duration) -> Command {
        let mut client = command("timeout");
        client.args(["--kill-after=5", &limit.as_secs().to_string(), "ssh", "-oControlMaster=no"]);
        client.args(self.arguments()).args(["root@127.0.0.1", "--", line]);
        client
    }

    fn checked(
        &self,
        line: &str,
        limit: Duration,
        status: Option<i32>,
        stdout: String,
        stderr: String,
    ) -> Result<Output> {
        match status {
            Some(124 | 137) => {
                bail!(
                    "`{line}` on {} did not end within {limit:?}\nstdout: {stdout}\nstderr: {stderr}",
                    self.name
                )
            }
            Some(255) => bail!("ssh to {} failed while it ran `{line}`: {}", self.name, stderr.trim_end()),
            Some(status) => Ok(Output { status, stdout, stderr }),
            None => bail!("ssh to {} was killed while it ran `{line}`", self.name),
        }
    }
}

/// The kept connection.
#[derive(Debug)]
pub(super) struct Session {
    _master: Bound,
}

impl Session {
    /// Connects, again and again until the deadline: the machine may still be starting its ssh server.
    pub(super) fn open(door: &Door, deadline: Instant) -> Result<Self> {
        loop {
            // A client that was killed leaves its socket, and the next one would not listen there.
            let _ = std::fs::remove_file(&door.control);
            let mut master = mortal_command("ssh");
            master.args(["-oControlMaster=yes", "-N"]).args(door.arguments()).arg("root@127.0.0.1");
            master.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut master = Bound::start(master)?;
            // The socket appears when the machine has let us in.
            while master.ended()?.is_none() {
                if door.control.exists() {
                    return Ok(Self { _master: master });
                }
                if Instant::now() > deadline {
                    bail!("no ssh connection to {} in time", door.name);
                }
                std::thread::sleep(POLL);
            }
            if Instant::now() > deadline {
                let mut once = command("ssh");
                once.args(door.arguments()).args(["root@127.0.0.1", "true"]).stdin(Stdio::null());
                let refused =
                    once.output().with_context(|| format!("could not start `{}`", line_of(&once)))?;
                bail!(
                    "ssh to {} is refused: {}",
                    door.name,
                    String::from_utf8_lossy(&refused.stderr).trim_end()
                );
            }
            std::thread::sleep(POLL);
        }
    }
}
