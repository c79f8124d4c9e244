//! One shell on another machine that runs many commands, so that each costs a round trip and one process there.
//!
//! # Design
//!
//! `ssh HOST exec env … sh` is started once; its standard input takes one line a command, and both its outputs end each command with a
//! mark: standard output with the mark and the exit status, standard error with the mark alone. The mark is random, new for each shell:
//! nothing a command prints (a property somebody set to many lines, say) can be taken for it. What the login shell prints while it starts is
//! thrown away: it comes before the first mark. The login shell may be any, it only has to start `sh`.
//!
//! # Failure modes
//!
//! A command whose caller stops waiting leaves its shell in the middle of something: dropping a [`Shell`] ends it, and only one that
//! answered a command to its end is used again. What runs over there then goes on to its end, as it does when a connection breaks.

use std::{
    hash::{BuildHasher as _, RandomState},
    io,
    process::Stdio,
};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    Output, Stage as _, StageEnd,
    process::{Invocation, OUTPUT_STDERR, Process},
};

/// What one read takes at most.
const CHUNK: usize = 64 << 10;

/// A shell that waits for a command. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Shell {
    process: Process,
    stdin: tokio::process::ChildStdin,
    stdout: tokio::process::ChildStdout,
    mark: String,
}

/// A shell that is not there any more, and how it ended.
#[derive(Debug)]
pub(super) struct Gone(pub(super) StageEnd);

impl Shell {
    /// Starts it and waits until it has answered for the first time.
    pub(super) async fn start(invocation: &Invocation) -> io::Result<Result<Self, Gone>> {
        let mut process = invocation.start(Stdio::piped(), Stdio::piped(), OUTPUT_STDERR)?;
        let stdin = process.child.stdin.take().expect("standard input was asked for");
        let stdout = process.child.stdout.take().expect("standard output was asked for");
        let mut shell = Self { process, stdin, stdout, mark: random_mark() };
        Ok(match shell.exchange(":").await {
            Ok(_) => Ok(shell),
            Err(broken) => Err(shell.gone(&broken).await),
        })
    }

    /// Runs one line to its end. The shell comes back when it can run another.
    pub(super) async fn run(mut self, line: &str) -> Result<(Self, Output, StageEnd), Gone> {
        match self.exchange(line).await {
            Ok((output, end)) => Ok((self, output, end)),
            Err(broken) => Err(self.gone(&broken).await),
        }
    }

    /// False when its connection has ended meanwhile.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.process.child.try_wait(), Ok(None))
    }

    async fn exchange(&mut self, line: &str) -> io::Result<(Output, StageEnd)> {
        let mark = &self.mark;
        // The command gets no standard input: it would read the lines after it.
        let script = format!(
            "{{ {line}\n}} </dev/null; printf '\\n%s %d\\n' {mark} $?; printf '\\n%s\\n' {mark} >&2\n"
        );
        self.stdin.write_all(script.as_bytes()).await?;
        self.stdin.flush().await?;
        let until = format!("\n{mark}");
        let stderr = self.process.stderr.as_mut().ok_or(io::ErrorKind::UnexpectedEof)?;
        // Outside of what reads them, so that the last words of a shell that ends are not lost with its reader.
        let (mut heard, mut complaints) = (Vec::new(), Vec::new());
        let marked = tokio::try_join!(
            read_to_mark(&mut self.stdout, &until, usize::MAX, &mut heard),
            read_to_mark(stderr, &until, OUTPUT_STDERR, &mut complaints),
        );
        let (stdout, stderr) = match marked {
            Ok(marked) => marked,
            Err(broken) => {
                self.process.tail.push(&complaints);
                return Err(broken);
            }
        };
        let status: i32 = stdout.after.trim().parse().map_err(|_| io::ErrorKind::InvalidData)?;
        let success = status == 0;
        let end =
            StageEnd { success, status: in_words(status), stderr: stderr.before.clone(), broken_pipe: false };
        Ok((Output { stdout: stdout.before, stderr: stderr.before }, end))
    }

    /// Waits for the end of a shell that did not answer as it should.
    async fn gone(mut self, broken: &io::Error) -> Gone {
        drop(self.stdin);
        if broken.kind() == io::ErrorKind::InvalidData {
            self.process.terminate();
        }
        Gone(self.process.wait().await)
    }
}

/// As a shell reports it: 128 and more for signals.
fn in_words(status: i32) -> String {
    match status {
        129..=192 => format!("was killed by signal {}", status - 128),
        _ => format!("exited with {status}"),
    }
}

fn random_mark() -> String {
    // Keyed by the operating system's randomness; nobody over there has the key.
    let word = || RandomState::new().hash_one("zfs-sync");
    format!("zfs-sync-{:016x}{:016x}", word(), word())
}

/// What came before the mark, and the rest of the mark's line.
#[derive(Debug)]
struct Marked {
    before: String,
    after: String,
}

