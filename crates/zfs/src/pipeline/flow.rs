//! How a stream is to flow.

use std::time::Duration;

use zfs_sync_core::flow::Compression;

use super::limit::Limiter;

/// What holds for one transfer.
#[derive(Clone, Debug)]
pub struct Flow {
    /// All of them hold at once; what changes them or shares them with other transfers is whoever keeps a clone.
    pub limits: Vec<Limiter>,
    /// Bytes that may wait in this process while the receiver is busy and the sender is not; 0: none beyond the pipes' own.
    pub buffer: usize,
    /// Whether the stream is compressed where it travels between hosts.
    pub compression: Compression,
    /// Gives up when no byte moved for so long while the sender is still at it.
    pub stall_timeout: Option<Duration>,
}

impl Flow {
    /// A receiver that writes a transaction group out reads nothing for up to some seconds; this is what a gigabit brings meanwhile
    /// in a quarter of a second. It is only taken while it is needed (`cargo bench -p zfs-sync-zfs` compares).
    pub const BUFFER: usize = 32 << 20;

    /// Longer than any pause of a healthy pair: a sender that walks over unchanged data, or a receiver that frees much, is silent for
    /// minutes. A dead connection is noticed by ssh itself, far earlier.
    pub const STALL_TIMEOUT: Duration = Duration::from_mins(10);
}

impl Default for Flow {
    /// No limit, no compression.
    fn default() -> Self {
        Self {
            limits: Vec::new(),
            buffer: Self::BUFFER,
            compression: Compression::Off,
            stall_timeout: Some(Self::STALL_TIMEOUT),
        }
    }
}
