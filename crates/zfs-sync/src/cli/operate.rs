//! Commands that look after hosts: holds, the gate for restricted keys, agents for systems that have none.

use camino::Utf8PathBuf;
use clap::{Args, Subcommand, ValueEnum};
use zfs_sync_core::name::DatasetName;
use zfs_sync_zfs::runner::Privilege;

/// Which host, and how it is reached.
#[derive(Clone, Debug, Args)]
pub(crate) struct OnHost {
    /// Another host, reached by ssh; this one when not said
    #[arg(long, value_name = "[USER@]HOST")]
    pub(crate) host: Option<String>,
    #[command(flatten)]
    pub(crate) ssh: SshArgs,
}

/// How ssh is used.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct SshArgs {
    /// Port of ssh there
    #[arg(long, value_name = "PORT")]
    pub(crate) ssh_port: Option<u16>,
    /// Private key of ssh; ssh's own configuration when not said
    #[arg(long, value_name = "FILE")]
    pub(crate) ssh_identity: Option<Utf8PathBuf>,
    /// Option of ssh, as in `ssh -o`; may be repeated
    #[arg(long = "ssh-option", value_name = "KEY=VALUE")]
    pub(crate) ssh_options: Vec<String>,
    /// What zfs is run through: none, sudo or doas (never asks for a password)
    #[arg(long, value_name = "PROGRAM", default_value_t = Privilege::Own)]
    pub(crate) privilege: Privilege,
}

/// `hold`.
#[derive(Debug, Subcommand)]
pub(crate) enum HoldCommand {
    /// What zfs-sync holds on a host, whether it is needed, and why that is thought
    List(HoldList),
    /// Release what is stale, or what is named
    Release(HoldRelease),
}

/// `hold list`.
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  zfs-sync hold list
  zfs-sync hold list tank/media --stale
  zfs-sync hold list --host root@nas2")]
pub(crate) struct HoldList {
    /// This dataset and all below it; everything when not said
    #[arg(value_name = "DATASET")]
    pub(crate) dataset: Option<DatasetName>,
    /// Only what is stale
    #[arg(long)]
    pub(crate) stale: bool,
    #[command(flatten)]
    pub(crate) on: OnHost,
    /// Folder of this host's agent, whose ledger knows what runs
    #[arg(long, env = "ZFS_SYNC_AGENT_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<Utf8PathBuf>,
}

/// `hold release`.
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  zfs-sync hold release --dry-run                       what is stale everywhere on this host
  zfs-sync hold release
  zfs-sync hold release tank/media@monday --force       also where nobody can tell, or it is needed

Only tags and bookmarks that begin with zfs-sync: are ever released.")]
pub(crate) struct HoldRelease {
    /// Snapshots, bookmarks or datasets; everything that is stale when none is said
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Release what is named even if it is needed or nobody can tell
    #[arg(long, requires = "names")]
    pub(crate) force: bool,
    /// With --force: do not ask
    #[arg(long, requires = "force")]
    pub(crate) yes: bool,
    /// Show what would be released
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) on: OnHost,
    /// Folder of this host's agent, whose ledger knows what runs
    #[arg(long, env = "ZFS_SYNC_AGENT_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<Utf8PathBuf>,
}

/// What a restricted key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GateRole {
    /// This host has the data; the other side fetches it
    Source,
    /// This host receives what the other side brings
    Target,
}

/// `ssh-gate`.
#[derive(Debug, Args)]
#[command(before_help = "\
In ~/.ssh/authorized_keys of the user that the other side logs in as, one line:
  command=\"/usr/local/bin/zfs-sync ssh-gate --role target --dataset backup/nas1 --append-only\",restrict ssh-ed25519 AAAA…

That key then runs only the commands that replication into (or from) this dataset needs. No shell is started.
The dataset must exist. Refusals go to the system's log.")]
pub(crate) struct GateArgs {
    /// What the other side is to do here
    #[arg(long, value_enum)]
    pub(crate) role: GateRole,
    /// The dataset it may do that in, with all below it
    #[arg(long, value_name = "DATASET")]
    pub(crate) dataset: DatasetName,
    /// Target: nothing may be renamed, rolled back or destroyed
    #[arg(long)]
    pub(crate) append_only: bool,
    /// What zfs is run through: none, sudo or doas
    #[arg(long, value_name = "PROGRAM", default_value_t = Privilege::Own)]
    pub(crate) privilege: Privilege,
    /// File that refusals are added to, besides the system's log
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<Utf8PathBuf>,
}

/// `executor`.
#[derive(Debug, Subcommand)]
pub(crate) enum ExecutorCommand {
    /// Let a system in that has only ssh
    Add(ExecutorAdd),
    /// The systems this executor stands in for
    List(ExecutorFolder),
    /// Report and replicate for all of them
    Run(ExecutorRun),
}

/// Where an executor keeps its systems.
#[derive(Clone, Debug, Args)]
pub(crate) struct ExecutorFolder {
    /// Folder for identities and ledgers; /var/lib/zfs-sync/executor for root, else ./data/executor
    #[arg(long, env = "ZFS_SYNC_EXECUTOR_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<Utf8PathBuf>,
}

/// `executor add`.
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  zfs-sync executor add http://witness:8000 --token-file token --remote root@nas3
  zfs-sync executor add http://witness:8000 --token-file token --remote repl@10.0.0.7 --hostname nas4 --privilege sudo

Nothing is installed there: the executor runs zfs over ssh, and streams between two such systems pass through it.")]
pub(crate) struct ExecutorAdd {
    /// Address of the witness
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// File that holds the token of `zfs-sync system token create`; `-`: standard input
    #[arg(long, value_name = "FILE|-")]
    pub(crate) token_file: Utf8PathBuf,
    /// The system, as ssh reaches it from here
    #[arg(long, value_name = "[USER@]HOST")]
    pub(crate) remote: String,
    /// Its name in the fleet; that of `--remote` when not said
    #[arg(long, value_name = "NAME")]
    pub(crate) hostname: Option<String>,
    #[command(flatten)]
    pub(crate) ssh: SshArgs,
    #[command(flatten)]
    pub(crate) folder: ExecutorFolder,
    /// Forget an earlier enrolment of this system here
    #[arg(long)]
    pub(crate) replace: bool,
}

/// `executor run`.
#[derive(Debug, Args)]
pub(crate) struct ExecutorRun {
    #[command(flatten)]
    pub(crate) folder: ExecutorFolder,
    /// How often a report is sent when nothing happens; 10s when not said
    #[arg(long, value_parser = super::duration, value_name = "DURATION")]
    pub(crate) report_interval: Option<std::time::Duration>,
    /// How often snapshots are looked for where no event announces them; 5s when not said
    #[arg(long, value_parser = super::duration, value_name = "DURATION")]
    pub(crate) poll_interval: Option<std::time::Duration>,
    /// Private key of ssh for connections to systems with an agent of their own
    #[arg(long, value_name = "FILE")]
    pub(crate) ssh_identity: Option<Utf8PathBuf>,
    /// Option of ssh for connections to systems with an agent of their own; may be repeated
    #[arg(long = "ssh-option", value_name = "KEY=VALUE")]
    pub(crate) ssh_options: Vec<String>,
}
