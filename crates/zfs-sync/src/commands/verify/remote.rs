//! One side on another host: a zfs-sync there reads, and only questions and answers travel. Each is one line of JSON.

use std::{
    io::{BufRead, BufReader, PipeReader, PipeWriter, Read as _, Write as _, pipe},
    sync::Arc,
};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use zfs_sync_agent::verify::{Control, Session, Side};
use zfs_sync_core::{
    name::SnapshotName,
    verify::{Answer, Question},
};
use zfs_sync_zfs::{
    command::Command,
    error::Error,
    runner::{LocalRunner, Runner, Stage},
};

use super::hosts::scratch;
use crate::{cli::VerifySideArgs, commands::Exit, failure::Failure};

/// Sixteen directories of 256 names each, with long names and many attributes, stay far below.
const LONGEST_ANSWER: u64 = 64 << 20;

/// A snapshot on another host.
#[derive(Debug)]
pub(super) struct RemoteSide {
    runner: Arc<dyn Runner>,
    snapshot: SnapshotName,
    rate: Option<u64>,
    stop: CancellationToken,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    stage: Box<dyn Stage>,
    /// `None` while a thread uses them, and after it has failed.
    pipes: Option<(PipeWriter, BufReader<PipeReader>)>,
}

impl RemoteSide {
    pub(super) fn new(
        runner: Arc<dyn Runner>,
        snapshot: SnapshotName,
        rate: Option<u64>,
        stop: CancellationToken,
    ) -> Self {
        Self { runner, snapshot, rate, stop, running: None }
    }

    fn command(&self) -> Command {
        Command::AnswerForSnapshot { snapshot: self.snapshot.clone(), rate: self.rate }
    }

    fn start(&self) -> Result<Running, Error> {
        let command = self.command();
        let failed = |error: std::io::Error| Error {
            host: self.runner.host().to_owned(),
            command: command.display_line(),
            status: format!("could not be started: {error}"),
            stderr: String::new(),
            kind: zfs_sync_zfs::error::Kind::Start,
        };
        let (stdin, to) = pipe().map_err(failed)?;
        let (from, stdout) = pipe().map_err(failed)?;
        let stage = self.runner.start(&command, Some(stdin), Some(stdout))?;
        Ok(Running { stage, pipes: Some((to, BufReader::new(from))) })
    }

    async fn ask(&mut self, questions: &[Question]) -> Result<Vec<Answer>, (String, String)> {
        if self.running.is_none() {
            let running = self.start().map_err(|error| (error.code().to_owned(), error.to_string()))?;
            self.running = Some(running);
        }
        let command = self.command();
        let running = self.running.as_mut().expect("it was just started");
        let line = serde_json::to_string(questions).expect("questions are plain data");
        if let Some(pipes) = running.pipes.take() {
            let talking = tokio::task::spawn_blocking(move || talk(pipes, &line));
            let talked = tokio::select! {
                talked = talking => talked.ok().flatten(),
                // The connection ends below, and with it the other side's input: it stops reading and tidies up.
                () = self.stop.cancelled() => None,
            };
            if let Some((pipes, answers)) = talked {
                running.pipes = Some(pipes);
                return Ok(answers);
            }
        }
        running.stage.terminate();
        let end = running.stage.wait().await;
        // What a shell says where there is no such program, and what an older zfs-sync says of a word that it does not know.
        let missing = ["not found", "No such file", "unrecognized subcommand"];
        if missing.iter().any(|words| end.stderr.contains(words)) {
            let detail = format!("zfs-sync on {} does not answer: {}", self.runner.host(), end.stderr.trim());
            return Err(("E_VERIFY_UNSUPPORTED".to_owned(), detail));
        }
        let error = Error::ended(self.runner.host(), &command, &end);
        Err((error.code().to_owned(), error.to_string()))
    }
}

type Pipes = (PipeWriter, BufReader<PipeReader>);

/// One question and its answer; `None` when the other side is gone.
fn talk((mut to, mut from): Pipes, line: &str) -> Option<(Pipes, Vec<Answer>)> {
    to.write_all(line.as_bytes()).and_then(|()| to.write_all(b"\n")).and_then(|()| to.flush()).ok()?;
    let mut answer = String::new();
    from.by_ref().take(LONGEST_ANSWER).read_line(&mut answer).ok()?;
    Some(((to, from), serde_json::from_str(&answer).ok()?))
}

#[async_trait]
impl Side for RemoteSide {
    async fn answer(&mut self, questions: &[Question]) -> Vec<Answer> {
        match self.ask(questions).await {
            Ok(answers) => answers,
            Err((code, detail)) => questions
                .iter()
                .map(|_| Answer::Refused { code: code.clone(), detail: detail.clone() })
                .collect(),
        }
    }

    async fn close(self: Box<Self>) -> Result<(), Error> {
        let Some(Running { mut stage, pipes }) = self.running else { return Ok(()) };
        // The other side ends at the end of its input, and tidies up.
        drop(pipes);
        stage.wait().await;
        Ok(())
    }
}

/// `verify-side`: answers until its input ends.
pub(crate) async fn serve(arguments: &VerifySideArgs) -> Result<Exit, Failure> {
    let control = Arc::new(Control::new(arguments.rate));
    let runner: Arc<dyn Runner> = Arc::new(LocalRunner::new());
    let mut session =
        Session::new(Arc::clone(&runner), arguments.snapshot.clone(), &scratch(), Arc::clone(&control));
    let (sender, mut lines) = tokio::sync::mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
        // Nobody listens any more.
        control.cancel();
    });
    while let Some(line) = lines.recv().await {
        let questions: Vec<Question> = serde_json::from_str(&line)?;
        let mut answers = Vec::with_capacity(questions.len());
        for question in &questions {
            answers.push(session.answer(question).await);
        }
        let mut out = std::io::stdout().lock();
        let text = serde_json::to_string(&answers)?;
        if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
            break;
        }
    }
    if let Err(error) = session.close().await {
        return Err(Failure::from_code(error.code(), error.to_string()));
    }
    Ok(Exit::Done)
}
