//! A ZFS in memory, for tests and for `zfs-sync demo`.
//!
//! A [`Host`] has pools and datasets; its [`MemoryRunner`] executes the same typed [`Command`](crate::command::Command)s as the real runners and
//! answers with the text that OpenZFS 2.3 prints, errors included, so that parsers and classification are exercised. Streams go through
//! real pipes, can be cut anywhere, and resume from real tokens. GUIDs follow from a seed, time from a clock.
//!
//! What it does not know: quotas, the IV sets of raw streams, properties beyond those that replication looks at, and everything that
//! happens inside a pool. Content is a list of writes that only grows (one may stand for older content) or is rolled back, which is enough to tell whether the right bytes
//! arrived. Its texts are compared with recorded ones of OpenZFS 2.3.9 (`tests/golden`).

mod census;
mod clones;
mod content;
mod faults;
mod network;
mod operations;
mod operator;
mod random;
mod receive;
mod rollback;
mod runner;
mod send;
mod stage;
mod state;
mod stream;
mod text;
mod transfer;
mod writes;

pub use census::{Backup, CountedBookmark, CountedDataset, CountedSnapshot};
pub use faults::{Faults, Freeze};
pub use network::Network;
pub use operator::Host;
pub use runner::MemoryRunner;

#[cfg(test)]
mod tests;
