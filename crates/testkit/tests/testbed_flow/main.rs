//! How streams flow on real OpenZFS: limits, compression, full pools, dead connections, and an agent that is asked to stop.
//!
//! One fleet serves all scenarios of this file, as in `testbed_fleet`. What is true is asked of `zfs` itself on the machines.

#[path = "../testbed_fleet/fleet.rs"]
#[expect(dead_code, reason = "each set of scenarios asks its own questions")]
mod fleet;

mod breaks;
mod limits;
mod packed;
mod room;
