//! What the tests stand on: a whole fleet in one process ([`fleet`]), whole histories of fleets from seeds ([`simulation`]), and real
//! OpenZFS in virtual machines ([`testbed`]), with the table of what was seen there ([`failures`]).

pub mod failures;
pub mod fleet;
pub mod simulation;
pub mod staged;
#[cfg(feature = "testbed")]
pub mod testbed;
