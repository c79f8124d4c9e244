//! The real program, as people and scripts run it: standard output, standard error and exit code.

#![expect(clippy::unwrap_used, reason = "a test that can not go on panics")]

mod address;
mod agent;
mod conflict;
mod credential;
mod demo;
mod explain;
mod fleet;
mod group;
mod operate;
mod program;
mod replicate;
mod server;
mod usage;
mod verify;
mod whatif;
mod zfs_fuse;
