//! One group, or a part of it: the plan, and what the queue has to say about it.

use std::collections::BTreeMap;

use zfs_sync_api::codes::ErrorCode;
use zfs_sync_core::{
    flow::Transport,
    group::SyncGroup,
    ids::{GroupId, SystemId},
    name::DatasetName,
    plan::{self, Plan, Reason, ReplicaReport, Report, Step},
    time::Timestamp,
};
use zfs_sync_store::ReplicaFilter;

use super::{
    Fleet, Scope, Settling, executor,
    facts::Facts,
    no_address,
    queue::{Queue, Target, Waiting},
};
use crate::{error::ApiError, state::AppState};

/// Why a group has no plan.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    /// The database failed.
    #[error("read what the plan is made from")]
    Read(#[from] ApiError),
    /// The plan broke a rule; a fault of ours.
    #[error("the plan for group {group} broke {count} safety rules, first: {first}")]
    Unsafe { group: String, count: usize, first: plan::Violation },
    /// The planner panicked; a fault of ours.
    #[error("the planner failed for group {group}")]
    Panicked {
        group: String,
        #[source]
        source: tokio::task::JoinError,
    },
}

impl From<zfs_sync_store::Error> for PlanError {
    fn from(error: zfs_sync_store::Error) -> Self {
        Self::Read(error.into())
    }
}

impl From<PlanError> for ApiError {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Read(error) => error,
            PlanError::Unsafe { .. } => Self::new(ErrorCode::PlanUnsafe, error.to_string())
                .hint("nothing was started; please report this with the request id"),
            PlanError::Panicked { .. } => Self::internal(error),
        }
    }
}

/// A plan, and what stands in its way.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub(crate) plan: Plan,
    /// With the steps that wait taken out: their replicas say why.
    pub(crate) report: Report,
    /// Steps that may start.
    pub(crate) ready: Vec<Ready>,
    /// Steps whose replica is parked or waits for its next attempt: a person may start them.
    pub(crate) held_back: Vec<(SystemId, Step, Waiting)>,
    /// When to look again at which targets, whatever is reported until then.
    pub(crate) look_again: Vec<(Timestamp, SystemId, DatasetName)>,
    /// Ends of transfers that reports of both sides have not yet confirmed.
    pub(crate) settling: Vec<Settling>,
}

/// A step that may start.
#[derive(Clone, Debug)]
pub(crate) struct Ready {
    /// Who carries it out.
    pub(crate) executor: SystemId,
    pub(crate) step: Step,
    /// False when the group leaves it to a person to start it.
    pub(crate) by_itself: bool,
    /// The queued transfer that it takes the place of.
    pub(crate) instead_of: Option<zfs_sync_core::ids::TransferId>,
}

/// Plans a group as it is now. Changes nothing.
pub(crate) async fn plan_group(
    state: &AppState,
    fleet: &mut Fleet,
    group: &SyncGroup,
    scope: Scope,
) -> Result<Planned, PlanError> {
    let Queue { running, waiting, settling, unreachable } = Queue::load(state, fleet, group).await?;
    let mut facts = Facts::load(state, fleet, group, scope).await?;
    facts.running = running;
    facts.unreachable = unreachable;
    let (plan, report, violations) = tokio::task::spawn_blocking(move || facts.plan())
        .await
        .map_err(|source| PlanError::Panicked { group: group.name.clone(), source })?;
    let count = violations.len();
    if let Some(first) = violations.into_iter().next() {
        return Err(PlanError::Unsafe { group: group.name.clone(), count, first });
    }
    let claims = claims_of_others(state, group, &plan).await?;
    let named: Vec<SystemId> = claims.values().map(|claim| claim.source.0).collect();
    fleet.know(state, &named).await?;
    let transport = state.store.group(group.id).await?.map(|row| row.transport).unwrap_or_default();
    Ok(sort_out(plan, report, &InTheWay { waiting, claims, transport }, fleet, settling))
}

/// Targets that one query asks about.
const CLAIMS: usize = 200;

/// What another group keeps in a target.
#[derive(Clone, Debug)]
struct Claim {
    group: GroupId,
    source: (SystemId, DatasetName),
}

