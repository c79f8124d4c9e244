//! Processes: the only place that starts any.
//!
//! Each gets its own process group, so that ending it ends what it started too, and a terminal's interrupt reaches us alone and we decide
//! what ends when. Nothing of ours survives us: the far ends of all pipes are in this process, so that when it dies, however it
//! dies, `zfs send` meets SIGPIPE and `zfs receive` the end of its input, which it takes as an interrupted stream and keeps
//! as resumable state. `PR_SET_PDEATHSIG` would need code between fork and exec and would cut the receiver off instead.

use std::{ffi::OsString, io, process::Stdio, time::Duration};

use async_trait::async_trait;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::AsyncReadExt as _,
    process::{Child, ChildStderr},
    time::{Instant, sleep_until, timeout},
};

use super::{Output, Stage, StageEnd};
use crate::error::{Kind, classify};

/// What a [`StageEnd`] keeps of standard error; texts of zfs are a few lines.
const STAGE_STDERR: usize = 16 << 10;
/// What a finished command keeps: old systems print estimates there, one line a snapshot.
pub(super) const OUTPUT_STDERR: usize = 4 << 20;
/// From TERM to KILL.
const TERM_GRACE: Duration = Duration::from_secs(2);
/// From KILL to giving up: a process that waits for a suspended pool can not even be killed, and nobody should wait with it.
const KILL_GRACE: Duration = Duration::from_secs(10);
/// How long outputs are read after the process ended: something it left behind (ssh's connection master) may hold them open for ever,
/// and what the process itself wrote is already in the pipe.
const DRAIN_GRACE: Duration = Duration::from_millis(500);

/// SIGPIPE as a shell reports it.
const SHELL_SIGPIPE: i32 = 128 + 13;

/// What to start.
#[derive(Clone, Debug)]
pub(super) struct Invocation {
    pub(super) program: OsString,
    pub(super) arguments: Vec<OsString>,
    pub(super) environment: Vec<(&'static str, OsString)>,
}

impl Invocation {
    /// Runs it to its end, or to the end of its time.
    pub(super) async fn run(&self, limit: Duration) -> io::Result<Ran> {
        let mut process = self.start(Stdio::null(), Stdio::piped(), OUTPUT_STDERR)?;
        let mut stdout = process.child.stdout.take().expect("standard output was asked for");
        let mut text = Vec::new();
        let ended = timeout(limit, async {
            let reading = stdout.read_to_end(&mut text);
            tokio::pin!(reading);
            tokio::select! {
                read = &mut reading => {
                    read?;
                    Ok(process.wait().await)
                }
                end = process.wait() => {
                    if let Ok(read) = timeout(DRAIN_GRACE, reading).await {
                        read?;
                    }
                    Ok::<StageEnd, io::Error>(end)
                }
            }
        });
        match ended.await {
            Ok(end) => {
                let end = end?;
                let stdout = String::from_utf8_lossy(&text).into_owned();
                Ok(Ran::Ended(Output { stdout, stderr: end.stderr.clone() }, end))
            }
            Err(_elapsed) => {
                process.terminate();
                Ok(Ran::TimedOut(process.wait().await))
            }
        }
    }

    /// Starts it as a stage of a pipeline.
    pub(super) fn stage(&self, stdin: Stdio, stdout: Stdio) -> io::Result<Process> {
        self.start(stdin, stdout, STAGE_STDERR)
    }

    pub(super) fn start(&self, stdin: Stdio, stdout: Stdio, stderr_limit: usize) -> io::Result<Process> {
        #[expect(clippy::disallowed_methods, reason = "this is the place that starts processes")]
        let mut command = tokio::process::Command::new(&self.program);
        command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(stdin)
            .stdout(stdout)
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        // `command` holds our copies of the pipe ends: with it gone the neighbours see the end of the stream.
        drop(command);
        let stderr = child.stderr.take();
        Ok(Process { child, stderr, tail: Tail::new(stderr_limit), deadline: Deadline::None, end: None })
    }
}

/// How a command that was run to its end went.
#[derive(Clone, Debug)]
pub(super) enum Ran {
    /// It ended by itself.
    Ended(Output, StageEnd),
    /// It was ended, or could not be ended: it hangs.
    TimedOut(StageEnd),
}

/// What happens next to a process that was asked to end.
#[derive(Clone, Copy, Debug)]
enum Deadline {
    None,
    Kill(Instant),
    GiveUp(Instant),
}

/// A running process. Dropping it kills its whole group.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) child: Child,
    pub(super) stderr: Option<ChildStderr>,
    pub(super) tail: Tail,
    deadline: Deadline,
    end: Option<StageEnd>,
}

impl Process {
    fn signal(&self, signal: Signal) {
        // `id` is `None` once the process was waited for: its number may belong to another by then.
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(pid) = pid
            && let Err(error) = kill_process_group(pid, signal)
        {
            tracing::debug!(process.id = pid.as_raw_nonzero().get(), error = %error, "could not signal a process group");
        }
    }

