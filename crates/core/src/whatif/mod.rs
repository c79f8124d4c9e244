//! What would be lost, and what may be deleted: questions asked before something happens.
//!
//! [`system_lost()`] answers "what if this system is gone?", [`destroy()`] answers "can I delete this snapshot?". Both look at what was
//! reported and at the groups, and at nothing else; nothing is planned or changed. Snapshots are the same when their GUIDs are,
//! whatever they or their datasets are called, so a replica that was renamed or set aside still counts as a copy.
//!
//! Unknown is not absent: a system that never reported, or not for too long, or without GUIDs, makes an answer less certain, and the answer says so.
//! A copy that only such a system has is not counted as lost, but never makes a deletion safe.

mod bases;
mod destroy;
mod estimate;
mod holders;
mod loss;
mod place;
mod reasons;
mod seats;
mod system_lost;
mod verdict;
mod words;

pub use destroy::destroy;
pub use loss::{Extent, Loss, Promotion, Role, SnapshotAt, Survivor, SystemLoss};
pub use place::Place;
pub use system_lost::system_lost;
pub use verdict::{Answer, Finding, Verdict};
