//! What this host has, and telling the witness about it.
//!
//! A [`Scanner`] looks and remembers; [`Reports`] says what of that the witness does not know yet. Cost follows change: an
//! unchanged host runs one listing of its datasets, however many snapshots they have, and sends an empty report.

mod reports;
mod scanner;
mod witness_time;

pub use reports::Reports;
pub use scanner::Scanner;
pub use witness_time::WitnessTime;
