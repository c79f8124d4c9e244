//! The planner: relations by table, whole plans by script, and properties over generated fleets.

#![expect(clippy::unwrap_used, reason = "a fixture that does not parse fails the test")]

mod convergence;
mod events;
mod fleet;
mod histories;
mod model;
mod oracle;
mod oracle_small;
mod parse;
mod properties;
mod relations;
mod render;
mod rules;
mod scope;
mod script_files;
mod worlds;
mod written;
