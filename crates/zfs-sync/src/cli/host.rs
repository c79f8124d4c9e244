//! Commands that work on this host.

use std::{net::SocketAddr, num::NonZeroUsize, time::Duration};

use camino::Utf8PathBuf;
use clap::{Args, Subcommand, ValueEnum};
use zfs_sync_agent::tls::Transport;
use zfs_sync_core::{
    flow::{Compression, RateLimit},
    stream::CopiedProperty,
};

use zfs_sync_core::name::DatasetName;
use zfs_sync_zfs::runner::{Privilege, PrivilegeError};

use super::{duration, operate::SshArgs};

/// `server`.
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  zfs-sync server                                            on 127.0.0.1:8000, SQLite in the data folder
  zfs-sync server --listen 0.0.0.0:8000 --data-dir /var/lib/zfs-sync
  zfs-sync server --config /etc/zfs-sync/server.toml

Settings: the option, else the variable ZFS_SYNC_<NAME>, else the file, else the default:
  listen, data_dir, database_url, log_level, log_format (human|json), heartbeat_timeout_seconds,
  sync_check_interval_seconds, and how many transfers may run at once: max_transfers_per_system (16),
  max_transfers_per_pool (8), max_transfers_per_link (8, between the same two systems)")]
pub(crate) struct ServerArgs {
    /// Settings, TOML or YAML by the file's ending; /etc/zfs-sync/server.toml when it exists
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<Utf8PathBuf>,
    /// Address and port; port 0: a free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// Folder for the database and the first admin key; /var/lib/zfs-sync for root, else ./data
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<Utf8PathBuf>,
    /// `sqlite:///path/to/file` or `postgresql://…`
    #[arg(long, value_name = "URL")]
    pub(crate) database_url: Option<String>,
}

/// `agent`.
#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Make this host a system of a fleet
    #[command(alias = "enrol")]
    Enroll(EnrollArgs),
    /// Report snapshots and carry out transfers
    Run(AgentRun),
}

/// `agent enroll`.
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  zfs-sync agent enroll http://witness:8000 --token-file token
  ssh witness zfs-sync system token create | zfs-sync agent enroll http://witness:8000 --token-file -")]
pub(crate) struct EnrollArgs {
    /// Address of the witness
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// File that holds the token of `zfs-sync system token create`; `-`: standard input
    #[arg(long, value_name = "FILE|-")]
    pub(crate) token_file: Utf8PathBuf,
    /// Name in the fleet; this host's own when not said
    #[arg(long, value_name = "NAME")]
    pub(crate) hostname: Option<String>,
    /// Folder for identity and ledger; /var/lib/zfs-sync/agent for root, else ./data/agent
    #[arg(long, env = "ZFS_SYNC_AGENT_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<Utf8PathBuf>,
    /// Forget an earlier enrolment of this folder
    #[arg(long)]
    pub(crate) replace: bool,
    /// Where other systems reach this one by ssh; the name in the fleet when not said
    #[arg(long, value_name = "HOST")]
    pub(crate) ssh_host: Option<String>,
    /// As whom other systems log in
    #[arg(long, value_name = "USER")]
    pub(crate) ssh_user: Option<String>,
    /// On which port; 22 when not said
    #[arg(long, value_name = "PORT")]
    pub(crate) ssh_port: Option<u16>,
}

