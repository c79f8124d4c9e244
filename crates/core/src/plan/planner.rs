//! All replicas of one group.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    decide::{Decision, decide},
    describe::facts,
    fingerprint::fingerprint,
    reason::Warning,
    report::{ReplicaReport, Report},
    step::{Plan, Point, Receiver, Step},
    survey::{Pair, Side, Survey},
};
use crate::{
    group::SyncGroup,
    ids::{SystemId, TransferId},
    inventory::Inventory,
    name::DatasetName,
    time::Timestamp,
};

/// What is known of one system.
#[derive(Clone, Copy, Debug)]
pub struct SystemView<'a> {
    /// Its host name, for sentences.
    pub name: &'a str,
    /// `None`: it has never reported.
    pub inventory: Option<&'a Inventory>,
    /// False when its newest report is too old to act on; its replicas are then unknown, never green and never absent.
    pub fresh: bool,
}

/// A transfer that is queued or runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// The transfer.
    pub transfer: TransferId,
    /// Where it goes.
    pub target_system: SystemId,
    /// Into which dataset.
    pub target: DatasetName,
}

/// A person's decision to set one diverged replica aside and seed it anew.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeepBoth {
    /// The target system.
    pub system: SystemId,
    /// The dataset on the target.
    pub target: DatasetName,
}

/// Everything a plan is made from.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    /// Policy.
    pub group: &'a SyncGroup,
    /// Members; one that is missing here counts as never reported.
    pub systems: &'a BTreeMap<SystemId, SystemView<'a>>,
    /// Transfers under way.
    pub running: &'a [Running],
    /// Decisions beyond the group's policy.
    pub keep_both: &'a BTreeSet<KeepBoth>,
    /// For the names of datasets that are set aside.
    pub now: Timestamp,
}

/// Snapshot names that a report lists.
const LABELS_REPORTED: usize = 20;

/// Plans one group: at most one step a replica, and a report on every replica.
pub fn plan(input: &Input<'_>) -> (Plan, Report) {
    let group = input.group;
    let source = Side::new(input, group.source_of_truth);
    let targets: BTreeSet<SystemId> = group.targets().collect();
    let targets: Vec<Side<'_>> = targets.into_iter().map(|system| Side::new(input, system)).collect();
    let survey = Survey::new(input, &source, &targets);

    let replicas: Vec<ReplicaReport> = survey.pairs.iter().map(|pair| report(&survey, pair)).collect();
    let mut steps: Vec<Step> = replicas.iter().filter_map(|replica| replica.step.clone()).collect();
    // A parent's name is the beginning of its children's, so this order has parents first.
    steps.sort_by(|a, b| (a.target_system, &a.target).cmp(&(b.target_system, &b.target)));

    let warnings = if survey.selected == Some(0) { vec![Warning::SelectorEmpty] } else { Vec::new() };
    let selected = u32::try_from(survey.selected.unwrap_or(0)).unwrap_or(u32::MAX);
    let fingerprint = fingerprint(&survey, &steps);
    (
        Plan { group: group.id, steps, destroys: Vec::new(), fingerprint },
        Report { replicas, warnings, selected },
    )
}

fn report(survey: &Survey<'_>, pair: &Pair<'_>) -> ReplicaReport {
    let Decision { state, reason, warnings, next, action } = decide(survey, pair);
    let source = pair.source_dataset;
    let target = pair.mapped.as_ref().unwrap_or(&source.name).clone();
    let step = action.map(|action| Step {
        source_system: pair.source.id,
        target_system: pair.target.id,
        source: source.name.clone(),
        target: target.clone(),
        kind: source.properties.kind,
        source_guid: source.properties.guid,
        receiver: Receiver::new(pair.target.id, &target),
        action,
    });
    let comparison = pair.comparison.as_ref();
    ReplicaReport {
        source_system: pair.source.id,
        target_system: pair.target.id,
        source: source.name.clone(),
        target,
        state,
        reason,
        warnings,
        facts: facts(pair),
        next,
        step,
        newest_common: comparison.and_then(|comparison| comparison.newest_common.clone()),
        newest_source: source.newest().map(Point::from),
        snapshot_lag: comparison.map_or(0, |comparison| comparison.snapshot_lag),
        only_on_target: comparison.map_or_else(Vec::new, |comparison| {
            comparison.only_on_target.iter().take(LABELS_REPORTED).map(ToString::to_string).collect()
        }),
    }
}
