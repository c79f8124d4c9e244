//! What runs on each ZFS host: inventory, leases, transfers, the ledger.
//!
//! [`engine`] executes one step between two hosts and needs no witness; [`agent::Agent`] asks a witness for steps, tells
//! it what this host has ([`inventory`]) and remembers on disk ([`ledger`]) what a crash would otherwise leave behind.
//!
//! Nothing here decides what should be sent where: that is [`zfs_sync_core::plan`], and it is asked again before every step.

pub mod agent;
mod disk;
pub mod engine;
pub mod holdings;
pub mod identity;
pub mod inventory;
pub mod ledger;
pub mod remote;
pub mod sanoid;
pub mod tls;
pub mod verify;
