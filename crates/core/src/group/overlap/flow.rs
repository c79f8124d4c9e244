//! The ways of data: which names on a source get which names on a target, by prefix.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::super::{Edge, GroupMode, Mapping, SyncGroup};
use crate::{
    ids::SystemId,
    name::DatasetName,
    pattern::{
        DatasetPattern,
        meet::{PatternList, Rest, Selection, Selections, Work},
        prefix::{ByPrefix, below, beneath, near, upward},
    },
};

/// One edge of a group, as far as its mappings put the same prefix in place of the same prefix. A prefix is empty where no mapping
/// covers a name; then all three are.
#[derive(Debug)]
pub(super) struct Flow<'g> {
    pub(super) group: &'g SyncGroup,
    pub(super) edge: Edge,
    /// Prefix of the group's own names.
    pub(super) logical: String,
    /// Prefix on the source.
    pub(super) source: String,
    /// Prefix on the target.
    pub(super) target: String,
    /// The field that gives names on the target, as a JSON pointer.
    pub(super) field: String,
}

/// The names of one dataset that a flow carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) logical: DatasetName,
    pub(super) source: DatasetName,
    pub(super) target: DatasetName,
}

/// Mappings by their source prefix; of two with the same one the last counts, as in [`SyncGroup::name_on`].
fn by_prefix(mappings: &[Mapping]) -> BTreeMap<&str, &str> {
    mappings.iter().map(|mapping| (mapping.from.as_str(), mapping.to.as_str())).collect()
}

/// What the longest mapping makes of a prefix.
fn mapped(mappings: &BTreeMap<&str, &str>, prefix: &str) -> Option<String> {
    upward(prefix).find_map(|from| mappings.get(from).map(|to| format!("{to}{}", &prefix[from.len()..])))
}

impl<'g> Flow<'g> {
    /// The flows of an edge and what each selects.
    fn of(group: &'g SyncGroup, edge: Edge, lists: &Lists) -> Vec<(Self, Selection)> {
        let on = |member| by_prefix(group.mappings_for(edge.home, member).unwrap_or_default());
        let sources = on(edge.source);
        let targets =
            if group.mode == GroupMode::Local { by_prefix(&group.mappings) } else { on(edge.target) };
        let prefixes: BTreeSet<String> =
            sources.keys().chain(targets.keys()).map(ToString::to_string).collect();
        let owner = if group.mode == GroupMode::ManyToOne { edge.home } else { edge.target };
        let has_its_own = group.mode != GroupMode::Local && group.member_mappings.contains_key(&owner);
        let list = if has_its_own { format!("/member_mappings/{owner}") } else { "/mappings".to_owned() };
        let mut flows = Vec::new();
        for logical in prefixes.iter().cloned().chain([String::new()]) {
            let target = mapped(&targets, &logical);
            if target.is_none() && group.mode == GroupMode::ManyToOne {
                continue;
            }
            let field = if target.is_some() { list.clone() } else { "/datasets".to_owned() };
            let source = mapped(&sources, &logical).unwrap_or_else(|| logical.clone());
            let target = target.unwrap_or_else(|| logical.clone());
            if edge.source == edge.target && source == target {
                continue;
            }
            let elsewhere = prefixes.range(beneath(&logical)).filter_map(|prefix| prefix.parse().ok());
            let selection = Selection {
                include: Rc::clone(&lists.include),
                exclude: Rc::clone(&lists.exclude),
                elsewhere: elsewhere.map(|prefix| DatasetPattern::tree(&prefix)).collect(),
            };
            flows.push((Self { group, edge, logical, source, target, field }, selection));
        }
        flows
    }

    /// The names of the dataset that ends so after the prefixes, if the group carries it.
    pub(super) fn route(&self, rest: &str) -> Option<Route> {
        let Edge { home, source: from, target: to } = self.edge;
        let logical: DatasetName = format!("{}{rest}", self.logical).parse().ok()?;
        if !self.group.selects(&logical) {
            return None;
        }
        let source = self.group.name_on(home, &logical, from).ok()?;
        let target = self.group.target_name(home, &logical, to).ok()?;
        let is_ours = below(source.as_str(), &self.source) == Some(rest)
            && below(target.as_str(), &self.target) == Some(rest);
        is_ours.then_some(Route { logical, source, target })
    }