/// Reads into `bytes` up to the end of the mark's line; of what comes before it, the last `limit` bytes are kept.
async fn read_to_mark(
    from: &mut (impl AsyncRead + Unpin),
    mark: &str,
    limit: usize,
    bytes: &mut Vec<u8>,
) -> io::Result<Marked> {
    let mark = mark.as_bytes();
    // Before this there is no mark.
    let mut searched = 0;
    loop {
        if let Some(at) = find(&bytes[searched..], mark).map(|at| searched + at) {
            let rest = &bytes[at + mark.len()..];
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let after = String::from_utf8_lossy(&rest[..end]).into_owned();
                let before = &bytes[at.saturating_sub(limit)..at];
                return Ok(Marked { before: String::from_utf8_lossy(before).into_owned(), after });
            }
            searched = at;
        } else {
            searched = bytes.len().saturating_sub(mark.len());
            // Twice the limit before anything moves: each byte is moved at most once.
            if bytes.len() / 2 > limit {
                let surplus = searched.saturating_sub(limit);
                bytes.drain(..surplus);
                searched -= surplus;
            }
        }
        bytes.reserve(CHUNK);
        if from.read_buf(bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Where a mark is, which begins with the end of a line.
fn find(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == b'\n').map(|at| from + at) {
        if bytes[at..].starts_with(mark) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Invocation {
        Invocation {
            program: "sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: Vec::new(),
        }
    }

    async fn shell() -> Shell {
        Shell::start(&sh("echo welcome; echo motd >&2; exec sh")).await.unwrap().unwrap()
    }

    async fn run(shell: Shell, line: &str) -> (Shell, Output, StageEnd) {
        shell.run(line).await.unwrap()
    }

    #[tokio::test]
    async fn each_command_has_its_own_outputs_and_status() {
        let (shell, output, end) = run(shell().await, "echo one; printf two; echo odd >&2").await;
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("one\ntwo", "odd\n"));
        assert!(end.success);
        let (shell, output, end) = run(shell, "printf why >&2; false").await;
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", "why"));
        assert_eq!((end.success, end.status.as_str()), (false, "exited with 1"));
        let (_, output, _) = run(shell, "cat; echo there is no input").await;
        assert_eq!(output.stdout, "there is no input\n");
    }

    #[tokio::test]
    async fn a_command_that_was_killed_is_told_to_be_that() {
        let (_, _, end) = run(shell().await, "sh -c 'kill -9 $$'").await;
        assert_eq!((end.success, end.status.as_str()), (false, "was killed by signal 9"));
    }

    #[tokio::test]
    async fn large_outputs_arrive_whole_whichever_comes_first() {
        let line = "head -c 3000000 /dev/zero | tr '\\0' e >&2; head -c 3000000 /dev/zero | tr '\\0' o";
        let (_, output, _) = run(shell().await, line).await;
        assert_eq!((output.stdout.len(), output.stderr.len()), (3_000_000, 3_000_000));
    }

    #[tokio::test]
    async fn of_an_endless_standard_error_the_end_is_kept() {
        let line = "head -c 20000000 /dev/zero | tr '\\0' e >&2; printf 'the end' >&2";
        let (_, output, _) = run(shell().await, line).await;
        assert_eq!(output.stderr.len(), OUTPUT_STDERR);
        assert!(output.stderr.ends_with("ethe end"));
    }

    #[tokio::test]
    async fn no_two_shells_have_the_same_mark() {
        let (one, other) = (shell().await, shell().await);
        assert_ne!(one.mark, other.mark);
        let line = format!("printf '\\n%s 0\\n' {}; echo more", other.mark);
        let (_, output, _) = run(one, &line).await;
        assert!(output.stdout.ends_with("more\n"), "{output:?}");
    }

    #[tokio::test]
    async fn a_shell_that_dies_says_how() {
        let Gone(end) =
            shell().await.run("echo 'Connection closed by nas2' >&2; exit 255").await.unwrap_err();
        assert_eq!((end.success, end.status.as_str()), (false, "exited with 255"));
        assert!(end.stderr.contains("Connection closed by nas2"), "{end:?}");
    }

    #[tokio::test]
    async fn what_is_no_shell_is_found_out() {
        let Gone(end) =
            Shell::start(&sh("echo 'only zfs is allowed' >&2; exit 1")).await.unwrap().unwrap_err();
        assert_eq!((end.status.as_str(), end.stderr.as_str()), ("exited with 1", "only zfs is allowed\n"));
    }

    #[tokio::test]
    async fn a_shell_whose_connection_ended_is_not_alive() {
        let (mut shell, ..) = run(shell().await, "true").await;
        assert!(shell.is_alive());
        shell.process.terminate();
        shell.process.wait().await;
        assert!(!shell.is_alive());
    }
}
