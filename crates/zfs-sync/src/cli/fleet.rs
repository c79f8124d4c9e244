//! Commands that ask or tell a witness.

use std::time::Duration;

use clap::{Args, Subcommand};

use zfs_sync_core::flow::RateLimit;

use super::{
    duration,
    group::{Switch, limit},
};

/// `system`.
#[derive(Debug, Subcommand)]
pub(crate) enum SystemCommand {
    /// List systems
    List,
    /// Show one system
    Show {
        /// Host name or id
        system: String,
    },
    /// Change a system; what is not named stays as it is
    #[command(before_help = "Examples:
  zfs-sync system set nas2 --limit 20MiB/s
  zfs-sync system set nas2 --limit '08:00-18:00 mon-fri 20MiB/s; 50MiB/s'
  zfs-sync system set nas2 --limit off")]
    Set {
        /// Host name or id
        system: String,
        /// Bandwidth of all transfers that it takes part in, by the clock of the system that executes them; `off` ends it. Running
        /// transfers heed it within seconds
        #[arg(long, value_parser = limit, value_name = "LIMIT|off", required = true)]
        limit: Option<Switch<RateLimit>>,
    },
    /// Enrolment tokens: each lets one host in
    #[command(subcommand)]
    Token(TokenCommand),
}

/// `system token`.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token and print it, this once
    #[command(
        before_help = "Examples:\n  zfs-sync system token create > token\n  zfs-sync system token create --ttl 24h -o json"
    )]
    Create {
        /// How long it is good for
        #[arg(long, value_parser = duration, default_value = "1h", value_name = "DURATION")]
        ttl: Duration,
    },
    /// List tokens, without their secrets
    List,
    /// Make a token useless
    Revoke {
        /// The token's id, or its beginning
        token: String,
    },
}

/// Which group.
#[derive(Debug, Args)]
pub(crate) struct SyncSelector {
    /// Name or id of the group
    #[arg(long, value_name = "GROUP")]
    pub(crate) sync_group: String,
    /// Set this diverged copy aside by rename and seed anew; nothing is destroyed; may be repeated
    #[arg(long, value_name = "DATASET@SYSTEM")]
    pub(crate) keep_both: Vec<String>,
}

/// `sync`.
#[derive(Debug, Subcommand)]
pub(crate) enum SyncCommand {
    /// Compare all replicas of a group now
    Check {
        /// Name or id of the group
        #[arg(long, value_name = "GROUP")]
        sync_group: String,
        /// Exit with 9 when something is not in sync
        #[arg(long)]
        exit_code: bool,
    },
    /// Show what would be done, with the exact commands
    Plan(SyncPlan),
    /// Start what the plan says; transfers go on when this command has ended
    Execute(SyncExecute),
}

/// `sync plan`.
#[derive(Debug, Args)]
pub(crate) struct SyncPlan {
    #[command(flatten)]
    pub(crate) selector: SyncSelector,
    /// Show also what has changed since the group was last planned
    #[arg(long)]
    pub(crate) diff: bool,
}

/// `sync execute`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  zfs-sync sync execute --sync-group prod --wait
  zfs-sync sync execute --sync-group prod --keep-both tank/media@nas2 --wait=30m")]
pub(crate) struct SyncExecute {
    #[command(flatten)]
    pub(crate) selector: SyncSelector,
    /// Only when the plan still has this fingerprint (`sync plan` prints it)
    #[arg(long, value_name = "FINGERPRINT")]
    pub(crate) fingerprint: Option<String>,
    /// Wait until everything that was there at the start has arrived, at most so long (no limit when not said)
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, value_parser = duration)]
    #[expect(clippy::option_option, reason = "clap's form of an option whose value may be left out")]
    pub(crate) wait: Option<Option<Duration>>,
    /// Exit with 9 when something is not in sync at the end
    #[arg(long)]
    pub(crate) exit_code: bool,
}

/// `transfer`.
#[derive(Debug, Subcommand)]
pub(crate) enum TransferCommand {
    /// List transfers, newest first
    List {
        /// Only of this group
        #[arg(long, value_name = "GROUP")]
        sync_group: Option<String>,
        /// Only to or from this system
        #[arg(long, value_name = "SYSTEM")]
        system: Option<String>,
        /// Only those that have not ended
        #[arg(long)]
        unfinished: bool,
        /// At most so many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// Show one transfer
    Show {
        /// Id, or its beginning
        transfer: String,
    },
    /// Say how far one transfer is, until it has ended; exits with 1 unless it succeeds
    Watch {
        /// Id, or its beginning
        transfer: String,
    },
    /// Cancel a transfer; what has arrived is kept and continued later
    Cancel {
        /// Id, or its beginning
        transfer: String,
    },
    /// Let a failed or waiting transfer start now
    Retry {
        /// Id, or its beginning
        transfer: String,
    },
}

/// `why`.
#[derive(Debug, Args)]
#[command(before_help = "Example:\n  zfs-sync why tank/media@nas2")]
pub(crate) struct WhyArgs {
    /// The dataset, by its name on the target or on the source, and the target system
    #[arg(value_name = "DATASET@SYSTEM")]
    pub(crate) replica: String,
}
