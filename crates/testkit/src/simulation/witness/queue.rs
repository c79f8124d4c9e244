//! Transfers: queued, leased with a growing generation, ended, tried again.

use std::collections::BTreeMap;

use zfs_sync_api::v1::agent::{LeasedTransfer, Peer, TransferOutcome, TransferResult};
use zfs_sync_core::{
    flow::FlowSettings,
    ids::{SystemId, TransferId},
    name::DatasetName,
    plan::{LAST_COMMAND, Step, first_lost, still_wanted},
    retry,
    time::Timestamp,
};

use super::{Known, LEASE, Witness};
use crate::simulation::wire::Answer;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::simulation) enum State {
    Queued,
    Leased,
    Succeeded,
    Failed,
    Stale,
}

impl State {
    pub(super) const fn is_finished(self) -> bool {
        !matches!(self, Self::Queued | Self::Leased)
    }
}

/// What a step that destroys rests on.
#[derive(Clone, Debug, Default)]
pub(in crate::simulation) struct Basis {
    /// A person has approved its list; otherwise a group's policy alone.
    pub(in crate::simulation) by_person: bool,
    /// When each system was last looked at, as far as the witness knew.
    pub(in crate::simulation) looked_at: BTreeMap<SystemId, u64>,
}

#[derive(Clone, Debug)]
pub(in crate::simulation) struct Transfer {
    pub(in crate::simulation) id: TransferId,
    pub(in crate::simulation) group: usize,
    pub(in crate::simulation) executor: SystemId,
    pub(in crate::simulation) step: Step,
    pub(in crate::simulation) state: State,
    pub(in crate::simulation) basis: Basis,
    pub(in crate::simulation) error: Option<(String, String)>,
    pub(super) generation: u64,
    pub(super) attempts: u32,
    pub(in crate::simulation) next_attempt_at: Timestamp,
    pub(super) lease_until: Option<Timestamp>,
    pub(super) finished_at: Option<Timestamp>,
    /// Until when its executor may still be at it.
    pub(super) acts_until: Option<Timestamp>,
}

fn later(now: Timestamp, milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(now.as_millisecond() + milliseconds).expect("a history is short")
}

impl Transfer {
    fn lease_for_a_while(&mut self, now: Timestamp) {
        let until = later(now, i64::try_from(LEASE).unwrap_or(i64::MAX));
        self.lease_until = Some(until);
        self.acts_until = Some(until + LAST_COMMAND);
    }
}

impl Witness {
    /// Queues a step unless something is under way into its target already.
    pub(super) fn enqueue(
        &mut self,
        group: usize,
        executor: SystemId,
        step: Step,
        basis: Basis,
        now: Timestamp,
    ) -> Option<TransferId> {
        let same = |transfer: &Transfer| {
            transfer.step.target_system == step.target_system && transfer.step.target == step.target
        };
        if self.unfinished().any(same) {
            return None;
        }
        let index = self.transfers.len();
        let id = TransferId::from_uuid(uuid::Uuid::from_u128(1 + index as u128));
        self.open.insert(index);
        self.groups[group].transfers.push(index);
        self.transfers.push(Transfer {
            id,
            group,
            executor,
            step,
            state: State::Queued,
            basis,
            error: None,
            generation: 0,
            attempts: 0,
            next_attempt_at: now,
            lease_until: None,
            finished_at: None,
            acts_until: None,
        });
        self.woken.insert(executor);
        Some(id)
    }

    /// Those that are queued or leased.
    pub(in crate::simulation) fn unfinished(&self) -> impl Iterator<Item = &Transfer> {
        self.open.iter().filter_map(|index| self.transfers.get(*index))
    }

    /// Forgets that finished ones were under way.
    fn close_finished(&mut self) {
        let transfers = &self.transfers;
        self.open.retain(|index| transfers.get(*index).is_some_and(|transfer| !transfer.state.is_finished()));
    }

    fn transfer_mut(&mut self, id: TransferId) -> Option<&mut Transfer> {
        let index = usize::try_from(id.as_uuid().as_u128()).ok()?.checked_sub(1)?;
        self.transfers.get_mut(index)
    }

    pub(in crate::simulation) fn transfer(&self, id: TransferId) -> Option<&Transfer> {
        let index = usize::try_from(id.as_uuid().as_u128()).ok()?.checked_sub(1)?;
        self.transfers.get(index)
    }

