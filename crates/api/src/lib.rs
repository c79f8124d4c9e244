//! The wire: request and response types, problem details, the registry of codes, and (feature `client`) the HTTP client.

#[cfg(feature = "client")]
pub mod client;
pub mod codes;
pub mod problem;
pub mod v1;
