//! The program itself: its commands and what holds for all of them.

use camino::Utf8PathBuf;
use clap::{ArgAction, Parser, Subcommand, ValueEnum};

use super::{
    conflict::{ConflictCommand, PlanCommand, WhatIf},
    fleet::{SyncCommand, SystemCommand, TransferCommand, WhyArgs},
    group::GroupCommand,
    host::{AgentCommand, DemoArgs, DoctorArgs, ExplainArgs, ReplicateArgs, ServerArgs},
    operate::{ExecutorCommand, GateArgs, HoldCommand},
    verify::{VerificationCommand, VerifyArgs, VerifySideArgs},
};

const EXAMPLES: &str = "\
Keeps ZFS snapshots in step across a fleet.

Examples:
  zfs-sync demo                  three systems replicate before your eyes
  zfs-sync replicate --recursive tank/media root@nas2:backup/media
                                 from host to host, without a witness
  zfs-sync server                start a witness; prints the admin key once
  zfs-sync system token create > token
                                 let a host in …
  zfs-sync agent enroll http://witness:8000 --token-file token
  zfs-sync agent run             … and start its agent
  zfs-sync group create --name prod --systems nas1,nas2 \\
      --source-of-truth nas1 --dataset 'tank/media/**' --auto
  zfs-sync status                how everything stands
  zfs-sync why tank/media@nas2   why it stands so, and what happens next
  zfs-sync conflict list         what left its source, and how to end that
";

/// Where a witness is looked for when nothing else is said.
pub(crate) const DEFAULT_SERVER: &str = "http://127.0.0.1:8000";

const EXIT_CODES: &str = "\
Exit codes:
  0 done                     5 conflict with the present state    10 refused by safety
  1 failed                   6 partial: some items failed         11 busy or locked
  2 wrong usage              7 the wait timed out, work goes on   12 configuration invalid
  3 not found                8 unreachable                       130 interrupted
  4 no key or not allowed    9 out of sync (with --exit-code), not safe to delete (whatif)";

/// `zfs-sync`.
#[derive(Debug, Parser)]
#[command(
    name = "zfs-sync",
    version,
    about = None,
    long_about = None,
    before_help = EXAMPLES,
    after_help = EXIT_CODES,
    max_term_width = 120,
    disable_help_subcommand = false,
    subcommand_required = true,
    arg_required_else_help = true,
    propagate_version = false
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What holds for all commands.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Address of the witness
    #[arg(long, global = true, env = "ZFS_SYNC_URL", value_name = "URL", default_value = DEFAULT_SERVER)]
    pub(crate) server: String,
    /// File that holds the key for the witness, readable by you alone. The variable ZFS_SYNC_API_KEY goes before it
    #[arg(long, global = true, env = "ZFS_SYNC_API_KEY_FILE", value_name = "FILE")]
    pub(crate) key_file: Option<Utf8PathBuf>,
    /// Form of the answer
    #[arg(short, long, global = true, value_enum, value_name = "FORM", default_value = "table")]
    pub(crate) output: OutputFormat,
    /// No colour; NO_COLOR in the environment does the same
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// Say nothing but the answer and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more; twice: everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// Form of the answer on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// For people; may change freely
    Table,
    /// For programs; stable
    Json,
    /// For spreadsheets: a header and one line an item
    Csv,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// How the fleet stands, on one screen
    Status,
    /// Why a replica stands as it does: facts, decision, what happens next
    Why(WhyArgs),
    /// What a code means and what to do
    Explain(ExplainArgs),
    /// Check this host and its way to the witness
    Doctor(DoctorArgs),
    /// Registered ZFS hosts, and the tokens that let them in
    #[command(subcommand)]
    System(SystemCommand),
    /// Sync groups: which datasets are kept where
    #[command(subcommand, visible_alias = "sync-group")]
    Group(GroupCommand),
    /// Compare, plan and replicate a group now
    #[command(subcommand)]
    Sync(SyncCommand),
    /// Replicas that left their source, and how to end that
    #[command(subcommand)]
    Conflict(ConflictCommand),
    /// Plans that wait to be applied
    #[command(subcommand)]
    Plan(PlanCommand),
    /// Ask before it happens: a system is lost, snapshots are deleted
    #[command(name = "whatif")]
    WhatIf(WhatIf),
    /// Transfers under way and ended
    #[command(subcommand)]
    Transfer(TransferCommand),
    /// Replicate from host to host, without a witness
    Replicate(ReplicateArgs),
    /// Prove that a snapshot is the same in two places
    Verify(VerifyArgs),
    /// Proofs under way and ended
    #[command(subcommand)]
    Verification(VerificationCommand),
    /// Answers questions about one snapshot on standard input, for `verify` on another host
    #[command(hide = true)]
    VerifySide(VerifySideArgs),
    /// What zfs-sync holds on a host, and what of it is stale
    #[command(subcommand)]
    Hold(HoldCommand),
    /// Run what a restricted ssh key may run (for authorized_keys)
    SshGate(GateArgs),
    /// Run the witness
    Server(ServerArgs),
    /// The agent of this host
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Agents for systems that have only ssh
    #[command(subcommand)]
    Executor(ExecutorCommand),
    /// A whole fleet in one process, on a simulated ZFS
    Demo(DemoArgs),
}
