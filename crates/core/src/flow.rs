//! How streams may flow: how fast, when, and whether they are compressed on their way.

mod compression;
mod limit;
mod report;
mod transport;
mod windows;

pub use compression::{Compression, CompressionError};
pub use limit::{RateLimit, RateLimitError, Rule};
pub use report::{FlowReport, FlowSettings, SharedLimit};
pub use transport::{Transport, TransportError};
pub use windows::{Days, Minute, Window};
