//! Agent to agent over mutual TLS 1.3: no SSH key is needed between systems.
//!
//! # Design
//!
//! Each agent has a certificate of the witness's own authority, which names its system ([`credentials`]). One listens on one port; another
//! one, which has leased a transfer, connects with the ticket that came with the lease (`ticket`), and asks for the commands that the
//! engine would give ssh. What the ticket's transfer does not need is refused, whoever asks (`authorise`).
//!
//! # Failure modes
//!
//! - A connection that dies ends what it started: a receiver sees the end of its input and keeps its partial state; a sender is
//!   terminated. Both sides notice after fifteen seconds of silence.
//! - A stolen ticket is worth nothing without the key of the system it was given to, is good for one session, and for one run of the
//!   agent that listens.
//! - A session begins nothing once its ticket has ended; the agent whose lease goes on gets another ticket for it in time (`pass`).
//! - Whoever connects and says nothing takes a place from others who have not said anything either, and from nobody else (`handshakes`).
//! - A certificate that was lost admits to nothing: without a lease there is no ticket. So deleting a system is enough.

mod authorise;
pub(crate) mod connect;
pub mod credentials;
mod frame;
mod handshakes;
pub(crate) mod pass;
mod pipes;
pub(crate) mod runner;
pub(crate) mod serve;
mod stage;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod ticket;
mod trust;
mod wire;

use std::net::SocketAddr;

pub use credentials::{Credentials, CredentialsError};
use zfs_sync_core::name::HostName;

/// By what an agent reaches the other side of its transfers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// TLS where the other agent listens; ssh where it does not, or where that fails, which is logged and shown with the transfer.
    #[default]
    Auto,
    /// TLS alone.
    Tls,
    /// ssh alone.
    Ssh,
}

/// How an agent takes part. From its own configuration, never from the witness.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// Where it listens for other agents; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// By what name others reach it; `None`: as ssh would, else by its name in the fleet.
    pub host: Option<HostName>,
    /// How it reaches others.
    pub transport: Transport,
}
