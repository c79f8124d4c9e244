//! A stage that runs on another agent's host, seen from here.

use std::{io, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::unix::pipe::{Receiver, Sender},
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::task::AbortOnDropHandle;
use zfs_sync_zfs::{
    command::Command,
    error::{Error, Kind},
    runner::{Stage, StageEnd},
};

use super::{
    connect::{Reader, Trouble, Writer},
    frame::{CHUNK, HEADER, Kind as FrameKind, parse, unexpected},
    runner::Inner,
    wire::{DEADLINE, PING_EVERY, Reply, Request},
};

/// How long the other side may take to end a stage that it was told to end: TERM, two seconds, KILL, and the way back.
const ENDING: Duration = Duration::from_secs(8);

/// Dropping it closes the connection, which ends the stage on the other side.
#[derive(Debug)]
pub(super) struct TlsStage {
    task: AbortOnDropHandle<StageEnd>,
    terminate: Arc<Notify>,
    end: Option<StageEnd>,
}

impl TlsStage {
    pub(super) const fn new(task: AbortOnDropHandle<StageEnd>, terminate: Arc<Notify>) -> Self {
        Self { task, terminate, end: None }
    }
}

#[async_trait]
impl Stage for TlsStage {
    async fn wait(&mut self) -> StageEnd {
        if let Some(end) = &self.end {
            return end.clone();
        }
        let end = (&mut self.task).await.unwrap_or_else(|error| StageEnd {
            success: false,
            status: format!("could not be followed: {error}"),
            stderr: String::new(),
            broken_pipe: false,
        });
        self.end = Some(end.clone());
        end
    }

    fn terminate(&mut self) {
        self.terminate.notify_one();
    }
}

/// Starts a stage there, moves its stream, and tells how it ended.
pub(super) async fn stream(
    inner: &Inner,
    command: Command,
    stdin: Option<Receiver>,
    stdout: Option<Sender>,
    terminate: &Notify,
) -> Result<StageEnd, Trouble> {
    // Whoever does not want it any more need not wait for a host that does not answer.
    let mut link = tokio::select! {
        link = inner.checkout() => link?,
        () = terminate.notified() => return Ok(terminated()),
    };
    let line = command.display_line();
    link.writer.lock().await.message(&Request::Start { command: Box::new(command) }).await?;
    match link.reply().await? {
        Reply::Started => {}
        Reply::Failed { status, stderr, kind } => {
            inner.keep(link);
            return Ok(not_started(&Error { host: String::new(), command: line, status, stderr, kind }));
        }
        Reply::Refused { code, detail } => {
            inner.keep(link);
            return Err(Trouble::refused(&code, detail));
        }
        _ => return Err(unexpected("an answer to something else").into()),
    }
    let stop_reading = Notify::new();
    let ended = {
        let (reader, writer) = (&mut link.reader, &link.writer);
        // A failure to send is heard of by who reads, with its cause.
        let sending = async {
            if outgoing(writer, stdin).await.is_err() {
                std::future::pending::<()>().await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = incoming(reader, stdout, &stop_reading) => ended?,
            () = sending => return Err(Trouble::unreachable("the stream ended by itself")),
            error = control(writer, terminate, &stop_reading) => return Err(error.into()),
        }
    };
    let mut writer = link.writer.lock().await;
    // Half a frame of a stream that nobody wanted to its end: nothing can follow on this connection.
    let clean = !writer.is_torn() && writer.message(&Request::Finished).await.is_ok();
    drop(writer);
    if clean {
        inner.keep(link);
    }
    Ok(ended)
}

fn terminated() -> StageEnd {
    StageEnd {
        success: false,
        status: "was ended before it began".to_owned(),
        stderr: String::new(),
        broken_pipe: false,
    }
}

/// It ended before it began. The classifier knows processes by what they say; of one that was not there the kind is told in its words.
fn not_started(error: &Error) -> StageEnd {
    let Error { status, stderr, kind, .. } = error;
    let missing = matches!(kind, Kind::ZfsNotFound) && stderr.is_empty();
    let stderr = if missing { "zfs: command not found\n".to_owned() } else { stderr.clone() };
    StageEnd { success: false, status: status.clone(), stderr, broken_pipe: false }
}

/// Takes the stage's output and its end.
async fn incoming(
    reader: &mut Reader,
    mut stdout: Option<Sender>,
    stop_reading: &Notify,
) -> io::Result<StageEnd> {
    loop {
        let (kind, payload) = reader.next(DEADLINE).await?;
        match kind {
            FrameKind::Data => {
                if let Some(pipe) = &mut stdout
                    && pipe.write_all(payload).await.is_err()
                {
                    // Our neighbour has gone: the stage shall learn it as it would from a pipe.
                    stdout = None;
                    stop_reading.notify_one();
                }
            }
            FrameKind::End => stdout = None,
            FrameKind::Ping => {}
            FrameKind::Message => match parse(payload)? {
                Reply::Ended { success, status, stderr, broken_pipe } => {
                    return Ok(StageEnd { success, status, stderr, broken_pipe });
                }
                _ => return Err(unexpected("an answer to something else")),
            },
        }
    }
}

/// Sends what the stage takes in, and its end.
async fn outgoing(writer: &Writer, stdin: Option<Receiver>) -> io::Result<()> {
    let Some(mut pipe) = stdin else { return Ok(()) };
    let mut chunk = vec![0; HEADER + CHUNK];
    loop {
        let read = pipe.read(&mut chunk[HEADER..]).await?;
        if read == 0 {
            return writer.lock().await.send(FrameKind::End, &[]).await;
        }
        writer.lock().await.send_in_place(FrameKind::Data, &mut chunk[..HEADER + read]).await?;
    }
}

/// Lets itself be heard, and passes on what is asked of the stage. Ends when that is not possible any more.
async fn control(writer: &Writer, terminate: &Notify, stop_reading: &Notify) -> io::Error {
    let mut give_up: Option<Instant> = None;
    loop {
        let message = tokio::select! {
            () = terminate.notified() => {
                give_up.get_or_insert_with(|| Instant::now() + ENDING);
                Some(Request::Terminate)
            }
            () = stop_reading.notified() => Some(Request::StopReading),
            () = sleep(PING_EVERY) => None,
            () = reached(give_up) => return io::Error::other("the other side did not end it in time"),
        };
        let sending = async {
            match message {
                Some(message) => writer.lock().await.message(&message).await,
                // Whoever holds it is sending, which is heard as well.
                None => match writer.try_lock() {
                    Ok(mut writer) => writer.send(FrameKind::Ping, &[]).await,
                    Err(_) => Ok(()),
                },
            }
        };
        tokio::select! {
            sent = sending => if let Err(error) = sent {
                // Why it is gone is heard by who reads.
                tracing::debug!(error = %error, "could not send");
                std::future::pending::<()>().await;
            },
            () = reached(give_up) => return io::Error::other("the other side did not end it in time"),
        }
    }
}

async fn reached(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
