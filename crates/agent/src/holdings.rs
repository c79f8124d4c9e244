//! What zfs-sync holds on a host: found by prefix, judged by evidence, released in batches.
//!
//! A hold or bookmark of ours is *needed*, *stale*, or nobody here can tell. Only what is stale goes by itself; the rest a person must
//! name. Evidence is whatever is at hand: what the witness says of the replica, what this host's ledger says, and what lies on the
//! dataset itself. More evidence turns "nobody can tell" into one of the others, never one of the others into its opposite.
//!
//! Listings come before evidence: a transfer is known to the witness, and written into the ledger, before its first hold is
//! placed, so whatever was seen here and is known nowhere was not just begun.

mod evidence;
mod find;
mod judge;
mod release;
#[cfg(test)]
mod tests;

pub(crate) use self::find::{BATCH, holds_of};
pub use self::{
    evidence::{Evidence, Knowledge},
    find::{Holding, Kind, Place, find},
    judge::{Judgement, Verdict, judge},
    release::{Released, release},
};
