//! Stages of pipelines: `zfs send` and `zfs receive` for another agent.
//!
//! When the connection dies, a receiver sees the end of its input, as behind ssh, and keeps its partial state; a sender is terminated.
//! Neither outlives the connection.

use std::{
    io::{self, PipeReader, PipeWriter},
    os::fd::OwnedFd,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::unix::pipe::{Receiver, Sender},
    sync::Notify,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use zfs_sync_zfs::{command::Command, error::Error, runner::Stage};

use super::{
    Connection, Kind, Reader, Reply, Request, Writer,
    command::{NotDone, fenced, look},
    parse,
};
use crate::tls::{
    authorise::authorise,
    frame::{CHUNK, HEADER, unexpected},
    pipes,
    ticket::Session,
    wire::{DEADLINE, PING_EVERY, Refusal},
};

/// How long a receiver may take to keep what it has once its input has ended because nobody is there any more.
const CLOSING_GRACE: Duration = Duration::from_secs(10);

impl Connection<'_> {
    /// Starts a stage, moves its stream, and answers how it ended. An error ends the connection; the stage has ended before.
    pub(super) async fn stream(
        &mut self,
        session: &Session,
        command: Command,
        stop: &CancellationToken,
    ) -> io::Result<()> {
        let runner = &*self.serving.local;
        let started = match authorise(session, &command) {
            Ok(check) => {
                let looked = tokio::select! {
                    looked = look(runner, session, &check) => looked,
                    error = pings(&self.writer) => return Err(error),
                };
                match looked {
                    Ok(()) => self.start(&command),
                    Err(not_done) => Err(not_done),
                }
            }
            Err(refusal) => Err(NotDone::Refused(refusal)),
        };
        let (mut stage, pipes) = match started {
            Ok(started) => started,
            Err(NotDone::Refused(refusal)) => {
                self.tell(&refusal);
                return self.reply(&refusal.into()).await;
            }
            Err(NotDone::Failed(Error { status, stderr, kind, .. })) => {
                return self.reply(&Reply::Failed { status, stderr, kind }).await;
            }
        };
        let receives = pipes.input.is_some();
        let moved = self.move_stream(&mut *stage, pipes, session, stop).await;
        if let Err(error) = &moved {
            // Its pipes are closed. A receiver ends by itself then, when it can.
            if !receives || timeout(CLOSING_GRACE, stage.wait()).await.is_err() {
                stage.terminate();
            }
            let end = stage.wait().await;
            let said = command.display_line();
            tracing::warn!(client.system = %self.client, error = %error, "`{said}` for system {} {}: {error}", self.client, end.status);
        }
        moved
    }

    fn start(&self, command: &Command) -> Result<(Box<dyn Stage>, Pipes), NotDone> {
        let no_pipe =
            |error: &io::Error| NotDone::Failed(pipes::no_pipe(self.serving.local.host(), command, error));
        let (theirs, ours) = match command {
            Command::Receive(_) => {
                let (reader, writer) = pipes::pair().map_err(|error| no_pipe(&error))?;
                let input = Sender::from_owned_fd(OwnedFd::from(writer)).map_err(|error| no_pipe(&error))?;
                ((Some(reader), None), Pipes { input: Some(input), output: None })
            }
            Command::Send(_) => {
                let (reader, writer) = pipes::pair().map_err(|error| no_pipe(&error))?;
                let output =
                    Receiver::from_owned_fd(OwnedFd::from(reader)).map_err(|error| no_pipe(&error))?;
                ((None, Some(writer)), Pipes { input: None, output: Some(output) })
            }
            _ => return Err(NotDone::Refused(Refusal::forbidden("this command has no stream"))),
        };
        let (stdin, stdout): (Option<PipeReader>, Option<PipeWriter>) = theirs;
        Ok((self.serving.local.start(command, stdin, stdout)?, ours))
    }

    async fn move_stream(
        &mut self,
        stage: &mut dyn Stage,
        pipes: Pipes,
        session: &Session,
        stop: &CancellationToken,
    ) -> io::Result<()> {
        let Pipes { input, output } = pipes;
        let (terminate, stop_reading) = (Notify::new(), Notify::new());
        let (reader, writer) = (&mut self.reader, &self.writer);
        writer.lock().await.message(&Reply::Started).await?;
        let incoming = incoming(reader, input, &terminate, &stop_reading);
        tokio::pin!(incoming);
        let end = {
            let waiting = async {
                loop {
                    tokio::select! {
                        end = stage.wait() => break end,
                        () = terminate.notified() => stage.terminate(),
                    }
                }
            };
            let working = async {
                let (sent, end) = tokio::join!(outgoing(writer, output, &stop_reading), waiting);
                sent.map(|()| end)
            };
            tokio::select! {
                end = working => end?,
                over = &mut incoming => return Err(over.err().unwrap_or_else(|| unexpected("its last word too early"))),
                error = pings(writer) => return Err(error),
                () = session.closed.cancelled() => return Err(fenced()),
                () = stop.cancelled() => return Err(io::Error::other("the agent stops")),
            }
        };
        writer.lock().await.message(&Reply::from(end)).await?;
        // What was still under way is read away, up to the other side's last word.
        incoming.await
    }
}

/// Our ends of a stage's pipes.
struct Pipes {
    input: Option<Sender>,
    output: Option<Receiver>,
}

/// Feeds the stage until the other side has said its last word.
async fn incoming(
    reader: &mut Reader,
    mut input: Option<Sender>,
    terminate: &Notify,
    stop_reading: &Notify,
) -> io::Result<()> {
    loop {
        let (kind, payload) = reader.next(DEADLINE).await?;
        match kind {
            // A stage that does not take it has ended, and says why.
            Kind::Data => {
                if let Some(pipe) = &mut input
                    && pipe.write_all(payload).await.is_err()
                {
                    input = None;
                }
            }
            Kind::End => input = None,
            Kind::Ping => {}
            Kind::Message => match parse(payload)? {
                Request::Terminate => terminate.notify_one(),
                Request::StopReading => stop_reading.notify_one(),
                Request::Finished => return Ok(()),
                Request::Open { .. }
                | Request::Renew { .. }
                | Request::Run { .. }
                | Request::Start { .. } => {
                    return Err(unexpected("a request within a stream"));
                }
            },
        }
    }
}

/// Sends what the stage puts out.
async fn outgoing(writer: &Writer, output: Option<Receiver>, stop_reading: &Notify) -> io::Result<()> {
    let Some(mut pipe) = output else { return Ok(()) };
    let mut chunk = vec![0; HEADER + CHUNK];
    loop {
        let read = tokio::select! {
            read = pipe.read(&mut chunk[HEADER..]) => read?,
            // With the pipe the stage learns that nobody listens.
            () = stop_reading.notified() => break,
        };
        if read == 0 {
            break;
        }
        writer.lock().await.send_in_place(Kind::Data, &mut chunk[..HEADER + read]).await?;
    }
    drop(pipe);
    writer.lock().await.send(Kind::End, &[]).await
}

/// Lets itself be heard while nothing else is sent; ends when that is not possible any more.
async fn pings(writer: &Writer) -> io::Error {
    loop {
        sleep(PING_EVERY).await;
        // Whoever holds it is sending, which is heard as well.
        if let Ok(mut writer) = writer.try_lock()
            && let Err(error) = writer.send(Kind::Ping, &[]).await
        {
            return error;
        }
    }
}
