//! `group`: which datasets are kept where.

use clap::{ArgGroup, Args, Subcommand};
use zfs_sync_core::{
    flow::{Compression, RateLimit, RateLimitError, Transport},
    group::{GroupMode, MirrorDeletes, OnDivergence, Profile},
};

use super::word;

/// `group`.
#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// Make a group
    Create(CreateGroup),
    /// Change a group; what is not named stays as it is
    Edit(EditGroup),
    /// List groups
    List,
    /// Show one group
    Show {
        /// Name or id
        group: String,
    },
    /// Let a group work again
    Enable {
        /// Name or id
        group: String,
    },
    /// Let a group rest; running transfers end
    Disable {
        /// Name or id
        group: String,
    },
    /// Delete a group; no data is deleted anywhere
    Delete {
        /// Name or id
        group: String,
    },
}

/// What holds for making and changing.
#[derive(Debug, Args)]
pub(crate) struct Definition {
    /// The member whose snapshots the others receive
    #[arg(long, value_name = "SYSTEM")]
    pub(crate) source_of_truth: Option<String>,
    /// The member at the centre: the source of truth; of `many-to-one` the one that receives; of `mesh` the one preferred on ties
    #[arg(long, value_name = "SYSTEM", conflicts_with = "source_of_truth")]
    pub(crate) hub: Option<String>,
    /// How data flows: one-way, many-to-one, chain (in the order of --systems), mesh, local (within one system)
    #[arg(long, value_parser = word::<GroupMode>, value_name = "MODE")]
    pub(crate) mode: Option<GroupMode>,
    /// Datasets to leave out; may be repeated
    #[arg(long, value_name = "PATTERN")]
    pub(crate) exclude: Vec<String>,
    /// Name on targets: prefix FROM becomes TO. With a member before it, on that member alone; of `many-to-one`, on the hub for what
    /// comes from that member. May be repeated
    #[arg(long = "map", value_name = "[SYSTEM:]FROM=TO")]
    pub(crate) mappings: Vec<String>,
    /// When a target went its own way: stop, keep-both, use-source-of-truth, use-newest, use-largest, use-majority, rollback-target.
    /// All but the first two destroy snapshots and need --allow-destroy
    #[arg(long, value_parser = word::<OnDivergence>, value_name = "POLICY")]
    pub(crate) on_divergence: Option<OnDivergence>,
    /// Let --on-divergence and --mirror-deletes destroy snapshots on targets; held ones, clones' origins and last copies stay
    #[arg(long)]
    pub(crate) allow_destroy: bool,
    /// Destroy on targets what was destroyed on the source, at most this share of a replica's snapshots in one run; `off` ends it
    #[arg(long, value_parser = mirror_deletes, value_name = "PERCENT|off")]
    pub(crate) mirror_deletes: Option<Switch<MirrorDeletes>>,
    /// Rename a replica when its source was renamed
    #[arg(long)]
    pub(crate) follow_renames: bool,
    /// Which snapshots are copied: standard (all), or classic as the old service did (midnight snapshots, 72 hours)
    #[arg(long, value_parser = word::<Profile>, value_name = "PROFILE")]
    pub(crate) profile: Option<Profile>,
    /// Bandwidth of the group's transfers, on each system that executes some and by its clock: `20MiB/s`,
    /// `08:00-18:00 mon-fri 20MiB/s; 50MiB/s`; `off` ends it. Running transfers heed it within seconds
    #[arg(long, value_parser = limit, value_name = "LIMIT|off")]
    pub(crate) limit: Option<Switch<RateLimit>>,
    /// Compress between systems, with zstd on both: off, auto (where it helps, as measured), or a level from 1 to 19
    #[arg(long, value_name = "off|auto|LEVEL")]
    pub(crate) compress: Option<Compression>,
    /// By what its transfers reach the other side: auto (TLS where it is possible, else ssh), tls, or ssh alone
    #[arg(long, value_name = "auto|tls|ssh")]
    pub(crate) transport: Option<Transport>,
    /// For people
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
}

/// Something, or nothing from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Switch<T> {
    On(T),
    Off,
}

