//! What is set on a replica when it begins, and nothing else is ever set by us.

use std::fmt;

use serde::{Deserialize, Serialize};
use zfs_sync_core::stream::{CopiedProperty, PIN, StreamForm};

/// One property of a new replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Setting {
    /// `readonly=on`.
    ReadOnly,
    /// `canmount=noauto`: nothing mounts it by itself.
    NotMountedByItself,
    /// Remembers how its streams come.
    Stream(StreamForm),
    /// The value that its source has.
    Copied(CopiedProperty, String),
    /// What is the target's own affair, as if it had never come from the source.
    Cleared(NotReceived),
}

/// A property that no replica gets from its source: where it is mounted and shared, and how much it may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotReceived {
    /// Where it is mounted. That of a root file system would hide the target's own.
    Mountpoint,
    /// NFS.
    ShareNfs,
    /// SMB.
    ShareSmb,
    /// How much it and all below may hold.
    Quota,
    /// How much it may hold without its snapshots.
    RefQuota,
    /// How much room is kept for it and all below.
    Reservation,
    /// How much room is kept for it. A volume's is as large as the volume.
    RefReservation,
}

impl NotReceived {
    /// All of them, in the order in which `zfs receive -x` is told.
    pub const ALL: [Self; 7] = [
        Self::Mountpoint,
        Self::ShareNfs,
        Self::ShareSmb,
        Self::Quota,
        Self::RefQuota,
        Self::Reservation,
        Self::RefReservation,
    ];

    /// As `zfs` spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mountpoint => "mountpoint",
            Self::ShareNfs => "sharenfs",
            Self::ShareSmb => "sharesmb",
            Self::Quota => "quota",
            Self::RefQuota => "refquota",
            Self::Reservation => "reservation",
            Self::RefReservation => "refreservation",
        }
    }

    /// True where `zfs inherit` gives it back to the parent; the others belong to one dataset alone.
    pub const fn is_inherited(self) -> bool {
        matches!(self, Self::Mountpoint | Self::ShareNfs | Self::ShareSmb)
    }
}

impl Setting {
    /// The words between `zfs` and the dataset.
    pub(super) fn words(&self) -> [String; 2] {
        let set = |text: String| ["set".to_owned(), text];
        match self {
            Self::ReadOnly => set("readonly=on".to_owned()),
            Self::NotMountedByItself => set("canmount=noauto".to_owned()),
            Self::Stream(form) => set(format!("{PIN}={form}")),
            Self::Copied(property, value) => set(format!("{property}={value}")),
            Self::Cleared(property) if property.is_inherited() => {
                ["inherit".to_owned(), property.as_str().to_owned()]
            }
            Self::Cleared(property) => set(format!("{}=none", property.as_str())),
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [verb, what] = self.words();
        formatter.pad(&if verb == "set" { what } else { format!("{what} inherited") })
    }
}
