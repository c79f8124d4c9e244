//! All replicas of one group.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    conflict::Conflict,
    conflicts::conflict_of,
    copies::Copies,
    decide::{Outcome, decide},
    facts::facts,
    fingerprint::fingerprint,
    mirror,
    orphans::orphans,
    pair::Pair,
    reason::{Reason, Warning},
    report::{Remembered, ReplicaKey, ReplicaReport, Report},
    resolve::is_braked,
    step::{Action, Destroy, Plan, Point, Receiver, Send, Step},
    survey::Survey,
};
use crate::{
    group::SyncGroup,
    guid::Guid,
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
    /// True when it renames that dataset, so that nothing can be received below it meanwhile.
    pub renames: bool,
    /// The snapshots that it destroys there: copies that nobody else may rely on.
    pub destroys: Vec<Guid>,
}

/// How a target that does not follow makes room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MakeRoom {
    /// It is renamed, whole.
    SetAside,
    /// It goes back to what is common; where nothing is, it is set aside.
    RollBack,
    /// As `roll_back`, and nothing is done where nothing is common.
    RollBackOnly,
}

/// What was decided about one logical dataset: whom its replicas follow, and how they make room. It stands until every target it names
/// has the winner's newest snapshot; each plan carries out what is still missing, whatever happened in between.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Decision {
    /// The member whose names logical datasets have.
    pub home: SystemId,
    /// The logical dataset.
    pub dataset: DatasetName,
    /// Whom the targets follow.
    pub winner: SystemId,
    /// How they make room.
    pub how: MakeRoom,
    /// The members that it is about.
    pub targets: BTreeSet<SystemId>,
    /// The snapshots on each target whose loss a person has approved. Where another target has the same one, nobody has given that up.
    pub may_destroy: BTreeMap<SystemId, BTreeSet<Guid>>,
    /// Bytes written on each target whose loss a person has approved.
    pub may_discard: BTreeMap<SystemId, u64>,
    /// The dataset GUIDs of what may be set aside on each target: what comes in its place later is not moved again.
    #[serde(default)]
    pub may_move: BTreeMap<SystemId, Guid>,
}

impl Decision {
    /// True when the loss of this snapshot on this target was approved.
    pub fn gives_up(&self, target: SystemId, guid: Guid) -> bool {
        self.targets.contains(&target)
            && self.may_destroy.get(&target).is_some_and(|guids| guids.contains(&guid))
    }

    /// True when it allows this on the target's dataset: exactly what was listed, and no byte more.
    pub fn approves(&self, target: SystemId, action: &Action) -> bool {
        let listed = || action.destroys().iter().all(|lost| self.gives_up(target, lost.guid));
        self.targets.contains(&target)
            && match action {
                Action::SetAside { target_guid, .. } => self.may_move.get(&target) == Some(target_guid),
                Action::RollBack { discards, .. } => {
                    listed() && *discards <= self.may_discard.get(&target).copied().unwrap_or(0)
                }
                Action::DestroySnapshots { .. } => listed(),
                Action::Send(_) | Action::FollowRename { .. } => true,
            }
    }
}

/// Everything a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Policy.
    pub group: &'a SyncGroup,
    /// Members; one that is missing here counts as never reported.
    pub systems: &'a BTreeMap<SystemId, SystemView<'a>>,
    /// The logical datasets to plan; `None` for all. Inventories may be restricted to what [`super::needed()`] names then.
    pub scope: Option<&'a BTreeSet<DatasetName>>,
    /// Transfers under way.
    pub running: &'a [Running],
    /// What people have decided and is not carried out yet.
    pub decisions: &'a [Decision],
    /// What earlier plans remember.
    pub memory: &'a BTreeMap<ReplicaKey, Remembered>,
    /// Pairs of sender and receiver whose last attempt failed in the network.
    pub unreachable: &'a BTreeSet<(SystemId, SystemId)>,
    /// The copies in the whole fleet of what might be destroyed; those in members' replicas of this group may be left out, and a member
    /// that has a snapshot in another dataset has not destroyed it.
    pub holders: &'a BTreeMap<Guid, Copies>,
    /// For the names of datasets that are set aside, and for ages.
    pub now: Timestamp,
}

impl Input<'_> {
    /// Systems whose copy is about to be destroyed: by a transfer under way, or because a person has approved it.
    pub(super) fn dooms(&self, guid: Guid) -> impl Iterator<Item = SystemId> {
        let running = self.running.iter().filter(move |running| running.destroys.contains(&guid));
        let decided = self.decisions.iter().flat_map(move |decision| {
            decision.targets.iter().copied().filter(move |target| decision.gives_up(*target, guid))
        });
        running.map(|running| running.target_system).chain(decided)
    }
}

/// Snapshot names that a report lists.
const LABELS_REPORTED: usize = 20;

/// Plans one group: at most one step a replica, and a report on every replica.
pub fn plan(input: &Input<'_>) -> (Plan, Report) {
    let survey = Survey::new(input);
    let (steps, report) = survey_to_steps(&survey);
    let in_scope = |pair: &Pair<'_>| input.scope.is_none_or(|scope| scope.contains(&pair.dataset));
    let fingerprint = fingerprint(&survey, &steps, in_scope);
    (Plan { group: input.group.id, destroys: all_destroyed(&steps), steps, fingerprint }, report)
}

