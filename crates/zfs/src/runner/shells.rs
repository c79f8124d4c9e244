//! The shells that are open to one host, and who may use them.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};
use tokio_util::task::TaskTracker;

use super::{
    Output, StageEnd,
    process::Invocation,
    shell::{Gone, Shell},
};
use crate::error::classify;

/// Shells to one host at a time. A connection has ten channels (`MaxSessions` of sshd); small streams take most of the others.
const MAX_SHELLS: usize = 3;

/// An unused shell keeps its connection open, here and there; so it goes after as long as ssh keeps an unused connection.
const IDLE: Duration = Duration::from_mins(1);

/// How long a host may take to show that it has a shell. Much longer than ssh waits for a connection: one that hangs is a command that was
/// forced upon us and waits for its input.
const START: Duration = Duration::from_secs(30);

/// How long a command waits for a shell before it goes its own way: those that hang (a suspended pool) must not hold up what concerns another
/// pool.
const PATIENCE: Duration = Duration::from_secs(5);

/// A host that gives us no shell (its `authorized_keys` forces a command) is asked again after this.
const REFUSED: Duration = Duration::from_mins(10);

/// What came of a command.
#[derive(Debug)]
pub(super) enum Answer {
    /// It ran to its end.
    Ended(Output, StageEnd),
    /// The connection failed, or ended in the middle of it.
    Gone(StageEnd),
    /// There is no shell to be had; the command was not started.
    NoShell,
}

/// The shells to one host.
#[derive(Debug)]
pub(super) struct Shells {
    open: Arc<Mutex<Open>>,
    places: Semaphore,
    /// One at a time: the first makes the connection that the others share.
    starting: tokio::sync::Mutex<()>,
    reaper: TaskTracker,
}

#[derive(Debug, Default)]
struct Open {
    idle: Vec<(Shell, Instant)>,
    refused: Option<Instant>,
    is_reaped: bool,
}

impl Default for Shells {
    fn default() -> Self {
        Self {
            open: Arc::default(),
            places: Semaphore::new(MAX_SHELLS),
            starting: tokio::sync::Mutex::default(),
            reaper: TaskTracker::new(),
        }
    }
}

impl Shells {
    /// Runs a line in a shell that is free, or in a new one. `again`: it may be run twice.
    pub(super) async fn run(&self, invocation: &Invocation, line: &str, again: bool) -> Answer {
        let Ok(Ok(_place)) = timeout(PATIENCE, self.places.acquire()).await else { return Answer::NoShell };
        if self.is_refused() {
            return Answer::NoShell;
        }
        while let Some(shell) = self.take_idle() {
            match shell.run(line).await {
                Ok((shell, output, end)) => {
                    self.give_back(shell);
                    return Answer::Ended(output, end);
                }
                // Its connection may have ended long ago, unnoticed. Whether the command was begun nobody knows.
                Err(Gone(_)) if again => {}
                Err(Gone(end)) => return Answer::Gone(end),
            }
        }
        let shell = match self.start(invocation).await {
            Ok(shell) => shell,
            Err(answer) => return answer,
        };
        match shell.run(line).await {
            Ok((shell, output, end)) => {
                self.give_back(shell);
                Answer::Ended(output, end)
            }
            Err(Gone(end)) => Answer::Gone(end),
        }
    }

    /// Ends all that are not in use.
    pub(super) fn close(&self) {
        lock(&self.open).idle.clear();
    }

    async fn start(&self, invocation: &Invocation) -> Result<Shell, Answer> {
        let _starting = self.starting.lock().await;
        // Somebody else may have found out, or be done, meanwhile.
        if self.is_refused() {
            return Err(Answer::NoShell);
        }
        if let Some(shell) = self.take_idle() {
            return Ok(shell);
        }
        match timeout(START, Shell::start(invocation)).await {
            Ok(Ok(Ok(shell))) => return Ok(shell),
            Ok(Ok(Err(Gone(end)))) if classify(&end.stderr).is_transport() => return Err(Answer::Gone(end)),
            Ok(Ok(Err(Gone(end)))) => {
                tracing::debug!(
                    status = end.status,
                    stderr = end.stderr,
                    "no shell over there: one command at a time"
                );
            }
            // What can not be started says so when it is started for the command alone.
            Ok(Err(error)) => tracing::debug!(error = %error, "could not start a shell"),
            Err(_) => tracing::debug!("no shell answered: one command at a time"),
        }
        lock(&self.open).refused = Some(Instant::now());
        Err(Answer::NoShell)
    }

    fn is_refused(&self) -> bool {
        lock(&self.open).refused.is_some_and(|since| since.elapsed() < REFUSED)
    }

