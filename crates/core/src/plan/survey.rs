//! What is known of a group as a whole: single replicas are decided from it.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use super::{
    copies::{Copies, Place, Standing},
    elect::{Election, elect},
    needed::companions,
    pair::{Decided, Pair, Side},
    planner::{Decision, Input, Running},
    policy::{self, Verdict},
    report::Remembered,
    room,
    set_aside::is_aside,
};
use crate::{
    group::{Edge, GroupMode},
    guid::Guid,
    ids::{SystemId, TransferId},
    inventory::Dataset,
    name::DatasetName,
};

#[derive(Debug)]
pub(super) struct Survey<'a> {
    pub(super) input: &'a Input<'a>,
    pub(super) sides: BTreeMap<SystemId, Side<'a>>,
    /// By home, logical dataset and target system; with a scope also those that are received above.
    pub(super) pairs: Vec<Pair<'a>>,
    /// The logical datasets that exist; `None` when no home has ever reported.
    pub(super) selected: Option<BTreeSet<DatasetName>>,
    pub(super) running: BTreeMap<(SystemId, &'a DatasetName), &'a Running>,
    /// Datasets that are about to be set aside.
    pub(super) moving: BTreeSet<(SystemId, DatasetName)>,
}

impl<'a> Survey<'a> {
    pub(super) fn new(input: &'a Input<'a>) -> Self {
        let group = input.group;
        let sides: BTreeMap<SystemId, Side<'a>> =
            group.members.iter().chain([&group.hub]).map(|id| (*id, Side::new(input, *id))).collect();
        let running = input.running.iter().map(|running| ((running.target_system, &running.target), running));
        let mut survey = Self {
            input,
            sides,
            pairs: Vec::new(),
            selected: None,
            running: running.collect(),
            moving: BTreeSet::new(),
        };
        let edges = group.edges();
        for home in group.homes() {
            let Some(datasets) = survey.logical_datasets(home) else { continue };
            for dataset in &datasets {
                let pairs = survey.look_at(home, dataset, &edges);
                survey.pairs.extend(pairs);
            }
            survey.selected.get_or_insert_default().extend(datasets);
        }
        survey.moving = survey.pairs.iter().filter_map(|pair| survey.moved_by(pair)).collect();
        survey
    }

    /// The selected logical datasets of a home that exist, within the scope and received above it.
    fn logical_datasets(&self, home: SystemId) -> Option<BTreeSet<DatasetName>> {
        let group = self.input.group;
        if group.mode == GroupMode::Mesh {
            let known = self.sides.values().filter_map(|side| Some((side.id, side.inventory?)));
            let mut found: Option<BTreeSet<DatasetName>> = None;
            for (member, inventory) in known {
                let names = found.get_or_insert_default();
                for name in inventory.datasets.keys().filter(|name| !is_aside(name)) {
                    names.extend(group.logical_names(home, name, member));
                }
            }
            let wanted = self.input.scope.map(|scope| scope | &companions(group, scope));
            return found.map(|names| {
                names
                    .into_iter()
                    .filter(|name| wanted.as_ref().is_none_or(|wanted| wanted.contains(name)))
                    .collect()
            });
        }
        let inventory = self.sides.get(&home)?.inventory?;
        let selects = |name: &&DatasetName| group.selects(name) && !is_aside(name);
        Some(match self.input.scope {
            None => inventory.datasets.keys().filter(selects).cloned().collect(),
            Some(scope) => {
                let exists = |name: &DatasetName| inventory.datasets.contains_key(name) && selects(&name);
                (scope | &companions(group, scope)).into_iter().filter(exists).collect()
            }
        })
    }

