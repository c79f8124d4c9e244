//! Both pipe ends, and waiting for them.

use std::{
    io::{self, PipeReader, PipeWriter},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    io::Errno,
};

use super::super::{ProgressCounter, progress::WaitFor};

/// What waiting for one end found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ready {
    Yes,
    NotYet,
    ReceiverGone,
}

/// What waiting for both found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Both {
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) receiver_gone: bool,
}

/// The pipe ends of a pump. Whoever waits for them counts as waited for.
#[derive(Debug)]
pub(super) struct Ends<'a> {
    pub(super) source: &'a PipeReader,
    pub(super) target: &'a PipeWriter,
    pub(super) progress: &'a ProgressCounter,
}

impl<'a> Ends<'a> {
    /// Our write end does not block from now on, so that what does not fit waits here and not in the kernel.
    pub(super) fn new(
        source: &'a PipeReader,
        target: &'a PipeWriter,
        progress: &'a ProgressCounter,
    ) -> io::Result<Self> {
        fcntl_setfl(target, fcntl_getfl(target)? | OFlags::NONBLOCK)?;
        #[cfg(target_os = "linux")]
        // An unprivileged user may have used up what all of its pipes may hold; smaller ones work too.
        for result in [
            rustix::pipe::fcntl_setpipe_size(source, super::PIPE_SIZE),
            rustix::pipe::fcntl_setpipe_size(target, super::PIPE_SIZE),
        ] {
            if let Err(error) = result {
                tracing::debug!(error = %error, "could not enlarge a pipe");
            }
        }
        Ok(Self { source, target, progress })
    }

    /// Waits for something to read, or for the end of the stream. A write end reports an error as soon as its reader is gone, asked or
    /// not: noticed even while the sender is silent.
    pub(super) fn readable(&self, patience: Duration) -> io::Result<Ready> {
        let mut both =
            [PollFd::new(self.source, PollFlags::IN), PollFd::new(self.target, PollFlags::empty())];
        self.wait(&mut both, patience, WaitFor::Source)?;
        if both[1].revents().contains(PollFlags::ERR) {
            return Ok(Ready::ReceiverGone);
        }
        let has_bytes = both[0].revents().intersects(PollFlags::IN | PollFlags::HUP);
        Ok(if has_bytes { Ready::Yes } else { Ready::NotYet })
    }

    /// Waits for room. The source is not asked about: while bytes wait there, that would be a busy loop.
    pub(super) fn writable(&self, patience: Duration) -> io::Result<Ready> {
        let mut target = [PollFd::new(self.target, PollFlags::OUT)];
        self.wait(&mut target, patience, WaitFor::Target)?;
        let seen = target[0].revents();
        Ok(if seen.contains(PollFlags::ERR) {
            Ready::ReceiverGone
        } else if seen.contains(PollFlags::OUT) {
            Ready::Yes
        } else {
            Ready::NotYet
        })
    }

    /// Waits for room, and for something to read too where that is wanted.
    pub(super) fn either(&self, read: bool, patience: Duration) -> io::Result<Both> {
        let mut both = [PollFd::new(self.target, PollFlags::OUT), PollFd::new(self.source, PollFlags::IN)];
        let asked = if read { &mut both[..] } else { &mut both[..1] };
        self.wait(asked, patience, WaitFor::Target)?;
        let (target, source) = (both[0].revents(), both[1].revents());
        Ok(Both {
            readable: read && source.intersects(PollFlags::IN | PollFlags::HUP),
            writable: target.contains(PollFlags::OUT),
            receiver_gone: target.contains(PollFlags::ERR),
        })
    }

    /// Looks without waiting.
    pub(super) fn receiver_is_gone(&self) -> io::Result<bool> {
        Ok(self.either(false, Duration::ZERO)?.receiver_gone)
    }

    fn wait(&self, fds: &mut [PollFd<'_>], patience: Duration, whom: WaitFor) -> io::Result<()> {
        let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
        let begun = Instant::now();
        match poll(fds, Some(&patience)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        self.progress.waited(whom, begun.elapsed());
        Ok(())
    }
}
