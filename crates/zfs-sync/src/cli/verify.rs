//! Commands that prove that copies are the same.

use std::time::Duration;

use clap::{Args, Subcommand};
use zfs_sync_core::{name::DatasetName, name::SnapshotName};

use super::duration;

/// `verify`.
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  zfs-sync verify tank/media@monday --between nas1,nas2                    by the witness: GUID and properties
  zfs-sync verify tank/media@monday --between nas1,nas2 --deep --wait      and every byte of every file
  zfs-sync verify tank/media@monday root@nas2:backup/media --deep          from host to host, without a witness

Reads only. Exits with 1 when something differs.")]
pub(crate) struct VerifyArgs {
    /// The snapshot; with a second one, from host to host without a witness
    #[arg(value_name = "[USER@HOST:]DATASET@SNAPSHOT")]
    pub(crate) snapshot: String,
    /// The same snapshot elsewhere; it may leave out `@SNAPSHOT` where it is called the same
    #[arg(
        value_name = "[USER@HOST:]DATASET[@SNAPSHOT]",
        required_unless_present = "between",
        conflicts_with = "between"
    )]
    pub(crate) other: Option<String>,
    /// By the witness: the two systems whose copies are compared
    #[arg(long, value_name = "SYSTEM,SYSTEM", value_delimiter = ',', num_args = 1..=2)]
    pub(crate) between: Option<Vec<String>>,
    /// By the witness: the dataset on the second system, where more than one has the snapshot
    #[arg(long, value_name = "DATASET", requires = "between")]
    pub(crate) dataset: Option<DatasetName>,
    /// Compare all content: type, size, mode, owner, time, links, attributes and every byte
    #[arg(long)]
    pub(crate) deep: bool,
    /// Each side reads at most so many MiB a second
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) rate: Option<u64>,
    /// By the witness: wait for the result, at most so long (no limit when not said). Without `--deep` it waits anyway, half a minute
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, value_parser = duration, requires = "between")]
    #[expect(clippy::option_option, reason = "clap's form of an option whose value may be left out")]
    pub(crate) wait: Option<Option<Duration>>,
    /// Port of ssh on the first host
    #[arg(long, value_name = "PORT")]
    pub(crate) ssh_port_first: Option<u16>,
    /// Port of ssh on the second host
    #[arg(long, value_name = "PORT")]
    pub(crate) ssh_port_second: Option<u16>,
    /// Option of ssh, as in `ssh -o`; may be repeated
    #[arg(long = "ssh-option", value_name = "KEY=VALUE")]
    pub(crate) ssh_options: Vec<String>,
}

/// `verification`.
#[derive(Debug, Subcommand)]
pub(crate) enum VerificationCommand {
    /// List verifications, newest first
    List {
        /// At most so many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// Show one verification: what differs, and how
    Show {
        /// Id, or its beginning
        verification: String,
    },
    /// Stop a verification
    Cancel {
        /// Id, or its beginning
        verification: String,
    },
    /// What the newest comparisons of each replica with its source say
    Proofs,
    /// Let a group prove its replicas by itself, longest unproven first
    #[command(before_help = "\
Examples:
  zfs-sync verification schedule prod --every 7d --budget 50GiB
  zfs-sync verification schedule prod --off
  zfs-sync verification schedule                                   all schedules")]
    Schedule {
        /// Name or id of the group; none: show all schedules
        #[arg(value_name = "GROUP")]
        group: Option<String>,
        /// How old a proof may become
        #[arg(long, value_name = "DURATION", value_parser = days, requires = "group")]
        every: Option<Duration>,
        /// How much each side reads in a day at most
        #[arg(long, value_name = "SIZE", value_parser = size, requires = "group")]
        budget: Option<u64>,
        /// Each side reads at most so many MiB a second
        #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1_000_000), requires = "group")]
        rate: Option<u64>,
        /// Prove nothing by itself any more
        #[arg(long, conflicts_with_all = ["every", "budget", "rate"], requires = "group")]
        off: bool,
    },
}

/// A duration in which days may be written, too: `7d`.
fn days(text: &str) -> Result<Duration, String> {
    match text.strip_suffix('d').and_then(|days| days.trim().parse::<u64>().ok()) {
        Some(days) => {
            days.checked_mul(86_400).map(Duration::from_secs).ok_or_else(|| format!("`{text}` is too long"))
        }
        None => duration(text),
    }
}

/// A size as people write it: `50GiB`, `500M`, or bytes. All units are powers of 1024, as in ZFS.
fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no size; write for example 50GiB");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_uppercase().trim_end_matches("IB").trim_end_matches('B') {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        "P" => 50,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.trim().parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_days_are_written_as_people_write_them() {
        assert_eq!(size("50GiB"), Ok(50 << 30));
        assert_eq!((size("1k"), size("2TB"), size("7"), size("3B")), (Ok(1024), Ok(2 << 40), Ok(7), Ok(3)));
        assert!(size("GiB").is_err() && size("5X").is_err() && size("99999999999P").is_err());
        assert_eq!(days("7d"), Ok(Duration::from_hours(168)));
        assert_eq!(days("12h"), Ok(Duration::from_hours(12)));
    }
}

/// `verify-side`.
#[derive(Debug, Args)]
pub(crate) struct VerifySideArgs {
    /// Reads at most so many bytes a second
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rate: Option<u64>,
    /// The snapshot on this host
    #[arg(value_name = "DATASET@SNAPSHOT")]
    pub(crate) snapshot: SnapshotName,
}
