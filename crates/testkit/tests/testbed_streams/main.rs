//! What streams carry and how they are received, on real OpenZFS: `zfs-sync replicate` between machines with 2.3 and 2.1.
//!
//! What is true is asked of `zfs` itself on the machines.

mod encryption;
mod hosts;
mod properties;
mod versions;
