//! One group: everything its plan is made from, the plan, and what the queue has to say about it.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem::discriminant,
    sync::Arc,
};

use zfs_sync_api::codes::ErrorCode;
use zfs_sync_core::{
    group::SyncGroup,
    ids::{GroupId, SystemId, TransferId},
    inventory::Inventory,
    name::DatasetName,
    plan::{self, Action, Input, KeepBoth, Plan, Reason, ReplicaReport, Report, Running, Step, SystemView},
    time::Timestamp,
};
use zfs_sync_store::{ParkedReplica, ReplicaFilter, TransferFilter, TransferRow, TransferState};

use super::{Fleet, NO_ADDRESS, executor};
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

/// A replica whose transfer waits for its next attempt, or for a person.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) transfer: TransferId,
    why: String,
    reason: Reason,
    /// What it was about to do; `None` where that is not known any more.
    action: Option<Action>,
}

impl Waiting {
    /// True when it waits with the same kind of step. That a send can not succeed says nothing about setting its target aside, which
    /// may be just what makes room for it.
    fn holds(&self, step: &Step) -> bool {
        self.action.as_ref().is_none_or(|action| discriminant(action) == discriminant(&step.action))
    }
}

/// A plan, and what stands in its way.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub(crate) plan: Plan,
    /// With the steps that wait taken out: their replicas say why.
    pub(crate) report: Report,
    /// Steps that may start, each with who carries it out.
    pub(crate) ready: Vec<(SystemId, Step)>,
    /// Steps whose replica is parked or waits for its next attempt: a person may start them.
    pub(crate) held_back: Vec<(SystemId, Step, Waiting)>,
    /// Ends of transfers that reports of both sides have not yet confirmed: source, target, end.
    pub(crate) settling: Vec<(SystemId, SystemId, Timestamp)>,
}

/// What is known of one system.
#[derive(Clone, Debug)]
struct Known {
    name: String,
    inventory: Option<Arc<Inventory>>,
    fresh: bool,
}

/// Everything a plan is made from, owned, so that planning can leave the async threads.
#[derive(Clone, Debug)]
struct Facts {
    group: SyncGroup,
    systems: BTreeMap<SystemId, Known>,
    running: Vec<Running>,
    keep_both: BTreeSet<KeepBoth>,
    now: Timestamp,
}

impl Facts {
    fn plan(&self) -> (Plan, Report, Vec<plan::Violation>) {
        let systems = self
            .systems
            .iter()
            .map(|(id, system)| {
                let Known { name, inventory, fresh } = system;
                (*id, SystemView { name, inventory: inventory.as_deref(), fresh: *fresh })
            })
            .collect();
        let input = Input {
            group: &self.group,
            systems: &systems,
            running: &self.running,
            keep_both: &self.keep_both,
            now: self.now,
        };
        let (plan, report) = plan::plan(&input);
        let violations = plan::check(&plan, &input);
        (plan, report, violations)
    }
}

type Target = (SystemId, DatasetName);

/// Plans a group as it is now. Changes nothing.
pub(crate) async fn plan_group(
    state: &AppState,
    fleet: &mut Fleet,
    group: &SyncGroup,
    keep_both: BTreeSet<KeepBoth>,
) -> Result<Planned, PlanError> {
    let unfinished = state.store.unfinished_transfers(group.id).await?;
    let succeeded = TransferFilter {
        group: Some(group.id),
        states: vec![TransferState::Succeeded],
        // Older ones are confirmed by every member's report, so that they need not be read.
        finished_since: oldest_report(fleet, group),
        ..TransferFilter::default()
    };
    let settling = state.store.transfers(&succeeded).await?;
    let settling: Vec<TransferRow> = settling.into_iter().filter(|row| !is_settled(row, fleet)).collect();
    let parked = state.store.parked_replicas(group.id).await?;

    let (backoff, busy): (Vec<_>, Vec<_>) =
        unfinished.into_iter().partition(|row| is_waiting(row, fleet.now));
    // Nobody waits for the report of a system that is silent: its replicas are unknown, not on their way, and nothing is planned for them.
    let awaited = |row: &&TransferRow| {
        fleet.is_fresh(state, row.source_system) && fleet.is_fresh(state, row.target_system)
    };
    let awaited = settling.iter().filter(awaited);
    let running: Vec<Running> = busy
        .iter()
        .chain(awaited)
        .map(|row| Running { transfer: row.id, target_system: row.target_system, target: row.target.clone() })
        .collect();
    let mut systems = BTreeMap::new();
    for member in &group.members {
        let inventory = fleet.inventory(state, *member).await?;
        let (name, fresh) = (fleet.hostname(*member), fleet.is_fresh(state, *member));
        systems.insert(*member, Known { name, inventory, fresh });
    }
    let facts = Facts { group: group.clone(), systems, running, keep_both, now: fleet.now };
    let (plan, report, violations) = tokio::task::spawn_blocking(move || facts.plan())
        .await
        .map_err(|source| PlanError::Panicked { group: group.name.clone(), source })?;
    let count = violations.len();
    if let Some(first) = violations.into_iter().next() {
        return Err(PlanError::Unsafe { group: group.name.clone(), count, first });
    }
    let mut report = report;
    let known =
        state.store.replicas(&ReplicaFilter { group: Some(group.id), ..ReplicaFilter::default() }).await?;
    let (name, inventory) =
        (fleet.hostname(group.source_of_truth), fleet.inventory(state, group.source_of_truth).await?);
    let source = SystemView { name: &name, inventory: inventory.as_deref(), fresh: true };
    let known = known.into_iter().map(|row| row.report);
    let missing = plan::missing_sources(group, source, &report, known);
    report.replicas.extend(missing);
    let claims = claims_of_others(state, group).await?;
    let mut waiting = BTreeMap::<Target, Waiting>::new();
    for parked in &parked {
        let action = state.store.transfer(parked.transfer).await?.map(|row| row.step.action);
        waiting.insert((parked.target_system, parked.target.clone()), parked_words(parked, action));
    }
    for row in backoff {
        waiting.insert((row.target_system, row.target.clone()), backoff_words(row));
    }
    let settling =
        settling.iter().filter_map(|row| Some((row.source_system, row.target_system, row.finished_at?)));
    let settling = settling.collect();
    Ok(sort_out(plan, report, &waiting, &claims, fleet, settling))
}

