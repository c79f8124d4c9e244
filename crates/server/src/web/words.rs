//! What codes of the API are called on pages.

use zfs_sync_core::{
    group::{GroupMode, OnDivergence, Profile, Strategy},
    plan::{ConflictKind, Severity},
    size::ByteCount,
};

/// `1 snapshot`, `3 snapshots`.
pub(super) fn snapshots(count: u64) -> String {
    if count == 1 { "1 snapshot".to_owned() } else { format!("{count} snapshots") }
}

/// `nas1`, `nas1 and nas2`, `nas1, nas2 and nas3`.
pub(super) fn list(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// What kind of conflict it is.
pub(super) const fn kind(kind: ConflictKind) -> &'static str {
    match kind {
        ConflictKind::Diverged => "newer snapshots on both sides",
        ConflictKind::SourceRolledBack => "source rolled back",
        ConflictKind::NoCommonBase => "nothing in common",
        ConflictKind::Recreated => "source created anew",
        ConflictKind::Renamed => "source renamed",
        ConflictKind::SameNameOtherGuid => "same name, other snapshot",
        ConflictKind::TargetModified => "replica written to",
        ConflictKind::Orphaned => "source gone",
        ConflictKind::NoElectedSource => "no member has it all",
        ConflictKind::KindMismatch => "file system and volume",
        ConflictKind::TargetNotEmpty => "target without history",
        ConflictKind::DeleteBrake => "more deletions than allowed",
        ConflictKind::TimestampMismatch => "same name, other time",
        ConflictKind::SizeMismatch => "same name, other size",
    }
}

/// How bad it is: a sign, and what it means.
pub(super) const fn severity(severity: Severity) -> (&'static str, &'static str) {
    match severity {
        Severity::High => ("✖", "Data exists on one system only."),
        Severity::Medium => ("!", "The replica does not follow its source any more."),
        Severity::Low => ("·", "Nothing is at stake."),
    }
}

/// Strategies, those that can lose least first.
pub(super) const BY_SAFETY: [Strategy; 6] = [
    Strategy::KeepBoth,
    Strategy::RollbackTarget,
    Strategy::UseSourceOfTruth,
    Strategy::UseMajority,
    Strategy::UseNewest,
    Strategy::UseLargest,
];

/// What a strategy is called.
pub(super) const fn strategy(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::KeepBoth => "Keep both",
        Strategy::RollbackTarget => "Take the replica back",
        Strategy::UseSourceOfTruth => "Follow the source",
        Strategy::UseMajority => "Follow the majority",
        Strategy::UseNewest => "Follow the most recent",
        Strategy::UseLargest => "Follow the largest",
    }
}

/// What a strategy does.
pub(super) const fn does(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::KeepBoth => "The replica is renamed and kept whole; a new one is seeded in its place.",
        Strategy::RollbackTarget => {
            "The replica goes back to what it has in common with its source, and follows again. It can not be used where nothing is common."
        }
        Strategy::UseSourceOfTruth => {
            "The replica goes back to what it has in common with its source; where nothing is common, it is set aside by rename."
        }
        Strategy::UseMajority => "All follow the history that most members have.",
        Strategy::UseNewest => {
            "All follow the member with the most recent snapshot. Clocks of members may differ."
        }
        Strategy::UseLargest => {
            "All follow the member whose dataset refers to the most data. Size is not correctness."
        }
    }
}

/// How a decision has ended.
pub(super) fn ended(outcome: &str) -> Option<&'static str> {
    match outcome {
        "fulfilled" => Some("What it decided is carried out."),
        "replaced" => Some("Another decision has taken the place of what it decided."),
        "withdrawn" => Some("What it decided was withdrawn: nothing more is begun because of it."),
        _ => None,
    }
}

/// How data flows.
pub(super) const fn mode(mode: GroupMode) -> &'static str {
    match mode {
        GroupMode::OneWay => "one way",
        GroupMode::ManyToOne => "many to one",
        GroupMode::Chain => "chain",
        GroupMode::Mesh => "mesh",
        GroupMode::Local => "local",
    }
}

/// What happens on divergence without anybody being asked.
pub(super) fn on_divergence(policy: OnDivergence, allow_destroy: bool) -> String {
    let Some(chosen) = policy.strategy() else {
        return "Nothing; a person decides each conflict.".to_owned();
    };
    let guard = match (chosen.is_destructive(), allow_destroy) {
        (false, _) => "",
        (true, true) => " Snapshots may be destroyed for that, unless a guard protects them.",
        (true, false) => " Where that would destroy a snapshot, a person decides.",
    };
    format!("{}, without asking. {}{guard}", strategy(chosen), does(chosen))
}

/// Whether deletions are carried over.
pub(super) fn mirror_deletes(max_percent: Option<u8>, allow_destroy: bool) -> String {
    match (max_percent, allow_destroy) {
        (None, _) => "No. What is deleted on the source stays on replicas.".to_owned(),
        (Some(_), false) => {
            "Asked for, but nothing is deleted: the group does not allow to destroy.".to_owned()
        }
        (Some(percent), true) => format!(
            "Yes, at most {percent} % of a replica's snapshots in one run; more is a conflict. Never the newest common one, a held one, \
             or the last copy in the fleet."
        ),
    }
}

/// Which snapshots are copied.
pub(super) const fn profile(profile: Profile) -> &'static str {
    match profile {
        Profile::Standard => "All of them, as soon as they are there.",
        Profile::Classic => {
            "As the old service did: up to the newest midnight snapshot, and only when a replica is more than 72 hours behind it."
        }
    }
}

/// `1.2 KiB`.
pub(super) fn bytes(count: u64) -> String {
    ByteCount(count).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_strategy_is_offered_once_and_the_harmless_one_first() {
        let mut offered = BY_SAFETY.to_vec();
        assert!(!offered[0].is_destructive());
        offered.sort_by_key(|strategy| strategy.as_str());
        let mut all = Strategy::ALL.to_vec();
        all.sort_by_key(|strategy| strategy.as_str());
        assert_eq!(offered, all);
    }

    #[test]
    fn lists_read_as_people_write_them() {
        let names = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(list(&names[..1]), "a");
        assert_eq!(list(&names[..2]), "a and b");
        assert_eq!(list(&names), "a, b and c");
        assert_eq!(list(&[]), "");
    }

    #[test]
    fn what_may_be_destroyed_is_said_with_the_policy() {
        assert!(on_divergence(OnDivergence::Stop, true).starts_with("Nothing"));
        assert!(on_divergence(OnDivergence::UseNewest, false).contains("a person decides"));
        assert!(on_divergence(OnDivergence::UseNewest, true).contains("may be destroyed"));
        assert!(!on_divergence(OnDivergence::KeepBoth, false).contains("destroy"));
        assert!(mirror_deletes(Some(10), false).contains("nothing is deleted"));
        assert!(mirror_deletes(Some(10), true).contains("10 %"));
    }
}
