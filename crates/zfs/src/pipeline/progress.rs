//! Counting, shared between the pump and whoever shows progress.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Bytes that went through a pipeline, and what it waited for. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct ProgressCounter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    bytes: AtomicU64,
    wire: AtomicU64,
    source: AtomicU64,
    target: AtomicU64,
    limit: AtomicU64,
    packing: AtomicU64,
    packed: Mutex<Option<Packed>>,
}

/// Where a pump's time went, altogether so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// Nothing came from the sender.
    pub source: Duration,
    /// The receiver, or the connection to it, took nothing.
    pub target: Duration,
    /// A limit held it back.
    pub limit: Duration,
    /// It compressed or decompressed.
    pub packing: Duration,
}

/// How a stream travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packed {
    /// As `zfs send` gives it, because one host can not do what was asked for; why.
    Not(String),
    /// As `zfs send` gives it: both ends are on this machine.
    NotNeeded,
    /// Compressed by this process at this level.
    Level(i32),
    /// Compressed by the other host.
    ThereAlready,
    /// Ready to be compressed, and not compressed at the moment: it does not shrink.
    DoesNotShrink,
    /// Ready to be compressed, and not compressed at the moment: this host's processor would be slower than the connection.
    TooSlow,
}

impl fmt::Display for Packed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Not(reason) => write!(formatter, "off: {reason}"),
            Self::NotNeeded => formatter.write_str("off: nothing travels between hosts"),
            Self::Level(level) => write!(formatter, "zstd {level}"),
            Self::ThereAlready => formatter.write_str("zstd, by the sending host"),
            Self::DoesNotShrink => formatter.write_str("off: the data does not shrink"),
            Self::TooSlow => formatter.write_str("off: the connection is faster than this host can compress"),
        }
    }
}

/// What a pump may wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitFor {
    Source,
    Target,
    Limit,
    Packing,
}

impl ProgressCounter {
    /// Begins at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes of stream so far.
    pub fn bytes(&self) -> u64 {
        // A number for people and for noticing a stall: it orders nothing.
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Bytes that travelled: fewer than [`Self::bytes`] where the stream was compressed.
    pub fn wire_bytes(&self) -> u64 {
        self.0.wire.load(Ordering::Relaxed)
    }

    /// Where the time went.
    pub fn waits(&self) -> Waits {
        let of = |counter: &AtomicU64| Duration::from_nanos(counter.load(Ordering::Relaxed));
        let Counts { source, target, limit, packing, .. } = &*self.0;
        Waits { source: of(source), target: of(target), limit: of(limit), packing: of(packing) }
    }

    /// How the stream travels; `None` where nobody asked for compression.
    pub fn packed(&self) -> Option<Packed> {
        self.0.packed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_packed(&self, packed: Packed) {
        *self.0.packed.lock().unwrap_or_else(PoisonError::into_inner) = Some(packed);
    }

    /// Counts more bytes, of the stream and of what travelled.
    pub(crate) fn add(&self, bytes: u64, wire: u64) {
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.0.wire.fetch_add(wire, Ordering::Relaxed);
    }

    pub(super) fn waited(&self, what: WaitFor, time: Duration) {
        let counter = match what {
            WaitFor::Source => &self.0.source,
            WaitFor::Target => &self.0.target,
            WaitFor::Limit => &self.0.limit,
            WaitFor::Packing => &self.0.packing,
        };
        counter.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}