    /// A queued transfer gives its place to another step.
    pub(super) fn supersede(&mut self, id: TransferId, now: Timestamp) {
        if let Some(transfer) = self.transfer_mut(id).filter(|transfer| transfer.state == State::Queued) {
            transfer.state = State::Stale;
            transfer.finished_at = Some(now);
        }
        self.close_finished();
    }

    pub(super) fn release_leases(&mut self, system: SystemId, now: Timestamp) {
        for index in &self.open {
            let Some(transfer) = self.transfers.get_mut(*index) else { continue };
            if transfer.executor != system || transfer.state != State::Leased {
                continue;
            }
            (transfer.state, transfer.lease_until, transfer.next_attempt_at) = (State::Queued, None, now);
            self.dirty.insert(transfer.group);
        }
        self.woken.insert(system);
    }

    pub(in crate::simulation) fn expire_leases(&mut self, now: Timestamp) {
        for index in &self.open {
            let Some(transfer) = self.transfers.get_mut(*index) else { continue };
            if transfer.state == State::Leased && transfer.lease_until.is_some_and(|until| until <= now) {
                (transfer.state, transfer.lease_until, transfer.next_attempt_at) = (State::Queued, None, now);
                self.dirty.insert(transfer.group);
            }
            if transfer.state == State::Queued && transfer.next_attempt_at <= now {
                self.woken.insert(transfer.executor);
            }
        }
    }

    pub(super) fn lease(&mut self, system: SystemId, max: usize, now: Timestamp) -> Option<Answer> {
        let due = |transfer: &&Transfer| {
            transfer.executor == system && transfer.state == State::Queued && transfer.next_attempt_at <= now
        };
        let due: Vec<TransferId> =
            self.unfinished().filter(due).map(|transfer| transfer.id).take(max).collect();
        let mut leased = Vec::new();
        for id in due {
            let wanted = self.transfer(id).is_some_and(|transfer| self.is_still_wanted(transfer, now));
            let name =
                |id: SystemId| self.systems.get(&id).map_or_else(String::new, |known| known.name.clone());
            let peer = self.transfer(id).and_then(|transfer| {
                let Transfer { step, executor, .. } = transfer;
                let other =
                    if *executor == step.source_system { step.target_system } else { step.source_system };
                let alone = step.source_system == step.target_system || step.action.is_local();
                let hostname = name(other);
                (!alone).then(|| Peer {
                    hostname: hostname.clone(),
                    ssh_hostname: Some(hostname),
                    ssh_user: None,
                    ssh_port: 22,
                    tls: None,
                })
            });
            let Some(transfer) = self.transfer_mut(id) else { continue };
            let group = transfer.group;
            if wanted {
                transfer.state = State::Leased;
                transfer.generation += 1;
                transfer.attempts += 1;
                transfer.lease_for_a_while(now);
                leased.push(LeasedTransfer {
                    id,
                    generation: transfer.generation,
                    lease_ms: LEASE,
                    push: transfer.executor == transfer.step.source_system,
                    step: transfer.step.clone(),
                    peer,
                    flow: FlowSettings::default(),
                    ticket: None,
                });
            } else {
                (transfer.state, transfer.finished_at) = (State::Stale, Some(now));
            }
            self.dirty.insert(group);
        }
        self.close_finished();
        let report_now = self.systems.get(&system).is_some_and(Known::is_report_wanted);
        (!leased.is_empty() || report_now).then_some(Answer::Lease { leased, report_now, now })
    }

    /// As the server asks when it leases a step: by the same rules, from what this model knows.
    fn is_still_wanted(&self, transfer: &Transfer, now: Timestamp) -> bool {
        let Some(kept) = self.groups.get(transfer.group) else { return false };
        let step = &transfer.step;
        let Ok(word) = still_wanted(Some(&kept.group), &kept.decisions, step) else { return false };
        let asked = step.action.destroys().iter().map(|lost| lost.guid).collect();
        !word.needs_another_copy(&step.action) || first_lost(step, &self.copies(&asked, now)).is_none()
    }

    pub(super) fn renew(&mut self, id: TransferId, generation: u64, now: Timestamp) -> bool {
        let mine =
            |transfer: &&mut Transfer| transfer.state == State::Leased && transfer.generation == generation;
        let Some(transfer) = self.transfer_mut(id).filter(mine) else { return false };
        transfer.lease_for_a_while(now);
        true
    }

