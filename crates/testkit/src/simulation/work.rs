//! What agents do: look, report, take leases, carry them out one command at a time, die, and begin again.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use zfs_sync_agent::{
    engine::{BootClock, Execution, Fence, Settled},
    ledger::{Entry, LedgerError, Phase},
};
use zfs_sync_api::v1::agent::{InventoryAnswer, LeasedTransfer, TransferOutcome, TransferResult};
use zfs_sync_core::{
    ids::{SystemId, TransferId},
    plan::Step,
};

use super::{
    agent::{End, Ends, Life, PLACES, Task, execute, local_datasets, look_after},
    clock::UP_BEFORE,
    run::{Broken, Event, Simulation},
    truth::Cause,
    wire::{Answer, Request},
    witness::{LEASE, REPORT_INTERVAL},
};

/// The reporter's poll without events.
const POLL: u64 = 60_000;
/// How often the janitor looks.
const TIDY: u64 = 60_000;
/// How often a lease is renewed.
const TELL: u64 = 4_000;

impl Simulation {
    fn life(&mut self, id: SystemId) -> Option<&mut Life> {
        self.agents.get_mut(&id)?.life.as_mut()
    }

    fn is_current(&self, id: SystemId, incarnation: u64) -> bool {
        self.agents.get(&id).is_some_and(|agent| agent.incarnation == incarnation && agent.life.is_some())
    }

    pub(super) fn start(&mut self, id: SystemId) -> Result<(), Broken> {
        let features = self.features.clone();
        let Some(agent) = self.agents.get_mut(&id).filter(|agent| agent.life.is_none()) else {
            return Ok(());
        };
        agent.start(features).map_err(|error| Broken(format!("the ledger of {}: {error}", agent.name)))?;
        let (name, incarnation) = (agent.name.clone(), agent.incarnation);
        if incarnation > 1 {
            self.say(format!("{name}: the agent starts"));
        }
        self.scan_within(id, 100);
        self.after(1, Event::Greet(id, incarnation));
        self.after(TIDY, Event::Tidy(id, incarnation));
        self.after(500, Event::Post(id, incarnation));
        self.recover(id);
        Ok(())
    }

    /// The process dies: whatever it was doing stops where it is.
    pub(super) fn kill(&mut self, id: SystemId, why: &str) {
        let Some(agent) = self.agents.get_mut(&id) else { return };
        let Some(life) = agent.life.take() else { return };
        let running = life.tasks.len() as u64;
        let doing: Vec<String> = life.tasks.values().map(|task| super::witness::words(&task.step)).collect();
        drop(life);
        let hosts: Vec<_> = self.agents.values().map(|agent| agent.host.clone()).collect();
        let name = self.name(id);
        if running > 0 {
            // Killed processes leave what they leave before anything else happens.
            self.runtime.block_on(async {
                for host in hosts {
                    host.settle().await;
                }
            });
        }
        self.summary.deaths += running;
        self.say(format!(
            "{name}: the agent dies ({why}) in the middle of {} tasks {}",
            running,
            doing.join("; ")
        ));
        self.parked_calls.remove(&id);
    }

    pub(super) fn greet(&mut self, id: SystemId, incarnation: u64) {
        if self.is_current(id, incarnation) {
            self.send(id, Request::Hello);
        }
    }

    /// Looks after everything that the last life has left, one after the other.
    fn recover(&mut self, id: SystemId) {
        loop {
            let Some(life) = self.life(id) else { return };
            let Some(transfer) = life.recovery.pop_front() else {
                let incarnation = self.agents[&id].incarnation;
                self.ask_for_leases(id, incarnation);
                return;
            };
            let entry = life.ledger.entry(transfer).filter(|entry| entry.phase != Phase::Settled);
            if let Some(entry) = entry
                && self.look_after(id, entry)
            {
                return;
            }
        }
    }

