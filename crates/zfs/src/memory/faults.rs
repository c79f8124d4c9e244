//! Faults that tests and the demo inject into a host.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex},
};

use tokio::sync::watch;

use crate::command::Command;

/// What holds for everything that runs on the host.
#[derive(Clone, Debug, Default)]
pub(super) struct Conditions {
    pub(super) offline: bool,
    pub(super) frozen: usize,
    pub(super) bytes_per_second: Option<u64>,
}

type Matcher = Box<dyn Fn(&Command) -> bool + Send>;

#[derive(Default)]
struct Planned {
    cuts: VecDeque<u64>,
    unreadable: VecDeque<u64>,
    failures: Vec<(Matcher, String)>,
}

struct Shared {
    conditions: watch::Sender<Conditions>,
    planned: Mutex<Planned>,
}

/// The faults of one host; clones are handles to the same.
#[derive(Clone)]
pub struct Faults(Arc<Shared>);

impl fmt::Debug for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Faults").field(&*self.0.conditions.borrow()).finish()
    }
}

impl Faults {
    pub(super) fn new() -> Self {
        let conditions = watch::Sender::new(Conditions::default());
        Self(Arc::new(Shared { conditions, planned: Mutex::default() }))
    }

    fn planned<T>(&self, change: impl FnOnce(&mut Planned) -> T) -> T {
        change(&mut self.0.planned.lock().expect("no holder of this lock panics"))
    }

    /// The next `send` or `receive` that starts on this host dies, as if killed, after this many bytes of its stream.
    /// Several cuts apply to one stream each, in their order.
    pub fn cut_stream_after(&self, bytes: u64) {
        self.planned(|planned| planned.cuts.push_back(bytes));
    }

    /// The next `send` that starts on this host meets, after this many bytes of its stream, a block that its pool can not read.
    pub fn unreadable_after(&self, bytes: u64) {
        self.planned(|planned| planned.unreadable.push_back(bytes));
    }

    /// The next command that `matches` fails with this text on standard error, without having done anything.
    pub fn fail_next(&self, matches: impl Fn(&Command) -> bool + Send + 'static, stderr: impl Into<String>) {
        self.planned(|planned| planned.failures.push((Box::new(matches), stderr.into())));
    }

    /// Sends from this host are paced to this many bytes a second, as a slow link would; `None` removes the limit.
    /// This is the one place that sleeps: it stands for a link, so that the demo has progress to show.
    pub fn slow(&self, bytes_per_second: Option<u64>) {
        self.0.conditions.send_modify(|conditions| conditions.bytes_per_second = bytes_per_second);
    }

    /// The host can not be reached: what other hosts run on it fails as ssh does, and their running streams are cut.
    pub fn offline(&self, offline: bool) {
        self.0.conditions.send_modify(|conditions| conditions.offline = offline);
    }

    /// Everything on this host stands still, commands and streams, until the guard is dropped.
    pub fn freeze(&self) -> Freeze {
        self.0.conditions.send_modify(|conditions| conditions.frozen += 1);
        Freeze(self.clone())
    }

    pub(super) fn conditions(&self) -> watch::Receiver<Conditions> {
        self.0.conditions.subscribe()
    }

    pub(super) fn take_cut(&self) -> Option<u64> {
        self.planned(|planned| planned.cuts.pop_front())
    }

    pub(super) fn take_unreadable(&self) -> Option<u64> {
        self.planned(|planned| planned.unreadable.pop_front())
    }

    pub(super) fn take_failure(&self, command: &Command) -> Option<String> {
        self.planned(|planned| {
            let found = planned.failures.iter().position(|(matches, _)| matches(command))?;
            Some(planned.failures.remove(found).1)
        })
    }
}

/// Ends when no [`Freeze`] is held.
pub(super) async fn thawed(conditions: &mut watch::Receiver<Conditions>) {
    // An error says that the host is gone; then nothing freezes it.
    let _gone = conditions.wait_for(|conditions| conditions.frozen == 0).await.is_err();
}

/// A host stands still while this exists.
#[derive(Debug)]
#[must_use = "the host thaws as soon as the guard is dropped"]
pub struct Freeze(Faults);

impl Drop for Freeze {
    fn drop(&mut self) {
        self.0.0.conditions.send_modify(|conditions| conditions.frozen -= 1);
    }
}
