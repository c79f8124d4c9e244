//! Plans that a person was shown, and the decisions that applying them makes.
//!
//! A plan is kept as it was shown, so that what is applied is what was seen. A decision stands until its targets follow the winner, or
//! until somebody withdraws it or decides otherwise.

use zfs_sync_core::{
    group::Strategy,
    guid::Guid,
    ids::{GroupId, PlanId},
    plan::{Decision, Fingerprint, Proposal, ReplicaKey},
    time::Timestamp,
};

use crate::{Result, Store, store::dispatch};

/// A plan to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPlan {
    /// Its identity.
    pub id: PlanId,
    /// The group it is about.
    pub group: GroupId,
    /// The replica whose conflict it ends.
    pub replica: ReplicaKey,
    /// What it comes to.
    pub proposal: Proposal,
    /// Who asked for it.
    pub created_by: String,
}

/// One plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanRow {
    /// Its identity.
    pub id: PlanId,
    /// The group it is about.
    pub group: GroupId,
    /// The replica whose conflict it ends.
    pub replica: ReplicaKey,
    /// How.
    pub strategy: Strategy,
    /// What it comes to.
    pub proposal: Proposal,
    /// What it was made from; another one now means that the world has moved.
    pub fingerprint: Fingerprint,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who asked for it.
    pub created_by: String,
    /// When it was applied; `None` when nobody did.
    pub applied_at: Option<Timestamp>,
    /// Who applied it.
    pub applied_by: Option<String>,
}

/// How a decision ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DecisionOutcome {
    /// Every target it names follows the winner.
    Fulfilled,
    /// Another decision about the same dataset took its place.
    Replaced,
    /// Somebody took it back.
    Withdrawn,
}

impl DecisionOutcome {
    /// As in JSON and SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fulfilled => "fulfilled",
            Self::Replaced => "replaced",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// Back from [`Self::as_str`].
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Fulfilled, Self::Replaced, Self::Withdrawn]
            .into_iter()
            .find(|outcome| outcome.as_str() == name)
    }
}

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionRow {
    /// The plan whose application made it; its identity as well.
    pub plan: PlanId,
    /// The group it is about.
    pub group: GroupId,
    /// What was decided.
    pub decision: Decision,
    /// When.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// When it ended; `None` while it stands.
    pub finished_at: Option<Timestamp>,
    /// How it ended.
    pub outcome: Option<DecisionOutcome>,
}

impl Store {
    /// Keeps a plan; [`crate::Error::NotFound`] when its group or a system does not exist, [`crate::Error::Conflict`] when its ID is
    /// taken.
    pub async fn insert_plan(&self, plan: &NewPlan, now: Timestamp) -> Result<PlanRow> {
        dispatch!(self, plans::insert_plan(plan, now))
    }

    /// The plan with this identity.
    pub async fn plan(&self, id: PlanId) -> Result<Option<PlanRow>> {
        dispatch!(self, plans::plan(id))
    }

    /// Notes that a plan is applied and what that decides, in one transaction. An earlier decision about the same dataset that still
    /// stands is replaced.
    ///
    /// Whether the plan is still true of the world is for the caller to see first. [`crate::Error::NotFound`] when there is no such
    /// plan, [`crate::Error::Conflict`] when it was applied before.
    pub async fn apply_plan(&self, id: PlanId, by: &str, now: Timestamp) -> Result<DecisionRow> {
        dispatch!(self, plans::apply_plan(id, by, now))
    }

    /// The decisions of a group that stand, by dataset and home.
    pub async fn decisions(&self, group: GroupId) -> Result<Vec<DecisionRow>> {
        dispatch!(self, plans::decisions(group))
    }

    /// The decisions of all groups that stand and approve the loss of one of these snapshots somewhere.
    pub async fn decisions_giving_up(&self, snapshots: &[Guid]) -> Result<Vec<DecisionRow>> {
        dispatch!(self, plans::decisions_giving_up(snapshots))
    }

    /// The decision that applying this plan made.
    pub async fn decision(&self, plan: PlanId) -> Result<Option<DecisionRow>> {
        dispatch!(self, plans::decision(plan))
    }

    /// Puts what is left of a decision in its place; false when it has ended, or there is none.
    pub async fn narrow_decision(&self, plan: PlanId, left: &Decision) -> Result<bool> {
        dispatch!(self, plans::narrow_decision(plan, left))
    }

    /// Ends a decision; false when it has ended before, or there is none.
    pub async fn finish_decision(
        &self,
        plan: PlanId,
        outcome: DecisionOutcome,
        now: Timestamp,
    ) -> Result<bool> {
        dispatch!(self, plans::finish_decision(plan, outcome, now))
    }

    /// Forgets plans that were made before this and never applied; answers how many.
    pub async fn prune_plans(&self, before: Timestamp) -> Result<u64> {
        dispatch!(self, plans::prune_plans(before))
    }
}
