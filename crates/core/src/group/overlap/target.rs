//! Two groups that receive different things into one dataset.

use std::collections::BTreeSet;

use super::flow::{Flows, Route};
use crate::pattern::{
    meet::Work,
    prefix::{align, below},
};

/// A dataset that two groups receive from different places.
#[derive(Debug)]
pub(super) struct SharedTarget {
    /// The flow of the group in question.
    pub(super) own: (usize, Route),
    /// That of another group.
    pub(super) other: (usize, Route),
}

/// The first for each other group. The same source under the same name is no problem: both groups want the same.
pub(super) fn shared_targets(flows: &Flows<'_>, work: &mut Work) -> Vec<SharedTarget> {
    let mut found = Vec::new();
    let mut groups = BTreeSet::new();
    for own in 0..flows.own {
        for other in flows.with_target_near(&flows.all[own]) {
            if other < flows.own || groups.contains(&flows.all[other].group.id) {
                continue;
            }
            if let Some(shared) = shared_target(flows, own, other, work) {
                groups.insert(flows.all[other].group.id);
                found.push(shared);
            }
        }
    }
    found
}

fn shared_target(flows: &Flows<'_>, own: usize, other: usize, work: &mut Work) -> Option<SharedTarget> {
    let (one, two) = (&flows.all[own], &flows.all[other]);
    let (after_one, after_two) = align(&one.target, &two.target)?;
    let is_same_source = one.edge.source == two.edge.source
        && format!("{}{after_one}", one.source) == format!("{}{after_two}", two.source);
    if is_same_source {
        return None;
    }
    let literals = one.literal_rests().filter_map(|rest| below(rest, after_one)).map(str::to_owned);
    let rests = vec![flows.rest(own, after_one), flows.rest(other, after_two)];
    flows.ending(rests, literals, work, |rest| {
        let own = (own, one.route(&format!("{after_one}{rest}"))?);
        let other = (other, two.route(&format!("{after_two}{rest}"))?);
        (own.1.target == other.1.target).then_some(SharedTarget { own, other })
    })
}
