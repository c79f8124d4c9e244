//! The product on real OpenZFS: real agents, real ssh, real pools, real `kill -9`, driven through the real binary.
//!
//! One fleet serves all scenarios of this file: `nas1` and `nas2` with OpenZFS 2.3, `old` with 2.1, and a witness outside. Each scenario uses
//! datasets and a group of its own. What is true is asked of `zfs` itself on the machines, not of our own code.

mod damage;
mod fleet;
mod identity;
mod kills;
mod replication;
mod standalone;
mod tls;
mod verify;
mod versions;
