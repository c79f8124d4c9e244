//! The fleet in numbers.

use std::collections::BTreeMap;

use zfs_sync_api::v1::sync::Status;
use zfs_sync_core::plan::{Reason, ReplicaState};
use zfs_sync_store::{ReplicaFilter, ReplicaRow};

use super::{Directory, replica, systems::health};
use crate::{error::Answer, state::AppState};

/// What fits on a screen.
const ATTENTION_SHOWN: usize = 20;

/// What a person should look at, worst first: states, and the reasons in them; no reason stands for any.
const WORST_FIRST: [(&[ReplicaState], &[Reason]); 5] = [
    (&[ReplicaState::Diverged], &[]),
    (&[], &[Reason::Parked]),
    (&[ReplicaState::Unknown], &[]),
    (
        &[],
        &[
            Reason::TargetPoolMissing,
            Reason::KindMismatch,
            Reason::NameTooLong,
            Reason::MappingCollision,
            Reason::NotMapped,
            Reason::DeleteBrake,
            Reason::SourceRenamed,
        ],
    ),
    (&[], &[Reason::Backoff]),
];

/// The worst replicas, each once. A fleet that is well is mostly in sync; those rows are not even read.
async fn attention(state: &AppState) -> Answer<Vec<ReplicaRow>> {
    let mut worst: Vec<ReplicaRow> = Vec::new();
    for (states, reasons) in WORST_FIRST {
        let filter = ReplicaFilter {
            states: states.to_vec(),
            reasons: reasons.iter().map(|reason| reason.code().to_owned()).collect(),
            // Some may be in the list already.
            limit: Some(ATTENTION_SHOWN as u64),
            ..ReplicaFilter::default()
        };
        for row in state.store.replicas(&filter).await? {
            let known = worst.iter().any(|other| other.group == row.group && other.key() == row.key());
            if !known && worst.len() < ATTENTION_SHOWN {
                worst.push(row);
            }
        }
        if worst.len() == ATTENTION_SHOWN {
            break;
        }
    }
    Ok(worst)
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
    let transfers = state.store.unfinished_transfer_counts().await?;
    let attention = attention(state).await?.into_iter().map(|row| replica(row, &directory)).collect();
    let proofs = super::standing(&super::proofs(state).await?);
    Ok(Status {
        proofs,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        systems,
        replicas: replicas.into_iter().map(|(state, count)| (state.as_str().to_owned(), count)).collect(),
        transfers: transfers.into_iter().map(|(state, count)| (state.as_str().to_owned(), count)).collect(),
        attention,
        as_of: now,
    })
}
