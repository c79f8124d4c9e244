//! Starts the program in a folder and an environment of its own.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_zfs-sync");
/// A loaded machine may be slow; a test that hangs must still end.
const PATIENCE: Duration = Duration::from_mins(2);

/// A place to run the program: nothing of the machine's own settings, keys and data is seen from it.
pub(crate) struct Place {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

/// What a run left.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// Standard output as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Standard error as JSON.
    pub(crate) fn problem(&self) -> Value {
        serde_json::from_str(&self.stderr).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Fails unless the program ended with this code.
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Fails unless it was refused with this code of ours, said so in this form, and printed nothing as data.
    pub(crate) fn refused(self, exit: i32, code: &str) -> Self {
        let ended = self.expect(exit);
        assert!(ended.stderr.starts_with(&format!("error[{code}]: ")), "{}", ended.stderr);
        assert!(
            ended.stderr.trim_end().ends_with(&format!("more     zfs-sync explain {code}")),
            "{}",
            ended.stderr
        );
        assert_eq!(ended.stdout, "", "errors are no data");
        ended
    }
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn variable(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// What the program's runs see under this name.
    pub(crate) fn value_of(&self, name: &str) -> &str {
        &self.variables.iter().find(|(known, _)| known == name).unwrap().1
    }

    /// Writes a file with this mode.
    pub(crate) fn file(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.path().join(name);
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&path)
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
        path
    }

    #[expect(clippy::disallowed_methods, reason = "this is the program's own test: it starts the program")]
    fn command(&self, program: &Path, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        let home = self.path().to_str().unwrap();
        command
            .args(words)
            .current_dir(self.path())
            .env_clear()
            .envs([("HOME", home), ("TMPDIR", home), ("PATH", "/usr/bin:/bin"), ("LC_ALL", "C.UTF-8")])
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs to the end.
    pub(crate) fn run(&self, words: &[&str]) -> Ended {
        self.run_as(Path::new(BINARY), words)
    }

    /// Runs another name of the program to the end.
    pub(crate) fn run_as(&self, program: &Path, words: &[&str]) -> Ended {
        finish(self.command(program, words).spawn().unwrap(), None)
    }

    /// Runs with this on standard input.
    pub(crate) fn run_with_input(&self, words: &[&str], input: &str) -> Ended {
        let child = self.command(Path::new(BINARY), words).stdin(Stdio::piped()).spawn().unwrap();
        finish(child, Some(input))
    }

    /// Starts something that goes on until it is told to stop.
    pub(crate) fn start(&self, words: &[&str]) -> Service {
        let mut child = self.command(Path::new(BINARY), words).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Service { child: Some(child), stdout }
    }

    /// Starts a witness on a free port, and lets the following runs talk to it with its admin key.
    pub(crate) fn with_witness() -> (Self, Service) {
        let mut place = Self::new();
        let mut server = place.start(&["server", "--listen", "127.0.0.1:0", "--data-dir", "witness"]);
        let address = server.line_with("listening on ");
        place.variable("ZFS_SYNC_URL", &address);
        let key = place.path().join("witness/admin.key");
        place.variable("ZFS_SYNC_API_KEY_FILE", key.to_str().unwrap());
        (place, server)
    }

    /// Makes a token and enrols a system with it, as its administrator would.
    pub(crate) fn enrol(&self, name: &str) {
        let token = self.run(&["system", "token", "create", "-q"]).expect(0).stdout;
        let url = self.value_of("ZFS_SYNC_URL");
        let words = ["agent", "enroll", url, "--token-file", "-", "--hostname", name, "--data-dir", name];
        self.run_with_input(&words, &token).expect(0);
    }
}

fn finish(mut child: Child, input: Option<&str>) -> Ended {
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    if let Some(input) = input {
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    }
    let errors = thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).unwrap();
        text
    });
    let answer = thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).unwrap();
        text
    });
    let status = wait(&mut child);
    let (stdout, stderr) = (answer.join().unwrap(), errors.join().unwrap());
    Ended { code: status.code().expect("the program was not killed"), stdout, stderr }
}

fn wait(child: &mut Child) -> ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("the program did not end within {PATIENCE:?}");
        }
        thread::park_timeout(Duration::from_millis(10));
    }
}

/// A program that runs. Dropping it kills it.
pub(crate) struct Service {
    child: Option<Child>,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Service {
    /// The rest of the first line that begins so.
    pub(crate) fn line_with(&mut self, beginning: &str) -> String {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            if self.stdout.read_line(&mut line).unwrap() == 0 {
                let ended = self.child.take().map(|child| child.wait_with_output().unwrap());
                panic!("it ended without a line `{beginning}…`: {seen}\n{ended:?}");
            }
            if let Some(rest) = line.strip_prefix(beginning) {
                return rest.trim_end().to_owned();
            }
            seen.push_str(&line);
        }
    }

    /// Everything up to this line, and it.
    pub(crate) fn text_until(&mut self, last: &str) -> String {
        let mut text = String::new();
        while !text.lines().last().is_some_and(|line| line.starts_with(last)) {
            assert_ne!(
                self.stdout.read_line(&mut text).unwrap(),
                0,
                "it ended without a line `{last}…`: {text}"
            );
        }
        text
    }

    /// Sends a signal and waits for the end.
    pub(crate) fn stop(mut self, signal: Signal) -> Ended {
        let mut child = self.child.take().unwrap();
        kill_process(Pid::from_child(&child), signal).unwrap();
        let mut errors = child.stderr.take().unwrap();
        let errors = thread::spawn(move || {
            let mut text = String::new();
            errors.read_to_string(&mut text).unwrap();
            text
        });
        let status = wait(&mut child);
        let mut stdout = String::new();
        self.stdout.read_to_string(&mut stdout).unwrap();
        Ended { code: status.code().unwrap_or(-1), stdout, stderr: errors.join().unwrap() }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