    /// How datasets that are selected by their full name end after the prefixes.
    pub(super) fn literal_rests(&self) -> impl Iterator<Item = &str> {
        let literal =
            self.group.include.iter().map(DatasetPattern::as_str).filter(|text| !text.contains(['*', '?']));
        literal.filter_map(|text| below(text, &self.logical))
    }
}

/// The patterns of a group.
#[derive(Debug)]
struct Lists {
    include: Rc<PatternList>,
    exclude: Rc<PatternList>,
}

/// Flows by system and prefix.
type Places = BTreeMap<SystemId, ByPrefix<usize>>;

/// The flows of a group and of all others.
#[derive(Debug)]
pub(super) struct Flows<'g> {
    /// All of them; those of the group itself come first.
    pub(super) all: Vec<Flow<'g>>,
    /// How many are the group's own.
    pub(super) own: usize,
    selections: Selections,
    by_source: Places,
    by_target: Places,
}

impl<'g> Flows<'g> {
    pub(super) fn new(group: &'g SyncGroup, others: &[&'g SyncGroup]) -> Self {
        let mut flows = Self {
            all: Vec::new(),
            own: 0,
            selections: Selections::default(),
            by_source: Places::new(),
            by_target: Places::new(),
        };
        flows.add(group);
        flows.own = flows.all.len();
        for other in others.iter().filter(|other| other.id != group.id) {
            flows.add(other);
        }
        flows
    }

    fn add(&mut self, group: &'g SyncGroup) {
        let list = |patterns: &[DatasetPattern]| Rc::new(patterns.iter().cloned().collect());
        let lists = Lists { include: list(&group.include), exclude: list(&group.exclude) };
        for (flow, selection) in group.edges().into_iter().flat_map(|edge| Flow::of(group, edge, &lists)) {
            let index = self.all.len();
            let note = |places: &mut Places, system, prefix: &str| {
                places.entry(system).or_default().entry(prefix.to_owned()).or_default().push(index);
            };
            note(&mut self.by_source, flow.edge.source, &flow.source);
            note(&mut self.by_target, flow.edge.target, &flow.target);
            self.all.push(flow);
            self.selections.0.push(selection);
        }
    }

    /// Flows whose target may meet that of this one.
    pub(super) fn with_target_near(&self, flow: &Flow<'_>) -> Vec<usize> {
        let places = self.by_target.get(&flow.edge.target);
        places.into_iter().flat_map(|places| near(places, &flow.target)).copied().collect()
    }

    /// Flows whose source may meet names that begin so.
    pub(super) fn with_source_near(&self, system: SystemId, prefix: &str) -> Vec<usize> {
        let places = self.by_source.get(&system);
        places.into_iter().flat_map(|places| near(places, prefix)).copied().collect()
    }

    /// What may follow the prefixes of a flow and `text` after them.
    pub(super) fn rest(&self, index: usize, text: &str) -> Rest {
        self.selections.after(&format!("{}{text}", self.all[index].logical), index)
    }

    /// What may follow after `text`.
    pub(super) fn read(&self, rest: &Rest, text: &str) -> Rest {
        self.selections.read(rest, text)
    }

    /// The first ending that all allow and that is taken. When that is too much work, those of `literals` are tried, which are
    /// endings of names that a group gives in full.
    pub(super) fn ending<T>(
        &self,
        rests: Vec<Rest>,
        literals: impl Iterator<Item = String>,
        work: &mut Work,
        mut take: impl FnMut(&str) -> Option<T>,
    ) -> Option<T> {
        match self.selections.meet(rests, work, &mut take) {
            Ok(answer) => answer,
            Err(_) => literals.into_iter().find_map(|rest| take(&rest)),
        }
    }
}
