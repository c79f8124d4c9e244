//! The sentences of a report.

use super::{
    compare::{Comparison, Relation},
    reason::Reason,
    report::Fact,
    set_aside::Obstacle,
    step::{Point, Send},
    survey::{Pair, Side, Survey},
};
use crate::{
    ids::TransferId,
    inventory::{Dataset, PartialReceive},
    name::{DatasetName, Label, NameError},
    size::ByteCount,
};

/// Labels that a fact lists before it only counts.
const LABELS_SHOWN: usize = 5;

/// The names that one replica's sentences use.
#[derive(Debug)]
pub(super) struct Words<'a> {
    group: &'a str,
    source: &'a Dataset,
    source_system: &'a str,
    target_system: &'a str,
    partial: Option<&'a PartialReceive>,
}

impl<'a> Words<'a> {
    pub(super) fn new(survey: &Survey<'a>, pair: &'a Pair<'a>) -> Self {
        Self {
            group: &survey.input.group.name,
            source: pair.source_dataset,
            source_system: &pair.source.name,
            target_system: &pair.target.name,
            partial: pair.target_dataset.and_then(|dataset| dataset.properties.partial.as_ref()),
        }
    }

    pub(super) fn paused(&self) -> String {
        format!("Nothing, until the group is enabled: `zfs-sync group enable {}`.", quoted(self.group))
    }

    pub(super) fn running(transfer: TransferId) -> String {
        format!(
            "The transfer ends, then both sides are compared again; watch it with `zfs-sync transfer show {transfer}`."
        )
    }

    pub(super) fn never_reported(side: &Side<'_>) -> String {
        format!("Start the agent on {}; planning begins with its first report.", side.name)
    }

    pub(super) fn offline(side: &Side<'_>) -> String {
        format!("Nothing, until {} reports again; run `zfs-sync doctor` there.", side.name)
    }

    pub(super) fn no_name(&self, error: &NameError) -> String {
        format!("Map {} to a shorter name, or shorten its names ({error}).", self.source.name)
    }

    pub(super) fn collision(&self, rivals: &[&DatasetName], target: &DatasetName) -> String {
        let others: Vec<&str> =
            rivals.iter().filter(|rival| **rival != &self.source.name).map(|rival| rival.as_str()).collect();
        let others = others.join(", ");
        format!(
            "Map {} and {others} to different names: both would be received into {target}.",
            self.source.name
        )
    }

    pub(super) fn pool_missing(&self, target: &DatasetName) -> String {
        format!(
            "Import or create the pool {} on {}, or map to another one.",
            target.pool(),
            self.target_system
        )
    }

    pub(super) fn source_empty(&self) -> String {
        format!(
            "Replication starts with the first snapshot of {} on {}.",
            self.source.name, self.source_system
        )
    }

    pub(super) fn up_to_date(&self) -> String {
        format!("The next snapshot of {} on {} is sent.", self.source.name, self.source_system)
    }

    pub(super) fn parent_first(&self, parent: &DatasetName) -> String {
        format!("This follows when {parent} is received on {}.", self.target_system)
    }

    pub(super) fn below_volume(&self, parent: &DatasetName) -> String {
        format!("Map {} elsewhere: {parent} on {} is a volume.", self.source.name, self.target_system)
    }

    pub(super) fn seed(&self, send: &Send, comparison: &Comparison) -> String {
        let follow = match comparison.snapshot_lag {
            0 | 1 => String::new(),
            2 => "; the snapshot after it follows".to_owned(),
            lag => format!("; the {} after it follow", snapshots(lag - 1)),
        };
        format!(
            "{} sends {} in full to {}{follow}.",
            self.source_system,
            self.at(&send.to),
            self.target_system
        )
    }

    pub(super) fn catch_up(&self, send: &Send) -> String {
        let what = match send.snapshots {
            0 | 1 => self.at(&send.to),
            many => format!("{} up to {}", snapshots(many), self.at(&send.to)),
        };
        format!("{} sends {what} to {}.", self.source_system, self.target_system)
    }

