//! Streams in motion: the state is locked for moments only, never while a pipe is waited for.

use std::sync::Arc;

use super::{
    operator::Shared,
    random,
    receive::{Begun, Trouble, refusal},
    send::Outgoing,
    stage::{self, Break, Sink, Source},
    state::Refusal,
    stream::{Damage, FRAME, Header, Record},
};
use crate::{command::ReceiveCommand, runner::StageEnd};

/// Snapshots that are being read can not be destroyed.
struct Reading {
    shared: Arc<Shared>,
    outgoing: Outgoing,
}

impl Reading {
    fn begin(shared: Arc<Shared>, outgoing: Outgoing) -> Self {
        shared.change_silently(|state, _| state.count_readers(&outgoing, true));
        Self { shared, outgoing }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.shared.change_silently(|state, _| state.count_readers(&self.outgoing, false));
    }
}

/// Writes a stream, as far as its blocks can be read.
pub(super) fn send(
    shared: Arc<Shared>,
    outgoing: Outgoing,
    mut sink: Sink,
    unreadable_after: Option<u64>,
) -> impl Future<Output = StageEnd> + Send {
    // From the moment the process has started, not from the moment the task is first polled.
    let reading = Reading::begin(shared, outgoing);
    async move {
        let (mut record, mut written) = (Vec::new(), 0);
        for part in &reading.outgoing.parts {
            let begin = std::iter::once(Record::Begin(part.header.clone()));
            for next in begin.chain(part.pieces().map(Record::Data)).chain(std::iter::once(Record::End)) {
                next.encode(&mut record);
                written += record.len() as u64;
                if unreadable_after.is_some_and(|bytes| written > bytes) {
                    let name = &part.header.to_name;
                    let text = format!("warning: cannot send '{name}': Input/output error");
                    return stage::refused(Refusal::new(text));
                }
                match sink.write(&record).await {
                    Ok(()) => {}
                    Err(Break::Cut) => return stage::killed(),
                    Err(Break::Gone) => return stage::broken_pipe(),
                }
            }
        }
        if reading.outgoing.parts.last().is_some_and(|part| part.header.package) {
            Record::Close.encode(&mut record);
            match sink.write(&record).await {
                Ok(()) => {}
                Err(Break::Cut) => return stage::killed(),
                Err(Break::Gone) => return stage::broken_pipe(),
            }
        }
        stage::succeeded()
    }
}

/// Why a stream was not received to its end.
enum Stop {
    /// Killed: no last words.
    Killed,
    Refused(Refusal),
    /// It ended early; the receiving side says what it kept.
    Cut,
    /// The same, of a stream whose bytes are not what they were.
    Damaged,
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// An open receive: however it ends, what came is kept and the dataset is free again.
struct Receiving {
    shared: Arc<Shared>,
    command: ReceiveCommand,
    header: Header,
    open: bool,
}

impl Receiving {
    fn close(&mut self) {
        if std::mem::take(&mut self.open) {
            // Whether anything is left or not, watchers should look.
            let _ = self.shared.change(|state, _| {
                state.interrupt_receive(&self.command.dataset);
                Ok::<(), ()>(())
            });
        }
    }

