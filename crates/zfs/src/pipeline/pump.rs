//! Moves bytes from one pipe to another and counts them.
//!
//! On Linux the pages themselves move (`splice`), nothing is copied. The pump has a thread of its own and never blocks longer than
//! [`TICK`] in one call, whatever its neighbours do, so that it can always be stopped: a process that hangs in the kernel can not be
//! killed and would hold a blocking pump for ever.

use std::{
    io::{self, PipeReader, PipeWriter},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use super::{
    ProgressCounter,
    limit::{Allowance, Bucket},
};

/// How long a stop may take to be noticed.
const TICK: Duration = Duration::from_millis(100);
/// Pipes this large need a quarter of the wake-ups of default ones per byte (measured: 3.5 against 2.7 GiB/s).
#[cfg(target_os = "linux")]
const PIPE_SIZE: usize = 1 << 20;
/// What moves in one call at most.
const CHUNK: u64 = 1 << 20;

/// How the pump ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The sender closed its end and everything was handed on.
    Finished,
    /// The receiver closed its end.
    ReceiverGone,
    /// It was told to stop.
    Stopped,
    /// A pipe failed, which pipes do not do.
    Failed(io::Error),
}

/// What passes through a pump.
#[derive(Debug)]
pub(super) struct Pump {
    pub(super) source: PipeReader,
    pub(super) target: PipeWriter,
    pub(super) progress: ProgressCounter,
    pub(super) rate_limit: Option<u64>,
}

impl Pump {
    /// Runs until one side ends or `stop` is set; both pipe ends are closed then.
    pub(super) fn run(self, stop: &AtomicBool) -> Ended {
        self.run_by::<Best>(stop)
    }

    fn run_by<M: Mover>(self, stop: &AtomicBool) -> Ended {
        match self.pump::<M>(stop) {
            Ok(ended) => ended,
            Err(Errno::PIPE) => Ended::ReceiverGone,
            Err(error) => Ended::Failed(error.into()),
        }
    }

    fn pump<M: Mover>(&self, stop: &AtomicBool) -> Result<Ended, Errno> {
        let mut mover = M::new(&self.source, &self.target)?;
        let mut bucket = self.rate_limit.map(|rate| Bucket::new(rate, Instant::now()));
        while !stop.load(Ordering::Relaxed) {
            let allowed = match bucket.as_mut().map(|bucket| bucket.ask(Instant::now())) {
                None => CHUNK,
                Some(Allowance::Bytes(bytes)) => bytes.min(CHUNK),
                Some(Allowance::Wait(time)) => {
                    thread::sleep(time.min(TICK));
                    continue;
                }
            };
            let step = match self.ready(mover.holds_bytes())? {
                Ready::Both => mover.step(&self.source, &self.target, allowed)?,
                Ready::Not => continue,
                Ready::ReceiverGone => return Ok(Ended::ReceiverGone),
            };
            match step {
                Step::Moved(bytes) => {
                    self.progress.add(bytes);
                    if let Some(bucket) = &mut bucket {
                        bucket.spend(bytes);
                    }
                }
                Step::Again => {}
                Step::Finished => return Ok(Ended::Finished),
            }
        }
        Ok(Ended::Stopped)
    }

    /// Waits at most two ticks for something to read (unless some was read already) and room to write.
    fn ready(&self, has_bytes: bool) -> Result<Ready, Errno> {
        if !has_bytes {
            // A write end reports an error as soon as its reader is gone, asked or not: noticed even while the sender is silent.
            let mut both =
                [PollFd::new(&self.source, PollFlags::IN), PollFd::new(&self.target, PollFlags::empty())];
            poll_tick(&mut both)?;
            if both[1].revents().contains(PollFlags::ERR) {
                return Ok(Ready::ReceiverGone);
            }
            if !both[0].revents().intersects(PollFlags::IN | PollFlags::HUP) {
                return Ok(Ready::Not);
            }
        }
        // Bytes wait; they are not asked about again, or a full target would make this a busy loop.
        let mut target = [PollFd::new(&self.target, PollFlags::OUT)];
        poll_tick(&mut target)?;
        let writable = target[0].revents();
        if writable.contains(PollFlags::ERR) {
            Ok(Ready::ReceiverGone)
        } else if writable.contains(PollFlags::OUT) {
            Ok(Ready::Both)
        } else {
            Ok(Ready::Not)
        }
    }
}

