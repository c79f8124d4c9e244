//! Planning what has changed, and everything from time to time.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use serde_json::json;
use zfs_sync_core::{
    group::SyncGroup,
    ids::{GroupId, SystemId},
    name::DatasetName,
    time::Timestamp,
};
use zfs_sync_store::{ChangedDataset, GroupRow};

use crate::{
    error::Answer,
    planning::{
        Changes, Fleet, PlanError, Scope, Settling, drop_unwanted, enqueue, keep, plan_group,
        settle_decisions,
    },
    state::AppState,
    views::health,
};

/// Changed datasets that one pass takes. More wait for the next one, so that a fleet that reports for the first time does not make one
/// pass of it.
const MOST_CHANGES: u64 = 10_000;
/// How often everything is looked at.
const SWEEP: SignedDuration = SignedDuration::from_secs(1);

/// What the last pass saw: hints for what to look at next. Lost with the process, after which everything is looked at.
#[derive(Debug, Default)]
pub(crate) struct Planner {
    /// When everything was last looked at.
    swept_at: Option<Timestamp>,
    fresh: BTreeMap<SystemId, bool>,
    health: BTreeMap<SystemId, &'static str>,
    planned_at: BTreeMap<GroupId, Timestamp>,
    settling: BTreeMap<GroupId, Vec<Settling>>,
    look_again: BTreeSet<(Timestamp, GroupId, SystemId, DatasetName)>,
}

impl Planner {
    /// Plans everything whose answer may have changed.
    pub(crate) async fn pass(&mut self, state: &AppState) -> Answer<()> {
        let mut whole = state.wake.take_groups();
        let targets = state.wake.take_targets();
        let outcome = self.look(state, &mut whole, &targets).await;
        if outcome.is_err() {
            // The hints were taken but not used.
            for group in whole.into_iter().chain(targets.into_iter().map(|(group, ..)| group)) {
                self.planned_at.remove(&group);
            }
        }
        outcome
    }

    async fn look(
        &mut self,
        state: &AppState,
        whole: &mut BTreeSet<GroupId>,
        targets: &BTreeSet<(GroupId, SystemId, DatasetName)>,
    ) -> Answer<()> {
        // First, so that what is reported while this pass looks is seen by the next one.
        let changed = state.store.changed_datasets(MOST_CHANGES).await?;
        let told = !changed.is_empty() || !whole.is_empty() || !targets.is_empty();
        let sweeps = !told || self.is_sweep_due(state);
        let (mut fleet, groups) = if sweeps {
            (Fleet::load(state).await?, state.store.groups().await?)
        } else {
            self.concerned(state, whole, targets, &changed).await?
        };
        if sweeps {
            self.tell_health(state, &fleet).await;
            self.forget(&fleet, &groups);
        }
        let changes = self.changes(state, &fleet, &groups, &changed, targets).await?;
        self.mark_whole(state, &fleet, &groups, whole);
        let outcome = self.plan_all(state, &mut fleet, groups, changes, whole).await;
        if outcome.is_ok() {
            if sweeps {
                self.swept_at = Some(fleet.now);
            }
            state.store.forget_changed(&changed).await?;
            if u64::try_from(changed.len()).is_ok_and(|many| many >= MOST_CHANGES) {
                state.wake.reported();
            }
        }
        outcome
    }

    /// True when all systems and groups are to be looked at: who has fallen silent, whose time has come. In between only what somebody has
    /// told of is, so that one change costs the same in a fleet of ten groups and of a thousand.
    fn is_sweep_due(&self, state: &AppState) -> bool {
        self.swept_at.is_none_or(|at| state.now().duration_since(at).abs() >= SWEEP)
    }

