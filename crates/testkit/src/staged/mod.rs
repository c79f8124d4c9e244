//! Cases of the field guide, each staged by plain `zfs` commands, judged by the planner, resolved, and checked from outside.
//!
//! One table ([`cases::chosen`]) says what an operator does, what the planner must say about it, how it is resolved and what must then be
//! true. [`run()`] plays the whole table in one pass on anything that is a [`Machines`]: the in-memory ZFS ([`memory`]) and real
//! OpenZFS in virtual machines (`tests/testbed_staged`). Both are held against the same table; that is how they agree.
//!
//! Every case has datasets and a group of its own, so that all of them stand side by side on one pair of machines: `nas1` has
//! `tank/NAME`, `nas2` has the copy `tank/copy/NAME`.

pub mod cases;
mod check;
pub mod memory;
mod resolve;
mod rows;
mod run;
mod script;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use async_trait::async_trait;
use zfs_sync_api::client::Client;

pub use cases::{Case, Decision};
pub use rows::rows;
pub use run::{Timing, run};
pub use script::{Line, Side};

/// Snapshots of one dataset in the order of their making: label and GUID.
pub type History = Vec<(String, u64)>;

/// Two machines whose agents belong to one witness.
///
/// Everything but [`Self::client`] goes past our own code: it is what a person with a shell on the machine does and reads.
#[async_trait]
pub trait Machines: Sync {
    /// Talks to the witness as admin.
    fn client(&self) -> &Client;

    /// Runs these lines on one machine, in order. Fails at the first that does not end as the script says.
    async fn operate(&self, side: Side, lines: &[Line]) -> Result<()>;

    /// What `nas1` sends to `nas2` passes at so many bytes a second, or as fast as it can.
    async fn throttle(&self, bytes_per_second: Option<u64>) -> Result<()>;

    /// Every dataset of the pool `tank` with its snapshots.
    async fn histories(&self, side: Side) -> Result<BTreeMap<String, History>>;

    /// Every dataset of the pool `tank` with the snapshot it is a clone of, or `-`.
    async fn origins(&self, side: Side) -> Result<BTreeMap<String, String>>;

    /// The datasets of the pool `tank` whose content is encrypted.
    async fn encrypted(&self, side: Side) -> Result<BTreeSet<String>>;

    /// What a step or an interrupted receive has left: holds of running steps, resume tokens. Empty when all is well.
    async fn left_behind(&self, side: Side) -> Result<Vec<String>>;
}