/// `agent run`.
#[derive(Debug, Args)]
pub(crate) struct AgentRun {
    /// Folder for identity and ledger; /var/lib/zfs-sync/agent for root, else ./data/agent
    #[arg(long, env = "ZFS_SYNC_AGENT_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<Utf8PathBuf>,
    /// How often a report is sent when nothing happens; 10s when not said
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    pub(crate) report_interval: Option<Duration>,
    /// How often snapshots are looked for where no event announces them; 1s when not said
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    pub(crate) poll_interval: Option<Duration>,
    /// How long a transfer that is nearly done may go on when the agent is stopped; the others stop at once, and all are continued
    /// at the next start; 10s when not said
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    pub(crate) drain: Option<Duration>,
    /// MiB that may wait in memory, for each transfer, while the receiver is busy; 0: none; 32 when not said
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u16).range(..=4096))]
    pub(crate) buffer_mib: Option<u16>,
    /// Private key of ssh for all connections to other systems; ssh's own configuration when not said
    #[arg(long, value_name = "FILE")]
    pub(crate) ssh_identity: Option<Utf8PathBuf>,
    /// Option of ssh for all connections to other systems; may be repeated
    #[arg(long = "ssh-option", value_name = "KEY=VALUE")]
    pub(crate) ssh_options: Vec<String>,
    /// What zfs is run through here: none, sudo or doas (never asks for a password)
    #[arg(long, env = "ZFS_SYNC_PRIVILEGE", value_name = "PROGRAM", default_value_t = Privilege::Own)]
    pub(crate) privilege: Privilege,
    /// What zfs is run through on other systems, or on one of them; may be repeated
    #[arg(long, value_parser = peer_privilege, value_name = "[SYSTEM=]PROGRAM")]
    pub(crate) peer_privilege: Vec<(Option<String>, Privilege)>,
    /// Let other agents of the fleet connect here over TLS, with the witness's tickets; the usual port is 8001
    #[arg(long, env = "ZFS_SYNC_TRANSFER_LISTEN", value_name = "ADDRESS:PORT")]
    pub(crate) transfer_listen: Option<SocketAddr>,
    /// Name or address by which other agents reach this one; as for ssh when not said
    #[arg(long, env = "ZFS_SYNC_TRANSFER_HOST", value_name = "HOST")]
    pub(crate) transfer_host: Option<String>,
    /// How other systems are reached: over TLS, else by ssh (auto), or by one of both alone
    #[arg(long, env = "ZFS_SYNC_TRANSPORT", value_enum, default_value_t)]
    pub(crate) transport: TransportArg,
}

/// `sudo` for all, or `nas2=sudo` for one.
fn peer_privilege(text: &str) -> Result<(Option<String>, Privilege), PrivilegeError> {
    match text.rsplit_once('=') {
        Some((system, program)) => Ok((Some(system.to_owned()), program.parse()?)),
        None => Ok((None, text.parse()?)),
    }
}

/// `--transport`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum TransportArg {
    #[default]
    Auto,
    Tls,
    Ssh,
}

impl From<TransportArg> for Transport {
    fn from(argument: TransportArg) -> Self {
        match argument {
            TransportArg::Auto => Self::Auto,
            TransportArg::Tls => Self::Tls,
            TransportArg::Ssh => Self::Ssh,
        }
    }
}

/// `replicate`.
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  zfs-sync replicate tank/media backup/media
  zfs-sync replicate --recursive tank/media root@nas2:backup/media
  zfs-sync replicate --dry-run root@nas1:tank/media backup/media
  zfs-sync replicate tank/vm root@nas2:backup/vm --ssh-option IdentityFile=/root/.ssh/replication
  zfs-sync replicate tank/vm root@nas2:backup/vm --limit '08:00-18:00 mon-fri 20MiB/s' --compress auto

