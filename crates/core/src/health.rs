//! Health of pools, as hosts report it.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// One pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolHealth {
    /// Its name.
    pub name: String,
    /// `ONLINE`, `DEGRADED`, `FAULTED`, `SUSPENDED`, …
    pub state: String,
    /// What is wrong, in the words of ZFS; `None` when nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What it says of the newest scrub or resilver; `None` before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan: Option<String>,
    /// When the newest scrub ended; `None` when the newest scan was none, or has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrubbed_at: Option<Timestamp>,
    /// How many errors that scrub found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrub_errors: Option<u64>,
    /// What it says of damaged data; `None` when no error is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<String>,
}

impl PoolHealth {
    /// True when nothing is known to be wrong with it.
    pub fn is_well(&self) -> bool {
        self.state == "ONLINE" && self.errors.is_none() && self.scrub_errors.unwrap_or(0) == 0
    }
}
