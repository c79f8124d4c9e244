//! The fleet in numbers.

use std::collections::BTreeMap;

use zfs_sync_api::v1::sync::Status;
use zfs_sync_core::plan::{Reason, ReplicaState};
use zfs_sync_store::{ReplicaFilter, ReplicaRow, TransferFilter};

use super::{Directory, replica, systems::health};
use crate::{error::Answer, state::AppState};

/// What fits on a screen.
const ATTENTION_SHOWN: usize = 20;

/// How much a person should look at a replica, worst first; `None`: not at all.
fn rank(row: &ReplicaRow) -> Option<u8> {
    let reason = row.reason.as_deref().and_then(Reason::from_code);
    match (row.state, reason) {
        (ReplicaState::Diverged, _) => Some(0),
        (_, Some(Reason::Parked)) => Some(1),
        (ReplicaState::Unknown, _) => Some(2),
        (_, Some(Reason::TargetPoolMissing | Reason::KindMismatch | Reason::NameTooLong)) => Some(3),
        (_, Some(Reason::Backoff)) => Some(4),
        _ => None,
    }
}

/// Systems, replicas and transfers counted, and what to look at.
pub(crate) async fn status(state: &AppState) -> Answer<Status> {
    let now = state.now();
    let directory = Directory::load(state).await?;
    let mut systems = BTreeMap::new();
    for row in directory.systems.values() {
        *systems.entry(health(row, &state.settings, now).to_owned()).or_default() += 1;
    }
    let replicas = state.store.replica_counts(None).await?;
    let unfinished = TransferFilter { unfinished: Some(true), ..TransferFilter::default() };
    let mut transfers = BTreeMap::new();
    for row in state.store.transfers(&unfinished).await? {
        *transfers.entry(row.state.as_str().to_owned()).or_default() += 1;
    }
    let states = ReplicaState::ALL.into_iter();
    // A fleet that is well is mostly in sync; those rows are not even read.
    let states =
        states.filter(|state| !matches!(state, ReplicaState::InSync | ReplicaState::Paused)).collect();
    let rows = state.store.replicas(&ReplicaFilter { states, ..ReplicaFilter::default() }).await?;
    let mut worst: Vec<(u8, ReplicaRow)> =
        rows.into_iter().filter_map(|row| rank(&row).map(|rank| (rank, row))).collect();
    worst.sort_by_key(|(rank, _)| *rank);
    let attention =
        worst.into_iter().take(ATTENTION_SHOWN).map(|(_, row)| replica(row, &directory)).collect();
    Ok(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        systems,
        replicas: replicas.into_iter().map(|(state, count)| (state.as_str().to_owned(), count)).collect(),
        transfers,
        attention,
        as_of: now,
    })
}