Repeat it as often as you like: it sends what is missing, continues what was interrupted, destroys nothing.")]
pub(crate) struct ReplicateArgs {
    /// The dataset to send
    #[arg(value_name = "[USER@HOST:]SOURCE")]
    pub(crate) source: String,
    /// The dataset to receive into
    #[arg(value_name = "[USER@HOST:]TARGET")]
    pub(crate) target: String,
    /// All datasets below it, too
    #[arg(short, long)]
    pub(crate) recursive: bool,
    /// Show what would be done, with the exact commands
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// When the target went its own way: rename its copy, whole, and seed anew
    #[arg(long)]
    pub(crate) keep_both: bool,
    /// Bandwidth: `20MiB/s`, or by this host's clock `08:00-18:00 mon-fri 20MiB/s; 50MiB/s`
    #[arg(long, value_name = "LIMIT")]
    pub(crate) limit: Option<RateLimit>,
    /// Compress between hosts, with zstd on both: off, auto (where it helps, as measured), or a level from 1 to 19
    #[arg(long, value_name = "off|auto|LEVEL", default_value_t)]
    pub(crate) compress: Compression,
    /// MiB that may wait in memory while the receiver is busy; 0: none; 32 when not said
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u16).range(..=4096))]
    pub(crate) buffer_mib: Option<u16>,
    /// Property that a new copy gets from its source, besides recordsize; may be repeated. Only what says how data is laid out, and
    /// user properties
    #[arg(long = "property", value_name = "NAME")]
    pub(crate) properties: Vec<CopiedProperty>,
    /// Datasets at a time; when not said four times the number of cores, at least 8 and at most 16
    #[arg(short, long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// Port of ssh on the source's host
    #[arg(long, value_name = "PORT")]
    pub(crate) ssh_port_source: Option<u16>,
    /// Port of ssh on the target's host
    #[arg(long, value_name = "PORT")]
    pub(crate) ssh_port_target: Option<u16>,
    /// Option of ssh, as in `ssh -o`; may be repeated
    #[arg(long = "ssh-option", value_name = "KEY=VALUE")]
    pub(crate) ssh_options: Vec<String>,
    /// Run zfs through sudo on both hosts
    #[arg(long, conflicts_with_all = ["source_privilege", "target_privilege"])]
    pub(crate) sudo: bool,
    /// What zfs is run through on the source's host: none, sudo or doas
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) source_privilege: Option<Privilege>,
    /// What zfs is run through on the target's host: none, sudo or doas
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) target_privilege: Option<Privilege>,
}

/// `doctor`.
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  zfs-sync doctor
  zfs-sync doctor --user repl --source tank/media       what user repl lacks to send it
  zfs-sync doctor --user repl --target backup/nas1      … to receive below it
  zfs-sync doctor --peer repl@nas2 --target backup/nas1
  zfs-sync doctor --privilege sudo                      the lines that sudo needs")]
pub(crate) struct DoctorArgs {
    /// Folder of this host's agent
    #[arg(long, env = "ZFS_SYNC_AGENT_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<Utf8PathBuf>,
    /// Check another host, reached by ssh, and the way to it; may be repeated
    #[arg(long = "peer", value_name = "[USER@]HOST")]
    pub(crate) peers: Vec<String>,
    /// Who replicates here; whoever runs this when not said
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// A dataset that is sent; may be repeated. With a key for the witness its groups are looked at, too
    #[arg(long = "source", value_name = "DATASET")]
    pub(crate) sources: Vec<DatasetName>,
    /// A dataset that is received into; may be repeated
    #[arg(long = "target", value_name = "DATASET")]
    pub(crate) targets: Vec<DatasetName>,
    /// Also try it: a hold and a bookmark on the newest snapshot of each, taken back at once
    #[arg(long)]
    pub(crate) probe: bool,
    #[command(flatten)]
    pub(crate) ssh: SshArgs,
}

/// `demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Play a fixed story, prove that everything arrived, and end
    #[arg(long)]
    pub(crate) check: bool,
    /// Address and port of the witness; when not said 127.0.0.1:8000, or a free port where that is taken
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<SocketAddr>,
}

/// `explain`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  zfs-sync explain R_DIVERGED\n  zfs-sync explain --list")]
pub(crate) struct ExplainArgs {
    /// `E_…`, `W_…` or `R_…`
    #[arg(required_unless_present = "list")]
    pub(crate) code: Option<String>,
    /// All codes, with their titles
    #[arg(long, conflicts_with = "code")]
    pub(crate) list: bool,
}
