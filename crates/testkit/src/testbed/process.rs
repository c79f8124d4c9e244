//! Starts the testbed's own processes so that none outlives the test, however the test ends.
//!
//! Two nets: [`Bound`] kills on drop, and every process asks the kernel to be killed when its parent dies. The
//! kernel means the parent *thread*, and a test's thread ends with the test while a machine may be shared by many
//! tests. So one thread that lives as long as the process starts them all.

use std::ffi::OsStr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;
use std::{io, thread};

use anyhow::{Context, Result, anyhow, bail};

/// A command that is about the testbed (an emulator, an ssh client), not about the product.
#[expect(clippy::disallowed_methods, reason = "the testbed's own tools; the product's runner is under test")]
pub(super) fn command(program: impl AsRef<OsStr>) -> Command {
    Command::new(program)
}

/// Like `command`, killed by the kernel when this process dies. Start it with [`Bound::start`].
pub fn mortal_command(program: impl AsRef<OsStr>) -> Command {
    let mut command = command("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// Runs a short command to its end and returns what it printed; an error names the command and has its stderr.
pub(super) fn output(command: &mut Command) -> Result<String> {
    let line = line_of(command);
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("could not start `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The command as one would type it, roughly: for messages only.
pub(super) fn line_of(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// A running process that ends with this value.
#[derive(Debug)]
pub struct Bound {
    child: Child,
}

impl Bound {
    /// Starts a [`mortal_command`].
    pub fn start(command: Command) -> Result<Self> {
        type Job = (Command, Sender<io::Result<Child>>);
        static SPAWNER: LazyLock<Sender<Job>> = LazyLock::new(|| {
            let (jobs, inbox) = channel::<Job>();
            thread::Builder::new()
                .name("testbed-spawner".into())
                .spawn(move || {
                    for (mut command, reply) in inbox {
                        // Nobody listens when the caller's thread panicked meanwhile; the child ends with us.
                        let _ = reply.send(command.spawn());
                    }
                })
                .expect("a process that runs tests can start a thread");
            jobs
        });
        let line = line_of(&command);
        let (reply, answer) = channel();
        SPAWNER.send((command, reply)).map_err(|_| anyhow!("the testbed's spawner thread is gone"))?;
        let child = answer
            .recv()
            .context("the testbed's spawner thread is gone")?
            .with_context(|| format!("could not start `{line}`"))?;
        Ok(Self { child })
    }

    /// How it ended, or `None` while it runs.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("could not look after a process")
    }

    /// Ends it as a power cut does, and waits until it is gone.
    pub fn kill(&mut self) {
        // Errors mean that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Pause between two looks at a state that takes seconds to come.
pub(super) const POLL: Duration = Duration::from_millis(100);
