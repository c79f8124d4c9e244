//! What the words of the command line do.

mod agent;
mod conflict;
mod doctor;
mod executor;
mod explain;
mod flow;
mod group;
mod hold;
mod lookup;
mod plan;
mod reach;
mod replicas;
mod replicate;
mod server;
mod ssh_gate;
mod status;
mod sync;
mod system;
mod transfer;
mod verify;
mod wait;
mod whatif;
mod why;

use std::sync::Arc;

pub(crate) use self::{explain::title as title_of, server::listen};

use jiff::Timestamp;
use url::Url;
use zfs_sync_api::{client::Client, codes::ErrorCode};
use zfs_sync_core::time::{Clock, SystemClock};

use crate::{
    cli::{Command, Global},
    credential, demo,
    failure::Failure,
    printer::Printer,
};

/// How a command ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, or nothing to do.
    Done,
    /// What was to be shown or done shows or did not hold.
    Failed,
    /// Some items failed.
    Partial,
    /// What was asked about is not as hoped for: not in sync, not safe to delete.
    Finding,
    /// Interrupted by the person at the terminal.
    Interrupted,
}

impl Exit {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Partial => 6,
            Self::Finding => 9,
            Self::Interrupted => 130,
        }
    }
}

/// What every command has.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) printer: Printer,
    pub(crate) global: Global,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Context {
    pub(crate) fn new(global: &Global) -> Self {
        Self { printer: Printer::new(global), global: global.clone(), clock: Arc::new(SystemClock) }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The witness's address.
    pub(crate) fn witness(&self) -> Result<Url, Failure> {
        witness_address(&self.global.server)
    }

    /// A client of the witness with the key that is found.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let witness = self.witness()?;
        let credential =
            credential::find(self.global.key_file.as_deref())?.ok_or_else(credential::missing)?;
        self.printer.say_more(format!("witness {witness}, key from {}", credential.origin));
        Ok(Client::new(&witness, Some(credential.key))?)
    }
}

/// An address of a witness.
pub(crate) fn witness_address(text: &str) -> Result<Url, Failure> {
    let usable = Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some());
    usable.ok_or_else(|| {
        let shown = text.split_once('@').map_or(text, |(_, after)| after);
        Failure::new(ErrorCode::ValueInvalid, format!("`{shown}` is no address of a witness"))
            .hint("write http://host:8000 or https://host:8000")
            .unchanged()
    })
}

/// Does what the words say.
pub(crate) async fn run(context: &Context, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Status => status::run(context).await,
        Command::Why(arguments) => why::run(context, &arguments).await,
        Command::Explain(arguments) => explain::run(context, &arguments),
        Command::Doctor(arguments) => doctor::run(context, &arguments).await,
        Command::System(command) => system::run(context, command).await,
        Command::Group(command) => group::run(context, command).await,
        Command::Sync(command) => sync::run(context, command).await,
        Command::Conflict(command) => conflict::run(context, command).await,
        Command::Plan(command) => plan::run(context, command).await,
        Command::WhatIf(arguments) => whatif::run(context, &arguments).await,
        Command::Transfer(command) => transfer::run(context, command).await,
        Command::Replicate(arguments) => replicate::run(context, &arguments).await,
        Command::Verify(arguments) => verify::run(context, &arguments).await,
        Command::Verification(command) => verify::manage(context, command).await,
        Command::VerifySide(arguments) => verify::serve(&arguments).await,
        Command::Hold(command) => hold::run(context, command).await,
        Command::SshGate(arguments) => ssh_gate::run(&arguments).await,
        Command::Server(arguments) => server::run(context, &arguments).await,
        Command::Agent(command) => agent::run(context, command).await,
        Command::Executor(command) => executor::run(context, command).await,
        Command::Demo(arguments) => demo::run(context, &arguments).await,
    }
}

/// An error as JSON before there is a printer.
pub(crate) fn talk_json(failure: &Failure) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr().lock(), "{}", failure.to_json());
}
