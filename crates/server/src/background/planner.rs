//! Planning what has changed, and everything from time to time.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use serde_json::json;
use zfs_sync_core::{
    ids::{GroupId, SystemId},
    time::Timestamp,
};
use zfs_sync_store::GroupRow;

use crate::{
    error::Answer,
    planning::{Fleet, PlanError, enqueue, keep, plan_group},
    state::AppState,
    views::health,
};

/// What the last pass saw: hints for what to look at next. Lost with the process, after which everything is looked at.
#[derive(Debug, Default)]
pub(crate) struct Planner {
    fresh: BTreeMap<SystemId, bool>,
    health: BTreeMap<SystemId, &'static str>,
    planned_at: BTreeMap<GroupId, Timestamp>,
    settling: BTreeMap<GroupId, Vec<(SystemId, SystemId, Timestamp)>>,
}

impl Planner {
    /// Plans every group whose answer may have changed.
    pub(crate) async fn pass(&mut self, state: &AppState) -> Answer<()> {
        let mut changed = state.wake.take_changed();
        let outcome = self.look(state, &mut changed).await;
        if outcome.is_err() {
            // The hints were taken but not used.
            for group in changed {
                self.planned_at.remove(&group);
            }
        }
        outcome
    }

    async fn look(&mut self, state: &AppState, changed: &mut BTreeSet<GroupId>) -> Answer<()> {
        let mut fleet = Fleet::load(state).await?;
        self.tell_health(state, &fleet).await;
        let fresh: BTreeMap<SystemId, bool> =
            fleet.systems.keys().map(|id| (*id, fleet.is_fresh(state, *id))).collect();
        let turned = |id: &SystemId| fresh.get(id) != self.fresh.get(id);
        let groups = state.store.groups().await?;
        for row in &groups {
            if self.is_due(state, &fleet, row) || row.group.members.iter().any(turned) {
                changed.insert(row.group.id);
            }
        }
        self.fresh = fresh;
        let known: BTreeSet<GroupId> = groups.iter().map(|row| row.group.id).collect();
        self.planned_at.retain(|id, _| known.contains(id));
        self.settling.retain(|id, _| known.contains(id));
        for row in groups {
            if changed.contains(&row.group.id) {
                match self.plan(state, &mut fleet, &row).await {
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
                changed.remove(&row.group.id);
            }
        }
        Ok(())
    }

    /// True when the group's time has come, or when reports have confirmed a transfer that its last plan still had to wait for.
    fn is_due(&self, state: &AppState, fleet: &Fleet, row: &GroupRow) -> bool {
        let Some(planned_at) = self.planned_at.get(&row.group.id) else { return true };
        let period = state.settings.sync_check_interval.as_secs().min(row.sync_interval_seconds.max(1));
        let period = SignedDuration::from_secs(i64::try_from(period).unwrap_or(i64::MAX));
        if fleet.now.duration_since(*planned_at) >= period {
            return true;
        }
        let reported = |id: &SystemId, at: Timestamp| {
            fleet.systems.get(id).is_none_or(|system| system.inventory_as_of.is_some_and(|as_of| as_of > at))
        };
        self.settling.get(&row.group.id).is_some_and(|ends| {
            ends.iter().any(|(source, target, at)| reported(source, *at) && reported(target, *at))
        })
    }

    async fn plan(&mut self, state: &AppState, fleet: &mut Fleet, row: &GroupRow) -> Result<(), PlanError> {
        let group = &row.group;
        let _one_at_a_time = state.planning.lock().await;
        let mut planned = plan_group(state, fleet, group, BTreeSet::new()).await?;
        let mut queued = 0;
        if group.auto {
            for (executor, step) in &planned.ready {
                if enqueue(state, group, *executor, step).await?.is_some() {
                    queued += 1;
                }
            }
        }
        if queued > 0 {
            // What was just queued is running now; the replicas shall say so.
            planned = plan_group(state, fleet, group, BTreeSet::new()).await?;
        }
        keep(state, fleet, group, planned.report.replicas).await?;
        self.settling.insert(group.id, planned.settling);
        self.planned_at.insert(group.id, fleet.now);
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
