//! Where a stream is compressed, and where it is decompressed.
//!
//! This process does its part by itself; a host at the far end of a connection does it by whatever its runner knows ([`FarEnd`]). Between
//! two other hosts (a relay) each of both ways is packed by itself, where its host can.

use zfs_sync_core::flow::Compression;

use super::{Packed, Transfer, pump::Way};
use crate::runner::{FarEnd, Packing, Runner};

/// What was agreed for one transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Agreed {
    compression: Compression,
    at_source: bool,
    at_target: bool,
    /// What to tell people before the first byte; `None` where nobody asked for compression.
    pub(super) reason: Option<Packed>,
}

impl Agreed {
    /// How the stages at the source and at the target are started.
    pub(super) fn far_ends(&self) -> [Packing; 2] {
        let packing = |there: bool| if there { Packing::Zstd(self.compression) } else { Packing::None };
        [packing(self.at_source), packing(self.at_target)]
    }

    /// What the pump between both does.
    pub(super) const fn way(&self) -> Way {
        match (self.at_source, self.at_target) {
            (false, false) => Way::AsIs,
            (decode, true) => Way::Through { decode, encode: self.compression },
            (decode, false) => Way::Through { decode, encode: Compression::Off },
        }
    }
}

/// Asks both ends what they can do, unless nobody wants anything.
pub(super) async fn agree(request: &Transfer<'_>) -> Agreed {
    let compression = request.flow.compression;
    if compression == Compression::Off {
        return Agreed { compression, at_source: false, at_target: false, reason: None };
    }
    let (source, target) = tokio::join!(request.source.far_end(), request.target.far_end());
    let mut reasons = Vec::new();
    let mut able = |runner: &dyn Runner, end: FarEnd| match end {
        FarEnd::Here => false,
        FarEnd::Zstd => true,
        FarEnd::Plain(why) => {
            reasons.push(format!("{} {why}", runner.host()));
            false
        }
    };
    let (at_source, at_target) = (able(request.source, source), able(request.target, target));
    let reason = if !reasons.is_empty() {
        Packed::Not(reasons.join(", "))
    } else if at_source && !at_target {
        Packed::ThereAlready
    } else if at_target {
        // The pump says the rest with its first frame.
        Packed::Level(1)
    } else {
        Packed::NotNeeded
    };
    Agreed { compression, at_source, at_target, reason: Some(reason) }
}