    async fn content(&mut self, source: &mut Source, begun: Begun) -> Result<(), Stop> {
        loop {
            match next(source).await {
                Ok(Record::Data(piece)) if begun == Begun::Receiving => {
                    let taken = self
                        .shared
                        .change_silently(|state, _| state.take_piece(&self.command.dataset, &piece));
                    match taken {
                        Ok(()) => {}
                        Err(Trouble::OutOfSpace) => {
                            return Err(Stop::Refused(refusal(&self.header, "out of space")));
                        }
                        Err(Trouble::Damaged) => return Err(Stop::Damaged),
                    }
                }
                Ok(Record::Data(_)) => {}
                Ok(Record::End) if begun == Begun::Skipped => return Ok(()),
                Ok(Record::End) => {
                    let header = &self.header;
                    self.shared
                        .change(|state, now| state.finish_receive(&self.command.dataset, header, now))?;
                    self.open = false;
                    return Ok(());
                }
                Ok(Record::Begin(_) | Record::Close) | Err(Failure::Damage(_)) => return Err(Stop::Damaged),
                Err(Failure::Break(Break::Gone)) => return Err(Stop::Cut),
                Err(Failure::Break(Break::Cut)) => return Err(Stop::Killed),
            }
        }
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        self.close();
    }
}

/// Reads a stream and applies it.
pub(super) async fn receive(shared: Arc<Shared>, command: ReceiveCommand, mut source: Source) -> StageEnd {
    match receive_all(&shared, &command, &mut source).await {
        Ok(()) => stage::succeeded(),
        Err(Stop::Killed) => stage::killed(),
        Err(Stop::Refused(refusal)) => stage::refused(refusal),
        Err(Stop::Cut | Stop::Damaged) => {
            stage::refused(Refusal::new("cannot receive: failed to read from stream"))
        }
    }
}

async fn receive_all(
    shared: &Arc<Shared>,
    command: &ReceiveCommand,
    source: &mut Source,
) -> Result<(), Stop> {
    loop {
        let header = match next(source).await {
            Ok(Record::Begin(header)) => header,
            Ok(Record::Close) => return Ok(()),
            Ok(Record::Data(_) | Record::End) | Err(Failure::Damage(Damage::Magic)) => {
                return Err(Stop::Refused(Refusal::new("cannot receive: invalid stream (bad magic number)")));
            }
            Err(Failure::Damage(Damage::Checksum)) => {
                return Err(Stop::Refused(Refusal::new(
                    "cannot receive: invalid stream (checksum mismatch)",
                )));
            }
            Err(Failure::Break(Break::Gone)) => return Err(Stop::Cut),
            Err(Failure::Break(Break::Cut)) => return Err(Stop::Killed),
        };
        let begun = shared.change(|state, now| state.begin_receive(command, &header, now))?;
        let mut receiving = Receiving {
            shared: shared.clone(),
            command: command.clone(),
            header,
            open: begun == Begun::Receiving,
        };
        if let Err(stop) = receiving.content(source, begun).await {
            receiving.close();
            let damaged = matches!(stop, Stop::Damaged);
            return Err(match stop {
                Stop::Cut | Stop::Damaged => Stop::Refused(
                    shared.read(|state| state.cut(&command.dataset, &receiving.header, damaged)),
                ),
                Stop::Killed | Stop::Refused(_) => stop,
            });
        }
        if !receiving.header.package {
            return Ok(());
        }
    }
}

/// Why no record could be read.
enum Failure {
    Damage(Damage),
    Break(Break),
}

async fn next(source: &mut Source) -> Result<Record, Failure> {
    let mut frame = [0; FRAME];
    source.read(&mut frame).await.map_err(Failure::Break)?;
    let (kind, length, sum) = Record::frame_of(&frame).map_err(Failure::Damage)?;
    let mut body = vec![0; length];
    source.read(&mut body).await.map_err(Failure::Break)?;
    Record::decode(kind, sum, &body).map_err(Failure::Damage)
}

/// Writes one line an event for as long as somebody reads.
pub(super) fn watch_events(shared: Arc<Shared>, mut sink: Sink) -> impl Future<Output = StageEnd> + Send {
    // What happens from now on is seen, not only what happens after the task is first polled.
    let mut changes = shared.changes.subscribe();
    let mut seen = *changes.borrow_and_update();
    async move {
        while changes.changed().await.is_ok() {
            let count = *changes.borrow_and_update();
            for number in seen..count {
                let line = event_line(&shared, number);
                if let Err(broken) = sink.write(line.as_bytes()).await {
                    return match broken {
                        Break::Cut => stage::killed(),
                        Break::Gone => stage::broken_pipe(),
                    };
                }
            }
            seen = count;
        }
        stage::succeeded()
    }
}

/// `zpool events -H` prints the time, a tab and the class; the number tells two events of one moment apart.
fn event_line(shared: &Shared, number: u64) -> String {
    let now = shared.now();
    let nanosecond = now.subsec_nanosecond().unsigned_abs();
    let fraction = u64::from(nanosecond).saturating_add(random::mix(number) % 1000).min(999_999_999);
    format!("{}.{fraction:09}\tsysevent.fs.zfs.history_event\n", now.strftime("%b %e %Y %H:%M:%S"))
}