    /// The pairs of one logical dataset, with what people and the group's policy have decided about them.
    fn look_at(&self, home: SystemId, dataset: &DatasetName, edges: &[Edge]) -> Vec<Pair<'a>> {
        let mut decided = self.explicit(home, dataset);
        let pairs = self.pairs_of(home, dataset, edges, &decided);
        let Verdict { decisions, stopped } = policy::decisions(self, &pairs);
        if decisions.is_empty() {
            return pairs.into_iter().map(|pair| Pair { policy_stopped: stopped.clone(), ..pair }).collect();
        }
        decided.extend(
            decisions.into_iter().map(|decision| Decided { decision: Cow::Owned(decision), by_policy: true }),
        );
        self.pairs_of(home, dataset, edges, &decided)
    }

    /// What people have decided about one logical dataset. Of two that contradict one another, the first counts.
    fn explicit(&self, home: SystemId, dataset: &DatasetName) -> Vec<Decided<'a>> {
        let mut decided: Vec<Decided<'a>> = Vec::new();
        let of_it = |decision: &&Decision| decision.home == home && decision.dataset == *dataset;
        for decision in self.input.decisions.iter().filter(of_it) {
            let Some(decision) = self.still_possible(decision) else { continue };
            let contradicts = decided.iter().any(|earlier| contradict(&earlier.decision, &decision));
            if !contradicts {
                decided.push(Decided { decision, by_policy: false });
            }
        }
        decided
    }

    /// A decision without what has left the group since.
    fn still_possible(&self, decision: &'a Decision) -> Option<Cow<'a, Decision>> {
        let group = self.input.group;
        let local = group.mode == GroupMode::Local;
        let members = self.members_of(decision.home);
        let is_member = |system: &SystemId| members.contains(system) && group.members.contains(system);
        let follows = |target: &SystemId| is_member(target) && (*target == decision.winner) == local;
        if !is_member(&decision.winner) || !decision.targets.iter().any(follows) {
            return None;
        }
        if decision.targets.iter().all(follows) {
            return Some(Cow::Borrowed(decision));
        }
        let mut narrowed = decision.clone();
        narrowed.targets.retain(follows);
        Some(Cow::Owned(narrowed))
    }

    /// Who follows whom for one logical dataset, and how they stand.
    pub(super) fn pairs_of(
        &self,
        home: SystemId,
        dataset: &DatasetName,
        edges: &[Edge],
        decided: &[Decided<'a>],
    ) -> Vec<Pair<'a>> {
        let mut pairs = Vec::new();
        let mut usual: Vec<(SystemId, SystemId)> = Vec::new();
        let mut split = Vec::new();
        if self.input.group.mode == GroupMode::Mesh {
            let (source, heads) = match elect(self, home, dataset) {
                Election::Elected(source) => (source, Vec::new()),
                Election::Split { stands_for, heads } => (stands_for, heads),
                Election::Nobody => return pairs,
            };
            split = heads;
            let others = self.input.group.members.iter().filter(|member| **member != source);
            usual.extend(others.map(|target| (source, *target)));
        } else {
            usual
                .extend(edges.iter().filter(|edge| edge.home == home).map(|edge| (edge.source, edge.target)));
        }
        for decided in decided {
            let Decision { winner, targets, .. } = decided.decision.as_ref();
            // Nobody follows two; and who is followed does not follow those that follow it.
            usual.retain(|(source, target)| {
                !(targets.contains(target) || target == winner && targets.contains(source))
            });
            pairs.extend(targets.iter().map(|target| {
                let pair = Pair::new(self, home, dataset, *winner, *target);
                Pair { decision: Some(decided.clone()), ..pair }
            }));
        }
        pairs.extend(usual.into_iter().map(|(source, target)| Pair {
            split: split.clone(),
            ..Pair::new(self, home, dataset, source, target)
        }));
        pairs.sort_by_key(|pair| pair.target.id);
        pairs
    }

    pub(super) fn side(&self, id: SystemId) -> Side<'a> {
        self.sides.get(&id).cloned().unwrap_or_else(|| Side::new(self.input, id))
    }

    /// A logical dataset on a member, when it has it.
    pub(super) fn dataset_on(
        &self,
        home: SystemId,
        dataset: &DatasetName,
        member: SystemId,
    ) -> Option<&'a Dataset> {
        let name = self.input.group.name_on(home, dataset, member).ok()?;
        self.sides.get(&member)?.dataset(&name)
    }

    /// The dataset that is about to be set aside for this pair.
    fn moved_by(&self, pair: &Pair<'a>) -> Option<(SystemId, DatasetName)> {
        let goes = room::is_set_aside(self, pair) && self.rivals(pair).is_empty();
        pair.target_dataset.filter(|_| goes).map(|dataset| (pair.target.id, dataset.name.clone()))
    }

    pub(super) fn remembered(&self, pair: &Pair<'a>) -> Option<&'a Remembered> {
        self.input.memory.get(&pair.key())
    }

    pub(super) fn running(&self, system: SystemId, target: &DatasetName) -> Option<TransferId> {
        self.running.get(&(system, target)).map(|running| running.transfer)
    }

    /// The members that the logical datasets of a home are on.
    pub(super) fn members_of(&self, home: SystemId) -> Vec<SystemId> {
        match self.input.group.mode {
            GroupMode::ManyToOne => vec![home, self.input.group.hub],
            _ => self.sides.keys().copied().collect(),
        }
    }

    /// The copies of a snapshot in the fleet, and in this pair's lineage those of fresh members.
    fn copies(&self, pair: &Pair<'a>, guid: Guid) -> Copies {
        let mut copies = self.input.holders.get(&guid).cloned().unwrap_or_default();
        for member in self.members_of(pair.home) {
            let dataset = self.dataset_on(pair.home, &pair.dataset, member);
            let Some(dataset) = dataset.filter(|dataset| dataset.snapshot(guid).is_some()) else { continue };
            let place = Place { system: member, dataset: dataset.properties.guid };
            copies.keep(place, if self.side(member).fresh { Standing::Stays } else { Standing::Unheard });
        }
        for system in self.input.dooms(guid) {
            copies.doom(system);
        }
        copies
    }

    /// The systems that keep another copy of a snapshot of the target's.
    pub(super) fn kept_beside(&self, pair: &Pair<'a>, guid: Guid) -> BTreeSet<SystemId> {
        let own = pair.target_dataset.map(|dataset| dataset.properties.guid);
        own.map(|own| self.copies(pair, guid).kept_beside(own)).unwrap_or_default()
    }

    /// True when another copy of the snapshot outlives the target's ([`Copies::is_kept_before`]).
    pub(super) fn is_kept_elsewhere(&self, pair: &Pair<'a>, guid: Guid) -> bool {
        pair.target_dataset.is_some_and(|dataset| {
            let own = Place { system: pair.target.id, dataset: dataset.properties.guid };
            self.copies(pair, guid).is_kept_before(own)
        })
    }
}

/// True when a system would have to follow two others, or those that follow it.
pub(super) fn contradict(earlier: &Decision, later: &Decision) -> bool {
    later.targets.iter().any(|target| earlier.targets.contains(target))
        || earlier.targets.contains(&later.winner)
        || later.targets.contains(&earlier.winner)
}
