//! Systems as they are shown.

use std::time::Duration;

use zfs_sync_api::v1::system::System;
use zfs_sync_core::time::Timestamp;
use zfs_sync_store::{InventorySizes, SystemRow};

use crate::{error::Answer, planning::listener, settings::Settings, state::AppState};

/// Shorter intervals than this would make a system stale by an ordinary pause of its host.
const SHORTEST_PATIENCE: Duration = Duration::from_secs(5);

/// How long a system may be silent.
fn patience(row: &SystemRow, settings: &Settings) -> Duration {
    match row.inventory_interval_ms {
        Some(interval) => {
            Duration::from_millis(interval).saturating_mul(settings.stale_reports).max(SHORTEST_PATIENCE)
        }
        None => settings.heartbeat_timeout,
    }
}

fn is_within(then: Timestamp, now: Timestamp, patience: Duration) -> bool {
    // A clock that was set back makes reports come from the future: a few seconds are nothing, but from next year one would look fresh for
    // a year. What is not known is unknown; the next report, moments later, has the new time.
    now.duration_since(then).unsigned_abs() <= patience
}

/// True when its newest complete report may be acted on.
pub(crate) fn is_fresh(row: &SystemRow, settings: &Settings, now: Timestamp) -> bool {
    row.inventory_as_of.is_some_and(|as_of| is_within(as_of, now, patience(row, settings)))
}

/// The longest that a system may be silent while others destroy copies because it has one as well, whatever its agent has announced.
const MOST_PATIENCE_FOR_COPIES: Duration = Duration::from_mins(10);

/// True when its newest complete report is new enough to destroy another copy because of it, and so is what that report shows. An agent that
/// does not say when it looked is not relied on: its report may have been on its way for as long as you like.
pub(crate) fn is_heard(row: &SystemRow, settings: &Settings, now: Timestamp) -> bool {
    let patience = patience(row, settings).min(MOST_PATIENCE_FOR_COPIES);
    // To look at a large host may take longer than it may be silent.
    row.inventory_as_of.is_some_and(|as_of| is_within(as_of, now, patience))
        && row
            .inventory_looked_at
            .is_some_and(|looked_at| is_within(looked_at, now, MOST_PATIENCE_FOR_COPIES))
}

/// `healthy`, `degraded`, `offline` or `unknown`. An agent that answers but can not say what its host has is no healthy one.
pub(crate) fn health(row: &SystemRow, settings: &Settings, now: Timestamp) -> &'static str {
    let patience = patience(row, settings).min(settings.heartbeat_timeout);
    match row.last_seen {
        None => "unknown",
        Some(seen) if is_within(seen, now, patience) => {
            if row.agent_version.is_some() && !is_fresh(row, settings, now) { "degraded" } else { "healthy" }
        }
        Some(_) => "offline",
    }
}

/// One system.
pub(crate) fn show_system(
    row: &SystemRow,
    sizes: InventorySizes,
    settings: &Settings,
    now: Timestamp,
) -> System {
    let health = health(row, settings, now);
    let connectivity_status = match (row.connectivity_status.as_str(), health) {
        // The stored word is that of the last sign of life.
        ("online", "offline") => "offline".to_owned(),
        (stored, _) => stored.to_owned(),
    };
    System {
        hostname: row.hostname.to_string(),
        platform: row.platform.clone(),
        connectivity_status,
        ssh_hostname: row.ssh_hostname.as_ref().map(ToString::to_string),
        ssh_user: row.ssh_user.clone(),
        ssh_port: row.ssh_port,
        extra_metadata: row.extra_metadata.clone(),
        id: row.id,
        last_seen: row.last_seen,
        created_at: row.created_at,
        updated_at: row.updated_at,
        api_key: None,
        agent_version: row.agent_version.clone(),
        zfs_version: row.zfs_version.clone(),
        transfer_address: listener(row).map(|at| format!("{}:{}", at.host, at.port)),
        certificate_expires_at: row.certificate_expires_at,
        inventory_as_of: row.inventory_as_of,
        datasets: sizes.datasets,
        snapshots: sizes.snapshots,
        health: health.to_owned(),
        limit: row.limit.clone(),
    }
}

/// All systems by name.
pub(crate) async fn systems(state: &AppState) -> Answer<Vec<System>> {
    systems_page(state, 0, i64::MAX.cast_unsigned()).await
}

/// Systems by name; `limit` of them after the first `skip`.
pub(crate) async fn systems_page(state: &AppState, skip: u64, limit: u64) -> Answer<Vec<System>> {
    let now = state.now();
    let mut shown = Vec::new();
    for row in state.store.systems(skip, limit).await? {
        let sizes = state.store.inventory_sizes(row.id).await?;
        shown.push(show_system(&row, sizes, &state.settings, now));
    }
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0, true)]
    #[case(-5, true)]
    #[case(-6, false)]
    #[case(5, true)]
    #[case::clock_set_back_a_day(86_400, false)]
    fn what_is_fresh_lies_near_the_present(#[case] seconds: i64, #[case] fresh: bool) {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let then = now + jiff::SignedDuration::from_secs(seconds);
        assert_eq!(is_within(then, now, Duration::from_secs(5)), fresh);
    }
}
