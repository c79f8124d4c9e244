//! The end of a history: nothing breaks any more, nobody does anything, and everything comes to rest where it should.

use std::collections::BTreeMap;

use zfs_sync_core::{
    group::{GroupMode, Strategy, SyncGroup},
    guid::Guid,
    ids::SystemId,
    name::DatasetName,
    plan::{Protection, Reason, Receiver, ReplicaReport, ReplicaState},
};
use zfs_sync_zfs::memory::CountedDataset;

use super::{
    Leftovers,
    run::{Broken, Simulation},
    truth::Truth,
};

/// Virtual time that may pass until all is quiet: more than all waits after failures together.
const LONGEST: u64 = 3 * 3_600_000;
/// How long nothing must change: bookmarks that went without a snapshot are only found by the scanner's refreshing, which takes as many as
/// thirty polls.
const REST: u64 = 35 * 60_000;
/// How often it is looked.
const LOOK: u64 = 60_000;

/// Ends of transfers that only a person can do something about, whatever else works.
const FOR_A_PERSON: [&str; 3] = ["E_SNAPSHOT_HELD", "E_SNAPSHOT_HAS_CLONES", "E_ROLLBACK_NEWER"];

/// Waits until nothing changes any more, then looks at everything.
pub(super) fn wait(simulation: &mut Simulation) -> Result<(), Broken> {
    // What a person would do first: what is parked is tried again, now that the causes are gone.
    let now = simulation.moment();
    let parked: Vec<_> = simulation.witness.parked().iter().map(|transfer| transfer.id).collect();
    for id in parked {
        simulation.witness.retry(id, now);
    }
    let (began, mut last, mut since) = (simulation.now, String::new(), simulation.now);
    loop {
        simulation.until(simulation.now + LOOK)?;
        let state = picture(simulation);
        if state != last {
            (last, since) = (state, simulation.now);
        }
        let unfinished = simulation.witness.unfinished().next();
        if unfinished.is_none() && simulation.now - since >= REST {
            break;
        }
        if simulation.now - began > LONGEST {
            let why = unfinished.map_or_else(
                || "states change for ever".to_owned(),
                |transfer| {
                    let words = super::witness::words(&transfer.step);
                    format!("t{} never ends: {words}, {:?}", transfer.id.as_uuid().as_u128(), transfer.error)
                },
            );
            return Err(Broken(format!("{} hours after everything has stopped: {why}", LONGEST / 3_600_000)));
        }
    }
    simulation.summary.time = simulation.now;
    look(simulation)
}

/// How everything stands.
fn picture(simulation: &Simulation) -> String {
    let rows = simulation.witness.groups.iter().flat_map(|kept| kept.rows.iter());
    let rows = rows.map(|(key, row)| format!("{key:?} {:?} {:?} {:?}\n", row.state, row.reason, row.step));
    rows.chain([simulation.witness.transfers.len().to_string()]).collect()
}

fn look(simulation: &mut Simulation) -> Result<(), Broken> {
    let mut counts = BTreeMap::new();
    for (index, kept) in simulation.witness.groups.iter().enumerate() {
        for row in kept.rows.values() {
            let reason = row.reason.map_or("none", Reason::code);
            *counts.entry(format!("{} {reason}", row.state)).or_default() += 1;
            judge(simulation, index, row)?;
        }
        if kept.group.mode == GroupMode::Mesh {
            heads(simulation, index)?;
        }
    }
    simulation.summary.replicas = counts;
    leftovers(simulation)
}

/// A replica is in sync in truth, or says what a person must do.
fn judge(simulation: &Simulation, group: usize, row: &ReplicaReport) -> Result<(), Broken> {
    let name = |id| simulation.name(id);
    let what = format!(
        "g{}: {} on {} ({} from {} on {}) is {} with {:?}: {}",
        group + 1,
        row.dataset,
        name(row.target_system),
        row.target,
        row.source,
        name(row.source_system),
        row.state,
        row.reason,
        row.next
    );
    let Some(reason) = row.reason else {
        return Err(Broken(format!("at rest something is still to be done: {what}")));
    };
    let source = Truth::snapshots_of(&simulation.host(row.source_system), &row.source);
    let target = Truth::snapshots_of(&simulation.host(row.target_system), &row.target);
    match reason {
        Reason::NoNewSnapshot | Reason::DeletesHeldBack | Reason::DeleteBrake => {
            if is_in_sync(simulation, row) {
                return protected(simulation, group, row, &what);
            }
            Err(Broken(format!("called in sync and is not: {what}\n{source:?}\n{target:?}")))
        }
        Reason::SourceNoSnapshot => {
            if source.is_some_and(|source| !source.is_empty()) {
                return Err(Broken(format!("the source has snapshots: {what}")));
            }
            Ok(())
        }
        Reason::TransferRunning
        | Reason::Backoff
        | Reason::AgentOffline
        | Reason::NeverReported
        | Reason::Paused => Err(Broken(format!("waits for ever: {what}"))),
        // Something else must be settled first; that is judged by itself.
        Reason::DependsOnParent | Reason::OriginFirst | Reason::UpstreamFirst | Reason::MappingCollision => {
            Ok(())
        }
        Reason::Parked => parked(simulation, row, &what),
        _ if row.state == ReplicaState::Diverged && row.conflict.is_none() => {
            Err(Broken(format!("a divergence without a conflict to decide on: {what}")))
        }
        _ => Ok(()),
    }
}