    /// The groups that something was told of, and their members.
    async fn concerned(
        &self,
        state: &AppState,
        whole: &BTreeSet<GroupId>,
        targets: &BTreeSet<(GroupId, SystemId, DatasetName)>,
        changed: &[ChangedDataset],
    ) -> Answer<(Fleet, Vec<GroupRow>)> {
        let systems: BTreeSet<SystemId> = changed.iter().map(|change| change.system).collect();
        let mut groups = state.store.groups_of_systems(&systems.into_iter().collect::<Vec<_>>()).await?;
        let now = state.now();
        let due = self.look_again.iter().take_while(|(at, ..)| *at <= now).map(|(_, group, ..)| *group);
        let settling = self.settling.iter().filter(|(_, ends)| !ends.is_empty()).map(|(group, _)| *group);
        let told = whole.iter().copied().chain(targets.iter().map(|(group, ..)| *group));
        let others: BTreeSet<GroupId> = told.chain(due).chain(settling).collect();
        for id in others {
            if groups.iter().all(|row| row.group.id != id) {
                groups.extend(state.store.group(id).await?);
            }
        }
        let members: BTreeSet<SystemId> =
            groups.iter().flat_map(|row| row.group.members.iter().copied()).collect();
        let fleet = Fleet::of(state, &members.into_iter().collect::<Vec<_>>()).await?;
        Ok((fleet, groups))
    }

    /// Forgets what was known of groups that are gone.
    fn forget(&mut self, fleet: &Fleet, groups: &[GroupRow]) {
        let known: BTreeSet<GroupId> = groups.iter().map(|row| row.group.id).collect();
        self.planned_at.retain(|id, _| known.contains(id));
        self.settling.retain(|id, _| known.contains(id));
        self.look_again.retain(|(_, id, ..)| known.contains(id));
        self.fresh.retain(|id, _| fleet.systems.contains_key(id));
    }

    /// What reports, transfers and confirmed transfers have changed.
    async fn changes(
        &self,
        state: &AppState,
        fleet: &Fleet,
        groups: &[GroupRow],
        changed: &[ChangedDataset],
        targets: &BTreeSet<(GroupId, SystemId, DatasetName)>,
    ) -> Answer<Changes> {
        let mut changes = Changes::default();
        let definitions: Vec<&SyncGroup> = groups.iter().map(|row| &row.group).collect();
        changes.reported(state, &definitions, changed).await?;
        for group in definitions {
            let of_group = targets.iter().filter(|(id, ..)| *id == group.id);
            for (_, system, target) in of_group {
                changes.add(group.id, group.logical_of(*system, target));
            }
            let due = self.look_again.iter().take_while(|(at, ..)| *at <= fleet.now);
            for (_, _, system, target) in due.filter(|(_, id, ..)| *id == group.id) {
                changes.add(group.id, group.logical_of(*system, target));
            }
            for end in self.settling.get(&group.id).into_iter().flatten() {
                if reported(fleet, end.source, end.finished_at)
                    && reported(fleet, end.target, end.finished_at)
                {
                    changes.add(group.id, group.logical_of(end.target, &end.dataset));
                }
            }
        }
        Ok(changes)
    }

    /// Adds the groups that have to be planned as a whole: new ones, those whose time has come, those with a member that fell silent or
    /// speaks again.
    fn mark_whole(
        &mut self,
        state: &AppState,
        fleet: &Fleet,
        groups: &[GroupRow],
        whole: &mut BTreeSet<GroupId>,
    ) {
        let fresh: BTreeMap<SystemId, bool> =
            fleet.systems.keys().map(|id| (*id, fleet.is_fresh(state, *id))).collect();
        let turned = |id: &SystemId| fresh.get(id) != self.fresh.get(id);
        for row in groups {
            if self.is_due(state, fleet, row) || row.group.members.iter().any(turned) {
                whole.insert(row.group.id);
            }
        }
        self.fresh.extend(fresh);
    }

