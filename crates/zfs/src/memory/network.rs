//! Hosts that can reach each other.

use std::{
    collections::BTreeMap,
    io::{PipeReader, PipeWriter},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;

use super::{
    operator::Host,
    stage::{MemoryStage, refused},
    state::Refusal,
};
use crate::{
    command::Command,
    error::Error,
    runner::{Output, Runner, Stage},
};

/// Hosts by name; clones are handles to the same.
#[derive(Clone, Debug, Default)]
pub struct Network(Arc<Mutex<BTreeMap<String, Host>>>);

impl Network {
    /// A network without hosts.
    pub fn new() -> Self {
        Self::default()
    }

    fn hosts<T>(&self, with: impl FnOnce(&mut BTreeMap<String, Host>) -> T) -> T {
        with(&mut self.0.lock().expect("no holder of this lock panics"))
    }

    /// Connects a host under its name; another one of that name is replaced.
    pub fn add(&self, host: Host) {
        self.hosts(|hosts| hosts.insert(host.name().to_owned(), host));
    }

    /// The host of this name.
    pub fn host(&self, name: &str) -> Option<Host> {
        self.hosts(|hosts| hosts.get(name).cloned())
    }

    /// Every host, by name.
    pub fn all(&self) -> Vec<Host> {
        self.hosts(|hosts| hosts.values().cloned().collect())
    }

    /// What ssh to this name gives; a name that nobody has fails as ssh fails.
    pub fn remote(&self, name: &str) -> Arc<dyn Runner> {
        match self.host(name) {
            Some(host) => host.remote_runner(),
            None => Arc::new(Unknown(name.to_owned())),
        }
    }
}

/// A name that does not resolve.
#[derive(Debug)]
struct Unknown(String);

impl Unknown {
    fn refusal(&self) -> Refusal {
        let name = &self.0;
        let text = format!("ssh: Could not resolve hostname {name}: Name or service not known\r");
        Refusal { code: 255, ..Refusal::new(text) }
    }
}

#[async_trait]
impl Runner for Unknown {
    fn host(&self) -> &str {
        &self.0
    }

    async fn run(&self, command: &Command) -> Result<Output, Error> {
        Err(Error::ended(&self.0, command, &refused(self.refusal())))
    }

    fn start(
        &self,
        _command: &Command,
        _stdin: Option<PipeReader>,
        _stdout: Option<PipeWriter>,
    ) -> Result<Box<dyn Stage>, Error> {
        Ok(Box::new(MemoryStage::ended(refused(self.refusal()))))
    }
}
