//! The planner: relations by table, whole plans by script, and properties over generated fleets.

#![expect(clippy::unwrap_used, reason = "a fixture that does not parse fails the test")]

mod fleet;
mod model;
mod oracle;
mod properties;
mod relations;
mod rules;
mod scripts;