    /// False when somebody else works on the replica.
    fn look_after(&mut self, id: SystemId, entry: Entry) -> bool {
        if self.life(id).is_none_or(|life| life.worker(&entry.step).is_some()) {
            return false;
        }
        let push = entry.push && entry.peer.is_some();
        let ends = self.ends(id, &entry.step, entry.peer.is_some(), push);
        let Some(life) = self.life(id) else { return false };
        let task = look_after(entry, ends, Arc::clone(&life.ledger), life.features.clone());
        self.begin(id, task);
        true
    }

    fn ends(&mut self, id: SystemId, step: &Step, has_peer: bool, push: bool) -> Ends {
        let local = (self.host(id), None);
        if !has_peer {
            return Ends { source: local.clone(), target: local };
        }
        let other = if push { step.target_system } else { step.source_system };
        let far = (self.host(other), Some(self.link(id, other)));
        if push { Ends { source: local, target: far } } else { Ends { source: far, target: local } }
    }

    fn begin(&mut self, id: SystemId, task: Task) {
        self.next_task += 1;
        let (number, incarnation) = (self.next_task, self.agents[&id].incarnation);
        let renews = task.leased.is_some();
        if let Some(life) = self.life(id) {
            life.tasks.insert(number, task);
        }
        self.after(1, Event::Advance(id, incarnation, number));
        if renews {
            self.after(1, Event::Tell(id, incarnation, number));
        }
    }

    pub(super) fn scan_within(&mut self, id: SystemId, delay: u64) {
        let at = self.now + delay;
        let Some(agent) = self.agents.get_mut(&id) else { return };
        let Some(life) = agent.life.as_mut() else { return };
        if life.scan_due > at || life.scan_due <= self.now {
            life.scan_due = at;
            let incarnation = agent.incarnation;
            self.at(at, Event::Scan(id, incarnation));
        }
    }

    /// Looks at the host, and reports when there is something to say or it is time.
    pub(super) fn scan(&mut self, id: SystemId, incarnation: u64) {
        if !self.is_current(id, incarnation) {
            return;
        }
        let now = self.now;
        let Some(agent) = self.agents.get_mut(&id) else { return };
        let Some(life) = agent.life.as_mut().filter(|life| life.scan_due == now) else { return };
        // An answer is still awaited; then it is looked again.
        if life.reporting.is_some() {
            self.scan_within(id, 1000);
            return;
        }
        let looked_at = life.witness_time.at_least(self.time.since_boot());
        let scanned = self.runtime.block_on(life.scanner.scan());
        if scanned.is_err() {
            // What could not be read is unknown, not absent.
            self.scan_within(id, 5000);
            return;
        }
        let due = life.reported_at.is_none_or(|at| now - at >= REPORT_INTERVAL);
        let mut next = POLL;
        if due || life.wanted || life.reports.has_news(&life.scanner) {
            let report = life.reports.next(&life.scanner, looked_at);
            let request = Request::Report { report: report.clone(), looked_at: now };
            let call = self.send(id, request);
            if let Some(life) = self.life(id) {
                life.reporting = Some((call, report));
            }
            next = 30_000;
        }
        self.scan_within(id, next);
    }

    /// Asks for something to do, when there is room.
    pub(super) fn ask_for_leases(&mut self, id: SystemId, incarnation: u64) {
        if !self.is_current(id, incarnation) {
            return;
        }
        let Some(life) = self.life(id) else { return };
        let free = PLACES.saturating_sub(life.transfers());
        if free == 0 || life.leasing.is_some() || !life.greeted || !life.recovery.is_empty() {
            return;
        }
        let call = self.send(id, Request::Lease { max: free });
        if let Some(life) = self.life(id) {
            life.leasing = Some(call);
        }
    }

