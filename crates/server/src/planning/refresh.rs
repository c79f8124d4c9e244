//! Stored replicas that are as new as the newest report, for whoever can not wait for the planner's next look.

use zfs_sync_core::group::SyncGroup;

use super::{Changes, Fleet, PlanError, Scope, keep, plan_group};
use crate::state::AppState;

/// Changed datasets that are looked at; where there are more, the planner is in the middle of them and the answer is as old as its pass.
const MOST_CHANGES: u64 = 1000;

/// Plans what has changed in these groups since the planner looked, keeps it, and starts nothing. Costs one query where nothing has.
pub(crate) async fn refresh(
    state: &AppState,
    fleet: &mut Fleet,
    groups: &[&SyncGroup],
) -> Result<(), PlanError> {
    let changed = state.store.changed_datasets(MOST_CHANGES).await?;
    let mut changes = Changes::default();
    changes.reported(state, groups, &changed).await?;
    for (group, system, target) in state.wake.waiting_targets() {
        let of_group = groups.iter().filter(|known| known.id == group);
        for known in of_group {
            changes.add(group, known.logical_of(system, &target));
        }
    }
    for group in groups {
        let datasets = changes.take(group.id);
        let scope = if state.wake.is_waiting(group.id) {
            Scope::All
        } else if datasets.is_empty() {
            continue;
        } else {
            Scope::Datasets(datasets)
        };
        let _one_at_a_time = state.planning.lock().await;
        let planned = plan_group(state, fleet, group, scope.clone()).await?;
        keep(state, fleet, group, &scope, planned.report.replicas).await?;
    }
    Ok(())
}
