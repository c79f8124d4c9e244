//! Is a snapshot on two hosts really the same? Pure: who reads what is asked here, and how, is not.
//!
//! Both hosts answer the same questions ([`Question`], [`Answer`]); a [`Comparison`] looks at both answers and asks on, until it has a
//! [`Verdict`]. The first question is always for the GUID and for properties. A deep comparison then asks for one digest of everything
//! on each side, and only where digests differ it descends: into directories, parts of large directories, and blocks of a
//! file, down to the first byte that differs. What travels is small when the data is equal, and in proportion to the damage when not.
//!
//! All state is in [`Comparison`], which is plain data, so that whoever asks may stop after any round and go on elsewhere.

mod compare;
mod entry;
mod property;
mod question;
mod schedule;
#[cfg(test)]
mod tests;
mod text;
mod verdict;

pub use compare::Comparison;
pub use entry::{Entry, EntryKind};
pub use property::PropertyDifference;
pub use question::{Answer, Inspected, PROTOCOL, Question, Summary};
pub use schedule::{Candidate, choose};
pub use text::{BadEscape, ByteText, Digest, NotHexadecimal};
pub use verdict::{Aspect, Difference, Outcome, Verdict, What};