    pub(super) fn resume(&self, send: &Send) -> String {
        let to = self.at(&send.to);
        let bytes = ByteCount(self.partial.map_or(0, |partial| partial.bytes));
        format!("{} continues to send {to} to {} after {bytes}.", self.source_system, self.target_system)
    }

    pub(super) fn set_aside(&self, target: &DatasetName, rename_to: &DatasetName) -> String {
        format!(
            "{target} on {} is renamed to {rename_to}, with all it holds; then it is seeded anew.",
            self.target_system
        )
    }

    /// What a person may do about a conflict.
    pub(super) fn conflict(&self, reason: Reason, target: &DatasetName) -> String {
        let replica = quoted(&format!("{target}@{}", self.target_system));
        let first = match reason {
            Reason::NameClash => format!("rename the snapshot on {}, or ", self.target_system),
            Reason::TargetNotEmpty => format!("rename {target} on {}, or ", self.target_system),
            _ => String::new(),
        };
        format!(
            "Nothing, until a person decides: {first}keep {target} under another name and seed anew with \
             `zfs-sync sync execute --sync-group {} --keep-both {replica}`.",
            quoted(self.group)
        )
    }

    pub(super) fn obstacle(&self, obstacle: &Obstacle, target: &DatasetName) -> String {
        let system = self.target_system;
        match obstacle {
            Obstacle::PoolRoot => format!(
                "Map {} to a dataset below {target}: a pool's root can not be renamed, so it can not be set aside.",
                self.source.name
            ),
            Obstacle::Below(below) => {
                format!("Set {target} on {system} aside by hand: {below} lies below it and would move along.")
            }
            Obstacle::TooLong(error) => {
                format!("Rename {target} on {system} by hand: its new name would be too long ({error}).")
            }
        }
    }

    /// The sentence of a step that waits for a person.
    pub(super) fn by_hand(&self, sentence: &str) -> String {
        format!("Run `zfs-sync sync execute --sync-group {}`: {sentence}", quoted(self.group))
    }

    fn at(&self, point: &Point) -> String {
        format!("{}@{}", self.source.name, point.label)
    }
}

/// What each side has, what is common and what is not.
pub(super) fn facts(pair: &Pair<'_>) -> Vec<Fact> {
    let mut facts = vec![side_fact(pair.source, &pair.source_dataset.name, Some(pair.source_dataset))];
    match &pair.mapped {
        Ok(target) => facts.push(side_fact(pair.target, target, pair.target_dataset)),
        Err(error) => facts.push(Fact {
            text: format!("{} has no name on {}: {error}", pair.source_dataset.name, pair.target.name),
            as_of: None,
        }),
    }
    let Some(comparison) = &pair.comparison else { return facts };
    let reports = [pair.source.inventory, pair.target.inventory];
    // What follows from both reports is as old as the older one.
    let as_of = reports.into_iter().flatten().map(|inventory| inventory.as_of).min();
    facts.extend(between(pair, comparison).into_iter().map(|text| Fact { text, as_of }));
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

fn history(dataset: &Dataset) -> String {
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

fn between(pair: &Pair<'_>, comparison: &Comparison) -> Vec<String> {
    let mut texts = Vec::new();
    let Some(target) = pair.target_dataset else { return texts };
    match &comparison.newest_common {
        Some(point) => texts.push(common(pair, target, point, comparison.common_is_bookmark)),
        None if !target.snapshots.is_empty() && !pair.source_dataset.snapshots.is_empty() => {
            texts.push("no snapshot is on both sides".to_owned());
        }
        None => {}
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
        let use_of_it =
            if comparison.dead_partial.is_some() { "can not be continued" } else { "can be continued" };
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

fn labels(labels: &[Label]) -> String {
    let shown: Vec<String> = labels.iter().take(LABELS_SHOWN).map(|label| format!("@{label}")).collect();
    let more = labels.len() - shown.len();
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

fn snapshots(count: u32) -> String {
    if count == 1 { "1 snapshot".to_owned() } else { format!("{count} snapshots") }
}

/// For a command line: names have no character that a shell reads within quotes.
fn quoted(text: &str) -> String {
    if text.contains(' ') { format!("'{text}'") } else { text.to_owned() }
}
