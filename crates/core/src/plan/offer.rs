//! Which strategies can be used for a conflict, and why the others can not.

use super::{
    choose::choose,
    conflict::{ConflictKind, Offer},
    pair::Pair,
    room::{self, Guard},
    set_aside::{self, Obstacle},
    survey::Survey,
};
use crate::{group::Strategy, inventory::Dataset};

/// Whether a strategy can be used for a conflict, and if not, why.
pub(super) fn offer(survey: &Survey<'_>, pair: &Pair<'_>, kind: ConflictKind, strategy: Strategy) -> Offer {
    Offer { strategy, obstacle: obstacle(survey, pair, kind, strategy) }
}

fn obstacle(survey: &Survey<'_>, pair: &Pair<'_>, kind: ConflictKind, strategy: Strategy) -> Option<String> {
    let text = |text: &str| Some(text.to_owned());
    match kind {
        ConflictKind::Renamed => return text("the replica only has to be renamed"),
        ConflictKind::Orphaned => return text("there is no source to follow"),
        ConflictKind::DeleteBrake if strategy == Strategy::UseSourceOfTruth => return None,
        ConflictKind::DeleteBrake => return text("only use_source_of_truth lets the deletions through"),
        _ if pair.by_name => {
            return text(
                "snapshots without GUIDs prove nothing, so nothing is moved or destroyed because of them",
            );
        }
        _ => {}
    }
    if strategy.chooses() {
        let of_dataset = |other: &&Pair<'_>| other.home == pair.home && other.dataset == pair.dataset;
        let pairs: Vec<Pair<'_>> = survey.pairs.iter().filter(of_dataset).cloned().collect();
        return choose(survey, &pairs, strategy).err().map(|refusal| refusal.to_string());
    }
    let dataset = pair.target_dataset?;
    match (strategy, room::goes_back_to(pair)) {
        (Strategy::KeepBoth, _) | (Strategy::UseSourceOfTruth, None) => moving(survey, pair, dataset),
        (Strategy::RollbackTarget, None) => {
            text("there is nothing to go back to after which it could follow")
        }
        (_, Some(to)) => room::protected(survey, pair, dataset, to).map(|guard| protection(&guard)),
        (_, None) => None,
    }
}

/// Why the target can not be renamed.
fn moving(survey: &Survey<'_>, pair: &Pair<'_>, dataset: &Dataset) -> Option<String> {
    match set_aside::new_name(survey, pair, dataset).err()? {
        Obstacle::PoolRoot => Some("a pool's root can not be renamed".to_owned()),
        Obstacle::Below(below) => Some(format!("{below} lies below it and would move along")),
        Obstacle::TooLong(error) => Some(format!("its new name would be too long ({error})")),
    }
}

fn protection(guard: &Guard) -> String {
    match guard {
        Guard::Held(casualty) => format!("@{} is held", casualty.label),
        Guard::Cloned(casualty, clone) => format!("{clone} is a clone of @{}", casualty.label),
        _ => "something protects it".to_owned(),
    }
}
