//! What the witness hands out for a transfer, and what it hears of it.

use serde::{Deserialize, Serialize};

use super::{Compression, RateLimit};

/// A transfer that has moved nothing for so many seconds while it sends is shown as stalled.
const STALLED_AFTER_SECONDS: u64 = 60;

/// A limit, and who else is under it: an executor's transfers that name the same are together no faster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedLimit {
    /// `group:ID` or `system:ID`.
    pub of: String,
    /// By the time of the week on the executing host.
    pub limit: RateLimit,
}

/// How a transfer is to flow. All limits hold at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowSettings {
    /// Of its group and of both systems.
    #[serde(default)]
    pub limits: Vec<SharedLimit>,
    /// Of its group.
    #[serde(default)]
    pub compression: Compression,
}

/// How a transfer flows, as its executor has measured it. What is not known is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowReport {
    /// Bytes that travelled: fewer than those of the stream where it is compressed on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wire_bytes: Option<u64>,
    /// Seconds that are left at the present rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
    /// What it waited for most of the last ten seconds: `source`, `target`, `limit` or `compression`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// For which share of them, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_percent: Option<u8>,
    /// Seconds without a byte, while it sends.
    #[serde(default)]
    pub idle_seconds: u64,
    /// Whether it is compressed, in words; absent where nobody asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
    /// Bytes a second that its limits allow at present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

impl FlowReport {
    /// True when nothing has moved for a minute.
    pub const fn is_stalled(&self) -> bool {
        self.idle_seconds >= STALLED_AFTER_SECONDS
    }

    /// `waits for the target 84 % of the time`: only what was measured.
    pub fn bottleneck(&self) -> Option<String> {
        let (what, percent) = (self.waits_for.as_deref()?, self.waits_percent?);
        Some(match what {
            "source" => format!("the source is slow: waited for it {percent} % of the time"),
            "target" => {
                format!("the target or the way to it is slow: waited for it {percent} % of the time")
            }
            "limit" => format!("held back by its limit {percent} % of the time"),
            "compression" => format!("compression takes {percent} % of the time"),
            other => format!("waits for {other} {percent} % of the time"),
        })
    }
}
