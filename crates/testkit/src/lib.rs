//! What the tests stand on: a whole fleet in one process ([`fleet`]), and real OpenZFS in virtual machines ([`testbed`]).

pub mod fleet;
#[cfg(feature = "testbed")]
pub mod testbed;
