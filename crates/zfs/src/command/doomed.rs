//! The one thing that `zfs destroy` of a snapshot takes: approved by a plan, and looked at a moment ago.

use std::fmt;

use zfs_sync_core::{
    guid::Guid,
    name::{DatasetName, Label, SnapshotName},
    plan::Casualty,
};

use crate::parse::SnapshotDependents;

/// A snapshot that may be destroyed.
///
/// There is no way to one but through a plan's [`Casualty`] and a fresh listing of the dataset in which the same GUID has the same
/// name, nobody holds it, and nothing was cloned from it. So a name that somebody has given to another snapshot since, or a snapshot
/// that was renamed to keep it, is never destroyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doomed {
    name: SnapshotName,
    guid: Guid,
}

/// Why a snapshot on the list may not be destroyed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Spared {
    /// It is not there any more: nothing is left to do.
    #[error("@{0} is not there any more")]
    Gone(Label),
    /// It was renamed since.
    #[error("@{was} is called @{is} now")]
    Renamed {
        /// What was approved.
        was: Label,
        /// What it is called now.
        is: Label,
    },
    /// Somebody holds it (`userrefs`).
    #[error("{snapshot} is held {holds} times")]
    Held {
        /// Which.
        snapshot: SnapshotName,
        /// How often.
        holds: u32,
    },
    /// Datasets were cloned from it.
    #[error("{snapshot} has clones: {}", .clones.join(", "))]
    Cloned {
        /// Which.
        snapshot: SnapshotName,
        /// Their names.
        clones: Vec<String>,
    },
}

impl Doomed {
    /// Takes `casualty`, a snapshot of `dataset`, when `found` says that it is what was approved and nothing needs it.
    pub fn new(
        dataset: &DatasetName,
        casualty: &Casualty,
        found: &[SnapshotDependents],
    ) -> Result<Self, Spared> {
        let is_it =
            |found: &&SnapshotDependents| found.guid == casualty.guid && found.snapshot.dataset() == dataset;
        let Some(found) = found.iter().find(is_it) else { return Err(Spared::Gone(casualty.label.clone())) };
        let SnapshotDependents { snapshot, guid, holds, clones } = found.clone();
        if *snapshot.label() != casualty.label {
            return Err(Spared::Renamed { was: casualty.label.clone(), is: snapshot.label().clone() });
        }
        if !clones.is_empty() {
            return Err(Spared::Cloned { snapshot, clones });
        }
        if holds > 0 {
            return Err(Spared::Held { snapshot, holds });
        }
        Ok(Self { name: snapshot, guid })
    }

    /// Its whole name.
    pub const fn name(&self) -> &SnapshotName {
        &self.name
    }

    /// Its identity.
    pub const fn guid(&self) -> Guid {
        self.guid
    }
}

impl fmt::Display for Doomed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, guid: u64) -> SnapshotDependents {
        SnapshotDependents {
            snapshot: name.parse().unwrap(),
            guid: Guid::new(guid),
            holds: 0,
            clones: vec![],
        }
    }

    fn judge(found: &[SnapshotDependents]) -> Result<Doomed, Spared> {
        let casualty = Casualty {
            guid: Guid::new(7),
            label: "mine".parse().unwrap(),
            creation: 0,
            used: 0,
            referenced: 0,
        };
        Doomed::new(&"backup/a".parse().unwrap(), &casualty, found)
    }

    #[test]
    fn what_was_approved_and_is_not_needed_may_be_destroyed() {
        let doomed = judge(&[found("backup/a@other", 6), found("backup/a@mine", 7)]).unwrap();
        assert_eq!((doomed.to_string(), doomed.guid()), ("backup/a@mine".to_owned(), Guid::new(7)));
    }

    #[test]
    fn the_name_alone_is_not_enough() {
        assert_eq!(judge(&[found("backup/a@mine", 8)]), Err(Spared::Gone("mine".parse().unwrap())));
        assert_eq!(judge(&[]), Err(Spared::Gone("mine".parse().unwrap())));
    }

    #[test]
    fn the_guid_alone_is_not_enough() {
        let renamed = Spared::Renamed { was: "mine".parse().unwrap(), is: "kept".parse().unwrap() };
        assert_eq!(judge(&[found("backup/a@kept", 7)]), Err(renamed));
        // A copy in another dataset of the same pool has the same GUID and, here, the same name.
        assert_eq!(judge(&[found("backup/b@mine", 7)]), Err(Spared::Gone("mine".parse().unwrap())));
    }

    #[test]
    fn what_is_held_or_cloned_is_spared() {
        let held = SnapshotDependents { holds: 2, ..found("backup/a@mine", 7) };
        assert_eq!(judge(&[held]).unwrap_err().to_string(), "backup/a@mine is held 2 times");
        let clones = vec!["backup/x".to_owned(), "backup/y".to_owned()];
        let cloned = SnapshotDependents { clones, holds: 1, ..found("backup/a@mine", 7) };
        assert_eq!(judge(&[cloned]).unwrap_err().to_string(), "backup/a@mine has clones: backup/x, backup/y");
    }
}
