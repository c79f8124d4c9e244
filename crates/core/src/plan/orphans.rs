//! Replicas whose source is not there any more.

use super::{
    conflicts::orphan,
    facts::history,
    pair::Side,
    reason::Reason,
    report::{Fact, Remembered, ReplicaKey, ReplicaReport, ReplicaState},
    survey::Survey,
    words::Words,
};
use crate::{group::GroupMode, name::DatasetName};

/// Reports on replicas that earlier plans knew and whose source is gone.
///
/// A pool that is exported or has failed takes its datasets out of the source's report. Their replicas must not vanish with them: nothing
/// would be copied any more, and nobody would be told. A dataset that is gone while its pool is there was destroyed; the replica is what
/// is left of it and stays. A renamed one is reported under its new name, and under the old one until the replica is renamed too.
pub(super) fn orphans(survey: &Survey<'_>) -> Vec<ReplicaReport> {
    let input = survey.input;
    let group = input.group;
    if group.mode == GroupMode::Mesh {
        // There every member that has the dataset keeps it alive.
        return Vec::new();
    }
    let in_scope = |dataset: &DatasetName| input.scope.is_none_or(|scope| scope.contains(dataset));
    let edges = group.edges();
    let known = input.memory.iter().filter(|(key, _)| in_scope(&key.dataset) && group.selects(&key.dataset));
    known
        .filter_map(|(key, remembered)| {
            let edge = edges.iter().find(|edge| edge.home == key.home && edge.target == key.target_system)?;
            let source = survey.side(edge.home);
            source.dataset(&key.dataset).is_none().then_some(())?;
            source.inventory?;
            report(survey, key, remembered, &source)
        })
        .collect()
}

fn report(
    survey: &Survey<'_>,
    key: &ReplicaKey,
    remembered: &Remembered,
    source: &Side<'_>,
) -> Option<ReplicaReport> {
    let group = survey.input.group;
    let target_side = survey.side(key.target_system);
    let target = group.target_name(key.home, &key.dataset, key.target_system).ok()?;
    let replica = target_side.dataset(&target);
    let inventory = source.inventory?;
    let name = &source.name;
    let pool = key.dataset.pool();
    let pool_is_there = inventory.has_pool(pool);
    let (state, reason, text, next) = if !group.enabled {
        let next = Words::paused_group(&group.name);
        (ReplicaState::Paused, Reason::Paused, format!("{name}: {} does not exist", key.dataset), next)
    } else if !source.fresh {
        let text = format!("{name}: {} does not exist (last known state, too old to act on)", key.dataset);
        let next = format!("Nothing, until {name} reports again; run `zfs-sync doctor` there.");
        (ReplicaState::Unknown, Reason::AgentOffline, text, next)
    } else if !pool_is_there {
        let text = format!(
            "{name}: no dataset of the pool {pool} is reported, so that {} is not known",
            key.dataset
        );
        let next = format!(
            "Nothing, until the pool {pool} is imported on {name} again. If it is gone for good, take {} out of the group's patterns; \
             what the target has stays.",
            key.dataset
        );
        (ReplicaState::Unknown, Reason::SourcePoolMissing, text, next)
    } else {
        let replica = replica?;
        let mut all = inventory.datasets.values();
        let renamed = all.find(|dataset| dataset.properties.guid == remembered.source_guid);
        let (reason, text, next) = match renamed {
            // Said until the replica has its new name, because it is found by what is remembered here.
            Some(dataset) if group.selects(&dataset.name) => (
                Reason::SourceRenamed,
                format!("{name}: {} is called {} now", key.dataset, dataset.name),
                format!(
                    "{} on {} is to be renamed as well; see the replica of {}.",
                    replica.name, target_side.name, dataset.name
                ),
            ),
            Some(dataset) => (
                Reason::Orphaned,
                format!(
                    "{name}: {} is called {} now, which the group does not select",
                    key.dataset, dataset.name
                ),
                format!(
                    "Nothing, until a person decides: select {} in the group as well, or keep {} as it is.",
                    dataset.name, replica.name
                ),
            ),
            None => (
                Reason::Orphaned,
                format!("{name}: {} does not exist any more", key.dataset),
                format!(
                    "Nothing: {} on {} stays as it is, and is what is left. If it was destroyed on purpose, take it out of the group's \
                     patterns; if not, send it back.",
                    replica.name, target_side.name
                ),
            ),
        };
        let state = if reason == Reason::Orphaned { ReplicaState::Diverged } else { ReplicaState::Behind };
        (state, reason, text, next)
    };
    let mut facts = vec![Fact { text, as_of: Some(inventory.as_of) }];
    let conflict = replica.filter(|_| reason == Reason::Orphaned).map(|replica| {
        facts.push(Fact {
            text: format!("{}: {} has {}", target_side.name, replica.name, history(replica)),
            as_of: target_side.inventory.map(|inventory| inventory.as_of),
        });
        orphan(key, source.id, replica)
    });
    let running = survey.running(key.target_system, &target);
    let (state, reason, next) = match running {
        Some(transfer) if group.enabled => {
            (ReplicaState::Syncing, Reason::TransferRunning, Words::running(transfer))
        }
        _ => (state, reason, next),
    };
    Some(ReplicaReport {
        home: key.home,
        dataset: key.dataset.clone(),
        source_system: source.id,
        target_system: key.target_system,
        source: key.dataset.clone(),
        target,
        state,
        reason: Some(reason),
        warnings: Vec::new(),
        facts,
        rules: Vec::new(),
        next,
        next_at: None,
        step: None,
        newest_common: None,
        newest_source: None,
        snapshot_lag: 0,
        only_on_target: Vec::new(),
        conflict,
        remembered: Some(remembered.clone()),
    })
}
