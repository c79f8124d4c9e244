//! The sentences about a lost system.

use std::collections::BTreeSet;

use super::{
    loss::{Extent, Loss, Promotion, Role, Survivor},
    seats::Seat,
};
use crate::{
    group::GroupMode,
    inventory::{Dataset, DatasetKind},
    name::DatasetName,
    size::ByteCount,
};

/// The whole in one sentence.
pub(super) fn loss(loss: &Loss) -> String {
    let unless = if loss.doubts.is_empty() { "" } else { ", as far as is known" };
    let bytes = match loss.bytes_lost {
        0 => String::new(),
        bytes => format!(", at least {}", ByteCount(bytes)),
    };
    let Some(best) = loss.survivors.first() else {
        return match loss.extent {
            Extent::Nothing => format!("Nothing is lost{unless}: its first receive has not ended."),
            _ if loss.newest.is_none() => {
                format!("Everything is lost{unless}{bytes}: it has no snapshot that could have been copied.")
            }
            _ => format!(
                "Everything is lost{unless}{bytes}: no other system is known to have a snapshot of it."
            ),
        };
    };
    let (place, label) = (&best.place, &best.newest.label);
    let minutes = plural(loss.minutes_lost.unwrap_or(0), "minute");
    match loss.extent {
        Extent::Nothing if loss.role == Role::Target => {
            format!("Nothing is lost{unless}: {place} has all of it, up to @{label}.")
        }
        Extent::Nothing => {
            format!(
                "Nothing that was reported is lost{unless}: {place} has the newest snapshot @{label}, \
                 taken {minutes} ago."
            )
        }
        Extent::OldSnapshots => {
            let lost = plural(loss.snapshots_lost.into(), "older snapshot");
            format!("Lost{unless}: {lost}{bytes}. {place} has the newest one, @{label}.")
        }
        Extent::Recent | Extent::Everything => {
            format!(
                "What was written in the last {minutes} is lost{unless}{bytes}: {place} has the newest \
                 surviving snapshot, @{label}."
            )
        }
    }
}

/// How to go on with a survivor.
pub(super) fn promotion(best: &Survivor, there: &Dataset, lost: &str, seats: &[Seat<'_>]) -> Promotion {
    let place = &best.place;
    let mut notes = Vec::new();
    if !best.fresh {
        notes.push(format!("Look at it first: the last report of {} is old.", place.system_name));
    }
    if best.newer_of_its_own > 0 {
        let newer = plural(best.newer_of_its_own.into(), "snapshot");
        let label = &best.newest.label;
        notes.push(format!("It has {newer} of its own after @{label}; decide which state you want."));
    }
    if there.properties.written > 0 {
        let written = ByteCount(there.properties.written);
        notes.push(format!("It was written to after its newest snapshot ({written})."));
    }
    if there.properties.encrypted && !there.properties.mounted {
        notes.push("It is encrypted: load its key first, `zfs load-key` at its encryption root.".to_owned());
    }
    let mut told = BTreeSet::new();
    for seat in seats.iter().filter(|seat| told.insert(seat.group.id)) {
        notes.push(group_note(seat, best, lost));
    }
    Promotion { place: place.clone(), commands: commands(&place.dataset, there), notes }
}

/// Replicas are received read-only and unmounted; only what is not so already is asked for.
fn commands(name: &DatasetName, dataset: &Dataset) -> Vec<String> {
    let name = quoted(name.as_str());
    let properties = &dataset.properties;
    let mut commands = Vec::new();
    if properties.readonly {
        commands.push(format!("zfs set readonly=off {name}"));
    }
    let unmounted = properties.kind == DatasetKind::Filesystem && !properties.mounted;
    if unmounted {
        commands.push(format!("zfs set canmount=on {name}"));
        commands.push(format!("zfs mount {name}"));
    }
    commands
}

fn group_note(seat: &Seat<'_>, best: &Survivor, lost: &str) -> String {
    let (group, system) = (&seat.group.name, &best.place.system_name);
    if !seat.group.members.contains(&best.place.system) {
        return format!(
            "{system} is no member of the group {group}; add it, so that others receive from it."
        );
    }
    match seat.group.mode {
        GroupMode::OneWay | GroupMode::Local => {
            format!(
                "Make {system} the source of truth of the group {group}; until then its members receive \
                 nothing."
            )
        }
        GroupMode::Chain => {
            format!("Make {system} the first of the chain {group}; until then its members receive nothing.")
        }
        GroupMode::ManyToOne => {
            format!(
                "Take {lost} out of the group {group}, or send it back from {system} when {lost} is replaced."
            )
        }
        GroupMode::Mesh => format!("The other members of the group {group} go on by themselves."),
    }
}

/// `1 minute`, `2 minutes`.
pub(super) fn plural(count: u64, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

/// Dataset names hold no quotes, but may hold spaces.
pub(super) fn quoted(name: &str) -> String {
    if name.contains(' ') { format!("'{name}'") } else { name.to_owned() }
}
