//! Data that comes back to where it came from, over one group or several.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{
    super::GroupMode,
    flow::{Flows, Route},
};
use crate::{
    ids::GroupId,
    name::{DatasetName, MAX_NAME_LENGTH, MAX_NESTING},
    pattern::{
        meet::{Rest, Work},
        prefix::{align, below},
    },
};

/// Longer ways than this are not followed.
const MOST_HOPS: usize = 16;
/// More ways than this are not followed; groups as people make them have a few dozen.
const MOST_PATHS: usize = 4000;
/// More are not reported at once.
const MOST_CYCLES: usize = 10;
/// Rounds after which a name that grows with each would be too long for ZFS.
const MOST_ROUNDS: usize = MAX_NESTING;

/// A way of data that ends where it began, or below.
#[derive(Debug)]
pub(super) struct Cycle {
    /// The flows, the first one of the group in question, and what each carries.
    pub(super) hops: Vec<(usize, Route)>,
    /// Where it ends below its beginning, and so goes round and round, deeper each time: the place where it arrives.
    pub(super) grows_in: Option<String>,
}

/// Flows one after the other: `from` and an ending arrives as `to` and the same ending, where all of `rests` allow it.
#[derive(Clone, Debug)]
struct Path {
    hops: Vec<usize>,
    from: String,
    to: String,
    rests: BTreeSet<Rest>,
}

/// The shortest for each set of groups; each begins with a flow of the group itself.
pub(super) fn cycles(flows: &Flows<'_>, work: &mut Work) -> Vec<Cycle> {
    let mut found = Vec::new();
    let mut known: BTreeSet<(BTreeSet<GroupId>, bool)> = BTreeSet::new();
    let mut seen = Seen::default();
    let mut queue: VecDeque<Path> = (0..flows.own).map(|index| Path::start(flows, index)).collect();
    while let Some(path) = queue.pop_front() {
        if let Some(cycle) = path.closed(flows, work) {
            let groups = path.hops.iter().map(|index| flows.all[*index].group.id).collect();
            if known.insert((groups, cycle.grows_in.is_some())) {
                found.push(cycle);
            }
        }
        if found.len() >= MOST_CYCLES {
            break;
        }
        if path.hops.len() == MOST_HOPS || path.is_round(flows) {
            continue;
        }
        for next in path.longer(flows) {
            if seen.count < MOST_PATHS && !seen.covers(flows, &next) && next.first(flows, work).is_some() {
                seen.add(&next);
                queue.push_back(next);
            }
        }
    }
    found
}

/// Paths that were followed, by first and last flow.
#[derive(Debug, Default)]
struct Seen {
    paths: BTreeMap<(usize, usize), Vec<Path>>,
    count: usize,
}

impl Seen {
    fn add(&mut self, path: &Path) {
        self.count += 1;
        self.paths.entry((path.hops[0], path.last())).or_default().push(path.clone());
    }

    /// True when an earlier, and so shorter, path brings everything to the same place that this one brings.
    fn covers(&self, flows: &Flows<'_>, path: &Path) -> bool {
        let earlier = self.paths.get(&(path.hops[0], path.last()));
        earlier.into_iter().flatten().any(|earlier| {
            below(&path.from, &earlier.from).is_some_and(|part| {
                below(&path.to, &earlier.to) == Some(part)
                    && earlier.rests.iter().all(|rest| path.rests.contains(&flows.read(rest, part)))
            })
        })
    }
}

impl Path {
    fn start(flows: &Flows<'_>, index: usize) -> Self {
        let flow = &flows.all[index];
        let rests = BTreeSet::from([flows.rest(index, "")]);
        Self { hops: vec![index], from: flow.source.clone(), to: flow.target.clone(), rests }
    }

    fn last(&self) -> usize {
        self.hops[self.hops.len() - 1]
    }

    /// Within a mesh all copy from each other: its members elect one source for each dataset, so that nothing goes round.
    fn may_follow(flows: &Flows<'_>, earlier: usize, later: usize) -> bool {
        let (earlier, later) = (flows.all[earlier].group, flows.all[later].group);
        earlier.id != later.id || later.mode != GroupMode::Mesh
    }

