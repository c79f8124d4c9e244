//! Version 1 of the API, one file a resource. Text is parsed into core types at this edge.

pub mod agent;
pub mod certificate;
pub mod conflict;
pub mod group;
pub mod health;
pub mod key;
pub mod plan;
pub mod pool;
pub mod replica;
pub mod sync;
pub mod system;
pub mod transfer;
pub mod verification;
pub mod whatif;