/// The steps, in an order that respects parents, and a report on every replica in the scope.
pub(super) fn survey_to_steps(survey: &Survey<'_>) -> (Vec<Step>, Report) {
    let input = survey.input;
    let in_scope = |dataset: &DatasetName| input.scope.is_none_or(|scope| scope.contains(dataset));

    let mut replicas: Vec<ReplicaReport> =
        survey.pairs.iter().filter(|pair| in_scope(&pair.dataset)).map(|pair| report(survey, pair)).collect();
    let mut steps: Vec<Step> = replicas
        .iter()
        // Steps that rest on names are for people and old clients to see, not for agents to carry out.
        .filter(|replica| replica.reason != Some(Reason::NoGuid))
        .filter_map(|replica| replica.step.clone())
        .collect();
    // A parent's name is the beginning of its children's, so this order has parents first.
    steps.sort_by(|a, b| (a.target_system, &a.target).cmp(&(b.target_system, &b.target)));
    replicas.extend(orphans(survey));
    replicas
        .sort_by(|a, b| (&a.home, &a.dataset, a.target_system).cmp(&(&b.home, &b.dataset, b.target_system)));

    let selected =
        survey.selected.as_ref().map(|selected| selected.iter().filter(|name| in_scope(name)).count());
    let nothing = selected == Some(0) && input.scope.is_none();
    let warnings = if nothing { vec![Warning::SelectorEmpty] } else { Vec::new() };
    let selected = u32::try_from(selected.unwrap_or(0)).unwrap_or(u32::MAX);
    (steps, Report { replicas, warnings, selected })
}

/// Every snapshot that these steps destroy.
pub(super) fn all_destroyed(steps: &[Step]) -> Vec<Destroy> {
    let of_step = |step: &Step| {
        let (system, dataset) = (step.target_system, step.target.clone());
        let casualties = step.action.destroys().to_vec().into_iter();
        casualties.map(move |casualty| Destroy { system, dataset: dataset.clone(), casualty })
    };
    steps.iter().flat_map(of_step).collect()
}

fn report(survey: &Survey<'_>, pair: &Pair<'_>) -> ReplicaReport {
    let Outcome { state, reason, warnings, rules, next, step, notes } = decide(survey, pair);
    let comparison = pair.comparison.as_ref();
    let source = pair.source_dataset.map_or(&pair.dataset, |dataset| &dataset.name).clone();
    let target = pair.mapped.as_ref().unwrap_or(&pair.dataset).clone();
    let step = step.map(|(sender, action)| {
        let from = sender.dataset;
        Step {
            source_system: sender.system,
            target_system: pair.target.id,
            source: from.name.clone(),
            target: target.clone(),
            kind: from.properties.kind,
            source_guid: from.properties.guid,
            receiver: Receiver::new(pair.target.id, &target),
            action,
        }
    });
    let resumes = matches!(&step, Some(Step { action: Action::Send(Send { resume: true, .. }), .. }));
    let destroys = matches!(&step, Some(Step { action: Action::DestroySnapshots { .. }, .. }));
    // What goes does not end the conflict about what is braked beside it.
    let conflict: Option<Conflict> = if destroys && is_braked(survey, pair) {
        conflict_of(survey, pair, Reason::DeleteBrake)
    } else {
        reason.and_then(|reason| conflict_of(survey, pair, reason))
    };
    ReplicaReport {
        home: pair.home,
        dataset: pair.dataset.clone(),
        source_system: pair.source.id,
        target_system: pair.target.id,
        source,
        target,
        state,
        reason,
        warnings,
        facts: facts(survey, pair, resumes, notes),
        rules,
        next,
        next_at: None,
        step,
        newest_common: comparison.and_then(|comparison| comparison.newest_common.clone()),
        newest_source: pair.source_dataset.and_then(|dataset| dataset.newest()).map(Point::from),
        snapshot_lag: comparison.map_or(0, |comparison| comparison.snapshot_lag),
        only_on_target: comparison.map_or_else(Vec::new, |comparison| {
            comparison.only_on_target.iter().take(LABELS_REPORTED).map(ToString::to_string).collect()
        }),
        conflict,
        remembered: remembered(survey, pair),
    }
}

/// The target's newest snapshot as long as the source knows it; after that, what an earlier plan saw.
fn remembered(survey: &Survey<'_>, pair: &Pair<'_>) -> Option<Remembered> {
    let before = survey.remembered(pair);
    let known = pair.source_dataset.zip(pair.comparison.as_ref()).and_then(|(source, comparison)| {
        let replaced_until = pair
            .target_dataset
            .and_then(|target| mirror::newest_of_earlier_source(survey, pair, source, target));
        let replaced = replaced_until.is_some();
        let newest = pair.target_dataset.and_then(|target| target.newest()).map(|newest| newest.guid);
        let common = comparison.newest_common.as_ref().map(|point| point.guid);
        let source_guid = source.properties.guid;
        match (newest, before) {
            _ if !pair.source.fresh || !pair.target.fresh => None,
            // A replica that does not exist yet follows whoever seeds it.
            (None, _) => {
                Some(Remembered { source_guid, common: None, replaced: false, replaced_until: None })
            }
            (Some(_), before) if newest == common || before.is_none() => {
                Some(Remembered { source_guid, common, replaced, replaced_until })
            }
            (Some(_), _) => None,
        }
    });
    known.or_else(|| before.cloned())
}
