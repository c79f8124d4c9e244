//! What the command line says of how streams shall flow.

use std::sync::Arc;

use jiff::tz::TimeZone;
use zfs_sync_core::{
    flow::{Compression, RateLimit},
    time::Clock,
};
use zfs_sync_zfs::pipeline::{Flow, Limiter};

/// Bytes, from MiB or nothing.
pub(super) fn buffer(mib: Option<u16>) -> usize {
    mib.map_or(Flow::BUFFER, |mib| usize::from(mib) << 20)
}

/// One choice for all streams of a run: they share its limit.
#[derive(Clone, Debug)]
pub(super) struct Chosen {
    limit: Option<RateLimit>,
    limiter: Limiter,
    compression: Compression,
    buffer: usize,
    clock: Arc<dyn Clock>,
}

impl Chosen {
    /// Windows of the limit are in this host's time zone.
    pub(super) fn new(
        limit: Option<RateLimit>,
        compression: Compression,
        buffer_mib: Option<u16>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (limiter, buffer) = (Limiter::default(), buffer(buffer_mib));
        let chosen = Self { limit, limiter, compression, buffer, clock };
        chosen.follow();
        chosen
    }

    /// Sets the limiter to what the limit says at this moment.
    pub(super) fn follow(&self) {
        let Some(limit) = &self.limit else { return };
        let rate = limit.at(self.clock.now(), &TimeZone::system());
        if self.limiter.rate() != rate {
            self.limiter.set(rate);
        }
    }

    pub(super) fn flow(&self) -> Flow {
        Flow {
            limits: vec![self.limiter.clone()],
            compression: self.compression,
            buffer: self.buffer,
            ..Flow::default()
        }
    }
}