/// Targets of this plan that an older group keeps something else in.
///
/// Two groups that seed one target from different sources would take turns in finding it diverged. The older one goes on.
async fn claims_of_others(
    state: &AppState,
    group: &SyncGroup,
    plan: &Plan,
) -> Result<BTreeMap<Target, Claim>, PlanError> {
    let mut targets: BTreeMap<SystemId, Vec<DatasetName>> = BTreeMap::new();
    for step in &plan.steps {
        targets.entry(step.target_system).or_default().push(step.target.clone());
    }
    let mut claims = BTreeMap::new();
    for (system, targets) in targets {
        for targets in targets.chunks(CLAIMS) {
            let targets = targets.to_vec();
            let filter = ReplicaFilter { target_system: Some(system), targets, ..ReplicaFilter::default() };
            for row in state.store.replicas(&filter).await? {
                if row.group < group.id {
                    let claim = Claim { group: row.group, source: (row.home, row.dataset) };
                    claims.insert((system, row.target), claim);
                }
            }
        }
    }
    Ok(claims)
}

/// What keeps steps from starting, by target.
#[derive(Debug)]
struct InTheWay {
    waiting: BTreeMap<Target, Waiting>,
    claims: BTreeMap<Target, Claim>,
    /// What the group lets its transfers use.
    transport: Transport,
}

fn sort_out(
    plan: Plan,
    mut report: Report,
    in_the_way: &InTheWay,
    fleet: &Fleet,
    settling: Vec<Settling>,
) -> Planned {
    let InTheWay { waiting, claims, .. } = in_the_way;
    let mut by_target: BTreeMap<Target, &mut ReplicaReport> = report
        .replicas
        .iter_mut()
        .filter(|replica| replica.step.is_some())
        .map(|replica| ((replica.target_system, replica.target.clone()), replica))
        .collect();
    let (mut ready, mut held_back) = (Vec::new(), Vec::new());
    // In the plan's order: parents first.
    for step in &plan.steps {
        let key = (step.target_system, step.target.clone());
        let Some(replica) = by_target.get_mut(&key) else { continue };
        let own = (replica.home, replica.dataset.clone());
        let mut hold = |reason: Reason, next: &str| {
            replica.reason = Some(reason);
            next.clone_into(&mut replica.next);
            replica.step = None;
        };
        if let Some(claim) = claims.get(&key).filter(|claim| claim.source != own) {
            let next = format!(
                "Nothing: another group ({}) keeps {} of {} there. Map to another target, or delete one of both groups.",
                claim.group,
                claim.source.1,
                fleet.hostname(claim.source.0)
            );
            hold(Reason::MappingCollision, &next);
            continue;
        }
        let before = waiting.get(&key);
        let executor = executor(step, &fleet.systems, in_the_way.transport, fleet.now);
        match (executor, before.filter(|waiting| waiting.holds(step))) {
            (None, _) => hold(Reason::Parked, no_address(in_the_way.transport)),
            (Some(executor), Some(waiting)) => {
                hold(waiting.reason, &waiting.why);
                replica.next_at = waiting.next_at;
                held_back.push((executor, step.clone(), waiting.clone()));
            }
            (Some(executor), None) => {
                let instead_of = before.filter(|waiting| waiting.queued).map(|waiting| waiting.transfer);
                let by_itself = replica.reason.is_none();
                ready.push(Ready { executor, step: step.clone(), by_itself, instead_of });
            }
        }
    }
    let look_again = held_back.iter().filter_map(|(_, step, waiting)| {
        waiting.next_at.map(|at| (at, step.target_system, step.target.clone()))
    });
    let look_again = look_again.collect();
    Planned { plan, report, ready, held_back, look_again, settling }
}

/// How many replicas are not acted on, by reason.
pub(crate) fn suppressed<'a>(replicas: impl Iterator<Item = &'a ReplicaReport>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for reason in replicas.filter_map(|replica| replica.reason) {
        *counts.entry(reason.code().to_owned()).or_default() += 1;
    }
    counts
}

impl Planned {
    /// Replicas without a step, by reason.
    pub(crate) fn suppressed(&self) -> BTreeMap<String, u64> {
        suppressed(self.report.replicas.iter().filter(|replica| replica.step.is_none()))
    }

    /// Replicas that nothing is done for by itself, by reason.
    pub(crate) fn not_acted_on(&self) -> BTreeMap<String, u64> {
        suppressed(self.report.replicas.iter())
    }
}