    /// An answer has come.
    pub(super) fn hear(
        &mut self,
        id: SystemId,
        call: u64,
        request: Request,
        answer: Option<Answer>,
    ) -> Result<(), Broken> {
        let incarnation = self.agents[&id].incarnation;
        let (now, up) = (self.now, self.time.since_boot());
        let Some(life) = self.life(id) else { return Ok(()) };
        if let Some(
            Answer::Hello { now }
            | Answer::Lease { now, .. }
            | Answer::Report(InventoryAnswer { now: Some(now), .. }),
        ) = &answer
        {
            life.witness_time.heard(Some(*now), up);
        }
        match (request, answer) {
            (Request::Hello, Some(Answer::Hello { .. })) => {
                life.greeted = true;
                self.ask_for_leases(id, incarnation);
            }
            (Request::Report { .. }, Some(Answer::Report(answer))) => {
                if let Some((_, report)) = life.reporting.take_if(|(number, _)| *number == call) {
                    life.reports.answered(&report, &answer);
                    life.reported_at = Some(now);
                    if life.reports.has_news(&life.scanner) {
                        self.scan_within(id, 20);
                    } else {
                        life.wanted = false;
                    }
                }
            }
            (Request::Lease { .. }, Some(Answer::Lease { leased, report_now, .. })) => {
                life.leasing = None;
                if report_now && !std::mem::replace(&mut life.wanted, true) {
                    self.scan_within(id, 50);
                }
                for leased in leased {
                    self.accept(id, leased)?;
                }
                self.after(200, Event::Lease(id, incarnation));
            }
            (Request::Progress { transfer, generation, asked }, Some(Answer::Progress { lost })) => {
                for task in life.tasks.values_mut() {
                    if task.transfer != transfer || task.generation != generation || task.leased.is_none() {
                        continue;
                    }
                    if lost {
                        task.lost = true;
                        task.cancel.cancel();
                    } else if let Some(fence) = &task.fence {
                        fence.renewed(UP_BEFORE + Duration::from_millis(asked));
                    }
                    task.may_begin = true;
                }
            }
            (Request::Result { transfer, result }, Some(Answer::Result)) => {
                // Heard, or refused for good: the target's next report tells what happened.
                life.delivering.remove(&transfer);
                let done = life.ledger.acknowledge(transfer, result.generation);
                ledger(done)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// No answer has come.
    pub(super) fn unanswered(&mut self, id: SystemId, call: u64, request: &Request) {
        let incarnation = self.agents[&id].incarnation;
        let Some(life) = self.life(id) else { return };
        match request {
            Request::Hello => self.after(2000, Event::Greet(id, incarnation)),
            Request::Report { .. } => {
                if life.reporting.take_if(|(number, _)| *number == call).is_some() {
                    self.scan_within(id, 2000);
                }
            }
            Request::Lease { .. } => {
                if life.leasing == Some(call) {
                    life.leasing = None;
                    self.after(1000, Event::Lease(id, incarnation));
                }
            }
            Request::Progress { .. } => {}
            Request::Result { transfer, .. } => {
                life.delivering.remove(transfer);
                self.after(2000, Event::Post(id, incarnation));
            }
        }
    }

    /// Takes a leased transfer and starts it.
    fn accept(&mut self, id: SystemId, leased: LeasedTransfer) -> Result<(), Broken> {
        let Some(life) = self.life(id) else { return Ok(()) };
        match life.ledger.begin(&leased) {
            Ok(()) => {}
            Err(LedgerError::OldGeneration { .. }) => return Ok(()),
            Err(error) => return Err(Broken(error.to_string())),
        }
        match life.worker(&leased.step) {
            Some(task) if task.leased.is_some() && task.transfer != leased.id => {
                let detail = "another transfer runs into it".to_owned();
                let outcome = TransferOutcome::Failed { code: "E_BUSY".to_owned(), detail, retryable: true };
                let execution =
                    Execution { outcome, bytes: 0, resumed_from: None, settled: Settled::Untouched };
                self.finish(id, &leased, execution, false)
            }
            Some(_) => {
                life.waiting.push_back(leased);
                Ok(())
            }
            None => {
                self.work_on(id, leased);
                Ok(())
            }
        }
    }

    fn work_on(&mut self, id: SystemId, leased: LeasedTransfer) {
        let ends = self.ends(id, &leased.step, leased.peer.is_some(), leased.push);
        let fence = Fence::new(Arc::clone(&self.time) as Arc<dyn BootClock>, Duration::from_millis(LEASE));
        let Some(life) = self.life(id) else { return };
        let (books, features) = (Arc::clone(&life.ledger), life.features.clone());
        let mut task = execute(leased, ends, books, features, Arc::new(fence));
        (task.began, task.last) = (self.now, self.now);
        let destroys = !task.step.action.destroys().is_empty();
        if self.is_rough && destroys && self.random.chance(50) {
            // Looked at just before, and told long after.
            if let Some(life) = self.life(id) {
                life.wanted = true;
            }
            self.scan_within(id, 1);
        }
        if self.is_rough {
            if self.random.chance(8) {
                task.dies_after = Some(self.random.below(25));
            }
            if self.random.chance(15) {
                task.gate.cut_next_stream(self.random.below(12_000));
                task.dies_in_stream = self.random.chance(40);
            }
            if self.random.chance(10) {
                // Slower than its lease is long.
                task.pace = self.random.within(2000, 12_000);
            }
        }
        self.begin(id, task);
    }

    /// Lets a task execute its next command.
    pub(super) fn advance(&mut self, id: SystemId, incarnation: u64, number: u64) -> Result<(), Broken> {
        if !self.is_current(id, incarnation) {
            return Ok(());
        }
        let agent = self.agents.get_mut(&id).expect("it is current");
        let Some(task) = agent.life.as_mut().and_then(|life| life.tasks.get_mut(&number)) else {
            return Ok(());
        };
        // The engine waits for the first renewal before it takes anything away, by a clock that is none of the simulation's. So it begins when
        // that has come, or when it would wait no longer; then the fence is closed.
        if !task.may_begin && self.now - task.began < LEASE {
            self.after(300, Event::Advance(id, incarnation, number));
            return Ok(());
        }
        if let Some(fence) = task.fence.as_ref().filter(|_| !std::mem::replace(&mut task.may_begin, true)) {
            fence.renewed(Duration::ZERO);
        }
        if task.dies_after == Some(0) {
            self.kill(id, "of itself");
            let delay = self.random.within(200, 40_000);
            self.after(delay, Event::Start(id));
            return Ok(());
        }
        if let Some(left) = &mut task.dies_after {
            *left -= 1;
        }
        // What it does next was decided upon when it stopped the last time.
        let decided = std::mem::replace(&mut task.last, self.now);
        let end = self.runtime.block_on(task.gate.let_one_through(&mut task.work));
        let (passed, touched) = (task.gate.take_passed(), task.gate.take_touched());
        let (step, transfer, pace) = (task.step.clone(), task.transfer, task.pace);
        let is_work = task.leased.is_some();
        let in_stream = end.is_none() && task.gate.is_in_stream();
        let dies = in_stream && task.dies_in_stream;
        if task.gate.take_took_away()
            && task
                .fence
                .as_ref()
                .is_some_and(|fence| !fence.was_open(UP_BEFORE + Duration::from_millis(decided)))
        {
            return Err(Broken(format!("{} took something away without a lease", passed.join("; "))));
        }
        if in_stream {
            // Both processes of the stream are gone before anything else happens.
            for side in BTreeSet::from([step.source_system, step.target_system]) {
                let host = self.host(side);
                self.runtime.block_on(host.settle());
            }
        }
        self.summary.commands += passed.len() as u64;
        for line in &passed {
            let kind = if is_work { "" } else { "tidy " };
            self.say(format!("  {kind}t{} {line}", transfer.as_uuid().as_u128()));
        }
        if touched {
            let basis = self.basis(transfer);
            for side in BTreeSet::from([step.source_system, step.target_system]) {
                let host = self.host(side);
                let cause = if is_work { Cause::Step(&step, &basis) } else { Cause::Janitor };
                self.truth.observe(side, &host, cause, self.now)?;
            }
        }
        if dies {
            self.kill(id, "in the middle of a stream");
            self.summary.deaths_in_streams += 1;
            let delay = self.random.within(200, 40_000);
            self.after(delay, Event::Start(id));
            return Ok(());
        }
        let Some(end) = end else {
            let delay = self.random.within(pace / 10, pace);
            self.after(delay, Event::Advance(id, incarnation, number));
            return Ok(());
        };
        let task = self.life(id).and_then(|life| life.tasks.remove(&number));
        let Some(task) = task else { return Ok(()) };
        match end {
            End::Executed(execution) => {
                if let Some(leased) = task.leased {
                    self.finish(id, &leased, execution, task.lost)?;
                }
            }
            End::Settled(settled) => {
                if let Some(life) = self.life(id) {
                    ledger(life.ledger.settle(task.transfer, task.generation, settled))?;
                    if !life.recovery.is_empty() {
                        self.recover(id);
                    }
                }
            }
        }
        // Somebody may have waited for this.
        while let Some(life) = self.life(id) {
            let free = life.waiting.iter().position(|leased| life.worker(&leased.step).is_none());
            let Some(leased) = free.and_then(|index| life.waiting.remove(index)) else { break };
            self.work_on(id, leased);
        }
        self.ask_for_leases(id, incarnation);
        Ok(())
    }

    /// Writes down how it ended. From here on a crash loses nothing.
    fn finish(
        &mut self,
        id: SystemId,
        leased: &LeasedTransfer,
        execution: Execution,
        lost: bool,
    ) -> Result<(), Broken> {
        let Execution { outcome, bytes, resumed_from, settled } = execution;
        let generation = leased.generation;
        self.say(format!("  t{} ended: {outcome:?}, {settled:?}", leased.id.as_uuid().as_u128()));
        let result =
            (!lost).then_some(TransferResult { generation, outcome, bytes, resumed_from, transport: None });
        let incarnation = self.agents[&id].incarnation;
        let Some(life) = self.life(id) else { return Ok(()) };
        if settled != Settled::Untouched {
            ledger(life.ledger.settle_others(leased.id))?;
        }
        ledger(life.ledger.finish(leased.id, generation, settled, result))?;
        for dataset in local_datasets(leased) {
            life.reports.tell_exactly(dataset.clone());
            life.scanner.mark(dataset);
        }
        self.scan_within(id, 100);
        self.after(300, Event::Post(id, incarnation));
        Ok(())
    }

    /// Renews the lease of what runs.
    pub(super) fn tell(&mut self, id: SystemId, incarnation: u64, number: u64) {
        if !self.is_current(id, incarnation) {
            return;
        }
        let asked = self.now;
        let Some(life) = self.life(id) else { return };
        let Some(task) = life.tasks.get(&number) else { return };
        let (transfer, generation) = (task.transfer, task.generation);
        let request = Request::Progress { transfer, generation, asked };
        self.send(id, request);
        self.after(TELL, Event::Tell(id, incarnation, number));
    }

    /// Delivers the results that the witness has not heard.
    pub(super) fn post(&mut self, id: SystemId, incarnation: u64) {
        if !self.is_current(id, incarnation) {
            return;
        }
        let Some(life) = self.life(id) else { return };
        let unheard: Vec<(TransferId, TransferResult)> = life
            .ledger
            .entries()
            .into_iter()
            .filter_map(|entry| Some((entry.transfer, entry.result?)))
            .filter(|(transfer, _)| !life.delivering.contains_key(transfer))
            .collect();
        for (transfer, result) in unheard {
            let generation = result.generation;
            let call = self.send(id, Request::Result { transfer, result });
            if let Some(life) = self.life(id) {
                life.delivering.insert(transfer, (call, generation));
            }
        }
    }

    /// The janitor: what an execution had to leave.
    pub(super) fn tidy(&mut self, id: SystemId, incarnation: u64) {
        if !self.is_current(id, incarnation) {
            return;
        }
        let Some(life) = self.life(id) else { return };
        let open: Vec<Entry> =
            life.ledger.entries().into_iter().filter(|entry| entry.phase == Phase::Open).collect();
        for entry in open {
            self.look_after(id, entry);
        }
        self.after(TIDY, Event::Tidy(id, incarnation));
    }
}

fn ledger(done: Result<(), LedgerError>) -> Result<(), Broken> {
    match done {
        // Taken away with a restored disk.
        Ok(()) | Err(LedgerError::Unknown(_)) => Ok(()),
        Err(error) => Err(Broken(format!("the ledger: {error}"))),
    }
}
