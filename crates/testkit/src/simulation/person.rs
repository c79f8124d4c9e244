//! A person who looks at conflicts: asks what a strategy would come to, thinks about it, and applies it, perhaps too late.

use zfs_sync_core::{
    group::Strategy,
    plan::{Proposal, ReplicaKey},
};

use super::{
    run::{Event, Simulation},
    witness::words,
};

/// What somebody thinks about.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    group: usize,
    key: ReplicaKey,
    proposal: Proposal,
}

impl Simulation {
    pub(super) fn decide(&mut self) {
        if !self.witness_up {
            return;
        }
        let now = self.moment();
        // Parked transfers are tried again now and then.
        if self.random.chance(30) {
            let parked: Vec<_> = self.witness.parked().iter().map(|transfer| transfer.id).collect();
            if let Some(id) = self.random.pick(&parked).copied() {
                self.say(format!("a person retries t{}", id.as_uuid().as_u128()));
                self.witness.retry(id, now);
                self.wake_systems();
                return;
            }
        }
        let mut conflicts: Vec<(usize, ReplicaKey)> = Vec::new();
        for (index, kept) in self.witness.groups.iter().enumerate() {
            let rows = kept.rows.iter().filter(|(_, row)| row.conflict.is_some());
            conflicts.extend(rows.map(|(key, _)| (index, key.clone())));
        }
        let Some((group, key)) = self.random.pick(&conflicts).cloned() else { return };
        let strategy = self.random.one(&Strategy::ALL);
        let Ok(proposal) = self.witness.propose(group, &key, strategy, now) else { return };
        let steps: Vec<String> = proposal.plan.steps.iter().map(words).collect();
        let target = self.name(key.target_system);
        self.say(format!(
            "a person thinks about {} for {} on {target} in g{}: {}",
            strategy.as_str(),
            key.dataset,
            group + 1,
            steps.join("; ")
        ));
        self.pending.push(Pending { group, key, proposal });
        let delay = if self.random.chance(30) {
            self.random.within(60_000, 900_000)
        } else {
            self.random.within(100, 60_000)
        };
        self.after(delay, Event::Apply(self.pending.len() - 1));
    }

    pub(super) fn apply(&mut self, index: usize) {
        let Some(Pending { group, key, proposal }) = self.pending.get(index).cloned() else { return };
        if !self.witness_up {
            return;
        }
        let now = self.moment();
        let applied = self.witness.apply(group, &key, &proposal, now);
        let words = if applied { "applied" } else { "refused: the world has moved" };
        self.say(format!("{} for {} in g{} is {words}", proposal.strategy.as_str(), key.dataset, group + 1));
        if applied {
            if proposal.strategy.chooses() {
                let members = self.witness.groups[group].group.members.clone();
                self.meddled.extend(members);
            }
            self.summary.decisions.0 += 1;
        } else {
            self.summary.decisions.1 += 1;
        }
        self.wake_systems();
    }
}
