//! The sentences about conflicts, and about what is moved or destroyed to end them.

use super::{
    pair::Side,
    reason::Reason,
    room::Guard,
    set_aside::Obstacle,
    step::{Action, Casualty},
    survey::Survey,
    words::{LABELS_SHOWN, Words, quoted, snapshots},
};
use crate::{ids::SystemId, inventory::Dataset, name::DatasetName, size::ByteCount};

impl Words<'_> {
    pub(super) fn split(&self, survey: &Survey<'_>, heads: &[SystemId]) -> String {
        let names: Vec<String> = heads.iter().map(|id| survey.side(*id).name.into_owned()).collect();
        format!(
            "Nothing, until a person decides: the histories of {} on {} go different ways, and no member has all of them. Look at them \
             with `zfs-sync conflict list --sync-group {}`, and choose whom the others follow.",
            self.source,
            names.join(" and "),
            quoted(self.group)
        )
    }

    /// The fact behind a split: where one of the histories ends.
    pub(super) fn end_of_one(side: &Side<'_>, dataset: &Dataset) -> Option<String> {
        let newest = dataset.newest()?;
        Some(format!("{}: {}@{} is the end of one history", side.name, dataset.name, newest.label))
    }

    pub(super) fn rolls_back(&self, target: &DatasetName, action: &Action) -> String {
        let Action::RollBack { to_label, destroys, discards, .. } = action else { return String::new() };
        let mut lost = Vec::new();
        if !destroys.is_empty() {
            lost.push(format!("destroys {}", casualties(destroys)));
        }
        if *discards > 0 {
            lost.push(format!("discards {} written since", ByteCount(*discards)));
        }
        let lost = if lost.is_empty() { "loses nothing".to_owned() } else { lost.join(" and ") };
        format!(
            "{target} on {} goes back to @{to_label}, which {lost}; then it follows again.",
            self.target_system
        )
    }

    /// Why a policy leaves a member as it is, after a colon.
    pub(super) fn stopped(guard: &Guard, side: &Side<'_>) -> String {
        let system = &side.name;
        match guard {
            Guard::NothingCommon => format!("{system} has nothing to go back to"),
            Guard::Held(casualty) => format!("@{} on {system} is held", casualty.label),
            Guard::Cloned(casualty, clone) => {
                format!("{clone} on {system} is a clone of @{}", casualty.label)
            }
            Guard::LastCopy(casualty) => {
                format!("@{} of {system} is on no other system that would keep it", casualty.label)
            }
            Guard::Written(bytes) => {
                format!("{} were written on {system} and are nowhere else", ByteCount(*bytes))
            }
            Guard::Truth => format!("{system} is what the others follow, and would be renamed"),
            Guard::NotApproved => format!("nobody has approved it for {system}"),
        }
    }

    pub(super) fn guarded(&self, guard: &Guard, target: &DatasetName) -> String {
        let system = self.target_system;
        match guard {
            Guard::NothingCommon => format!(
                "Nothing: there is nothing that {target} on {system} could go back to and then follow; keep it under another name."
            ),
            Guard::Held(casualty) => format!(
                "Nothing: {target}@{} on {system} is held. See who holds it with `zfs holds {}`.",
                casualty.label,
                quoted(&format!("{target}@{}", casualty.label))
            ),
            Guard::Cloned(casualty, clone) => format!(
                "Nothing: {clone} on {system} is a clone of {target}@{}, which would be destroyed. Keep both instead, or promote the clone.",
                casualty.label
            ),
            Guard::LastCopy(casualty) => format!(
                "Nothing by itself: {target}@{} on {system} is on no other system that would keep it. A person decides: `zfs-sync conflict list \
                 --sync-group {}`.",
                casualty.label,
                quoted(self.group)
            ),
            Guard::Written(bytes) => format!(
                "Nothing by itself: {} were written to {target} on {system} and are nowhere else. A person decides: \
                 `zfs-sync conflict list --sync-group {}`.",
                ByteCount(*bytes),
                quoted(self.group)
            ),
            Guard::Truth => format!(
                "Nothing by itself: {target} on {system} is what the others follow, and would be renamed. A person decides: \
                 `zfs-sync conflict list --sync-group {}`.",
                quoted(self.group)
            ),
            Guard::NotApproved => format!(
                "Nothing: {target} on {system} has changed since the decision; what would be moved or lost now was not approved. Decide again: \
                 `zfs-sync conflict list --sync-group {}`.",
                quoted(self.group)
            ),
        }
    }

    pub(super) fn braked(&self, would: usize, of: usize, target: &DatasetName) -> String {
        format!(
            "Nothing is destroyed: the source has destroyed {would} of the {of} snapshots of {target} on {}, more than the group lets \
             through in one run. A person decides: `zfs-sync conflict list --sync-group {}`.",
            self.target_system,
            quoted(self.group)
        )
    }

    pub(super) fn replaced(&self, would: usize, target: &DatasetName) -> String {
        format!(
            "Nothing is destroyed: {} on {} is another dataset than the one that {target} on {} was made from, so {} that it lacks \
             may never have been in it. A person decides: `zfs-sync conflict list --sync-group {}`.",
            self.source,
            self.source_system,
            self.target_system,
            snapshots(u32::try_from(would).unwrap_or(u32::MAX)),
            quoted(self.group)
        )
    }

    pub(super) fn mirrors(&self, target: &DatasetName, destroys: &[Casualty]) -> String {
        format!(
            "{} destroys {} of {target}, as {} has done.",
            self.target_system,
            casualties(destroys),
            self.source_system
        )
    }

    /// What a person may do about a conflict that rests on names.
    pub(super) fn conflict_by_name(&self, target: &DatasetName) -> String {
        format!(
            "Nothing: one side reports no GUIDs, so it is not certain what {target} on {} is. Install the agent there, and compare again.",
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

    pub(super) fn set_aside(&self, target: &DatasetName, rename_to: &DatasetName) -> String {
        format!(
            "{target} on {} is renamed to {rename_to}, with all it holds; then it is seeded anew.",
            self.target_system
        )
    }

    pub(super) fn obstacle(&self, obstacle: &Obstacle, target: &DatasetName) -> String {
        let system = self.target_system;
        match obstacle {
            Obstacle::PoolRoot => format!(
                "Map {} to a dataset below {target}: a pool's root can not be renamed, so it can not be set aside.",
                self.source
            ),
            Obstacle::Below(below) => {
                format!("Set {target} on {system} aside by hand: {below} lies below it and would move along.")
            }
            Obstacle::TooLong(error) => {
                format!("Rename {target} on {system} by hand: its new name would be too long ({error}).")
            }
        }
    }

    pub(super) fn renamed(&self, old: &DatasetName, target: &DatasetName) -> String {
        format!(
            "Nothing is sent again: rename the replica with `zfs rename {} {}` on {}, or let the group do it with \
             `zfs-sync group edit {} --follow-renames`.",
            quoted(old.as_str()),
            quoted(target.as_str()),
            self.target_system,
            quoted(self.group)
        )
    }

    pub(super) fn follows_rename(&self, old: &DatasetName, target: &DatasetName) -> String {
        format!("{old} on {} is renamed to {target}, as its source was.", self.target_system)
    }
}

fn casualties(casualties: &[Casualty]) -> String {
    let shown: Vec<String> =
        casualties.iter().take(LABELS_SHOWN).map(|casualty| format!("@{}", casualty.label)).collect();
    let more = casualties.len() - shown.len();
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}
