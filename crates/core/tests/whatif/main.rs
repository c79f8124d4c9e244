//! What would be lost, and what may be deleted: fleets as short texts, answers as sentences, and properties over generated fleets.

#![expect(clippy::unwrap_used, reason = "a fixture that does not parse fails the test")]

mod destroy;
mod estimate;
mod fleet;
mod lost;
mod properties;
mod topologies;
