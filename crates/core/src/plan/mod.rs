//! From inventories and a group's policy to steps, and to a reason for everything that is not done.
//!
//! [`plan`] is deterministic and total: the same input gives the same answer, and what can not be done is reported, not an error.
//! Snapshots are compared by GUID and ordered by `createtxg`, never by name or clock. A plan holds every choice already made;
//! whoever executes it re-reads both sides first ([`compare()`]) and refuses when the world has moved.

mod compare;
mod decide;
mod describe;
mod fingerprint;
mod invariants;
mod missing;
mod planner;
mod reason;
mod report;
mod set_aside;
mod step;
mod survey;

pub use compare::{Comparison, Relation, compare};
pub use invariants::{Violation, check};
pub use missing::missing_sources;
pub use planner::{Input, KeepBoth, Running, SystemView, plan};
pub use reason::{Reason, Warning};
pub use report::{Fact, ReplicaReport, ReplicaState, Report};
pub use step::{Action, Base, Fingerprint, Plan, Point, Protection, Receiver, Send, Step};
