//! What is told of each dataset in the end.

use jiff::Timestamp;
use serde::Serialize;
use zfs_sync_core::{name::DatasetName, plan::ReplicaState};

use crate::printer::{
    Cell, Row,
    words::{count, rate, size},
};

/// What was done for one dataset, and how it stands now.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    pub(super) source: DatasetName,
    pub(super) target: DatasetName,
    pub(super) state: ReplicaState,
    /// True when everything that the source had at the start is on the target.
    pub(super) arrived: bool,
    pub(super) snapshots: u32,
    pub(super) bytes: u64,
    pub(super) seconds: f64,
    /// Bytes that an earlier attempt had already brought.
    pub(super) resumed_from: Option<u64>,
    pub(super) reason: Option<String>,
    pub(super) error: Option<Trouble>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Trouble {
    pub(super) code: String,
    pub(super) detail: String,
}

impl Row for Line {
    const COLUMNS: &'static [&'static str] = &["dataset", "state", "sent", "rate", "note"];
    const FIELDS: &'static [&'static str] = &[
        "source",
        "target",
        "state",
        "arrived",
        "snapshots",
        "bytes",
        "seconds",
        "resumed_from",
        "reason",
        "error",
    ];

    fn cells(&self, _now: Timestamp) -> Vec<Cell> {
        let name = if self.source == self.target {
            self.source.to_string()
        } else {
            format!("{} → {}", self.source, self.target)
        };
        let sent = match self.snapshots {
            0 => "nothing".to_owned(),
            number => format!("{}, {}", count(u64::from(number), "snapshot"), size(self.bytes)),
        };
        let resumed = self.resumed_from.map(|from| format!("resumed at {}", size(from)));
        let error = self.error.as_ref().map(|error| error.code.clone());
        let note: Vec<String> =
            [resumed, error, self.reason.clone().filter(|_| !self.arrived)].into_iter().flatten().collect();
        vec![
            Cell::text(name),
            Cell::state(self.state),
            Cell::text(sent),
            Cell::text(self.rate()),
            Cell::text(note.join(", ")),
        ]
    }

    fn fields(&self) -> Vec<String> {
        vec![
            self.source.to_string(),
            self.target.to_string(),
            self.state.as_str().to_owned(),
            self.arrived.to_string(),
            self.snapshots.to_string(),
            self.bytes.to_string(),
            format!("{:.3}", self.seconds),
            self.resumed_from.map(|from| from.to_string()).unwrap_or_default(),
            self.reason.clone().unwrap_or_default(),
            self.error.as_ref().map(|error| error.code.clone()).unwrap_or_default(),
        ]
    }
}

impl Line {
    fn rate(&self) -> String {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "three digits are shown"
        )]
        let per_second = if self.seconds > 0.0 { (self.bytes as f64 / self.seconds) as u64 } else { 0 };
        rate(per_second)
    }
}
