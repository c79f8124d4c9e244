//! What a user who is not root must be allowed to do, by `zfs allow`, for each part that a dataset can have in replication.
//!
//! What needs which permission was seen on OpenZFS 2.1.11 and 2.3.9 (`tests/golden/*/allow*.txt` and the scenario `testbed_operate`):
//!
//! - `destroy` alone destroys bookmarks; a snapshot needs `mount` as well. A source therefore gives its sender `destroy` and not
//!   `mount`, and the sender can destroy no snapshot.
//! - On Linux nobody but root can mount, whatever is allowed, yet `zfs receive` and `zfs create` ask for the permission `mount`.
//! - `zfs receive -o readonly=on` without the permission `readonly` receives all the same, exits with 0, and leaves the property as it was.

use std::collections::BTreeSet;

use zfs_sync_core::name::DatasetName;

use crate::{
    command::quote,
    parse::{Allowed, Who},
};

/// The part that a dataset has on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Duty {
    /// It is sent, with all below it.
    Source,
    /// It receives, itself or below it.
    Target,
}

/// One permission, and what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// As `zfs allow` takes it.
    pub permission: &'static str,
    /// Replication can not do without it; otherwise something is only less good.
    pub required: bool,
    /// What it is for, or what is less good without it.
    pub what_for: &'static str,
}

const fn required(permission: &'static str, what_for: &'static str) -> Need {
    Need { permission, required: true, what_for }
}

const fn useful(permission: &'static str, what_for: &'static str) -> Need {
    Need { permission, required: false, what_for }
}

const SOURCE: &[Need] = &[
    required("hold", "nobody destroys what is being sent"),
    required("release", "holds go when a step is done"),
    required("send", "sending"),
    useful("bookmark", "the base survives retention here"),
    useful("destroy", "older bookmarks of zfs-sync go (without `mount` no snapshot can be destroyed)"),
];

const TARGET: &[Need] = &[
    required("create", "receiving what is not there yet"),
    required("hold", "retention here spares the base"),
    required("mount", "receiving (ZFS asks for it although nothing is mounted)"),
    required("readonly", "nobody writes to a replica by accident"),
    required("receive", "receiving"),
    required("release", "holds go when there is a newer base"),
    useful("canmount", "a replica is not mounted over something else after a restart"),
    useful("destroy", "an interrupted receive that leads nowhere is discarded; applied plans can destroy"),
    useful("rename", "a diverged replica is set aside"),
    useful("rollback", "applied plans can roll a replica back"),
    useful("userprop", "a replica remembers how its streams come"),
];

impl Duty {
    /// Everything it needs, by name of the permission.
    pub const fn needs(self) -> &'static [Need] {
        match self {
            Self::Source => SOURCE,
            Self::Target => TARGET,
        }
    }

    /// In a sentence: `sends tank/media`.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Source => "sends",
            Self::Target => "receives into",
        }
    }
}

/// What one of `identities` lacks to do its duty on `dataset` and everything below it.
pub fn missing(duty: Duty, dataset: &DatasetName, allowed: &Allowed, identities: &[Who]) -> Vec<Need> {
    let (on, below) = (allowed.on(dataset, identities), allowed.below(dataset, identities));
    let has = |need: &&Need| on.contains(need.permission) && below.contains(need.permission);
    duty.needs().iter().filter(|need| !has(need)).copied().collect()
}

/// The line that allows it.
pub fn line(user: &str, needs: &[Need], dataset: &DatasetName) -> String {
    let permissions: BTreeSet<&str> = needs.iter().map(|need| need.permission).collect();
    let permissions = permissions.into_iter().collect::<Vec<_>>().join(",");
    format!("zfs allow -u {} {permissions} {}", quote(user), quote(dataset.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    fn identities() -> Vec<Who> {
        vec![Who::User("repl".into()), Who::Everyone]
    }

    #[test]
    fn what_is_allowed_already_is_not_asked_for_again() {
        let text =
            "---- Permissions on tank -----\nLocal+Descendent permissions:\n\tuser repl hold,release\n";
        let allowed = parse::allowed(text).unwrap();
        let dataset = "tank/media".parse().unwrap();
        let missing = missing(Duty::Source, &dataset, &allowed, &identities());
        let required: Vec<_> = missing.iter().filter(|need| need.required).copied().collect();
        assert_eq!(line("repl", &required, &dataset), "zfs allow -u repl send tank/media");
        assert_eq!(line("repl", &missing, &dataset), "zfs allow -u repl bookmark,destroy,send tank/media");
    }

    #[test]
    fn what_does_not_reach_below_is_missing() {
        let text = "---- Permissions on tank -----\nLocal permissions:\n\tuser repl hold,release,send\n";
        let allowed = parse::allowed(text).unwrap();
        let dataset = "tank".parse().unwrap();
        let missing = missing(Duty::Source, &dataset, &allowed, &identities());
        assert!(missing.iter().any(|need| need.permission == "send"));
    }

    #[test]
    fn names_are_quoted_and_permissions_sorted() {
        let dataset = "backup/nas 1".parse().unwrap();
        let line = line("repl", Duty::Target.needs(), &dataset);
        assert!(line.starts_with("zfs allow -u repl canmount,create,destroy,"), "{line}");
        assert!(line.ends_with(" 'backup/nas 1'"), "{line}");
    }

    #[test]
    fn a_sender_is_never_given_what_destroys_snapshots() {
        assert!(Duty::Source.needs().iter().all(|need| need.permission != "mount"));
    }
}
