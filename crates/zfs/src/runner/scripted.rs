//! A runner that answers from a list, for tests of what reads answers.

use std::{
    io::{PipeReader, PipeWriter, Write as _},
    sync::Mutex,
    thread,
};

use async_trait::async_trait;

use super::{Output, Runner, Stage, StageEnd};
use crate::{command::Command, error::Error};

/// Knows some commands; panics at others.
#[derive(Debug, Default)]
pub(crate) struct Scripted {
    answers: Vec<(Command, Result<String, String>)>,
    ran: Mutex<Vec<Command>>,
}

impl Scripted {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Answers with this standard output.
    pub(crate) fn succeeds(mut self, command: &Command, stdout: &str) -> Self {
        self.answers.push((command.clone(), Ok(stdout.to_owned())));
        self
    }

    /// Exits with 1 and this standard error.
    pub(crate) fn fails(mut self, command: &Command, stderr: &str) -> Self {
        self.answers.push((command.clone(), Err(stderr.to_owned())));
        self
    }

    /// What was asked for until now.
    pub(crate) fn ran(&self) -> Vec<Command> {
        self.ran.lock().unwrap().clone()
    }

    fn answer(&self, command: &Command) -> Result<&str, StageEnd> {
        self.ran.lock().unwrap().push(command.clone());
        let answer = self.answers.iter().find(|(known, _)| known == command);
        let (_, answer) = answer.unwrap_or_else(|| panic!("nobody expected `{}`", command.display_line()));
        answer.as_deref().map_err(|stderr| StageEnd {
            success: false,
            status: "exited with 1".to_owned(),
            stderr: stderr.clone(),
            broken_pipe: false,
        })
    }
}

#[async_trait]
impl Runner for Scripted {
    fn host(&self) -> &'static str {
        "nas1"
    }

    async fn run(&self, command: &Command) -> Result<Output, Error> {
        match self.answer(command) {
            Ok(stdout) => Ok(Output { stdout: stdout.to_owned(), stderr: String::new() }),
            Err(end) => Err(Error::ended(self.host(), command, &end)),
        }
    }

    fn start(
        &self,
        command: &Command,
        _stdin: Option<PipeReader>,
        stdout: Option<PipeWriter>,
    ) -> Result<Box<dyn Stage>, Error> {
        let end = match self.answer(command) {
            Ok(text) => {
                if let Some(mut stdout) = stdout {
                    let text = text.to_owned();
                    // A reader that has enough is no failure.
                    thread::spawn(move || drop(stdout.write_all(text.as_bytes())));
                }
                let (status, stderr) = ("exited with 0".to_owned(), String::new());
                StageEnd { success: true, status, stderr, broken_pipe: false }
            }
            Err(end) => end,
        };
        Ok(Box::new(ScriptedStage(end)))
    }
}

#[derive(Debug)]
struct ScriptedStage(StageEnd);

#[async_trait]
impl Stage for ScriptedStage {
    async fn wait(&mut self) -> StageEnd {
        self.0.clone()
    }

    fn terminate(&mut self) {}
}