/// The base of the next stream is held on the target, and some sender has its bookmark. Where people have taken holds away, gone back or
/// renamed, the next transfer sees to it.
fn protected(simulation: &Simulation, group: usize, row: &ReplicaReport, what: &str) -> Result<(), Broken> {
    let SyncGroup { members, mode, on_divergence, .. } = &simulation.witness.groups[group].group;
    // Where who is followed may change, the target may have made its newest snapshot itself.
    let turns = *mode == GroupMode::Mesh || on_divergence.strategy().is_some_and(Strategy::chooses);
    if turns || members.iter().any(|member| simulation.meddled.contains(member)) {
        return Ok(());
    }
    let datasets = |system: SystemId| simulation.host(system).census().into_iter();
    let Some(target) = datasets(row.target_system).find(|found| found.name == row.target) else {
        return Ok(());
    };
    let Some(head) = target.snapshots.last() else { return Ok(()) };
    let receiver = format!(":{}", Receiver::new(row.target_system, &row.target).as_str());
    let ours = |text: &str, kind: &str| {
        text.starts_with(&format!("{}{kind}", Protection::PREFIX)) && text.ends_with(&receiver)
    };
    if !head.holds.iter().any(|tag| ours(tag, "base:")) {
        return Err(Broken(format!(
            "nothing of ours holds @{}, the base of the next stream: {what}",
            head.label
        )));
    }
    let marks = |found: &CountedDataset| {
        found.bookmarks.iter().any(|mark| mark.guid == head.guid && ours(mark.label.as_str(), ""))
    };
    if members.iter().any(|member| datasets(*member).any(|found| marks(&found))) {
        return Ok(());
    }
    Err(Broken(format!("nobody has our bookmark of @{}, the base of the next stream: {what}", head.label)))
}

/// The source knows the target's newest snapshot, and has none that is newer. Where it has destroyed that one, its bookmark tells.
fn is_in_sync(simulation: &Simulation, row: &ReplicaReport) -> bool {
    let find = |system: SystemId, name: &DatasetName| {
        simulation.host(system).census().into_iter().find(|found| found.name == *name)
    };
    let source = find(row.source_system, &row.source);
    let target = find(row.target_system, &row.target);
    let (Some(source), Some(target)) = (source, target) else { return false };
    let Some(head) = target.snapshots.last() else { return false };
    let newest = source.snapshots.last();
    let snapshots = source.snapshots.iter().map(|snapshot| (snapshot.guid, snapshot.createtxg));
    let bookmarks = source.bookmarks.iter().map(|bookmark| (bookmark.guid, bookmark.createtxg));
    if let Some((_, createtxg)) = snapshots.chain(bookmarks).find(|(guid, _)| *guid == head.guid) {
        return newest.is_none_or(|newest| newest.createtxg <= createtxg);
    }
    // A promoted clone has taken it, and the source is a clone of it now.
    newest.is_none()
        && simulation
            .host(row.source_system)
            .census()
            .iter()
            .any(|other| other.snapshots.iter().any(|snapshot| snapshot.guid == head.guid))
}

/// What a person has tried again, and fails again, must be something that only a person can change.
fn parked(simulation: &Simulation, row: &ReplicaReport, what: &str) -> Result<(), Broken> {
    let parked = simulation.witness.parked();
    let transfer = parked.iter().find(|transfer| {
        (transfer.step.target_system, &transfer.step.target) == (row.target_system, &row.target)
    });
    let error = transfer.and_then(|transfer| transfer.error.clone());
    match &error {
        // Somebody else's hold, clone or bookmark.
        Some((code, _)) if FOR_A_PERSON.contains(&code.as_str()) => Ok(()),
        other => Err(Broken(format!(
            "parked with nothing broken ({other:?}, {}): {what}",
            transfer.map_or_else(String::new, |transfer| super::witness::words(&transfer.step))
        ))),
    }
}