/// Targets of this group that an older group keeps something else in, each with that group's name.
///
/// Two groups that seed one target from different sources would take turns in finding it diverged. The older one goes on.
async fn claims_of_others(state: &AppState, group: &SyncGroup) -> Result<BTreeMap<Target, Claim>, PlanError> {
    let mut claims = BTreeMap::new();
    for target in group.targets() {
        let filter = ReplicaFilter { system: Some(target), ..ReplicaFilter::default() };
        for row in state.store.replicas(&filter).await? {
            if row.target_system == target && row.group < group.id {
                let claim = Claim { group: row.group, source: (row.source_system, row.source) };
                claims.insert((target, row.target), claim);
            }
        }
    }
    Ok(claims)
}

/// What another group keeps in a target.
#[derive(Clone, Debug)]
struct Claim {
    group: GroupId,
    source: (SystemId, DatasetName),
}

/// When the member whose report is the oldest has reported; `None` where one never has.
fn oldest_report(fleet: &Fleet, group: &SyncGroup) -> Option<Timestamp> {
    let known = group.members.iter().filter_map(|member| fleet.systems.get(member));
    let reports: Option<Vec<Timestamp>> = known.map(|system| system.inventory_as_of).collect();
    reports?.into_iter().min()
}

/// True when both sides have reported since it ended: their inventories show what it brought.
fn is_settled(row: &TransferRow, fleet: &Fleet) -> bool {
    let Some(finished_at) = row.finished_at else { return false };
    let reported = |id| {
        // A system that is gone never reports again; the plan says what that means.
        fleet
            .systems
            .get(&id)
            .is_none_or(|system| system.inventory_as_of.is_some_and(|as_of| as_of > finished_at))
    };
    reported(row.source_system) && reported(row.target_system)
}

/// True when it failed and its next attempt is still to come.
fn is_waiting(row: &TransferRow, now: Timestamp) -> bool {
    row.state == TransferState::Queued && row.error_code.is_some() && row.next_attempt_at > now
}

fn parked_words(parked: &ParkedReplica, action: Option<Action>) -> Waiting {
    let id = parked.transfer;
    let why = match &parked.code {
        Some(code) => format!(
            "Nothing, until a person decides: the transfer ended with {code} (`zfs-sync transfer show {id}`). When the cause is gone: \
             `zfs-sync transfer retry {id}`."
        ),
        None => format!(
            "Nothing: the transfer was cancelled. To start it again: `zfs-sync transfer retry {id}`; what was received is continued."
        ),
    };
    Waiting { transfer: id, why, reason: Reason::Parked, action }
}

fn backoff_words(row: TransferRow) -> Waiting {
    let code = row.error_code.as_deref().unwrap_or("E_INTERNAL");
    let at = row.next_attempt_at.strftime("%H:%M:%S");
    let id = row.id;
    let why = format!(
        "The last attempt failed with {code}; the next one follows at {at} UTC (`zfs-sync transfer show {id}`)."
    );
    Waiting { transfer: id, why, reason: Reason::Backoff, action: Some(row.step.action) }
}

fn sort_out(
    plan: Plan,
    mut report: Report,
    waiting: &BTreeMap<Target, Waiting>,
    claims: &BTreeMap<Target, Claim>,
    fleet: &Fleet,
    settling: Vec<(SystemId, SystemId, Timestamp)>,
) -> Planned {
    let mut by_target: BTreeMap<Target, &mut ReplicaReport> = report
        .replicas
        .iter_mut()
        .map(|replica| ((replica.target_system, replica.target.clone()), replica))
        .collect();
    let (mut ready, mut held_back) = (Vec::new(), Vec::new());
    // In the plan's order: parents first.
    for step in &plan.steps {
        let key = (step.target_system, step.target.clone());
        let Some(replica) = by_target.get_mut(&key) else { continue };
        let mut hold = |reason: Reason, next: &str| {
            replica.reason = Some(reason);
            next.clone_into(&mut replica.next);
            replica.step = None;
        };
        let own = (step.source_system, step.source.clone());
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
        let waiting = waiting.get(&key).filter(|waiting| waiting.holds(step));
        match (executor(step, &fleet.systems), waiting) {
            (None, _) => hold(Reason::Parked, NO_ADDRESS),
            (Some(executor), Some(waiting)) => {
                hold(waiting.reason, &waiting.why);
                held_back.push((executor, step.clone(), waiting.clone()));
            }
            (Some(executor), None) => ready.push((executor, step.clone())),
        }
    }
    Planned { plan, report, ready, held_back, settling }
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
