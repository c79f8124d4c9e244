//! Commands, parsers and pipelines for `zfs`: the only crate that starts processes.
//!
//! A [`command::Command`] is typed and becomes an argument vector; a [`runner::Runner`] executes it here, over ssh, or on
//! the in-memory ZFS ([`memory`]), which speaks the same text and the same errors, so that everything above runs unchanged on both.

pub mod advisories;
pub mod command;
pub mod content;
pub mod delegation;
pub mod error;
pub mod features;
pub mod foreign;
pub mod gate;
pub mod health;
pub mod inventory;
pub mod memory;
pub mod parse;
pub mod pipeline;
pub mod runner;
pub mod watch;
