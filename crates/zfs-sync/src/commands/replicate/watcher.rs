//! Tells the person at the terminal how a step goes.

use std::{future::Future, sync::Mutex, time::Duration};

use async_trait::async_trait;
use tokio::time::{Instant, interval_at};
use zfs_sync_agent::engine::{HoldNote, RecordError, Stage, Watcher};
use zfs_sync_core::name::DatasetName;
use zfs_sync_zfs::pipeline::ProgressCounter;

use crate::printer::{
    Printer,
    words::{rate, size, span},
};

/// Between two lines of progress.
const PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Terminal {
    printer: Printer,
    what: String,
    /// Before each line after the first, where several are told about at the same time.
    name: String,
    counter: ProgressCounter,
    expected: Mutex<Option<u64>>,
}

impl Terminal {
    pub(super) fn new(printer: Printer, what: String) -> Self {
        let (counter, expected) = (ProgressCounter::new(), Mutex::new(None));
        Self { printer, what, name: String::new(), counter, expected }
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
        let mut ticks = interval_at(Instant::now() + PAUSE, PAUSE);
        let mut before = 0;
        loop {
            tokio::select! {
                ended = &mut execution => return ended,
                _ = ticks.tick() => {
                    let bytes = self.counter.bytes();
                    let per_second = (bytes - before) / PAUSE.as_secs();
                    before = bytes;
                    self.printer.say(format!("   {}{}", self.name, self.progress(bytes, per_second)));
                }
            }
        }
    }

    fn progress(&self, bytes: u64, per_second: u64) -> String {
        let total = *self.expected.lock().expect("no holder of this lock panics");
        let mut parts = vec![size(bytes)];
        if let Some(total) = total.filter(|total| *total > 0) {
            parts[0] = format!("{} % of ~{}", (bytes.saturating_mul(100) / total).min(100), size(total));
            if let Some(left) = total.saturating_sub(bytes).checked_div(per_second) {
                parts.push(format!("{} left", span(left)));
            }
        }
        parts.push(if per_second == 0 { "no byte moves".to_owned() } else { rate(per_second) });
        parts.join(", ")
    }
}

#[async_trait]
impl Watcher for Terminal {
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