    fn take_idle(&self) -> Option<Shell> {
        let mut open = lock(&self.open);
        // The newest: the others may get old enough to go.
        while let Some((mut shell, _)) = open.idle.pop() {
            if shell.is_alive() {
                return Some(shell);
            }
        }
        None
    }

    fn give_back(&self, shell: Shell) {
        let mut open = lock(&self.open);
        open.idle.push((shell, Instant::now()));
        if !std::mem::replace(&mut open.is_reaped, true) {
            self.reaper.spawn(reap(Arc::downgrade(&self.open)));
        }
    }
}

/// Ends shells that nobody has used for long, until none is left or nobody could use them.
async fn reap(open: Weak<Mutex<Open>>) {
    loop {
        tokio::time::sleep(IDLE / 4).await;
        let Some(open) = open.upgrade() else { return };
        let mut open = lock(&open);
        open.idle.retain(|(_, since)| since.elapsed() < IDLE);
        if open.idle.is_empty() {
            open.is_reaped = false;
            return;
        }
    }
}

fn lock(open: &Mutex<Open>) -> std::sync::MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts how often it is started in a file beside it.
    fn counted(directory: &tempfile::TempDir, script: &str) -> Invocation {
        let starts = directory.path().join("starts");
        Invocation {
            program: "sh".into(),
            arguments: vec!["-c".into(), format!("echo x >> '{}'; {script}", starts.display()).into()],
            environment: Vec::new(),
        }
    }

    fn starts(directory: &tempfile::TempDir) -> usize {
        std::fs::read_to_string(directory.path().join("starts")).unwrap_or_default().lines().count()
    }

    fn stdout(answer: Answer) -> String {
        match answer {
            Answer::Ended(output, end) if end.success => output.stdout,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn one_shell_serves_one_after_the_other_and_three_serve_many_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let (shells, invocation) = (Shells::default(), counted(&directory, "exec sh"));
        for number in 0..5 {
            let line = format!("echo {number}");
            assert_eq!(stdout(shells.run(&invocation, &line, false).await), format!("{number}\n"));
        }
        assert_eq!(starts(&directory), 1);
        let all = (0..20).map(|number| {
            let (shells, invocation) = (&shells, &invocation);
            async move { stdout(shells.run(invocation, &format!("echo {number}"), false).await) }
        });
        let all = futures::future::join_all(all).await;
        assert!(all.iter().enumerate().all(|(number, text)| *text == format!("{number}\n")), "{all:?}");
        assert!(starts(&directory) <= MAX_SHELLS, "{}", starts(&directory));
    }

    #[tokio::test]
    async fn who_stops_waiting_leaves_nothing_to_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let (shells, invocation) = (Shells::default(), counted(&directory, "exec sh"));
        stdout(shells.run(&invocation, "true", false).await);
        let waiting = shells.run(&invocation, "echo begun; sleep 1000", false);
        assert!(timeout(Duration::from_millis(50), waiting).await.is_err());
        assert_eq!(stdout(shells.run(&invocation, "echo next", false).await), "next\n");
        assert_eq!(starts(&directory), 2);
    }

    #[tokio::test]
    async fn a_connection_that_ended_unnoticed_costs_only_what_may_not_run_twice() {
        let directory = tempfile::tempdir().unwrap();
        let (shells, invocation) = (Shells::default(), counted(&directory, "exec sh"));
        for again in [true, false] {
            // From now on this shell ends with the next command.
            stdout(shells.run(&invocation, "mortal() { exit 255; }", false).await);
            let answer = shells.run(&invocation, "mortal; echo here", again).await;
            match answer {
                Answer::Ended(output, _) => assert!(again && output.stdout == "here\n", "{output:?}"),
                Answer::Gone(end) => assert!(!again && end.status == "exited with 255", "{end:?}"),
                Answer::NoShell => panic!("there is a shell"),
            }
        }
        assert_eq!(starts(&directory), 2);
    }

    #[tokio::test]
    async fn who_gives_no_shell_is_not_asked_each_time() {
        let directory = tempfile::tempdir().unwrap();
        let forced = counted(&directory, "echo 'only zfs is allowed' >&2; exit 1");
        let shells = Shells::default();
        for _ in 0..3 {
            assert!(matches!(shells.run(&forced, "true", false).await, Answer::NoShell));
        }
        assert_eq!(starts(&directory), 1);
    }

    #[tokio::test]
    async fn a_host_that_can_not_be_reached_is_not_taken_for_one_without_a_shell() {
        let directory = tempfile::tempdir().unwrap();
        let unreachable = "echo 'ssh: connect to host nas2 port 22: Connection refused' >&2; exit 255";
        let unreachable = counted(&directory, unreachable);
        let shells = Shells::default();
        for _ in 0..2 {
            assert!(matches!(shells.run(&unreachable, "true", true).await, Answer::Gone(_)));
        }
        assert_eq!(starts(&directory), 2);
    }
}
