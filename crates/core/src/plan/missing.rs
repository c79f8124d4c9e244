//! Replicas whose source has gone together with its pool.

use std::collections::BTreeSet;

use super::{
    planner::SystemView,
    reason::Reason,
    report::{Fact, ReplicaReport, ReplicaState, Report},
};
use crate::{group::SyncGroup, ids::SystemId, name::DatasetName};

/// Reports on replicas that an earlier plan knew and this one does not, because the source's pool is not there any more.
///
/// A pool that is exported or has failed takes its datasets out of the source's report. Their replicas must not vanish with them:
/// nothing would be copied any more, and nobody would be told. A dataset that is gone while its pool is there was destroyed or
/// renamed by somebody, and its replica is no longer one of this group's.
pub fn missing_sources(
    group: &SyncGroup,
    source: SystemView<'_>,
    planned: &Report,
    known: impl IntoIterator<Item = ReplicaReport>,
) -> Vec<ReplicaReport> {
    let present: BTreeSet<(SystemId, &DatasetName)> =
        planned.replicas.iter().map(|replica| (replica.target_system, &replica.source)).collect();
    let targets: BTreeSet<SystemId> = group.targets().collect();
    known
        .into_iter()
        .filter(|replica| {
            replica.source_system == group.source_of_truth
                && targets.contains(&replica.target_system)
                && group.selects(&replica.source)
                && !present.contains(&(replica.target_system, &replica.source))
                && source.inventory.is_none_or(|inventory| !inventory.has_pool(replica.source.pool()))
        })
        .map(|replica| missing(group, source, replica))
        .collect()
}

fn missing(group: &SyncGroup, source: SystemView<'_>, known: ReplicaReport) -> ReplicaReport {
    let (name, pool) = (source.name, known.source.pool().to_owned());
    let (state, reason) = if group.enabled {
        (ReplicaState::Unknown, Reason::SourcePoolMissing)
    } else {
        (ReplicaState::Paused, Reason::Paused)
    };
    let text =
        format!("{name}: no dataset of the pool {pool} is reported, so that {} is not known", known.source);
    let next = format!(
        "Nothing, until the pool {pool} is imported on {name} again. If it is gone for good, take {} out of the group's patterns; what \
         the target has stays.",
        known.source
    );
    ReplicaReport {
        state,
        reason: Some(reason),
        warnings: Vec::new(),
        facts: vec![Fact { text, as_of: source.inventory.map(|inventory| inventory.as_of) }],
        next,
        step: None,
        ..known
    }
}