enum Ready {
    Both,
    Not,
    ReceiverGone,
}

/// What one call did.
enum Step {
    Moved(u64),
    Again,
    Finished,
}

fn poll_tick(fds: &mut [PollFd<'_>]) -> Result<(), Errno> {
    let tick = Timespec::try_from(TICK).expect("a tenth of a second fits");
    match poll(fds, Some(&tick)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error),
    }
}

/// A way to move bytes. Neither step ever blocks when [`Pump::ready`] said so.
trait Mover: Sized {
    fn new(source: &PipeReader, target: &PipeWriter) -> Result<Self, Errno>;

    /// True while bytes that left the source have not reached the target.
    fn holds_bytes(&self) -> bool;

    /// Moves some bytes, at most `most`.
    fn step(&mut self, source: &PipeReader, target: &PipeWriter, most: u64) -> Result<Step, Errno>;
}

/// Moves pages within the kernel.
#[cfg(target_os = "linux")]
struct Splice;

#[cfg(target_os = "linux")]
impl Mover for Splice {
    fn new(source: &PipeReader, target: &PipeWriter) -> Result<Self, Errno> {
        // An unprivileged user may have used up what all of its pipes may hold; smaller ones work too.
        for result in [
            rustix::pipe::fcntl_setpipe_size(source, PIPE_SIZE),
            rustix::pipe::fcntl_setpipe_size(target, PIPE_SIZE),
        ] {
            if let Err(error) = result {
                tracing::debug!(error = %error, "could not enlarge a pipe");
            }
        }
        Ok(Self)
    }

    fn holds_bytes(&self) -> bool {
        false
    }

    fn step(&mut self, source: &PipeReader, target: &PipeWriter, most: u64) -> Result<Step, Errno> {
        use rustix::pipe::{SpliceFlags, splice};

        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        match splice(source, None, target, None, most, flags) {
            Ok(0) => Ok(Step::Finished),
            Ok(bytes) => Ok(Step::Moved(u64::try_from(bytes).unwrap_or(u64::MAX))),
            Err(Errno::AGAIN | Errno::INTR) => Ok(Step::Again),
            Err(error) => Err(error),
        }
    }
}

/// Copies through a buffer. Our write end does not block, so that what does not fit waits here and not in the kernel.
#[cfg(any(test, not(target_os = "linux")))]
struct Copy {
    buffer: Vec<u8>,
    waiting: std::ops::Range<usize>,
}

#[cfg(any(test, not(target_os = "linux")))]
impl Mover for Copy {
    fn new(_source: &PipeReader, target: &PipeWriter) -> Result<Self, Errno> {
        use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

        fcntl_setfl(target, fcntl_getfl(target)? | OFlags::NONBLOCK)?;
        Ok(Self { buffer: vec![0; 128 << 10], waiting: 0..0 })
    }

    fn holds_bytes(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn step(&mut self, source: &PipeReader, target: &PipeWriter, most: u64) -> Result<Step, Errno> {
        if self.waiting.is_empty() {
            let most = usize::try_from(most).unwrap_or(usize::MAX).min(self.buffer.len());
            match rustix::io::read(source, &mut self.buffer[..most]) {
                Ok(0) => return Ok(Step::Finished),
                Ok(bytes) => self.waiting = 0..bytes,
                Err(Errno::AGAIN | Errno::INTR) => return Ok(Step::Again),
                Err(error) => return Err(error),
            }
        }
        match rustix::io::write(target, &self.buffer[self.waiting.clone()]) {
            Ok(bytes) => {
                self.waiting.start += bytes;
                Ok(Step::Moved(u64::try_from(bytes).unwrap_or(u64::MAX)))
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(Step::Again),
            Err(error) => Err(error),
        }
    }
}

#[cfg(target_os = "linux")]
type Best = Splice;
#[cfg(not(target_os = "linux"))]
type Best = Copy;

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        sync::Arc,
    };

