//! From a strategy to a decision: who is followed, how the others make room, and what that would cost.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    choose::choose,
    fingerprint::fingerprint,
    mirror,
    pair::Pair,
    planner::{Decision, Input, MakeRoom, all_destroyed, survey_to_steps},
    report::{ReplicaKey, ReplicaReport, ReplicaState, Report},
    room::{casualties, goes_back_to},
    step::{Action, Destroy, Plan},
    survey::{Survey, contradict},
};
use crate::{
    group::{GroupMode, OnDivergence, Strategy},
    guid::Guid,
    ids::SystemId,
    name::DatasetName,
};

/// What a strategy comes to for one conflict, for a person to look at before it is applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// The strategy.
    pub strategy: Strategy,
    /// What is decided when it is applied.
    pub decision: Decision,
    /// The steps that are done first on the decision's targets, with every snapshot that they destroy. Later ones follow from the state
    /// that these leave; they destroy nothing that is not listed here.
    pub plan: Plan,
}

/// Why a strategy can not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The replica has no conflict any more.
    #[error("there is no conflict any more; look again")]
    NoConflict,
    /// What stands in the way, as a sentence.
    #[error("{0}")]
    Obstacle(String),
}

/// Proposes how to end the conflict of one replica. What is planned has the replica's dataset as its scope, whatever the input's is, so that
/// the fingerprint is about it alone.
pub fn propose(input: &Input<'_>, key: &ReplicaKey, strategy: Strategy) -> Result<Proposal, Refusal> {
    let scope = BTreeSet::from([key.dataset.clone()]);
    let of_it = |decision: &&Decision| decision.home == key.home && decision.dataset == key.dataset;
    let others: Vec<Decision> = input.decisions.iter().filter(|decision| !of_it(decision)).cloned().collect();
    // The group's own policy must not answer in place of the person who asks.
    let mut group = input.group.clone();
    group.on_divergence = OnDivergence::Stop;
    let undecided = Input { group: &group, scope: Some(&scope), decisions: &others, ..*input };
    let survey = Survey::new(&undecided);
    let decision = decide(&survey, key, strategy)?;

    // What was decided about other replicas of the dataset stands, unless this turns it around.
    let kept = input.decisions.iter().filter(of_it).filter(|earlier| !contradict(earlier, &decision));
    let decisions: Vec<Decision> = others.iter().chain(kept).cloned().chain([decision.clone()]).collect();
    let decided = Input { decisions: &decisions, ..undecided };
    let survey = Survey::new(&decided);
    let (mut steps, report) = survey_to_steps(&survey);
    let is_about = |home, dataset: &DatasetName, target| {
        home == key.home && *dataset == key.dataset && decision.targets.contains(&target)
    };
    let concerned =
        |replica: &&ReplicaReport| is_about(replica.home, &replica.dataset, replica.target_system);
    let places: BTreeSet<(SystemId, DatasetName)> = report
        .replicas
        .iter()
        .filter(concerned)
        .map(|replica| (replica.target_system, replica.target.clone()))
        .collect();
    steps.retain(|step| places.contains(&(step.target_system, step.target.clone())));
    let fingerprint = fingerprint(&survey, &steps, |pair| is_about(pair.home, &pair.dataset, pair.target.id));
    let plan = Plan { group: group.id, destroys: all_destroyed(&steps), steps, fingerprint };
    let asked =
        report.replicas.iter().filter(concerned).find(|replica| replica.target_system == key.target_system);
    let stopped = asked.is_some_and(|asked| asked.state == ReplicaState::Diverged && asked.step.is_none());
    if plan.steps.is_empty() || stopped {
        return Err(Refusal::Obstacle(obstacle(&report, asked, &decision)));
    }
    let decision = as_listed(decision, &plan);
    Ok(Proposal { strategy, decision, plan })
}

/// Nothing is approved that is not listed: what a silent system would lose, say, nobody has seen.
fn as_listed(mut decision: Decision, plan: &Plan) -> Decision {
    let mut listed: BTreeMap<SystemId, BTreeSet<Guid>> = BTreeMap::new();
    for Destroy { system, casualty, .. } in &plan.destroys {
        if decision.gives_up(*system, casualty.guid) {
            listed.entry(*system).or_default().insert(casualty.guid);
        }
    }
    decision.may_destroy = listed;
    let discarded: BTreeMap<SystemId, u64> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::RollBack { discards, .. } => Some((step.target_system, *discards)),
            _ => None,
        })
        .collect();
    decision.may_discard = discarded;
    decision
}

fn obstacle(report: &Report, asked: Option<&ReplicaReport>, decision: &Decision) -> String {
    let of_targets =
        || report.replicas.iter().find(|replica| decision.targets.contains(&replica.target_system));
    match asked.or_else(of_targets) {
        Some(ReplicaReport { reason: Some(reason), next, .. }) => format!("{}: {next}", reason.code()),
        Some(replica) => replica.next.clone(),
        None => "nothing is to be done".to_owned(),
    }
}

