//! Executes commands on another agent's host: the engine does not know whether that is ssh or this.

use std::{
    io::{self, PipeReader, PipeWriter},
    os::fd::OwnedFd,
    sync::Arc,
};

use async_trait::async_trait;
use tokio::{
    net::unix::pipe::{Receiver, Sender},
    sync::{Mutex, Notify},
    time::{MissedTickBehavior, interval},
};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;
use zfs_sync_api::v1::certificate::TlsAddress;
use zfs_sync_zfs::{
    command::Command,
    error::{Error, Kind},
    runner::{FarEnd, Output, Runner, Stage, StageEnd},
};

use super::{
    connect::{Connections, Link, Trouble},
    frame::{Kind as FrameKind, parse, unexpected},
    pass::Pass,
    pipes,
    stage::{self, TlsStage},
    wire::{DEADLINE, PING_EVERY, Reply, Request},
};

/// What a command may print: a listing of ten million snapshots.
const MOST_OUTPUT: usize = 1 << 30;

/// One session at another agent.
#[derive(Clone, Debug)]
pub(crate) struct TlsRunner(Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    connections: Arc<Connections>,
    address: TlsAddress,
    name: String,
    pass: Arc<Pass>,
    nonce: Option<Uuid>,
    session: Mutex<Known>,
}

/// What is known of the session.
#[derive(Debug, Default)]
struct Known {
    /// Once it has begun.
    secret: Option<String>,
    /// The ticket that it was last shown.
    shown: Option<Uuid>,
}

impl TlsRunner {
    /// Nothing is connected before the first command.
    pub(crate) fn new(
        connections: Arc<Connections>,
        address: TlsAddress,
        name: String,
        pass: Arc<Pass>,
    ) -> Self {
        let nonce = pass.session();
        Self(Arc::new(Inner { connections, address, name, pass, nonce, session: Mutex::default() }))
    }
}

/// What a ticket is answered with.
async fn ask(link: &mut Link, request: &Request) -> Result<Reply, Trouble> {
    link.writer.lock().await.message(request).await?;
    match link.reply().await? {
        Reply::Refused { code, detail } => Err(Trouble::refused(&code, detail)),
        reply => Ok(reply),
    }
}

/// How a request ended that was answered.
enum Answer {
    Done(Output),
    Failed(Error),
}

impl Inner {
    /// A connection that belongs to the session.
    pub(super) async fn checkout(&self) -> Result<Link, Trouble> {
        if let Some(link) = self.connections.idle(&self.address) {
            // It may have been closed meanwhile, which costs nothing as long as nothing was asked for.
            match self.join(link).await {
                Err(trouble) if trouble.kind == Kind::TlsUnreachable => {}
                joined => return joined,
            }
        }
        self.join(self.connections.connect(&self.address).await?).await
    }

    async fn join(&self, mut link: Link) -> Result<Link, Trouble> {
        // Whoever is first begins the session; the others wait and join it.
        let mut known = self.session.lock().await;
        if link.session.is_none() || link.session != self.nonce {
            let ticket = self.pass.first().clone();
            let request = Request::Open { ticket, secret: known.secret.clone() };
            match ask(&mut link, &request).await? {
                Reply::Opened { secret } => {
                    known.secret = Some(secret);
                    known.shown = known.shown.or(self.nonce);
                    link.session = self.nonce;
                }
                _ => return Err(unexpected("no answer to the ticket").into()),
            }
        }
        if let Some((nonce, ticket)) = self.pass.unseen(known.shown) {
            match ask(&mut link, &Request::Renew { ticket }).await? {
                Reply::Renewed => known.shown = Some(nonce),
                _ => return Err(unexpected("no answer to the next ticket").into()),
            }
        }
        Ok(link)
    }

    pub(super) fn keep(&self, link: Link) {
        self.connections.keep(&self.address, link);
    }