impl<T> Switch<T> {
    pub(crate) fn value(self) -> Option<T> {
        match self {
            Self::On(value) => Some(value),
            Self::Off => None,
        }
    }
}

pub(super) fn limit(text: &str) -> Result<Switch<RateLimit>, RateLimitError> {
    if text == "off" { Ok(Switch::Off) } else { text.parse().map(Switch::On) }
}

fn mirror_deletes(text: &str) -> Result<Switch<MirrorDeletes>, String> {
    let text = text.trim_end_matches('%');
    match text.parse() {
        _ if text == "off" => Ok(Switch::Off),
        Ok(max_percent) => Ok(Switch::On(MirrorDeletes { max_percent })),
        Err(_) => Err("write a share in percent, for example 10, or `off`".to_owned()),
    }
}

/// `group create`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  zfs-sync group create --name prod --systems nas1,nas2 --source-of-truth nas1 --dataset 'tank/media/**' --auto
  zfs-sync group create --name vault --systems nas1,vault --source-of-truth nas1 --dataset tank/vm \\
      --dataset 'tank/home/*' --exclude tank/home/scratch --map tank=backup/nas1
  zfs-sync group create --name offices --mode many-to-one --hub vault --systems vault,paris,rome --dataset 'tank/**' \\
      --map paris:tank=backup/paris --map rome:tank=backup/rome
  zfs-sync group create --name relay --mode chain --systems nas1,nas2,nas3 --dataset 'tank/vm/**'")]
pub(crate) struct CreateGroup {
    /// Name, unique
    #[arg(long)]
    pub(crate) name: String,
    /// Members, by host name or id, with commas between
    #[arg(long, value_delimiter = ',', required = true, value_name = "A,B[,C]")]
    pub(crate) systems: Vec<String>,
    /// Datasets of the source of truth: a name, or with `*`, `?`; `NAME/**` is NAME and all below it; may be repeated
    #[arg(long = "dataset", required = true, value_name = "PATTERN")]
    pub(crate) datasets: Vec<String>,
    #[command(flatten)]
    pub(crate) definition: Definition,
    /// Replicate by itself, whenever there is something new
    #[arg(long)]
    pub(crate) auto: bool,
    /// The same as --on-divergence keep-both: set the copy aside by rename and seed anew, without asking
    #[arg(long, conflicts_with = "on_divergence")]
    pub(crate) keep_both: bool,
    /// Make it disabled; `group enable` starts it
    #[arg(long)]
    pub(crate) paused: bool,
}

/// `group edit`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  zfs-sync group edit prod --auto --on-divergence keep-both
  zfs-sync group edit prod --allow-destroy --mirror-deletes 10
  zfs-sync group edit prod --map nas3:tank=archive/nas1
  zfs-sync group edit prod --limit '08:00-18:00 mon-fri 20MiB/s' --compress auto")]
#[command(group = ArgGroup::new("starts").args(["auto", "manual"]))]
pub(crate) struct EditGroup {
    /// Name or id
    pub(crate) group: String,
    /// Another name, unique
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// All members, by host name or id, with commas between
    #[arg(long, value_delimiter = ',', value_name = "A,B[,C]")]
    pub(crate) systems: Vec<String>,
    /// All datasets of the source of truth, in place of those before; may be repeated
    #[arg(long = "dataset", value_name = "PATTERN")]
    pub(crate) datasets: Vec<String>,
    #[command(flatten)]
    pub(crate) definition: Definition,
    /// Forget all mappings first, those of single members too
    #[arg(long)]
    pub(crate) clear_maps: bool,
    /// Forget all exclusions first
    #[arg(long)]
    pub(crate) clear_excludes: bool,
    /// Replicate by itself
    #[arg(long)]
    pub(crate) auto: bool,
    /// Wait for `sync execute`
    #[arg(long)]
    pub(crate) manual: bool,
    /// Destroy nothing any more
    #[arg(long, conflicts_with = "allow_destroy")]
    pub(crate) no_allow_destroy: bool,
    /// Leave replicas under their names
    #[arg(long, conflicts_with = "follow_renames")]
    pub(crate) no_follow_renames: bool,
}
