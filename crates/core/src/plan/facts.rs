//! What a report rests on, in sentences: what each side has, what is common and what is not.

use super::{
    compare::{Comparison, Relation},
    origin::origin_of,
    pair::{Pair, Side},
    report::Fact,
    step::Point,
    survey::Survey,
    words::{LABELS_SHOWN, snapshots},
};
use crate::{
    inventory::{Dataset, PartialReceive},
    name::{DatasetName, Label},
    size::ByteCount,
};

/// What each side has, what is common and what is not; and what else was found out.
pub(super) fn facts(survey: &Survey<'_>, pair: &Pair<'_>, resumes: bool, notes: Vec<String>) -> Vec<Fact> {
    let source = pair.source_dataset.map_or(&pair.dataset, |dataset| &dataset.name);
    let mut facts = vec![side_fact(&pair.source, source, pair.source_dataset)];
    match &pair.mapped {
        Ok(target) => facts.push(side_fact(&pair.target, target, pair.target_dataset)),
        Err(error) => facts.push(Fact {
            text: format!("{} has no name on {}: {error}", pair.dataset, pair.target.name),
            as_of: None,
        }),
    }
    let reports = [pair.source.inventory, pair.target.inventory];
    // What follows from both reports is as old as the older one.
    let as_of = reports.into_iter().flatten().map(|inventory| inventory.as_of).min();
    let compared = pair.comparison.as_ref().map(|comparison| between(survey, pair, comparison, resumes));
    facts.extend(compared.into_iter().flatten().chain(notes).map(|text| Fact { text, as_of }));
    facts
}

fn side_fact(side: &Side<'_>, name: &DatasetName, dataset: Option<&Dataset>) -> Fact {
    let Some(inventory) = side.inventory else {
        return Fact { text: format!("{} has never reported", side.name), as_of: None };
    };
    let has = match dataset {
        None => format!("{name} does not exist"),
        Some(dataset) => format!("{name} has {}", history(dataset)),
    };
    let known = if side.fresh { "" } else { " (last known state, too old to act on)" };
    Fact { text: format!("{}: {has}{known}", side.name), as_of: Some(inventory.as_of) }
}

pub(super) fn history(dataset: &Dataset) -> String {
    match dataset.newest() {
        None => "no snapshot".to_owned(),
        Some(newest) => {
            format!(
                "{}, newest @{}",
                snapshots(u32::try_from(dataset.snapshots.len()).unwrap_or(u32::MAX)),
                newest.label
            )
        }
    }
}

fn between(survey: &Survey<'_>, pair: &Pair<'_>, comparison: &Comparison, resumes: bool) -> Vec<String> {
    let mut texts = Vec::new();
    let (Some(source), Some(target)) = (pair.source_dataset, pair.target_dataset) else { return texts };
    match &comparison.newest_common {
        Some(point) => texts.push(common(pair, target, point, comparison.common_is_bookmark)),
        None if !target.snapshots.is_empty() && !source.snapshots.is_empty() => {
            texts.push("no snapshot is on both sides".to_owned());
            texts.extend(moved_by_promotion(pair, source, target));
        }
        None => {}
    }
    if comparison.gaps > 0 {
        texts.push(format!("missing on {}: {} in between", pair.target.name, snapshots(comparison.gaps)));
    }
    if let Some(remembered) = survey.remembered(pair) {
        if remembered.source_guid != source.properties.guid && comparison.newest_common.is_none() {
            texts.push(format!("{} is not the dataset that was copied before", source.name));
        } else if let Some(lost) = remembered.common
            && let Some(snapshot) = target.snapshot(lost)
            && source.snapshot(lost).is_none()
            && !source.bookmarks.iter().any(|bookmark| bookmark.guid == lost)
            && matches!(comparison.relation, Relation::Diverged { .. })
        {
            texts.push(format!(
                "@{} was on {} when it was copied, and is gone there",
                snapshot.label, pair.source.name
            ));
        }
    }
    match &comparison.relation {
        Relation::Diverged { .. } | Relation::NoCommonBase => {
            texts.push(format!("only on {}: {}", pair.target.name, labels(&comparison.only_on_target)));
        }
        Relation::TargetModified { written, .. } => {
            texts.push(format!("{} were written to it on {} since", ByteCount(*written), pair.target.name));
        }
        Relation::NameClash { label } => {
            texts.push(format!(
                "@{label} to be sent and @{label} on {} are different snapshots",
                pair.target.name
            ));
        }
        Relation::KindMismatch => {
            texts.push("one side is a file system, the other a volume".to_owned());
        }
        Relation::SourceEmpty
        | Relation::NeverSeeded
        | Relation::UpToDate
        | Relation::Behind { .. }
        | Relation::Resumable { .. }
        | Relation::TargetWithoutHistory => {}
    }
    if let Some(partial) = &target.properties.partial {
        let PartialReceive { to_name, bytes, .. } = partial;
        let use_of_it = if comparison.dead_partial.is_none() || resumes {
            "can be continued"
        } else {
            "can not be continued"
        };
        let came = ByteCount(*bytes);
        texts.push(format!(
            "an interrupted receive of {to_name} waits on {}, {came} came; it {use_of_it}",
            pair.target.name
        ));
    }
    texts
}

fn common(pair: &Pair<'_>, target: &Dataset, point: &Point, is_bookmark: bool) -> String {
    let there = target.snapshot(point.guid).map_or(&point.label, |snapshot| &snapshot.label);
    let (source, target) = (&pair.source.name, &pair.target.name);
    if is_bookmark {
        format!("newest common snapshot: @{there} on {target}, on {source} only as bookmark #{}", point.label)
    } else if *there == point.label {
        format!("newest common snapshot: @{there}")
    } else {
        format!("newest common snapshot: @{} on {source}, called @{there} on {target}", point.label)
    }
}

/// Where the snapshots went that both sides had: a promoted clone takes them over, up to its origin.
fn moved_by_promotion(pair: &Pair<'_>, source: &Dataset, target: &Dataset) -> Option<String> {
    // Of a replica that is a clone, the origin may be outside of the group, and is not looked at.
    let origin = origin_of(pair.source.inventory, source).filter(|_| pair.source.id == pair.home)?;
    let there = target.snapshot(origin.snapshot.guid)?;
    Some(format!(
        "{} is a clone of {}@{} now, which is @{} on {}: `zfs promote` moved it, and what is sent from there can only begin a new dataset",
        source.name, origin.dataset, origin.snapshot.label, there.label, pair.target.name
    ))
}

fn labels(labels: &[Label]) -> String {
    let shown: Vec<String> = labels.iter().take(LABELS_SHOWN).map(|label| format!("@{label}")).collect();
    let more = labels.len() - shown.len();
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}
