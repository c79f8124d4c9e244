//! One replica: who follows whom, and how the two stand.

use std::borrow::Cow;

use super::{
    by_name, chain, classic,
    compare::{Comparison, compare},
    planner::{Decision, Input},
    reason::Reason,
    report::ReplicaKey,
    survey::Survey,
};
use crate::{
    group::{GroupMode, NoName, Profile},
    guid::Guid,
    ids::SystemId,
    inventory::{Dataset, Inventory},
    name::DatasetName,
};

/// One system, also when nothing is known of it.
#[derive(Clone, Debug)]
pub(super) struct Side<'a> {
    pub(super) id: SystemId,
    pub(super) name: Cow<'a, str>,
    pub(super) inventory: Option<&'a Inventory>,
    pub(super) fresh: bool,
}

impl<'a> Side<'a> {
    pub(super) fn new(input: &Input<'a>, id: SystemId) -> Self {
        match input.systems.get(&id) {
            Some(view) => {
                Self { id, name: Cow::Borrowed(view.name), inventory: view.inventory, fresh: view.fresh }
            }
            None => Self { id, name: Cow::Owned(id.to_string()), inventory: None, fresh: false },
        }
    }

    pub(super) fn dataset(&self, name: &DatasetName) -> Option<&'a Dataset> {
        self.inventory.and_then(|inventory| inventory.datasets.get(name))
    }
}

/// One replica: a logical dataset and a target system.
#[derive(Clone, Debug)]
pub(super) struct Pair<'a> {
    pub(super) home: SystemId,
    pub(super) dataset: DatasetName,
    /// Whom the target follows.
    pub(super) source: Side<'a>,
    pub(super) target: Side<'a>,
    /// What the followed member has; nothing where it does not have it (yet).
    pub(super) source_dataset: Option<&'a Dataset>,
    pub(super) mapped: Result<DatasetName, NoName>,
    pub(super) target_dataset: Option<&'a Dataset>,
    /// `None` when the target has no name, its system never reported, or the source has nothing to compare with.
    pub(super) comparison: Option<Comparison>,
    /// What has been decided about it, by a person or by the group's policy.
    pub(super) decision: Option<Decided<'a>>,
    /// Mesh only: the members whose newest snapshots nobody else has, when nobody has all.
    pub(super) split: Vec<SystemId>,
    /// Chain only: the followed member lacks what the target and a member before it in the chain both have, so it is the followed
    /// member that has to catch up.
    pub(super) ahead: bool,
    /// True when snapshots were matched by name and time.
    pub(super) by_name: bool,
    /// Why the group's policy does not end the conflict by itself.
    pub(super) policy_stopped: Option<String>,
}

/// A decision, and who stands behind it.
#[derive(Clone, Debug)]
pub(super) struct Decided<'a> {
    pub(super) decision: Cow<'a, Decision>,
    /// True when the group's policy decided: guards that a person may lift hold.
    pub(super) by_policy: bool,
}

impl<'a> Pair<'a> {
    /// How one member stands to another for one logical dataset.
    pub(super) fn new(
        survey: &Survey<'a>,
        home: SystemId,
        dataset: &DatasetName,
        source: SystemId,
        target: SystemId,
    ) -> Self {
        let group = survey.input.group;
        let (source, target) = (survey.side(source), survey.side(target));
        let source_dataset = survey.dataset_on(home, dataset, source.id);
        let mapped = target_name(survey, home, dataset, &target);
        let target_dataset = mapped.as_ref().ok().and_then(|name| target.dataset(name));
        let by_name =
            [&source, &target].into_iter().filter_map(|side| side.inventory).any(|it| it.without_guids);
        let known = mapped.is_ok() && target.inventory.is_some();
        let comparison = source_dataset.filter(|_| known).map(|source_dataset| {
            let view = |dataset: &'a Dataset| {
                if by_name { Cow::Owned(by_name::by_name(dataset)) } else { Cow::Borrowed(dataset) }
            };
            let seen = view(source_dataset);
            let seen = if group.profile == Profile::Classic { classic::view(seen) } else { seen };
            let mut comparison = compare(&seen, target_dataset.map(view).as_deref());
            // What the classic profile does not copy is seen as bookmarks, and is none.
            let is_there = |guid| source_dataset.snapshot(guid).is_some();
            comparison.common_is_bookmark &=
                comparison.newest_common.as_ref().is_none_or(|point| by_name || !is_there(point.guid));
            comparison
        });
        let mut pair = Self {
            home,
            dataset: dataset.clone(),
            source,
            target,
            source_dataset,
            mapped,
            target_dataset,
            comparison,
            decision: None,
            split: Vec::new(),
            ahead: false,
            by_name,
            policy_stopped: None,
        };
        pair.ahead = pair.conflict().is_some() && !by_name && is_ahead(survey, &pair);
        pair
    }

    /// Why the target, as it is, can take nothing.
    pub(super) fn conflict(&self) -> Option<Reason> {
        self.comparison.as_ref().filter(|_| !self.ahead).and_then(|comparison| comparison.relation.conflict())
    }

    pub(super) fn key(&self) -> ReplicaKey {
        ReplicaKey { home: self.home, dataset: self.dataset.clone(), target_system: self.target.id }
    }

    pub(super) fn target_head(&self) -> Option<Guid> {
        self.target_dataset.and_then(Dataset::newest).map(|newest| newest.guid)
    }

    /// True when the target is where the group's source of truth lives, so that other members follow what is in it.
    pub(super) fn is_onto_the_truth(&self, mode: GroupMode) -> bool {
        mode != GroupMode::Mesh && mode != GroupMode::Local && self.target.id == self.home
    }
}

/// True when a member before the followed one knows the target's newest snapshot, and the followed one does not, because it is not that far
/// or has gone another way. One that is beyond it has lost it, and will not get it back.
fn is_ahead(survey: &Survey<'_>, pair: &Pair<'_>) -> bool {
    let (Some(head), Some(source)) = (pair.target_head(), pair.source_dataset) else { return false };
    let before = chain::before(survey.input.group, pair.source.id);
    let is_behind = |member: &SystemId| {
        let Some(dataset) = survey.dataset_on(pair.home, &pair.dataset, *member) else { return false };
        let reached = source.newest().and_then(|newest| dataset.place_of(newest.guid));
        dataset.snapshot(head).is_some_and(|head| reached.is_none_or(|reached| reached < head.createtxg))
    };
    // Where a decision has turned the chain around, the target has what it has from nobody.
    source.snapshot(head).is_none() && !before.contains(&pair.target.id) && before.iter().any(is_behind)
}

fn target_name<'a>(
    survey: &Survey<'a>,
    home: SystemId,
    dataset: &DatasetName,
    target: &Side<'a>,
) -> Result<DatasetName, NoName> {
    let group = survey.input.group;
    let mapped = group.target_name(home, dataset, target.id)?;
    if group.profile == Profile::Classic && mapped == *dataset {
        return Ok(classic::target_name(dataset, survey.dataset_on(home, dataset, home), target.inventory));
    }
    Ok(mapped)
}
