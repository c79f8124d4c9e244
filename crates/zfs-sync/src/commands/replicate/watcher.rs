//! Tells the person at the terminal how a step goes.

use std::{
    future::Future,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::{Instant, interval, interval_at};
use zfs_sync_agent::engine::{HoldNote, RecordError, Stage, Watcher};
use zfs_sync_core::name::DatasetName;
use zfs_sync_zfs::pipeline::{Bottleneck, Flow, Flowing, Meter, ProgressCounter, STALLED_AFTER};

use super::super::flow::Chosen;
use crate::printer::{
    Printer,
    words::{rate, size, span},
};

/// How often it is looked what moves, and what the limit is.
const LOOK: Duration = Duration::from_secs(1);
/// Between two lines of progress.
const PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Terminal {
    printer: Printer,
    what: String,
    chosen: Chosen,
    /// Before each line after the first, where several are told about at the same time.
    name: String,
    counter: ProgressCounter,
    meter: Mutex<Meter>,
    expected: Mutex<Option<u64>>,
}

impl Terminal {
    pub(super) fn new(printer: Printer, what: String, chosen: Chosen) -> Self {
        let (counter, meter) = (ProgressCounter::new(), Mutex::default());
        Self { printer, what, chosen, name: String::new(), counter, meter, expected: Mutex::new(None) }
    }

    fn look(&self) -> Flowing {
        let mut meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
        meter.look(std::time::Instant::now(), &self.counter)
    }

    /// Says in each line which dataset it is about.
    pub(super) fn naming(mut self, target: &DatasetName) -> Self {
        self.name = format!("{target}: ");
        self
    }

    /// Waits for the end of an execution and says now and then how far it is.
    pub(super) async fn accompany<T>(&self, execution: impl Future<Output = T>) -> T {
        self.printer.say(&self.what);
        tokio::pin!(execution);
        let mut lines = interval_at(Instant::now() + PAUSE, PAUSE);
        let mut looks = interval(LOOK);
        let mut flowing = Flowing::default();
        loop {
            tokio::select! {
                ended = &mut execution => return ended,
                _ = looks.tick() => {
                    self.chosen.follow();
                    flowing = self.look();
                }
                _ = lines.tick() => {
                    self.printer.say(format!("   {}{}", self.name, self.progress(self.counter.bytes(), &flowing)));
                }
            }
        }
    }

    fn progress(&self, bytes: u64, flowing: &Flowing) -> String {
        let total = *self.expected.lock().expect("no holder of this lock panics");
        let mut parts = vec![size(bytes)];
        if let Some(total) = total.filter(|total| *total > 0) {
            parts[0] = format!("{} % of ~{}", (bytes.saturating_mul(100) / total).min(100), size(total));
        }
        if flowing.idle >= STALLED_AFTER {
            parts.push(format!("stalled: nothing moved for {}", span(flowing.idle.as_secs())));
        } else if flowing.rate == 0 {
            parts.push("no byte moves".to_owned());
        } else {
            parts.push(rate(flowing.rate));
        }
        if let Some(left) = flowing.left(bytes, total) {
            parts.push(format!("{} left", span(left.as_secs())));
        }
        if let Some((what, percent)) = flowing.bottleneck {
            parts.push(format!("{} {percent} % of the time", words(what)));
        }
        if let Some(packed) = self.counter.packed() {
            parts.push(format!("compression {packed}"));
        }
        parts.join(", ")
    }
}

const fn words(what: Bottleneck) -> &'static str {
    match what {
        Bottleneck::Source => "waits for the source",
        Bottleneck::Target => "waits for the target",
        Bottleneck::Limit => "held back by --limit",
        Bottleneck::Packing => "busy compressing",
    }
}

#[async_trait]
impl Watcher for Terminal {
    fn flow(&self) -> Flow {
        self.chosen.flow()
    }

    fn counter(&self) -> &ProgressCounter {
        &self.counter
    }

    fn stage(&self, stage: Stage) {
        self.printer.say_more(format!("   {}{}", self.name, stage.as_str()));
    }

    fn expect(&self, total: Option<u64>, resumed_from: Option<u64>) {
        *self.expected.lock().expect("no holder of this lock panics") = total;
        if let Some(from) = resumed_from {
            self.printer.say(format!("   {}continues after {}", self.name, size(from)));
        }
    }

    fn warn(&self, text: &str) {
        self.printer.say(format!("   {}warning: {text}", self.name));
    }

    /// Nothing is remembered between runs: every run looks at the holds that are there and releases what nobody needs.
    async fn record(&self, _note: HoldNote) -> Result<(), RecordError> {
        Ok(())
    }
}
