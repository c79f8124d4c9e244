//! Compares replicas by itself, as groups' schedules say: one at a time in each group, the one that was longest not proven first.

use jiff::SignedDuration;
use uuid::Uuid;
use zfs_sync_core::{
    guid::Guid,
    ids::{SystemId, VerificationId},
    name::{DatasetName, SnapshotName},
    plan::ReplicaState,
    verify::{Candidate, choose},
};
use zfs_sync_store::{Error as StoreError, NewVerification, ReplicaFilter, ReplicaRow, ScheduleRow};

use crate::{error::Answer, routes::verifications::changed, state::AppState};

/// Over which the budget is counted. Also how long a verification waits for an agent: one that is switched off in the evening comes back by
/// then, and one that is too old to know of verifications never does.
const DAY: SignedDuration = SignedDuration::from_hours(24);

pub(crate) async fn pass(state: &AppState) -> Answer<()> {
    give_up(state).await?;
    for schedule in state.store.verification_schedules().await? {
        let group = state.store.group(schedule.group).await?;
        if group.is_some_and(|row| row.group.enabled) {
            begin_next(state, &schedule).await?;
        }
    }
    Ok(())
}

async fn give_up(state: &AppState) -> Answer<()> {
    let now = state.now();
    let Ok(a_day_ago) = now.checked_sub(DAY) else { return Ok(()) };
    for row in state.store.give_up_verifications(a_day_ago, now).await? {
        tracing::warn!(verification = %row.id, "no agent came for verification {}; it proves nothing", row.id);
        changed(state, &row).await;
    }
    Ok(())
}

async fn begin_next(state: &AppState, schedule: &ScheduleRow) -> Answer<()> {
    let now = state.now();
    let every = SignedDuration::try_from(schedule.every).unwrap_or(SignedDuration::MAX);
    let since = now.checked_sub(every.max(DAY)).unwrap_or(now);
    let made = state.store.scheduled_verifications(schedule.group, since).await?;
    if made.iter().any(|row| !row.state.is_finished()) {
        return Ok(());
    }
    let a_day_ago = now.checked_sub(DAY).unwrap_or(now);
    let spent: u64 = made.iter().filter(|row| row.created_at > a_day_ago).map(|row| row.estimate).sum();
    if spent >= schedule.budget {
        return Ok(());
    }
    let proofs = state.store.proofs().await?;
    let filter = ReplicaFilter { group: Some(schedule.group), ..ReplicaFilter::default() };
    let mut candidates = Vec::new();
    for replica in state.store.replicas(&filter).await? {
        // A transfer moves what is read, and both would be slow; a state that is not known proves nothing.
        if !matches!(replica.state, ReplicaState::InSync | ReplicaState::Behind) {
            continue;
        }
        let Some(point) = &replica.report.newest_common else { continue };
        let is_it = |system: SystemId, dataset: &DatasetName| {
            system == replica.target_system && *dataset == replica.target
        };
        let tried = made
            .iter()
            // Also what somebody has cancelled: not to see it again a moment later.
            .filter(|row| is_it(row.right.system, row.right.snapshot.dataset()))
            .map(|row| row.created_at);
        let proven = proofs.iter().filter(|proof| proof.deep && is_it(proof.system, &proof.dataset));
        let last = tried.chain(proven.map(|proof| proof.at)).max();
        let guid = point.guid;
        candidates.push(Candidate { bytes: 0, last, replica: (replica, guid) });
    }
    // Only what waits longest is looked at in detail.
    candidates.sort_by_key(|candidate| candidate.last);
    for candidate in candidates {
        if !candidate.is_due(schedule.every, now) {
            return Ok(());
        }
        let Candidate { replica: (replica, guid), last, .. } = candidate;
        let Some((left, right, bytes)) = names(state, &replica, guid).await? else { continue };
        let candidate = Candidate { replica: (left, right), bytes, last };
        let Some(chosen) = choose([candidate], schedule.every, schedule.budget, spent, now) else {
            // Nobody overtakes who waits longer.
            return Ok(());
        };
        let (left, right) = chosen.replica;
        let new = NewVerification {
            id: VerificationId::from_uuid(Uuid::now_v7()),
            group: Some(schedule.group),
            requested_by: "schedule".to_owned(),
            deep: true,
            rate: schedule.rate,
            estimate: chosen.bytes,
            left: (replica.source_system, left),
            right: (replica.target_system, right),
        };
        let row = match state.store.create_verification(&new, now).await {
            Ok(row) => row,
            // Another witness has looked at the same schedule.
            Err(StoreError::Conflict { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        tracing::info!(verification = %row.id, "verification {} of {} begins as its group's schedule says", row.id, row.right.snapshot);
        changed(state, &row).await;
        return Ok(());
    }
    Ok(())
}

/// What the snapshot is called on both sides, and how much it refers to; `None` when one of them has it no longer.
async fn names(
    state: &AppState,
    replica: &ReplicaRow,
    guid: Guid,
) -> Answer<Option<(SnapshotName, SnapshotName, u64)>> {
    let left = state.store.inventory_dataset(replica.source_system, &replica.source).await?;
    let right = state.store.inventory_dataset(replica.target_system, &replica.target).await?;
    let (Some(left), Some(right)) = (left, right) else { return Ok(None) };
    let find = |dataset: &zfs_sync_core::inventory::Dataset| {
        let found = dataset.snapshots.iter().find(|snapshot| snapshot.guid == guid)?;
        let name = format!("{}@{}", dataset.name, found.label).parse::<SnapshotName>().ok()?;
        Some((name, found.referenced))
    };
    // The base may be only a bookmark on the source.
    let (Some((left, one)), Some((right, other))) = (find(&left), find(&right)) else { return Ok(None) };
    Ok(Some((left, right, one.max(other))))
}
