//! Replicas as rows.

use jiff::Timestamp;
use serde::Serialize;
use zfs_sync_api::v1::replica::Replica;

use crate::printer::{
    Cell, Row,
    words::{maybe_ago, span},
};

#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(super) struct ReplicaLine(pub(super) Replica);

impl Row for ReplicaLine {
    const COLUMNS: &'static [&'static str] =
        &["dataset", "on", "state", "recovery point", "behind by", "why", "as of"];
    const FIELDS: &'static [&'static str] = &[
        "group",
        "source_system",
        "source",
        "target_system",
        "target",
        "state",
        "since",
        "reason",
        "recovery_point",
        "snapshot_lag",
        "as_of",
    ];

    fn cells(&self, now: Timestamp) -> Vec<Cell> {
        let replica = &self.0;
        let dataset = if replica.source == replica.target {
            replica.source.clone()
        } else {
            format!("{} → {}", replica.source, replica.target)
        };
        let lag = match (replica.as_of, replica.snapshot_lag) {
            (None, _) => "–".to_owned(),
            (Some(_), 0) => String::new(),
            (Some(_), lag) => lag.to_string(),
        };
        vec![
            Cell::text(dataset),
            Cell::text(&replica.target_system),
            Cell::state(replica.state),
            Cell::text(replica.recovery_point.map_or_else(|| "–".to_owned(), |point| age(now, point))),
            Cell::number(lag),
            Cell::text(replica.reason.as_deref().unwrap_or_default()),
            Cell::text(maybe_ago(now, replica.as_of)),
        ]
    }

    fn fields(&self) -> Vec<String> {
        let replica = &self.0;
        let time = |time: Option<Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
        vec![
            replica.group.clone(),
            replica.source_system.clone(),
            replica.source.clone(),
            replica.target_system.clone(),
            replica.target.clone(),
            replica.state.as_str().to_owned(),
            replica.since.to_string(),
            replica.reason.clone().unwrap_or_default(),
            time(replica.recovery_point),
            replica.as_of.map(|_| replica.snapshot_lag.to_string()).unwrap_or_default(),
            time(replica.as_of),
        ]
    }
}

fn age(now: Timestamp, point: Timestamp) -> String {
    span(now.duration_since(point).as_secs().max(0).unsigned_abs())
}
