//! Looks at this host and tells the witness, at once when something happened.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until, timeout},
};
use zfs_sync_core::name::DatasetName;
use zfs_sync_zfs::{features::Features, watch::watch_events};

use super::{Shared, backoff::Backoff, log_witness_error};
use crate::inventory::{Reports, Scanner};

/// One `zfs snapshot -r` is a burst of events; all of them become one look.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// How often this host is looked at although events come: some changes have none.
const POLL_WITH_EVENTS: Duration = Duration::from_secs(10);

/// A host with so many datasets that a look takes long is not looked at all the time: at most a fifth of it.
const SCAN_SHARE: u32 = 4;

/// Reports that follow one look at once. What is still missing then follows after the next one, so that a witness that
/// never has enough does not keep two machines busy.
const REPORTS_PER_SCAN: usize = 32;

/// Wakes the reporter and waits for it.
#[derive(Debug)]
pub(super) struct ReporterHandle {
    wake: Notify,
    /// Datasets that were worked on: to be read again, and told exactly.
    marked: Mutex<BTreeSet<DatasetName>>,
    /// Counts demands for a report.
    wanted: AtomicU64,
    /// The last demand that was met.
    met: watch::Sender<u64>,
    /// An event stream works.
    has_events: AtomicBool,
}

impl Default for ReporterHandle {
    fn default() -> Self {
        Self {
            wake: Notify::new(),
            marked: Mutex::default(),
            wanted: AtomicU64::new(0),
            met: watch::Sender::new(0),
            has_events: AtomicBool::new(false),
        }
    }
}

impl ReporterHandle {
    /// Something may have changed.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// The witness wants a report, whether anything changed or not.
    pub(super) fn demand(&self) -> u64 {
        let demand = self.wanted.fetch_add(1, Ordering::AcqRel) + 1;
        self.wake();
        demand
    }

    /// The histories of these datasets are read again at the next look, and what was written told exactly.
    pub(super) fn mark(&self, datasets: impl IntoIterator<Item = DatasetName>) {
        self.marked.lock().expect("no holder of this lock panics").extend(datasets);
    }

    /// Demands a report and waits until the witness has it. False: not within `limit`.
    pub(super) async fn report(&self, limit: Duration) -> bool {
        let mut met = self.met.subscribe();
        let demand = self.demand();
        timeout(limit, met.wait_for(|met| *met >= demand)).await.is_ok_and(|met| met.is_ok())
    }

    fn take_marked(&self) -> BTreeSet<DatasetName> {
        std::mem::take(&mut *self.marked.lock().expect("no holder of this lock panics"))
    }
}

/// The reporter's loop.
pub(super) async fn run(shared: Arc<Shared>, features: Features) {
    let mut scanner = Scanner::new(Arc::clone(&shared.local), features, Arc::clone(&shared.clock));
    if let Some(files) = &shared.sanoid {
        scanner = scanner.with_sanoid(files.clone());
    }
    // Milliseconds since 1970 are higher than whatever an earlier run has counted up to: it needed more than one each.
    let sequence = u64::try_from(shared.clock.now().as_millisecond()).unwrap_or(0);
    let mut reporter = Reporter {
        scanner,
        reports: Reports::new(sequence),
        reported_at: None,
        scan_failing: false,
        scan_took: Duration::ZERO,
        backoff: Backoff::witness(),
    };
    loop {
        match shared.unless_shutdown(reporter.round(&shared)).await {
            None => return,
            Some(Round::Done) => {
                reporter.backoff.reset();
                if shared.unless_shutdown(reporter.pause(&shared)).await.is_none() {
                    return;
                }
            }
            // However often somebody wakes: no more attempts than the waits allow.
            Some(Round::Failed) => {
                if !shared.sleep(reporter.backoff.delay()).await {
                    return;
                }
            }
        }
    }
}

enum Round {
    Done,
    Failed,
}

struct Reporter {
    scanner: Scanner,
    reports: Reports,
    reported_at: Option<Instant>,
    scan_failing: bool,
    scan_took: Duration,
    backoff: Backoff,
}

impl Reporter {
    /// Looks, and reports when there is something to say or it is time.
    async fn round(&mut self, shared: &Shared) -> Round {
        let handle = &shared.reporter;
        // Read before looking: whoever demands a report later may mean something that this look does not see.
        let wanted = handle.wanted.load(Ordering::Acquire);
        for dataset in handle.take_marked() {
            self.reports.tell_exactly(dataset.clone());
            self.scanner.mark(dataset);
        }
        let began = Instant::now();
        let looked_at = shared.witness_time.at_least(shared.boot_clock.since_boot());
        let scanned = self.scanner.scan().await;
        self.scan_took = began.elapsed();
        if let Err(error) = scanned {
            // Nothing is reported: what could not be read is unknown, not absent. Said once, until it works again.
            if !std::mem::replace(&mut self.scan_failing, true) {
                tracing::error!(code = error.code(), "could not look at this host: {error}");
            }
            return Round::Failed;
        }
        if std::mem::replace(&mut self.scan_failing, false) {
            tracing::info!("this host can be looked at again");
        }
        for _ in 0..REPORTS_PER_SCAN {
            let demanded = wanted > *handle.met.borrow();
            let due = self.reported_at.is_none_or(|at| at.elapsed() >= shared.report_interval);
            if !(demanded || due || self.reports.has_news(&self.scanner)) {
                break;
            }
            let report = self.reports.next(&self.scanner, looked_at);
            match shared.client.report_inventory(shared.system_id, &report).await {
                Ok(answer) => {
                    shared.hear(answer.now);
                    self.reports.answered(&report, &answer);
                    self.reported_at = Some(Instant::now());
                }
                Err(error) => {
                    log_witness_error("report the inventory", &error);
                    return Round::Failed;
                }
            }
            if !self.reports.has_news(&self.scanner) {
                handle.met.send_replace(wanted);
                break;
            }
        }
        Round::Done
    }

    /// Until somebody wakes, or it is time to look or to report.
    async fn pause(&self, shared: &Shared) {
        let now = Instant::now();
        let has_events = shared.reporter.has_events.load(Ordering::Relaxed);
        let poll = if has_events { POLL_WITH_EVENTS } else { shared.poll_interval };
        let look = now + poll.max(self.scan_took * SCAN_SHARE);
        let report = self.reported_at.map_or(now, |at| at + shared.report_interval);
        tokio::select! {
            () = shared.reporter.wake.notified() => tokio::time::sleep(DEBOUNCE).await,
            () = sleep_until(look.min(report)) => {}
        }
    }
}

/// Keeps an event stream running, for as long as this system has one.
pub(super) async fn watch(shared: Arc<Shared>) {
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_mins(1));
    loop {
        let started = Instant::now();
        let woken = || {
            // Only now it is known to work: a system without events may accept the command and say nothing.
            shared.reporter.has_events.store(true, Ordering::Relaxed);
            shared.reporter.wake();
        };
        let ended = shared.unless_shutdown(watch_events(&*shared.local, woken)).await;
        shared.reporter.has_events.store(false, Ordering::Relaxed);
        match ended {
            None => return,
            Some(Ok(())) => tracing::debug!("the event stream ended; polling meanwhile"),
            Some(Err(error)) => {
                tracing::debug!(code = error.code(), "no event stream, polling meanwhile: {error}");
            }
        }
        if started.elapsed() > Duration::from_mins(1) {
            backoff.reset();
        }
        if !shared.sleep(backoff.delay()).await {
            return;
        }
    }
}
