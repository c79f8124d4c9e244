//! What tables show: wire types with their figures put into words.

use std::collections::BTreeMap;

use zfs_sync_api::v1::{replica::Replica, system::System, transfer::Transfer};
use zfs_sync_core::{plan::ReplicaState, size::ByteCount, time::Timestamp};

/// `12 m ago`; `never` without a time.
pub(super) fn ago(time: Option<Timestamp>, now: Timestamp) -> String {
    time.map_or_else(|| "never".to_owned(), |time| format!("{} ago", span(time, now)))
}

/// `12 m`, from one time to another; nothing is ever negative, clocks differ.
pub(super) fn span(from: Timestamp, to: Timestamp) -> String {
    let seconds = (to.as_second() - from.as_second()).max(0);
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} m", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86400),
    }
}

pub(super) fn clock(time: Timestamp) -> String {
    time.strftime("%H:%M:%S").to_string()
}

/// `2 diverged, 5 behind, 193 in sync`: worst first.
pub(super) fn counts_in_words(counts: &BTreeMap<String, u64>) -> String {
    let words: Vec<String> =
        by_severity(counts).into_iter().map(|(state, count)| format!("{count} {}", state.words())).collect();
    if words.is_empty() { "no replicas yet".to_owned() } else { words.join(", ") }
}

/// States with their counts, worst first, without zeros.
pub(super) fn by_severity(counts: &BTreeMap<String, u64>) -> Vec<(ReplicaState, u64)> {
    use ReplicaState::{Behind, Diverged, InSync, NeverSeeded, Paused, Syncing, Unknown};
    [Diverged, Unknown, NeverSeeded, Behind, Syncing, Paused, InSync]
        .into_iter()
        .filter_map(|state| {
            counts.get(state.as_str()).filter(|count| **count > 0).map(|count| (state, *count))
        })
        .collect()
}

/// Where a replica is explained.
pub(super) fn why_link(target: &str, target_system: &str) -> String {
    let query: String = format!("{target}@{target_system}")
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/' | b'@' | b':' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect();
    format!("/dashboard/why?replica={query}")
}

/// A replica in a list.
#[derive(Debug)]
pub(super) struct ReplicaRow {
    pub(super) link: String,
    /// Of the link, the same each time, so that the keyboard's focus survives a refresh.
    pub(super) id: String,
    pub(super) since: String,
    /// The recovery point's age, or why there is none.
    pub(super) age: String,
    pub(super) replica: Replica,
}

impl ReplicaRow {
    pub(super) fn new(replica: Replica, now: Timestamp) -> Self {
        let age = match replica.recovery_point {
            Some(point) => format!("{} old", span(point, now)),
            None => "no recovery point".to_owned(),
        };
        let age =
            if replica.snapshot_lag > 0 { format!("{age}, {} behind", replica.snapshot_lag) } else { age };
        let link = why_link(&replica.target, &replica.target_system);
        let id = format!("{}{link}", replica.group_id);
        Self { link, id, since: ago(Some(replica.since), now), age, replica }
    }
}

/// A system in a list.
#[derive(Debug)]
pub(super) struct SystemRow {
    pub(super) last_seen: String,
    pub(super) inventory: String,
    pub(super) zfs: String,
    pub(super) agent: String,
    /// Each pool in words, and whether all is well with it.
    pub(super) pools: Vec<(String, bool)>,
    pub(super) system: System,
}

impl SystemRow {
    pub(super) fn new(system: System, pools: Vec<(String, bool)>, now: Timestamp) -> Self {
        Self {
            last_seen: ago(system.last_seen, now),
            inventory: ago(system.inventory_as_of, now),
            zfs: system.zfs_version.clone().unwrap_or_else(|| "unknown".into()),
            agent: system.agent_version.clone().unwrap_or_else(|| "none".into()),
            pools,
            system,
        }
    }
}

/// A transfer in a list.
#[derive(Debug)]
pub(super) struct TransferRow {
    pub(super) state: String,
    pub(super) percent: Option<u64>,
    pub(super) bytes: String,
    pub(super) rate: String,
    /// What else was measured of it, in words.
    pub(super) flow: String,
    pub(super) error: String,
    pub(super) next_attempt: Option<String>,
    pub(super) finished: String,
    pub(super) transfer: Transfer,
}

impl TransferRow {
    pub(super) fn new(transfer: Transfer, now: Timestamp) -> Self {
        let state = match transfer.state.as_str() {
            "leased" if transfer.stalled => "stalled",
            "leased" => "running",
            "queued" if transfer.attempts > 0 => "waiting to try again",
            "stale" => "planned anew",
            other => other,
        };
        let total = transfer.total.filter(|total| *total > 0);
        // An estimate can be too small; more than 99 % is only said of what has ended.
        let percent = total
            .filter(|_| transfer.state == "leased")
            .map(|total| (transfer.bytes.saturating_mul(100) / total).min(99));
        let mut bytes = ByteCount(transfer.bytes).to_string();
        if let Some(total) = total.filter(|_| transfer.finished_at.is_none()) {
            bytes = format!("{bytes} of ~{}", ByteCount(total));
        }
        if let Some(resumed) = transfer.resumed_from {
            bytes = format!("{bytes}, resumed after {}", ByteCount(resumed));
        }
        let rate = if transfer.state == "leased" && transfer.rate > 0 {
            format!("{}/s", ByteCount(transfer.rate))
        } else {
            "–".to_owned()
        };
        let flow = flow_words(&transfer);
        let error = transfer
            .error_detail
            .as_deref()
            .unwrap_or_default()
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned();
        let next_attempt =
            transfer.next_attempt_at.filter(|at| transfer.finished_at.is_none() && *at > now).map(clock);
        Self {
            state: state.to_owned(),
            percent,
            bytes,
            rate,
            flow,
            error,
            next_attempt,
            finished: ago(transfer.finished_at, now),
            transfer,
        }
    }
}

/// What is left, and what is slow: only what its executor has measured.
fn flow_words(transfer: &Transfer) -> String {
    let Some(flow) = transfer.flow.as_ref().filter(|_| transfer.state == "leased") else {
        return String::new();
    };
    let left = flow.seconds_left.map(|seconds| match seconds {
        0..120 => format!("{seconds} s left"),
        120..7200 => format!("{} min left", seconds / 60),
        _ => format!("{} h left", seconds / 3600),
    });
    let stalled = transfer.stalled.then(|| format!("nothing moved for {} s", flow.idle_seconds));
    let compression = flow.compression.as_ref().map(|words| format!("compression {words}"));
    [left, stalled, flow.bottleneck(), compression].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0, "0 s")]
    #[case(119, "119 s")]
    #[case(120, "2 m")]
    #[case(7200, "2 h")]
    #[case(172_800, "2 d")]
    #[case(-5, "0 s")]
    fn spans_are_short_and_never_negative(#[case] seconds: i64, #[case] expected: &str) {
        let start = Timestamp::from_second(1_000_000).unwrap();
        let end = Timestamp::from_second(1_000_000 + seconds).unwrap();
        assert_eq!(span(start, end), expected);
    }

    #[test]
    fn counts_begin_with_the_worst() {
        let counts = BTreeMap::from([
            ("in_sync".to_owned(), 193),
            ("diverged".to_owned(), 2),
            ("behind".to_owned(), 0),
        ]);
        assert_eq!(counts_in_words(&counts), "2 diverged, 193 in sync");
        assert_eq!(counts_in_words(&BTreeMap::new()), "no replicas yet");
    }
}
