//! Who sends: the followed member, or another one that has the same history where the followed one can not.

use super::{
    chain,
    compare::{Comparison, Relation, compare},
    pair::{Pair, Side},
    survey::Survey,
};
use crate::{
    group::{GroupMode, Profile},
    ids::SystemId,
    inventory::Dataset,
};

/// A member and its dataset, from which a step reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sender<'a> {
    pub(super) system: SystemId,
    pub(super) dataset: &'a Dataset,
}

/// Another member that can bring the target further, with how the two stand.
#[derive(Clone, Debug)]
pub(super) struct Substitute<'a> {
    pub(super) sender: Sender<'a>,
    pub(super) name: String,
    pub(super) comparison: Comparison,
}

/// How much a substitute is worth: one that the followed member itself follows has everything; of the others, who is furthest on.
type Rank = (bool, u64);

/// The member, other than the followed one, that has the most of what the target lacks.
///
/// Only two kinds may stand in, so that nothing travels that does not come from where it should: in a chain, a member before the followed
/// one; and anywhere a clean replica, whose newest snapshot is one that the followed member is known to have had and to which nobody
/// has written.
pub(super) fn substitute<'a>(survey: &Survey<'a>, pair: &Pair<'a>) -> Option<Substitute<'a>> {
    let group = survey.input.group;
    // Collected sources have nothing to do with one another, and the old service knew the hub only.
    let alone =
        matches!(group.mode, GroupMode::ManyToOne | GroupMode::Local) || group.profile == Profile::Classic;
    if pair.by_name || pair.mapped.is_err() || alone {
        return None;
    }
    let members = survey.sides.values().filter(|side| {
        side.fresh
            && side.id != pair.source.id
            && side.id != pair.target.id
            && !survey.input.unreachable.contains(&(side.id, pair.target.id))
    });
    let candidates = members.filter_map(|side| {
        let (rank, substitute) = candidate(survey, pair, side)?;
        Some((rank, std::cmp::Reverse(side.id), substitute))
    });
    candidates.max_by_key(|(rank, id, _)| (*rank, *id)).map(|(_, _, substitute)| substitute)
}

fn candidate<'a>(survey: &Survey<'a>, pair: &Pair<'a>, side: &Side<'a>) -> Option<(Rank, Substitute<'a>)> {
    let dataset = survey.dataset_on(pair.home, &pair.dataset, side.id)?;
    let head = dataset.newest()?;
    let upstream = chain::before(survey.input.group, pair.source.id).contains(&side.id);
    let rank = if upstream {
        (true, 0)
    } else {
        let clean = dataset.properties.written == 0;
        let source = pair.source_dataset.filter(|_| clean)?;
        (false, source.snapshot(head.guid)?.createtxg.get())
    };
    if let Some(source) = pair.source_dataset {
        // What is raw at the source stays raw.
        let in_the_clear = source.properties.encrypted && !dataset.properties.encrypted;
        if in_the_clear || dataset.properties.kind != source.properties.kind {
            return None;
        }
    }
    let comparison = compare(dataset, pair.target_dataset);
    let moves = matches!(
        comparison.relation,
        Relation::NeverSeeded | Relation::Behind { .. } | Relation::Resumable { .. }
    );
    let sender = Sender { system: side.id, dataset };
    moves.then(|| (rank, Substitute { sender, name: side.name.to_string(), comparison }))
}