    /// This path and one flow more, for each that takes up some of what arrives.
    fn longer(&self, flows: &Flows<'_>) -> Vec<Self> {
        let system = flows.all[self.last()].edge.target;
        let next = flows.with_source_near(system, &self.to).into_iter();
        next.filter(|index| Self::may_follow(flows, self.last(), *index))
            .filter_map(|index| self.with(flows, index))
            .collect()
    }

    fn with(&self, flows: &Flows<'_>, index: usize) -> Option<Self> {
        let flow = &flows.all[index];
        let (after_path, after_flow) = align(&self.to, &flow.source)?;
        let mut rests: BTreeSet<_> = self.rests.iter().map(|rest| flows.read(rest, after_path)).collect();
        rests.insert(flows.rest(index, after_flow));
        let hops = self.hops.iter().copied().chain([index]).collect();
        let from = format!("{}{after_path}", self.from);
        let to = format!("{}{after_flow}", flow.target);
        (from.len().max(to.len()) <= MAX_NAME_LENGTH).then_some(Self { hops, from, to, rests })
    }

    /// True when it leads to the system where it began. What a group does on one system alone is judged with its definition.
    fn is_home(&self, flows: &Flows<'_>) -> bool {
        let (first, last) = (self.hops[0], self.last());
        self.hops.len() > 1
            && flows.all[last].edge.target == flows.all[first].edge.source
            && Self::may_follow(flows, last, first)
    }

    /// True when all that it carries arrives where it began.
    fn is_round(&self, flows: &Flows<'_>) -> bool {
        self.is_home(flows) && self.from == self.to
    }

    /// The cycle that this path is, if it is one.
    fn closed(&self, flows: &Flows<'_>, work: &mut Work) -> Option<Cycle> {
        if !self.is_home(flows) {
            return None;
        }
        match below(&self.to, &self.from)? {
            "" => self.first(flows, work).map(|hops| Cycle { hops, grows_in: None }),
            deeper => {
                let path = Self { rests: self.in_all_rounds(flows, deeper), ..self.clone() };
                let again = |hops: &Vec<(usize, Route)>| self.carry(flows, &hops.last()?.1.target);
                let hops = path.first_with(flows, work, |hops| again(hops).is_some())?;
                Some(Cycle { hops, grows_in: Some(self.to.clone()) })
            }
        }
    }

    /// What must be allowed so that everything is carried again and again, `deeper` each time.
    fn in_all_rounds(&self, flows: &Flows<'_>, deeper: &str) -> BTreeSet<Rest> {
        let mut all = self.rests.clone();
        let mut round = self.rests.clone();
        for _ in 0..MOST_ROUNDS {
            round = round
                .iter()
                .map(|rest| flows.read(rest, deeper))
                .filter(|rest| !all.contains(rest))
                .collect();
            if round.is_empty() {
                break;
            }
            all.extend(round.iter().cloned());
        }
        all
    }

    /// A dataset that goes the whole way.
    fn first(&self, flows: &Flows<'_>, work: &mut Work) -> Option<Vec<(usize, Route)>> {
        self.first_with(flows, work, |_| true)
    }

    fn first_with(
        &self,
        flows: &Flows<'_>,
        work: &mut Work,
        is_wanted: impl Fn(&Vec<(usize, Route)>) -> bool,
    ) -> Option<Vec<(usize, Route)>> {
        let start = &flows.all[self.hops[0]];
        let literals = start
            .literal_rests()
            .filter_map(|rest| below(&format!("{}{rest}", start.source), &self.from).map(str::to_owned));
        flows.ending(self.rests.iter().cloned().collect(), literals, work, |rest| {
            let name = format!("{}{rest}", self.from).parse().ok()?;
            self.carry(flows, &name).filter(&is_wanted)
        })
    }

    /// Carries a dataset over all hops, by its names alone.
    fn carry(&self, flows: &Flows<'_>, name: &DatasetName) -> Option<Vec<(usize, Route)>> {
        let mut hops: Vec<(usize, Route)> = Vec::new();
        for index in &self.hops {
            let arrived = hops.last().map_or(name, |(_, route)| &route.target);
            let route = flows.all[*index].route(below(arrived.as_str(), &flows.all[*index].source)?)?;
            hops.push((*index, route));
        }
        Some(hops)
    }
}
