//! Requests and answers between agents and the witness: late, lost, twice, in any order.

use zfs_sync_core::ids::SystemId;

use super::{
    agent::Task,
    run::{Broken, Event, Simulation},
    wire::{Answer, Request},
};

/// How long an agent waits for an answer.
const PATIENCE: u64 = 10_000;
/// How long the witness holds a lease request back.
const LEASE_WAIT: u64 = 20_000;

/// One request, and its answer once there is one.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) from: SystemId,
    pub(super) incarnation: u64,
    pub(super) request: Request,
    pub(super) answer: Option<Answer>,
    /// The agent still waits.
    pub(super) open: bool,
}

impl Simulation {
    fn delay(&mut self) -> u64 {
        // Most are quick; some take longer than anybody waits, and are overtaken by others.
        if self.is_rough && self.random.chance(2) {
            self.random.within(2000, 90_000)
        } else {
            self.random.within(5, 300)
        }
    }

    /// True for a report that is to arrive after the end of a step which destroys what the report still shows.
    fn is_overtaken(&mut self, number: u64) -> bool {
        let call = &self.calls[&number];
        let destroys = |task: &Task| task.leased.is_some() && !task.step.action.destroys().is_empty();
        let life = self.agents[&call.from].life.as_ref();
        let reports = matches!(call.request, Request::Report { .. });
        let concerns = reports && life.is_some_and(|life| life.tasks.values().any(destroys));
        concerns && self.is_rough && self.random.chance(50)
    }

    /// Sends a request; gives the call's number.
    pub(super) fn send(&mut self, from: SystemId, request: Request) -> u64 {
        self.next_call += 1;
        let number = self.next_call;
        let incarnation = self.agents[&from].incarnation;
        let waits = if matches!(request, Request::Lease { .. }) { LEASE_WAIT + PATIENCE } else { PATIENCE };
        self.calls.insert(number, Call { from, incarnation, request, answer: None, open: true });
        let (lost, twice) = self.loss;
        if !self.random.chance(lost) {
            let delay = if self.is_overtaken(number) {
                // As long as the agent waits for its answer, and looks no further.
                self.random.within(1000, PATIENCE - 1)
            } else {
                self.delay()
            };
            self.after(delay, Event::Deliver(number));
            if self.random.chance(twice) {
                let delay = self.random.within(5, 60_000);
                self.after(delay, Event::Deliver(number));
            }
        }
        self.after(waits, Event::GiveUp(number));
        number
    }

    pub(super) fn deliver(&mut self, number: u64) {
        let Some(call) = self.calls.get(&number).cloned() else { return };
        if !self.witness_up || self.unheard.contains(&call.from) {
            return;
        }
        let now = self.moment();
        #[expect(clippy::cast_precision_loss, reason = "a hundredth is enough")]
        let jitter = self.random.below(200) as f64 / 100.0 - 1.0;
        if let Some(answer) = self.witness.handle(call.from, &call.request, now, jitter) {
            self.reply(number, answer);
        } else {
            self.parked_calls.insert(call.from, number);
            self.after(LEASE_WAIT, Event::LeaseOver(call.from, number));
        }
        self.wake_systems();
    }

    fn reply(&mut self, number: u64, answer: Answer) {
        let (lost, _) = self.loss;
        if let Some(call) = self.calls.get_mut(&number) {
            call.answer = Some(answer);
            if !self.random.chance(lost) {
                let delay = self.delay();
                self.after(delay, Event::Answer(number));
            }
        }
    }

    /// Looks again at a lease request that waits.
    pub(super) fn try_parked(&mut self, id: SystemId) {
        let Some(number) = self.parked_calls.get(&id).copied() else { return };
        let Some(call) = self.calls.get(&number).cloned() else { return };
        if !self.witness_up {
            self.parked_calls.remove(&id);
            return;
        }
        let now = self.moment();
        if let Some(answer) = self.witness.handle(id, &call.request, now, 0.0) {
            self.parked_calls.remove(&id);
            self.reply(number, answer);
        }
    }

    pub(super) fn lease_over(&mut self, id: SystemId, number: u64) {
        if self.parked_calls.get(&id) == Some(&number) {
            self.parked_calls.remove(&id);
            if self.witness_up {
                let now = self.moment();
                self.reply(number, Answer::Lease { leased: Vec::new(), report_now: false, now });
            }
        }
    }

    /// The agent hears the answer, if it still listens.
    pub(super) fn answer(&mut self, number: u64) -> Result<(), Broken> {
        let Some(call) = self.calls.get_mut(&number).filter(|call| call.open) else { return Ok(()) };
        let agent = &self.agents[&call.from];
        if self.unheard.contains(&call.from) || agent.incarnation != call.incarnation || agent.life.is_none()
        {
            return Ok(());
        }
        call.open = false;
        let (id, request, answer) = (call.from, call.request.clone(), call.answer.clone());
        self.hear(id, number, request, answer)
    }

    pub(super) fn give_up(&mut self, number: u64) {
        let Some(call) = self.calls.get(&number).cloned() else { return };
        let listens =
            self.agents[&call.from].incarnation == call.incarnation && self.agents[&call.from].life.is_some();
        if call.open && listens {
            self.unanswered(call.from, number, &call.request);
        }
        if let Some(call) = self.calls.get_mut(&number) {
            call.open = false;
        }
        // A late delivery still needs the request; what was sent long ago does not.
        let old = number.saturating_sub(20_000);
        while self.calls.first_key_value().is_some_and(|(first, _)| *first < old) {
            self.calls.pop_first();
        }
    }
}
