//! The sentences about a snapshot that is to be deleted.

use super::{
    bases::Need,
    place::{Known, Place},
    verdict::{Answer, Finding},
    words::{plural, quoted},
};
use crate::{
    inventory::{Dataset, Snapshot},
    name::{Label, SnapshotName},
};

/// Nothing is known of the snapshot.
pub(super) fn not_found(known: &Known<'_>, name: &SnapshotName) -> Finding {
    let system = &known.name;
    let text = match known.inventory {
        None => format!("{system} has never reported: nothing is known of {name}."),
        Some(inventory) if inventory.without_guids => {
            format!("{system} reports snapshots without GUIDs: not known who else has {name}.")
        }
        Some(inventory) if inventory.datasets.contains_key(name.dataset()) => {
            format!("{system} reported no snapshot @{} of {}.", name.label(), name.dataset())
        }
        Some(_) => format!("{system} reported no dataset {}.", name.dataset()),
    };
    Finding { answer: Answer::Unknown, text, concerns: Vec::new(), as_of: known.as_of() }
}

/// ZFS refuses, because it is held.
pub(super) fn held(known: &Known<'_>, name: &SnapshotName, snapshot: &Snapshot) -> Option<Finding> {
    let holds = (snapshot.holds > 0).then(|| plural(snapshot.holds.into(), "hold"))?;
    let text = format!(
        "It has {holds}, so ZFS refuses to destroy it; `zfs holds {}` names them.",
        quoted(&name.to_string())
    );
    Some(Finding { answer: Answer::Held, text, concerns: Vec::new(), as_of: known.as_of() })
}

/// ZFS refuses, because it has clones.
pub(super) fn clones(known: &Known<'_>, name: &SnapshotName) -> Option<Finding> {
    let origin = name.to_string();
    let datasets = known.inventory.into_iter().flat_map(|inventory| inventory.datasets.values());
    let clones: Vec<Place> = datasets
        .filter(|dataset| dataset.properties.origin.as_deref() == Some(origin.as_str()))
        .map(|dataset| known.place(&dataset.name))
        .collect();
    let names: Vec<&str> = clones.iter().map(|clone| clone.dataset.as_str()).collect();
    let text = match names.as_slice() {
        [] => return None,
        [one] => format!("{one} is a clone of it, so ZFS refuses to destroy it."),
        many => format!("{} are clones of it, so ZFS refuses to destroy it.", many.join(", ")),
    };
    Some(Finding { answer: Answer::Held, text, concerns: clones, as_of: known.as_of() })
}

/// What a pair's need for a snapshot answers.
pub(super) fn need(
    need: &Need,
    dataset: &Dataset,
    snapshot: &Snapshot,
    source: &Place,
    target: &Place,
) -> (Answer, String) {
    let label = &snapshot.label;
    match need {
        Need::Base { bookmark: Some(bookmark) } => (
            Answer::SafeWithBookmark,
            format!(
                "It is the incremental base for {target}; the bookmark {}#{bookmark} takes its place.",
                dataset.name
            ),
        ),
        Need::Base { bookmark: None } => (
            Answer::BreaksReplication,
            format!(
                "It is the incremental base for {target}. A bookmark would do: `{}`.",
                bookmark_command(dataset, label)
            ),
        ),
        Need::Head => (
            Answer::BreaksReplication,
            format!(
                "It is the newest snapshot that it has in common with {source}; without it nothing can be \
                 received incrementally."
            ),
        ),
        Need::NotYetThere { interrupted } => {
            let interrupted =
                if *interrupted { ", and its interrupted receive could not be continued" } else { "" };
            (
                Answer::BreaksReplication,
                format!("{target} does not have it yet and would not get it{interrupted}."),
            )
        }
    }
}

/// Makes a bookmark of a snapshot, with its label or one that is free.
fn bookmark_command(dataset: &Dataset, label: &Label) -> String {
    let taken = |text: &str| dataset.bookmarks.iter().any(|bookmark| bookmark.label.as_str() == text);
    let mut free = label.to_string();
    let mut number = 2_u64;
    while taken(&free) {
        free = format!("{label}-{number}");
        number += 1;
    }
    let name = &dataset.name;
    format!("zfs bookmark {} {}", quoted(&format!("{name}@{label}")), quoted(&format!("{name}#{free}")))
}