/// True when the dataset has this snapshot, or a bookmark that remains of it.
fn went_through(simulation: &Simulation, system: SystemId, name: &DatasetName, snapshot: Guid) -> bool {
    let census = simulation.host(system).census();
    census.iter().filter(|dataset| dataset.name == *name).any(|dataset| {
        dataset.snapshots.iter().any(|there| there.guid == snapshot)
            || dataset.bookmarks.iter().any(|bookmark| bookmark.guid == snapshot)
    })
}

/// In a mesh no update gets lost silently: whoever has a newest snapshot that others lack is named in a conflict.
fn heads(simulation: &Simulation, index: usize) -> Result<(), Broken> {
    let kept = &simulation.witness.groups[index];
    for row in kept.rows.values().filter(|row| row.reason == Some(Reason::NoElectedSource)) {
        let named = row.conflict.as_ref().is_some_and(|conflict| {
            let named = [&conflict.source, &conflict.target].into_iter().chain(&conflict.other_heads);
            let all_are_named = (members(&kept.group, row)).all(|(system, name)| {
                let there = Truth::snapshots_of(&simulation.host(system), &name).unwrap_or_default();
                let head = there.last().copied();
                // Whoever is behind somebody has nothing that could get lost, also where that one has pruned what they had in common.
                let is_ahead = head.is_some_and(|head| {
                    !members(&kept.group, row)
                        .any(|(other, name)| other != system && went_through(simulation, other, &name, head))
                });
                !is_ahead || named.clone().any(|side| side.system == system)
            });
            all_are_named
                && named.clone().all(|side| {
                    let there = Truth::snapshots_of(&simulation.host(side.system), &side.dataset);
                    let head = there.and_then(|all| all.last().copied());
                    side.head.as_ref().map(|head| head.guid) == head
                })
        });
        if !named {
            return Err(Broken(format!(
                "the conflict of {} in g{} does not name all heads: {:?}",
                row.dataset,
                index + 1,
                row.conflict
            )));
        }
    }
    Ok(())
}

/// Where a mesh has a dataset.
fn members(group: &SyncGroup, row: &ReplicaReport) -> impl Iterator<Item = (SystemId, DatasetName)> {
    let names =
        group.members.iter().filter_map(|id| Some((*id, group.name_on(row.home, &row.dataset, *id).ok()?)));
    names.collect::<Vec<_>>().into_iter()
}

/// Holds and bookmarks of ours: what the next step of a replica needs, and nothing that a step forgot.
fn leftovers(simulation: &mut Simulation) -> Result<(), Broken> {
    let (mut left, mut step_holds) = (Leftovers::default(), Vec::new());
    for agent in simulation.agents.values() {
        for dataset in agent.host.census() {
            let ours = |text: &str| text.starts_with(Protection::PREFIX);
            left.partials += u64::from(dataset.partial);
            let mut of_receiver: BTreeMap<String, u64> = BTreeMap::new();
            for bookmark in dataset.bookmarks.iter().filter(|bookmark| ours(bookmark.label.as_str())) {
                let receiver = bookmark.label.as_str().rsplit(':').next().unwrap_or_default().to_owned();
                *of_receiver.entry(receiver).or_default() += 1;
                left.bookmarks += 1;
            }
            left.most_bookmarks = left.most_bookmarks.max(of_receiver.values().copied().max().unwrap_or(0));
            let held = dataset
                .snapshots
                .iter()
                .flat_map(|snapshot| snapshot.holds.iter().map(move |tag| (snapshot, tag)));
            for (snapshot, tag) in held.filter(|(_, tag)| ours(tag)) {
                if tag.contains("step:") {
                    left.step_holds += 1;
                    step_holds.push(format!("{tag} on {} {}@{}", agent.name, dataset.name, snapshot.label));
                } else {
                    left.base_holds += 1;
                }
            }
        }
    }
    simulation.summary.leftovers = left;
    if left.most_bookmarks > 3 {
        return Err(Broken(format!(
            "{} bookmarks of ours on one dataset for one replica",
            left.most_bookmarks
        )));
    }
    // Both ends of a stream that waits to be continued. A restored machine has holds that its ledger does not know of, until the next step
    // of the replica finds them.
    if left.step_holds > 2 * left.partials && !simulation.holds_went_astray {
        return Err(Broken(format!(
            "{} step holds, and {} receives wait to be continued: {}",
            left.step_holds,
            left.partials,
            step_holds.join(", ")
        )));
    }
    Ok(())
}
