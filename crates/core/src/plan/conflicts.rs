//! Building [`Conflict`]s from what a plan has found.

use std::{borrow::Cow, collections::HashSet};

use super::{
    by_name::by_name,
    conflict::{Conflict, ConflictKind, ConflictSide, Offer, Severity},
    offer::offer,
    pair::Pair,
    reason::Reason,
    report::ReplicaKey,
    step::Casualty,
    survey::Survey,
};
use crate::{
    group::Strategy,
    guid::Guid,
    ids::SystemId,
    inventory::{Dataset, Snapshot},
    name::DatasetName,
};

/// Snapshots that one side of a conflict lists.
const LISTED: usize = 100;

/// What kind of conflict a reason speaks of; `None` for reasons that pass by themselves.
const fn kind_of(reason: Reason) -> Option<ConflictKind> {
    match reason {
        Reason::Diverged => Some(ConflictKind::Diverged),
        Reason::SourceRolledBack => Some(ConflictKind::SourceRolledBack),
        Reason::NoCommonBase => Some(ConflictKind::NoCommonBase),
        Reason::SourceRecreated => Some(ConflictKind::Recreated),
        Reason::SourceRenamed => Some(ConflictKind::Renamed),
        Reason::NameClash => Some(ConflictKind::SameNameOtherGuid),
        Reason::TargetModified => Some(ConflictKind::TargetModified),
        Reason::Orphaned => Some(ConflictKind::Orphaned),
        Reason::NoElectedSource => Some(ConflictKind::NoElectedSource),
        Reason::KindMismatch => Some(ConflictKind::KindMismatch),
        Reason::TargetNotEmpty => Some(ConflictKind::TargetNotEmpty),
        Reason::DeleteBrake => Some(ConflictKind::DeleteBrake),
        _ => None,
    }
}

/// The conflict behind a replica's reason. A guard that stops a decision leaves the conflict that the decision was about.
pub(super) fn conflict_of<'a>(survey: &Survey<'a>, pair: &Pair<'a>, reason: Reason) -> Option<Conflict> {
    let stopped = matches!(
        reason,
        Reason::CasualtyHeld
            | Reason::CasualtyCloned
            | Reason::LastCopy
            | Reason::NotApproved
            | Reason::SetAsideHasChildren
            | Reason::NameTooLong
            | Reason::ManualMode
            | Reason::NoGuid
    );
    let acts = pair.decision.is_some() && reason == Reason::ManualMode;
    let kind =
        if stopped { kind_of(super::room::named(survey, pair, pair.conflict()?))? } else { kind_of(reason)? };
    let kind = if pair.by_name { by_name_kind(pair).unwrap_or(kind) } else { kind };
    let source_name = pair.source_dataset.map_or(&pair.dataset, |dataset| &dataset.name);
    let target_name = pair.mapped.as_ref().ok()?;
    let old_replica = super::moved::old_replica(survey, pair).map(|(_, replica)| replica);
    let target_dataset = pair.target_dataset.or(old_replica);
    let view = |dataset: &'a Dataset| {
        if pair.by_name { Cow::Owned(by_name(dataset)) } else { Cow::Borrowed(dataset) }
    };
    let (source_dataset, target_dataset) = (pair.source_dataset.map(view), target_dataset.map(view));
    let (source_dataset, target_dataset) = (source_dataset.as_deref(), target_dataset.as_deref());
    let source = side(pair.source.id, source_name, source_dataset, target_dataset);
    let target = side(
        pair.target.id,
        target_dataset.map_or(target_name, |dataset| &dataset.name),
        target_dataset,
        source_dataset,
    );
    let last_common = pair.comparison.as_ref().and_then(|comparison| comparison.newest_common.clone());
    // What is being carried out needs no other answer; what stands still does.
    let strategies: Vec<Offer> = if acts || kind == ConflictKind::Renamed {
        Vec::new()
    } else {
        Strategy::ALL.into_iter().map(|strategy| offer(survey, pair, kind, strategy)).collect()
    };
    let suggested = Strategy::KeepBoth;
    let offered = strategies.iter().any(|offer| offer.strategy == suggested && offer.obstacle.is_none());
    let at_stake = target.only_here_bytes.saturating_add(target.written);
    Some(Conflict {
        kind,
        severity: severity(kind, at_stake, target.only_here_count),
        bytes_at_stake: at_stake,
        source,
        target,
        other_heads: other_heads(survey, pair),
        last_common,
        strategies,
        suggested: offered.then_some(suggested),
    })
}

