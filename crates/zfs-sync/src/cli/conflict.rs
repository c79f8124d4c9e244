//! Conflicts, the plans that end them, and questions asked before something happens.

use clap::{ArgGroup, Args, Subcommand};
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use zfs_sync_core::group::Strategy;

use super::word;

/// `conflict`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConflictCommand {
    /// List conflicts
    List(ConflictList),
    /// Show one conflict, and what each strategy comes to
    Show {
        /// Id, its beginning, or the replica
        #[arg(value_name = "ID|DATASET@SYSTEM")]
        conflict: String,
    },
    /// Show what is only on one side, what is common, what is only on the other
    Diff {
        /// Id, its beginning, or the replica
        #[arg(value_name = "ID|DATASET@SYSTEM")]
        conflict: String,
    },
    /// End a conflict: plan, show everything that is lost, ask, apply
    Resolve(Resolve),
    /// Take back what was decided; a transfer that runs is not cut off
    Withdraw {
        /// Id, its beginning, or the replica
        #[arg(value_name = "ID|DATASET@SYSTEM")]
        conflict: String,
    },
    /// Leave a conflict out of lists until a date
    Ignore {
        /// Id, its beginning, or the replica
        #[arg(value_name = "ID|DATASET@SYSTEM")]
        conflict: String,
        /// A date (2026-12-24), a time (2026-12-24T18:00:00Z) or a duration from now (14d, 6h)
        #[arg(long, value_name = "DATE", value_parser = until)]
        until: Until,
        /// Why, for the next person
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
    /// Hear of an ignored conflict again
    Unignore {
        /// Id, its beginning, or the replica
        #[arg(value_name = "ID|DATASET@SYSTEM")]
        conflict: String,
    },
}

/// `conflict list`.
#[derive(Debug, Args)]
pub(crate) struct ConflictList {
    /// Only of this group
    #[arg(long, value_name = "GROUP")]
    pub(crate) sync_group: Option<String>,
    /// Only with this system as source or target
    #[arg(long, value_name = "SYSTEM")]
    pub(crate) system: Option<String>,
    /// Only of this dataset, by its name on either side
    #[arg(long, value_name = "DATASET")]
    pub(crate) dataset: Option<String>,
    /// Only of this kind: diverged, no_common_base, target_modified, …
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<String>,
    /// Only that bad: low, medium, high
    #[arg(long, value_name = "SEVERITY")]
    pub(crate) severity: Option<String>,
    /// open, ignored, resolved or all
    #[arg(long, value_name = "STATE", default_value = "open")]
    pub(crate) state: String,
    /// At most so many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: u32,
}

/// `conflict resolve`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  zfs-sync conflict resolve backup/media@nas2 --strategy keep-both
  zfs-sync conflict resolve backup/media@nas2 --strategy rollback-target --dry-run
  zfs-sync conflict resolve backup/media@nas2 --strategy rollback-target --yes --approve PLAN")]
pub(crate) struct Resolve {
    /// Id, its beginning, or the replica
    #[arg(value_name = "ID|DATASET@SYSTEM")]
    pub(crate) conflict: String,
    /// How, the safest first: keep-both (rename the copy, seed anew; loses nothing), use-source-of-truth (go back to what is common, set
    /// aside where nothing is), rollback-target (go back to what is common, or nothing), use-majority, use-newest, use-largest (all
    /// follow the member with the most common, newest or largest history)
    #[arg(long, value_parser = word::<Strategy>)]
    pub(crate) strategy: Strategy,
    /// Make and show the plan, and say how to apply it
    #[arg(long, conflicts_with_all = ["yes", "approve"])]
    pub(crate) dry_run: bool,
    /// Ask nothing; a plan that destroys needs --approve as well
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
    /// The plan that was looked at (from --dry-run), which is applied
    #[arg(long, value_name = "PLAN", requires = "yes")]
    pub(crate) approve: Option<String>,
}

/// `plan`.
#[derive(Debug, Subcommand)]
pub(crate) enum PlanCommand {
    /// Show a plan, with every snapshot that it destroys
    Show {
        /// Id
        plan: String,
    },
    /// Apply a plan that was looked at: once, and only while nothing has changed
    Apply {
        /// Id
        plan: String,
    },
}

/// `whatif`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  zfs-sync whatif --system-lost nas1
  zfs-sync whatif --destroy tank/media@monday tank/media@tuesday --system nas1
  zfs-sync whatif --destroy nas1:tank/media@monday nas2:backup/media@monday

Nothing is lost or destroyed by asking. With --destroy the exit code is 0 when all can be deleted, and 9 otherwise.")]
#[command(group = ArgGroup::new("question").args(["system_lost", "destroy"]).required(true))]
pub(crate) struct WhatIf {
    /// What would be lost with this system, and what to go on with
    #[arg(long, value_name = "SYSTEM")]
    pub(crate) system_lost: Option<String>,
    /// With --system-lost: list at most so many datasets, those that lose most
    #[arg(long, default_value_t = 1000, conflicts_with = "destroy", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) limit: u32,
    /// Can these snapshots be deleted, all of them together?
    #[arg(long, value_name = "[SYSTEM:]DATASET@SNAPSHOT", num_args = 1..)]
    pub(crate) destroy: Vec<String>,
    /// The system that --destroy is about
    #[arg(long, value_name = "SYSTEM", requires = "destroy")]
    pub(crate) system: Option<String>,
}

/// A time to come, or so long from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    At(Timestamp),
    For(SignedDuration),
}

impl Until {
    /// The time; `None` where it is beyond the calendar.
    pub(crate) fn from(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::At(at) => Some(at),
            Self::For(duration) => now.checked_add(duration).ok(),
        }
    }
}

/// A date is its end, so that `--until 2026-12-24` covers that day.
fn until(text: &str) -> Result<Until, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(Until::At(at));
    }
    if let Ok(date) = text.parse::<Date>() {
        let end = date.tomorrow().and_then(|date| date.to_zoned(TimeZone::UTC));
        return end.map(|end| Until::At(end.timestamp())).map_err(|error| error.to_string());
    }
    let days = text.strip_suffix('d').and_then(|days| days.parse::<i32>().ok());
    let duration =
        days.map(|days| SignedDuration::from_hours(i64::from(days) * 24)).or_else(|| text.parse().ok());
    match duration {
        Some(duration) if duration.is_positive() => Ok(Until::For(duration)),
        _ => {
            Err("write a date (2026-12-24), a time (2026-12-24T18:00:00Z) or a duration (14d, 6h)".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_its_end_and_a_duration_counts_from_now() {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        let at = |text: &str| until(text).unwrap().from(now).unwrap().to_string();
        assert_eq!(at("2026-12-24"), "2026-12-25T00:00:00Z");
        assert_eq!(at("2026-12-24T18:00:00Z"), "2026-12-24T18:00:00Z");
        assert_eq!(at("14d"), "2026-01-15T12:00:00Z");
        assert_eq!(at("6h"), "2026-01-01T18:00:00Z");
        for wrong in ["", "soon", "-3d", "0d", "2026-13-01"] {
            assert!(until(wrong).is_err(), "{wrong}");
        }
    }
}
