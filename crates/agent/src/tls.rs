//! Agent to agent over mutual TLS 1.3: no SSH key is needed between systems.
//!
//! # Design
//!
//! Each agent has a certificate of the witness's own authority, which names its system ([`credentials`]). One listens on one port; another
//! one, which has leased a transfer, connects with the ticket that came with the lease ([`ticket`]), and asks for the commands that the
//! engine would give ssh. What the ticket's transfer does not need is refused, whoever asks ([`authorise`]).
//!
//! # Failure modes
//!
//! - A connection that dies ends what it started: a receiver sees the end of its input and keeps its partial state; a sender is
//!   terminated. Both sides notice after fifteen seconds of silence.
//! - A stolen ticket is worth nothing without the key of the system it was given to, is good for one session, and for one run of the
//!   agent that listens.
//! - A certificate that was lost admits to nothing: without a lease there is no ticket. So deleting a system is enough.

pub mod credentials;
#[cfg(test)]
pub(crate) mod testing;

pub use credentials::{Credentials, CredentialsError};
