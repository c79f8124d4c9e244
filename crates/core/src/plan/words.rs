//! The sentences of a report: what happens next, or what a person must do.

use super::{
    compare::{Comparison, Relation},
    origin::Origin,
    pair::{Pair, Side},
    step::{Point, Send},
    survey::Survey,
};
use crate::{
    ids::TransferId,
    inventory::{Dataset, PartialReceive},
    name::{DatasetName, Label, NameError},
    size::ByteCount,
};

/// Labels that a fact lists before it only counts.
pub(super) const LABELS_SHOWN: usize = 5;

/// The names that one replica's sentences use.
#[derive(Clone, Debug)]
pub(super) struct Words<'a> {
    pub(super) group: &'a str,
    /// The dataset on the source.
    pub(super) source: &'a DatasetName,
    pub(super) source_system: &'a str,
    pub(super) target_system: &'a str,
    partial: Option<&'a PartialReceive>,
}

impl<'a> Words<'a> {
    pub(super) fn new(survey: &Survey<'a>, pair: &'a Pair<'a>) -> Self {
        Self {
            group: &survey.input.group.name,
            source: pair.source_dataset.map_or(&pair.dataset, |dataset| &dataset.name),
            source_system: &pair.source.name,
            target_system: &pair.target.name,
            partial: pair.target_dataset.and_then(|dataset| dataset.properties.partial.as_ref()),
        }
    }

    /// The same, where another member sends.
    pub(super) fn sent_by<'b>(&self, system: &'b str, dataset: &'b Dataset) -> Words<'b>
    where
        'a: 'b,
    {
        Words { source: &dataset.name, source_system: system, ..*self }
    }

    pub(super) fn paused_group(group: &str) -> String {
        format!("Nothing, until the group is enabled: `zfs-sync group enable {}`.", quoted(group))
    }

    /// The rule that a comparison answers.
    pub(super) const fn relation_rule(comparison: &Comparison) -> &'static str {
        match &comparison.relation {
            Relation::Diverged { .. } => "the target has no newer snapshots of its own",
            Relation::TargetModified { .. } => "nobody wrote to the target",
            Relation::NameClash { .. } => "the names of what is to be sent are free on the target",
            Relation::NoCommonBase => "both histories have a snapshot in common",
            Relation::TargetWithoutHistory => "the target does not exist, or was received",
            Relation::KindMismatch => "both are file systems, or both are volumes",
            _ => "the target's history is the beginning of the source's",
        }
    }

    pub(super) fn by_name(sentence: &str) -> String {
        format!(
            "Nothing by itself, since one side reports no GUIDs: have its client run the command, or install the agent there. It would be: \
             {sentence}"
        )
    }

    pub(super) fn not_mapped(&self) -> String {
        format!(
            "Map it, or take it out of the group's patterns: no mapping says where {} of {} goes on {}.",
            self.source, self.source_system, self.target_system
        )
    }

    /// A member of a chain that has more than the one before it.
    pub(super) fn ahead(&self, target: &DatasetName, head: &Label) -> String {
        format!(
            "This follows when {} has caught up: it lacks @{head}, which {target} on {} has from a member before it.",
            self.source_system, self.target_system
        )
    }

    pub(super) fn upstream(&self) -> String {
        format!("This follows when {} has received {}.", self.source_system, self.source)
    }

    pub(super) fn other_sender(&self, name: &str, dataset: &DatasetName) -> String {
        format!("{name} has the same history in {dataset} and sends in place of {}", self.source_system)
    }

    pub(super) fn no_midnight(&self) -> String {
        format!(
            "The classic profile copies up to the newest snapshot whose name ends in `-000000`: this follows when {} has one.",
            self.source
        )
    }

    pub(super) fn within_window(&self) -> String {
        format!("The classic profile acts when {} is more than 72 hours behind.", self.target_system)
    }

    pub(super) fn origin_first(&self, origin: Origin<'_>) -> String {
        let Origin { dataset, snapshot } = origin;
        let (target, label) = (self.target_system, &snapshot.label);
        format!("This follows when {target} has received {dataset}@{label}, of which it is a clone.")
    }

    pub(super) fn paused(&self) -> String {
        Self::paused_group(self.group)
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
        format!("Map {} to a shorter name, or shorten its names ({error}).", self.source)
    }

    pub(super) fn collision(&self, rivals: &[DatasetName], target: &DatasetName) -> String {
        let others: Vec<&str> =
            rivals.iter().filter(|rival| *rival != self.source).map(DatasetName::as_str).collect();
        let others = others.join(", ");
        format!("Map {} and {others} to different names: both would be received into {target}.", self.source)
    }

    pub(super) fn pool_missing(&self, target: &DatasetName) -> String {
        format!(
            "Import or create the pool {} on {}, or map to another one.",
            target.pool(),
            self.target_system
        )
    }

    pub(super) fn source_empty(&self) -> String {
        format!("Replication starts with the first snapshot of {} on {}.", self.source, self.source_system)
    }

    pub(super) fn up_to_date(&self) -> String {
        format!("The next snapshot of {} on {} is sent.", self.source, self.source_system)
    }

    pub(super) fn parent_first(&self, parent: &DatasetName) -> String {
        format!("This follows when {parent} is received on {}.", self.target_system)
    }

    pub(super) fn below_volume(&self, parent: &DatasetName) -> String {
        format!("Map {} elsewhere: {parent} on {} is a volume.", self.source, self.target_system)
    }

    pub(super) fn seed(&self, send: &Send, comparison: &Comparison) -> String {
        let (from, to) = (self.source_system, self.at(&send.to));
        if let (Some(base), Some(origin)) = (&send.base, &send.target_origin) {
            return format!(
                "{from} sends {to} to {} as what differs from @{}, into a clone of {}.",
                self.target_system,
                base.point().label,
                origin.dataset
            );
        }
        let follow = match comparison.snapshot_lag {
            0 | 1 => String::new(),
            2 => "; the snapshot after it follows".to_owned(),
            lag => format!("; the {} after it follow", snapshots(lag - 1)),
        };
        format!("{from} sends {to} in full to {}{follow}.", self.target_system)
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

    /// The sentence of a step that waits for a person.
    pub(super) fn by_hand(&self, sentence: &str) -> String {
        format!("Run `zfs-sync sync execute --sync-group {}`: {sentence}", quoted(self.group))
    }

    fn at(&self, point: &Point) -> String {
        format!("{}@{}", self.source, point.label)
    }
}

pub(super) fn snapshots(count: u32) -> String {
    if count == 1 { "1 snapshot".to_owned() } else { format!("{count} snapshots") }
}

/// For a command line: names have no character that a shell reads within quotes.
pub(super) fn quoted(text: &str) -> String {
    if text.contains(' ') { format!("'{text}'") } else { text.to_owned() }
}
