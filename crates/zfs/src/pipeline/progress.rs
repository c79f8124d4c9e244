//! Counting, shared between the pump and whoever shows progress.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Bytes that went through a pipeline. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct ProgressCounter(Arc<AtomicU64>);

impl ProgressCounter {
    /// Begins at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        // A number for people and for noticing a stall: it orders nothing.
        self.0.load(Ordering::Relaxed)
    }

    /// Counts more bytes.
    pub(crate) fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}