/// Where more than two members of a mesh have gone on, a conflict is about all of them.
fn other_heads(survey: &Survey<'_>, pair: &Pair<'_>) -> Vec<ConflictSide> {
    let others = pair.split.iter().filter(|id| **id != pair.source.id && **id != pair.target.id);
    let head = |id: &SystemId| {
        let dataset = survey.dataset_on(pair.home, &pair.dataset, *id)?;
        Some(side(*id, &dataset.name, Some(dataset), pair.source_dataset))
    };
    others.filter_map(head).collect()
}

const fn severity(kind: ConflictKind, at_stake: u64, only_here: u32) -> Severity {
    match kind {
        ConflictKind::Renamed | ConflictKind::DeleteBrake => Severity::Low,
        ConflictKind::Orphaned | ConflictKind::SourceRolledBack | ConflictKind::NoElectedSource => {
            Severity::High
        }
        _ if at_stake > 0 || only_here > 0 => Severity::High,
        _ => Severity::Medium,
    }
}

/// Reports without GUIDs tell less: what differs under one name.
fn by_name_kind(pair: &Pair<'_>) -> Option<ConflictKind> {
    let (source, target) = (pair.source_dataset?, pair.target_dataset?);
    target.snapshots.iter().rev().find_map(|snapshot| {
        let other = source.snapshots.iter().find(|other| other.label == snapshot.label)?;
        if other.creation != snapshot.creation {
            Some(ConflictKind::TimestampMismatch)
        } else if other.referenced != snapshot.referenced && other.referenced > 0 && snapshot.referenced > 0 {
            Some(ConflictKind::SizeMismatch)
        } else {
            None
        }
    })
}

fn side(
    system: SystemId,
    name: &DatasetName,
    dataset: Option<&Dataset>,
    other: Option<&Dataset>,
) -> ConflictSide {
    let there: HashSet<Guid> =
        other.into_iter().flat_map(|other| &other.snapshots).map(|snapshot| snapshot.guid).collect();
    let only_here: Vec<&Snapshot> = dataset
        .into_iter()
        .flat_map(|dataset| dataset.snapshots.iter().rev())
        .filter(|snapshot| !there.contains(&snapshot.guid))
        .collect();
    ConflictSide {
        system,
        dataset: name.clone(),
        head: dataset.and_then(Dataset::newest).map(Casualty::from),
        only_here_count: u32::try_from(only_here.len()).unwrap_or(u32::MAX),
        only_here_bytes: only_here.iter().fold(0, |sum: u64, snapshot| sum.saturating_add(snapshot.used)),
        only_here: only_here.into_iter().take(LISTED).map(Casualty::from).collect(),
        written: dataset.map_or(0, |dataset| dataset.properties.written),
    }
}

/// A replica whose source was destroyed.
pub(super) fn orphan(key: &ReplicaKey, source: SystemId, replica: &Dataset) -> Conflict {
    let target = side(key.target_system, &replica.name, Some(replica), None);
    Conflict {
        kind: ConflictKind::Orphaned,
        severity: Severity::High,
        source: side(source, &key.dataset, None, None),
        bytes_at_stake: replica.properties.used,
        target,
        other_heads: Vec::new(),
        last_common: None,
        strategies: Vec::new(),
        suggested: None,
    }
}