    use rstest::rstest;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum By {
        Best,
        Copying,
    }

    struct Ends {
        into: PipeWriter,
        out: PipeReader,
        progress: ProgressCounter,
        stop: Arc<AtomicBool>,
        running: thread::JoinHandle<Ended>,
    }

    fn start(by: By, rate_limit: Option<u64>) -> Ends {
        let (source, into) = io::pipe().unwrap();
        let (out, target) = io::pipe().unwrap();
        let progress = ProgressCounter::new();
        let stop = Arc::new(AtomicBool::new(false));
        let pump = Pump { source, target, progress: progress.clone(), rate_limit };
        let stop_seen = Arc::clone(&stop);
        let running = thread::spawn(move || match by {
            By::Best => pump.run(&stop_seen),
            By::Copying => pump.run_by::<Copy>(&stop_seen),
        });
        Ends { into, out, progress, stop, running }
    }

    #[rstest]
    fn every_byte_arrives_in_order_and_is_counted(#[values(By::Best, By::Copying)] by: By) {
        let Ends { mut into, mut out, progress, running, .. } = start(by, None);
        let sent: Vec<u8> = (0..5_000_000u32).flat_map(u32::to_le_bytes).collect();
        let copy = sent.clone();
        let writer = thread::spawn(move || into.write_all(&copy));
        let mut received = Vec::new();
        out.read_to_end(&mut received).unwrap();
        writer.join().unwrap().unwrap();
        assert!(received == sent, "{} bytes of {}", received.len(), sent.len());
        assert!(matches!(running.join().unwrap(), Ended::Finished));
        assert_eq!(progress.bytes(), 20_000_000);
    }

    #[rstest]
    fn it_stops_while_the_sender_is_silent(#[values(By::Best, By::Copying)] by: By) {
        let ends = start(by, None);
        ends.stop.store(true, Ordering::Relaxed);
        assert!(matches!(ends.running.join().unwrap(), Ended::Stopped));
    }

    #[rstest]
    fn it_stops_while_the_receiver_does_not_read(#[values(By::Best, By::Copying)] by: By) {
        let Ends { mut into, out, stop, running, .. } = start(by, None);
        // More than both pipes hold: the writer itself blocks until the pump has gone.
        let writer = thread::spawn(move || into.write_all(&vec![0; 16 << 20]));
        stop.store(true, Ordering::Relaxed);
        assert!(matches!(running.join().unwrap(), Ended::Stopped));
        assert_eq!(writer.join().unwrap().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        drop(out);
    }

    #[rstest]
    fn a_receiver_that_goes_away_is_noticed_while_the_sender_is_silent(
        #[values(By::Best, By::Copying)] by: By,
    ) {
        let Ends { into, out, running, .. } = start(by, None);
        drop(out);
        assert!(matches!(running.join().unwrap(), Ended::ReceiverGone));
        drop(into);
    }

    #[rstest]
    fn what_was_read_is_handed_on_though_nothing_follows(#[values(By::Best, By::Copying)] by: By) {
        let Ends { mut into, mut out, running, .. } = start(by, None);
        // More than one pipe and the buffer hold, so that some of it has to wait for the receiver; then silence.
        let sent = vec![7; 600 << 10];
        let size = sent.len();
        let writer = thread::spawn(move || into.write_all(&sent).map(|()| into));
        let mut received = vec![0; size];
        out.read_exact(&mut received).unwrap();
        let into = writer.join().unwrap().unwrap();
        drop(into);
        assert!(matches!(running.join().unwrap(), Ended::Finished));
    }

    #[rstest]
    fn a_limited_pump_hands_on_everything_too(#[values(By::Best, By::Copying)] by: By) {
        let Ends { mut into, mut out, progress, running, .. } = start(by, Some(100 << 20));
        let writer = thread::spawn(move || into.write_all(&vec![7; 20 << 20]));
        let mut received = Vec::new();
        out.read_to_end(&mut received).unwrap();
        writer.join().unwrap().unwrap();
        assert!(matches!(running.join().unwrap(), Ended::Finished));
        assert_eq!(progress.bytes(), 20 << 20);
    }
}