    async fn run(&self, command: &Command) -> Result<Answer, Trouble> {
        let mut link = self.checkout().await?;
        let request = Request::Run { command: Box::new(command.clone()) };
        link.writer.lock().await.message(&request).await?;
        let mut stdout = Vec::new();
        let mut pings = interval(PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pings.reset();
        let reply: Reply = loop {
            tokio::select! {
                frame = link.reader.next(DEADLINE) => match frame? {
                    (FrameKind::Data, payload) if stdout.len() + payload.len() <= MOST_OUTPUT => {
                        stdout.extend_from_slice(payload);
                    }
                    (FrameKind::Message, payload) => break parse(payload)?,
                    (FrameKind::Ping, _) => {}
                    (FrameKind::Data | FrameKind::End, _) => {
                        return Err(unexpected("more than a command prints").into());
                    }
                },
                _ = pings.tick() => link.writer.lock().await.send(FrameKind::Ping, &[]).await?,
            }
        };
        let answer = match reply {
            Reply::Done { stderr } => {
                Answer::Done(Output { stdout: String::from_utf8_lossy(&stdout).into_owned(), stderr })
            }
            Reply::Failed { status, stderr, kind } => {
                let (host, command) = (self.name.clone(), command.display_line());
                Answer::Failed(Error { host, command, status, stderr, kind })
            }
            Reply::Refused { code, detail } => {
                self.keep(link);
                return Err(Trouble::refused(&code, detail));
            }
            Reply::Opened { .. } | Reply::Renewed | Reply::Started | Reply::Ended { .. } => {
                return Err(unexpected("an answer to something else").into());
            }
        };
        self.keep(link);
        Ok(answer)
    }

    /// As [`Runner::run`] tells it.
    fn error(&self, command: &Command, trouble: &Trouble) -> Error {
        Error {
            host: self.name.clone(),
            command: command.display_line(),
            status: status_of(trouble),
            stderr: trouble.text(),
            kind: trouble.kind,
        }
    }
}

/// In words.
pub(super) fn status_of(trouble: &Trouble) -> String {
    match trouble.kind {
        Kind::TlsTicket | Kind::TlsForbidden => "was refused".to_owned(),
        _ => "lost its connection, or had none".to_owned(),
    }
}

#[async_trait]
impl Runner for TlsRunner {
    fn host(&self) -> &str {
        &self.0.name
    }

    async fn far_end(&self) -> FarEnd {
        FarEnd::Plain("is reached over TLS, where nothing is compressed".to_owned())
    }

    async fn run(&self, command: &Command) -> Result<Output, Error> {
        match Box::pin(self.0.run(command)).await {
            Ok(Answer::Done(output)) => Ok(output),
            Ok(Answer::Failed(error)) => Err(error),
            Err(trouble) => Err(self.0.error(command, &trouble)),
        }
    }

    fn start(
        &self,
        command: &Command,
        stdin: Option<PipeReader>,
        stdout: Option<PipeWriter>,
    ) -> Result<Box<dyn Stage>, Error> {
        let no_pipe = |error: io::Error| pipes::no_pipe(&self.0.name, command, &error);
        let stdin =
            stdin.map(|pipe| Receiver::from_owned_fd(OwnedFd::from(pipe))).transpose().map_err(no_pipe)?;
        let stdout =
            stdout.map(|pipe| Sender::from_owned_fd(OwnedFd::from(pipe))).transpose().map_err(no_pipe)?;
        let terminate = Arc::new(Notify::new());
        let (inner, command, asked) = (Arc::clone(&self.0), command.clone(), Arc::clone(&terminate));
        #[expect(
            clippy::disallowed_methods,
            reason = "the stage waits for it, and ends it when it is dropped"
        )]
        let task = tokio::spawn(async move {
            match Box::pin(stage::stream(&inner, command, stdin, stdout, &asked)).await {
                Ok(end) => end,
                Err(trouble) => StageEnd {
                    success: false,
                    status: status_of(&trouble),
                    stderr: format!("{}\n", trouble.text()),
                    broken_pipe: false,
                },
            }
        });
        Ok(Box::new(TlsStage::new(AbortOnDropHandle::new(task), terminate)))
    }
}