    async fn plan_all(
        &mut self,
        state: &AppState,
        fleet: &mut Fleet,
        groups: Vec<GroupRow>,
        mut changes: Changes,
        whole: &mut BTreeSet<GroupId>,
    ) -> Answer<()> {
        for row in groups {
            let datasets = changes.take(row.group.id);
            let scope = if whole.contains(&row.group.id) {
                Scope::All
            } else if datasets.is_empty() {
                continue;
            } else {
                Scope::Datasets(datasets)
            };
            match self.plan(state, fleet, &row, scope).await {
                Ok(()) => {}
                // One group's fault must not keep the others from being planned.
                Err(error @ (PlanError::Unsafe { .. } | PlanError::Panicked { .. })) => {
                    let name = &row.group.name;
                    tracing::error!(
                        group.name = %name, code = "E_PLAN_UNSAFE", error = &error as &dyn std::error::Error,
                        "the plan for {name} was refused; nothing was started",
                    );
                    self.planned_at.insert(row.group.id, fleet.now);
                }
                Err(PlanError::Read(error)) => return Err(error),
            }
            whole.remove(&row.group.id);
        }
        Ok(())
    }

    /// True when the group's time has come.
    fn is_due(&self, state: &AppState, fleet: &Fleet, row: &GroupRow) -> bool {
        let Some(planned_at) = self.planned_at.get(&row.group.id) else { return true };
        let period = state.settings.sync_check_interval.as_secs().min(row.sync_interval_seconds.max(1));
        let period = SignedDuration::from_secs(i64::try_from(period).unwrap_or(i64::MAX));
        fleet.now.duration_since(*planned_at) >= period
    }

    async fn plan(
        &mut self,
        state: &AppState,
        fleet: &mut Fleet,
        row: &GroupRow,
        scope: Scope,
    ) -> Result<(), PlanError> {
        let group = &row.group;
        let _one_at_a_time = state.planning.lock().await;
        if !self.planned_at.contains_key(&group.id) {
            drop_unwanted(state, group).await?;
        }
        let mut planned = plan_group(state, fleet, group, scope.clone()).await?;
        let mut queued = 0;
        for ready in planned.ready.iter().filter(|ready| ready.by_itself) {
            if enqueue(state, group, ready).await?.is_some() {
                queued += 1;
            }
        }
        let settled = settle_decisions(state, group, &planned.report.replicas).await?;
        if queued > 0 || settled {
            // What was just queued is running now; the replicas shall say so.
            planned = plan_group(state, fleet, group, scope.clone()).await?;
        }
        keep(state, fleet, group, &scope, planned.report.replicas).await?;
        self.settling.insert(group.id, planned.settling);
        self.look_again.retain(|(at, id, ..)| *at > fleet.now || *id != group.id);
        let later = planned.look_again.into_iter();
        self.look_again.extend(later.map(|(at, system, target)| (at, group.id, system, target)));
        if scope == Scope::All {
            self.planned_at.insert(group.id, fleet.now);
        }
        Ok(())
    }

    async fn tell_health(&mut self, state: &AppState, fleet: &Fleet) {
        for (id, row) in &fleet.systems {
            let now = health(row, &state.settings, fleet.now);
            let before = self.health.insert(*id, now);
            // After a start nothing is known to have changed.
            if before.is_none_or(|before| before == now) {
                continue;
            }
            let kind = if now == "offline" { "system_offline" } else { "system_online" };
            tracing::info!(host.name = %row.hostname, "{} is {now}", row.hostname);
            let data = json!({
                "system_id": id,
                "system_hostname": row.hostname,
                "last_seen": row.last_seen,
                "health": now,
            });
            state.events.publish(kind, data).await;
        }
        self.health.retain(|id, _| fleet.systems.contains_key(id));
    }
}

/// True when the system was looked at since; one that is gone never will be.
fn reported(fleet: &Fleet, id: SystemId, at: Timestamp) -> bool {
    fleet.systems.get(&id).is_none_or(|system| system.inventory_shows().is_some_and(|shown| shown > at))
}