    /// Takes a result under the present generation; another one says nothing any more.
    pub(super) fn finish(&mut self, id: TransferId, result: &TransferResult, now: Timestamp, jitter: f64) {
        let mine = |transfer: &&mut Transfer| {
            // Otherwise the answer got lost and the agent says it again.
            transfer.generation == result.generation && transfer.state == State::Leased
        };
        let Some(transfer) = self.transfer_mut(id).filter(mine) else { return };
        let (state, error, retry) = match &result.outcome {
            TransferOutcome::Succeeded => (State::Succeeded, None, None),
            TransferOutcome::Stale { .. } => (State::Stale, None, None),
            TransferOutcome::Cancelled => {
                (State::Failed, Some(("E_TRANSFER_CANCELLED".into(), String::new())), None)
            }
            TransferOutcome::Interrupted => {
                (State::Queued, Some(("E_TRANSFER_INTERRUPTED".into(), String::new())), Some((now, false)))
            }
            TransferOutcome::Failed { code, detail, retryable } => {
                let broke =
                    ["E_TRANSFER_INTERRUPTED", "E_TRANSFER_STALLED", "E_SSH_UNREACHABLE", "E_STREAM_CORRUPT"];
                let progress = result.bytes > 0 && broke.contains(&code.as_str());
                let attempts = if progress { 1 } else { transfer.attempts };
                let error = Some((code.clone(), detail.clone()));
                match retry::wait(attempts, jitter).filter(|_| *retryable) {
                    Some(wait) => {
                        let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
                        (State::Queued, error, Some((later(now, wait), progress)))
                    }
                    None => (State::Failed, error, None),
                }
            }
        };
        (transfer.state, transfer.lease_until) = (state, None);
        if state == State::Succeeded || error.is_some() {
            transfer.error = error;
        }
        if let Some((at, progress)) = retry {
            transfer.next_attempt_at = at;
            if progress {
                transfer.attempts = 0;
            }
        }
        transfer.finished_at = state.is_finished().then_some(now);
        if state == State::Succeeded || (state == State::Stale && transfer.generation <= 1) {
            transfer.acts_until = Some(now);
        }
        let (group, sides) = (transfer.group, [transfer.step.source_system, transfer.step.target_system]);
        self.close_finished();
        self.dirty.insert(group);
        if matches!(state, State::Succeeded | State::Stale) {
            for side in sides {
                if let Some(known) = self.systems.get_mut(&side) {
                    known.wanted_at = Some(now);
                }
                self.woken.insert(side);
            }
        }
    }

    /// A person starts a parked transfer again.
    pub(in crate::simulation) fn retry(&mut self, id: TransferId, now: Timestamp) {
        let Some(transfer) = self.transfer(id) else { return };
        let (system, target) = (transfer.step.target_system, transfer.step.target.clone());
        let other = |other: &Transfer| {
            other.id != id && other.step.target_system == system && other.step.target == target
        };
        let busy = self.unfinished().any(other);
        if let Some(transfer) = self.transfer_mut(id).filter(|found| found.state == State::Failed && !busy) {
            (transfer.state, transfer.attempts) = (State::Queued, 0);
            (transfer.next_attempt_at, transfer.finished_at) = (now, None);
            let (group, executor) = (transfer.group, transfer.executor);
            self.open.extend(usize::try_from(id.as_uuid().as_u128() - 1));
            self.dirty.insert(group);
            self.woken.insert(executor);
        }
    }

    /// The failed transfers of a group that no newer one into their target has replaced.
    pub(in crate::simulation) fn parked_of(&self, group: usize) -> Vec<&Transfer> {
        let mut newest: BTreeMap<(SystemId, &DatasetName), &Transfer> = BTreeMap::new();
        for transfer in self.transfers_of(group) {
            let key = (transfer.step.target_system, &transfer.step.target);
            let rank =
                |transfer: &Transfer| (transfer.finished_at.is_none(), transfer.finished_at, transfer.id);
            if newest.get(&key).is_none_or(|other| rank(other) < rank(transfer)) {
                newest.insert(key, transfer);
            }
        }
        newest.into_values().filter(|transfer| transfer.state == State::Failed).collect()
    }

    /// Of all groups.
    pub(in crate::simulation) fn parked(&self) -> Vec<&Transfer> {
        (0..self.groups.len()).flat_map(|group| self.parked_of(group)).collect()
    }

    pub(super) fn transfers_of(&self, group: usize) -> impl Iterator<Item = &Transfer> {
        self.groups[group].transfers.iter().filter_map(|index| self.transfers.get(*index))
    }
}