    async fn drain(&mut self) {
        while let Some(stderr) = &mut self.stderr {
            if !read_some(stderr, &mut self.tail).await {
                self.stderr = None;
            }
        }
    }

    fn ended(&mut self, status: String, code: Option<i32>, signal: Option<i32>) -> StageEnd {
        let stderr = self.tail.text();
        let killed_by_pipe = signal == Some(Signal::PIPE.as_raw()) || code == Some(SHELL_SIGPIPE);
        let success = code == Some(0);
        let broken_pipe = !success && (killed_by_pipe || classify(&stderr) == Kind::Interrupted);
        let end = StageEnd { success, status, stderr, broken_pipe };
        self.end = Some(end.clone());
        end
    }
}

#[async_trait]
impl Stage for Process {
    async fn wait(&mut self) -> StageEnd {
        use std::os::unix::process::ExitStatusExt as _;

        if let Some(end) = &self.end {
            return end.clone();
        }
        let status = loop {
            let deadline = self.deadline;
            tokio::select! {
                status = self.child.wait() => break status,
                more = read_if_open(self.stderr.as_mut(), &mut self.tail) => {
                    if !more {
                        self.stderr = None;
                    }
                }
                () = reached(deadline) => match deadline {
                    Deadline::None => {}
                    Deadline::Kill(_) => {
                        self.signal(Signal::KILL);
                        self.deadline = Deadline::GiveUp(Instant::now() + KILL_GRACE);
                    }
                    Deadline::GiveUp(_) => {
                        return self.ended("could not be killed".to_owned(), None, None);
                    }
                },
            }
        };
        // Time running out is fine: see `DRAIN_GRACE`.
        let _ = timeout(DRAIN_GRACE, self.drain()).await;
        match status {
            Ok(status) => {
                let words = match (status.code(), status.signal()) {
                    (Some(code), _) => format!("exited with {code}"),
                    (None, Some(signal)) => format!("was killed by signal {signal}"),
                    (None, None) => "ended without a status".to_owned(),
                };
                self.ended(words, status.code(), status.signal())
            }
            Err(error) => self.ended(format!("could not be waited for: {error}"), None, None),
        }
    }

    fn terminate(&mut self) {
        if self.end.is_none() && matches!(self.deadline, Deadline::None) {
            self.signal(Signal::TERM);
            self.deadline = Deadline::Kill(Instant::now() + TERM_GRACE);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.end.is_none() {
            self.signal(Signal::KILL);
        }
    }
}

async fn reached(deadline: Deadline) {
    match deadline {
        Deadline::None => std::future::pending().await,
        Deadline::Kill(at) | Deadline::GiveUp(at) => sleep_until(at).await,
    }
}

async fn read_if_open(stderr: Option<&mut ChildStderr>, tail: &mut Tail) -> bool {
    match stderr {
        Some(stderr) => read_some(stderr, tail).await,
        None => std::future::pending().await,
    }
}

/// False at the end of the stream.
async fn read_some(stderr: &mut ChildStderr, tail: &mut Tail) -> bool {
    let mut buffer = [0; 4096];
    match stderr.read(&mut buffer).await {
        Ok(0) | Err(_) => false,
        Ok(length) => {
            tail.push(&buffer[..length]);
            true
        }
    }
}

/// The end of a stream of bytes.
#[derive(Debug)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    limit: usize,
}

impl Tail {
    const fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        // Twice the limit before anything moves: each byte is moved at most once.
        if self.bytes.len() > 2 * self.limit {
            self.bytes.drain(..self.bytes.len() - self.limit);
        }
    }

    fn text(&self) -> String {
        let start = self.bytes.len().saturating_sub(self.limit);
        String::from_utf8_lossy(&self.bytes[start..]).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invocation(program: &str, arguments: &[&str]) -> Invocation {
        let arguments = arguments.iter().map(OsString::from).collect();
        Invocation { program: program.into(), arguments, environment: Vec::new() }
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_ended_when_its_time_is_over() {
        let hanging = invocation("sh", &["-c", "echo begun >&2; exec sleep 1000"]);
        let Ran::TimedOut(end) = hanging.run(Duration::from_millis(300)).await.unwrap() else {
            panic!("sleep has ended by itself")
        };
        assert!(!end.success);
        let quick = invocation("sh", &["-c", "echo done"]).run(Duration::from_mins(1)).await.unwrap();
        assert!(matches!(quick, Ran::Ended(output, end) if end.success && output.stdout == "done\n"));
    }

    #[test]
    fn only_the_end_of_a_long_standard_error_is_kept() {
        let mut tail = Tail::new(10);
        for _ in 0..100 {
            tail.push(b"abcdefg");
        }
        tail.push(b"the end");
        assert_eq!(tail.text(), "efgthe end");
    }
}
