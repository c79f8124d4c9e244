//! From inventories and a group's policy to steps, and to a reason for everything that is not done.
//!
//! [`plan`] is deterministic and total: the same input gives the same answer, and what can not be done is reported, not an error.
//! Snapshots are compared by GUID and ordered by `createtxg`, never by name or clock. A plan holds every choice already made;
//! whoever executes it re-reads both sides first ([`compare()`]) and refuses when the world has moved.

mod act;
mod by_name;
mod chain;
mod choose;
mod classic;
mod compare;
mod conflict;
mod conflict_words;
mod conflicts;
mod copies;
mod decide;
mod elect;
mod facts;
mod fingerprint;
mod invariants;
mod losses;
mod mirror;
mod moved;
mod needed;
mod offer;
mod origin;
mod orphans;
mod pair;
mod places;
mod planner;
mod policy;
mod reason;
mod report;
mod resolve;
mod room;
mod seed;
mod sender;
mod set_aside;
mod settled;
mod step;
mod survey;
mod wanted;
mod words;

pub use compare::{Comparison, Relation, compare};
pub use conflict::{Conflict, ConflictKind, ConflictSide, Offer, Severity};
pub use copies::{Copies, LAST_COMMAND, Place, Standing, first_lost};
pub use invariants::{Violation, check};
pub use needed::{Needed, needed, origins_needed, renames_needed};

pub use planner::{Decision, Input, MakeRoom, Running, SystemView, plan};
pub use reason::{Reason, Warning};
pub use report::{Fact, Remembered, ReplicaKey, ReplicaReport, ReplicaState, Report, RuleApplied};
pub use resolve::{Proposal, Refusal, propose};
pub use step::{
    Action, Base, Casualty, Destroy, Fingerprint, Plan, Point, Protection, Receiver, Send, Step, TargetOrigin,
};
pub use wanted::{Word, meant, still_wanted};
