//! When a decision is carried out.

use std::collections::BTreeSet;

use super::{
    planner::Decision,
    reason::Reason,
    report::{ReplicaReport, ReplicaState},
};
use crate::{
    group::{GroupMode, SyncGroup},
    ids::SystemId,
};

impl Decision {
    /// Takes out those targets that are at the winner's newest snapshot. They follow as the group says from then on, and so must never
    /// come before whom they follow there: who is still to go back to the winner would take them along the other way.
    pub fn take_out_arrived(&mut self, group: &SyncGroup, replicas: &[ReplicaReport]) {
        loop {
            let arrived = |target: &SystemId| self.has_arrived(*target, replicas);
            let out: BTreeSet<SystemId> = if group.mode == GroupMode::Mesh {
                // Whom a mesh follows depends on what all members have, so they arrive together.
                if self.targets.iter().all(arrived) { self.targets.clone() } else { BTreeSet::new() }
            } else {
                let edges = group.edges();
                let is_free = |target: &&SystemId| {
                    let mut onto =
                        edges.iter().filter(|edge| edge.home == self.home && edge.target == **target);
                    onto.all(|edge| edge.source == **target || !self.targets.contains(&edge.source))
                };
                self.targets.iter().filter(|target| arrived(target)).filter(is_free).copied().collect()
            };
            if out.is_empty() {
                return;
            }
            self.take_out(|target| out.contains(target));
        }
    }

    /// Forgets some of its targets, and what was approved on them.
    pub fn take_out(&mut self, goes: impl Fn(&SystemId) -> bool) {
        self.targets.retain(|target| !goes(target));
        self.may_destroy.retain(|target, _| !goes(target));
        self.may_discard.retain(|target, _| !goes(target));
        self.may_move.retain(|target, _| !goes(target));
    }

    fn has_arrived(&self, target: SystemId, replicas: &[ReplicaReport]) -> bool {
        let mut of_target = replicas.iter().filter(|replica| {
            replica.home == self.home
                && replica.dataset == self.dataset
                && replica.target_system == target
                && replica.source_system == self.winner
        });
        of_target.next().is_some_and(|replica| {
            replica.state == ReplicaState::InSync
                && replica.step.is_none()
                && matches!(replica.reason, Some(Reason::NoNewSnapshot | Reason::DeletesHeldBack))
        })
    }
}