/// What is decided when a person chooses this strategy for this replica.
fn decide(survey: &Survey<'_>, key: &ReplicaKey, strategy: Strategy) -> Result<Decision, Refusal> {
    let of_dataset = |pair: &&Pair<'_>| pair.home == key.home && pair.dataset == key.dataset;
    let pairs: Vec<Pair<'_>> = survey.pairs.iter().filter(of_dataset).cloned().collect();
    let asked = pairs.iter().find(|pair| pair.target.id == key.target_system);
    if asked.is_some_and(|pair| pair.by_name) {
        let text = "snapshots without GUIDs prove nothing, so nothing is moved or destroyed because of them";
        return Err(Refusal::Obstacle(text.to_owned()));
    }
    if let Some(pair) = asked.filter(|pair| is_braked(survey, pair)) {
        return deletions(pair, strategy);
    }
    let split = pairs.iter().any(|pair| !pair.split.is_empty());
    // The key of a split names one member, which may be the one that the others are compared with.
    if !split && asked.is_none_or(|pair| pair.conflict().is_none()) {
        return Err(Refusal::NoConflict);
    }
    // Following another member concerns all; the rest concerns the replica that was asked about.
    let all = strategy.chooses() || split;
    let pairs: Vec<Pair<'_>> =
        pairs.into_iter().filter(|pair| all || pair.target.id == key.target_system).collect();
    decision(survey, &pairs, strategy)
}

pub(super) fn is_braked(survey: &Survey<'_>, pair: &Pair<'_>) -> bool {
    let common = pair.comparison.as_ref().and_then(|comparison| comparison.newest_common.as_ref());
    pair.conflict().is_none()
        && common.is_some_and(|common| mirror::look(survey, pair, common.guid).is_braked())
}

/// What a strategy decides for replicas of one logical dataset; those of one source, unless it chooses whom to follow.
pub(super) fn decision(
    survey: &Survey<'_>,
    pairs: &[Pair<'_>],
    strategy: Strategy,
) -> Result<Decision, Refusal> {
    let first = pairs.first().ok_or(Refusal::NoConflict)?;
    let mode = survey.input.group.mode;
    let winner = if strategy.chooses() { choose(survey, pairs, strategy)? } else { first.source.id };
    let how = match strategy {
        Strategy::KeepBoth => MakeRoom::SetAside,
        Strategy::RollbackTarget => MakeRoom::RollBackOnly,
        _ => MakeRoom::RollBack,
    };
    let followed = if mode == GroupMode::Mesh { first.source.id } else { first.home };
    let targets: BTreeSet<SystemId> = if strategy.chooses() && winner != followed {
        // Everything is turned around: whoever went on following the old one would be in conflict next.
        let all = pairs.iter().flat_map(|pair| [pair.source.id, pair.target.id]);
        all.filter(|system| *system != winner).collect()
    } else {
        let in_conflict = pairs.iter().filter(|pair| pair.conflict().is_some() || !pair.split.is_empty());
        let targets = in_conflict.map(|pair| pair.target.id);
        targets.filter(|system| *system != winner || mode == GroupMode::Local).collect()
    };
    let mut decision = Decision {
        home: first.home,
        dataset: first.dataset.clone(),
        winner,
        how,
        targets,
        may_destroy: BTreeMap::new(),
        may_discard: BTreeMap::new(),
        may_move: BTreeMap::new(),
    };
    for target in decision.targets.clone() {
        let pair = Pair::new(survey, first.home, &first.dataset, winner, target);
        let Some(dataset) = pair.target_dataset.filter(|_| pair.conflict().is_some()) else { continue };
        if how != MakeRoom::RollBackOnly {
            decision.may_move.insert(target, dataset.properties.guid);
        }
        if let Some(to) = goes_back_to(&pair).filter(|_| how != MakeRoom::SetAside) {
            let lost = casualties(dataset, to).map(|snapshot| snapshot.guid).collect();
            decision.may_destroy.insert(target, lost);
            decision.may_discard.insert(target, dataset.properties.written);
        }
    }
    Ok(decision)
}

/// Letting through what the brake has stopped.
fn deletions(pair: &Pair<'_>, strategy: Strategy) -> Result<Decision, Refusal> {
    if strategy != Strategy::UseSourceOfTruth {
        let text =
            "only `use_source_of_truth` lets the deletions through; leaving them alone keeps the snapshots";
        return Err(Refusal::Obstacle(text.to_owned()));
    }
    let (Some(source), Some(target)) = (pair.source_dataset, pair.target_dataset) else {
        return Err(Refusal::NoConflict);
    };
    let gone = target.snapshots.iter().filter(|snapshot| source.snapshot(snapshot.guid).is_none());
    Ok(Decision {
        home: pair.home,
        dataset: pair.dataset.clone(),
        winner: pair.source.id,
        how: MakeRoom::RollBackOnly,
        targets: BTreeSet::from([pair.target.id]),
        may_destroy: BTreeMap::from([(pair.target.id, gone.map(|snapshot| snapshot.guid).collect())]),
        may_discard: BTreeMap::new(),
        may_move: BTreeMap::new(),
    })
}
