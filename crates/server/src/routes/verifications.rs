//! Verifications, as people ask for them and see them.

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;
use uuid::Uuid;
use zfs_sync_api::{
    codes::ErrorCode,
    v1::{
        key::Role,
        verification::{CreateVerification, Proof, Verification},
    },
};
use zfs_sync_core::{
    guid::Guid,
    ids::{SystemId, VerificationId},
    inventory::Dataset,
    name::{DatasetName, SnapshotName},
};
use zfs_sync_store::{NewVerification, ReplicaFilter, VerificationRow};

use crate::{
    auth::{Actor, Caller},
    error::{Answer, ApiError},
    extract::{Body, Id, Params},
    state::AppState,
    views::{self, Directory},
};

/// What a page of people's lists holds.
const DEFAULT_LIMIT: u64 = 100;
/// An agent that dies so often while it reads a snapshot does so because of it.
pub(crate) const MOST_ATTEMPTS: u32 = 5;

pub(crate) fn not_found(id: VerificationId) -> ApiError {
    ApiError::new(ErrorCode::VerificationNotFound, format!("there is no verification {id}"))
        .hint("`zfs-sync verification list` shows the newest")
}

async fn shown(state: &AppState, row: VerificationRow, caller: &Caller) -> Answer<Json<Verification>> {
    let directory = Directory::load(state).await?;
    Ok(Json(views::show_verification(row, &directory, may_see_names(caller))))
}

/// Names of files are the host's own data.
fn may_see_names(caller: &Caller) -> bool {
    caller.role != Role::System && caller.role >= Role::Operator
}

/// Compares a snapshot on two systems
#[utoipa::path(
    post, path = "/verifications", tag = "verifications", request_body = CreateVerification,
    responses((status = 200, body = Verification)),
)]
pub(super) async fn create_verification(
    State(state): State<AppState>,
    actor: Actor,
    caller: Caller,
    Body(body): Body<CreateVerification>,
) -> Answer<Json<Verification>> {
    let [left, right] = body.between.as_slice() else {
        return Err(ApiError::at("/between", ErrorCode::ValueInvalid, "a comparison has two sides"));
    };
    if body.rate == Some(0) {
        return Err(ApiError::at("/rate", ErrorCode::ValueRange, "nothing is read at no byte a second"));
    }
    let (left, right) = (system(&state, left).await?, system(&state, right).await?);
    let (left_snapshot, right_snapshot) = both_names(&state, &body, left, right).await?;
    let (mut left, mut right) = ((left, left_snapshot), (right, right_snapshot));
    if is_replica(&state, &left, &right).await? {
        // What is found is a proof of the second side, whichever was named first.
        std::mem::swap(&mut left, &mut right);
    }
    let new = NewVerification {
        id: VerificationId::from_uuid(Uuid::now_v7()),
        group: None,
        requested_by: actor.name(),
        deep: body.deep,
        rate: body.rate,
        estimate: 0,
        left,
        right,
    };
    let row = state.store.create_verification(&new, state.now()).await?;
    let detail = json!({
        "left": new.left.1.to_string(), "right": new.right.1.to_string(), "deep": new.deep,
    });
    state.audit(&actor, "verification.create", format!("verification:{}", row.id), detail).await;
    changed(&state, &row).await;
    shown(&state, row, &caller).await
}

/// True when the first is a replica of the second.
async fn is_replica(
    state: &AppState,
    (system, snapshot): &(SystemId, SnapshotName),
    (source_system, source): &(SystemId, SnapshotName),
) -> Answer<bool> {
    let filter = ReplicaFilter {
        target_system: Some(*system),
        targets: vec![snapshot.dataset().clone()],
        ..ReplicaFilter::default()
    };
    let replicas = state.store.replicas(&filter).await?;
    Ok(replicas.iter().any(|row| row.source_system == *source_system && row.source == *source.dataset()))
}

async fn system(state: &AppState, text: &str) -> Answer<SystemId> {
    let row = views::system_named(state, text).await?;
    let missing = || {
        ApiError::at("/between", ErrorCode::SystemNotFound, format!("there is no system {text}"))
            .hint("`zfs-sync system list` shows all")
    };
    Ok(row.ok_or_else(missing)?.id)
}

/// What the snapshot is called on each side. The agents look at GUIDs again; here they only lead to the names.
async fn both_names(
    state: &AppState,
    body: &CreateVerification,
    left: SystemId,
    right: SystemId,
) -> Answer<(SnapshotName, SnapshotName)> {
    let name = &body.snapshot;
    if let Some(guid) = guid_of(state, left, name).await? {
        let on_right =
            same_elsewhere(state, guid, right, body.dataset.as_ref(), (left == right).then_some(name))
                .await?;
        return Ok((name.clone(), on_right));
    }
    if let Some(guid) = guid_of(state, right, name).await? {
        let on_left = same_elsewhere(state, guid, left, None, None).await?;
        return Ok((on_left, name.clone()));
    }
    let detail = format!("neither system has reported a snapshot {name}");
    Err(ApiError::at("/snapshot", ErrorCode::DatasetNotFound, detail))
}

async fn guid_of(state: &AppState, system: SystemId, name: &SnapshotName) -> Answer<Option<Guid>> {
    let dataset = state.store.inventory_dataset(system, name.dataset()).await?;
    let found = dataset.and_then(|dataset: Dataset| {
        dataset.snapshots.into_iter().find(|snapshot| snapshot.label == *name.label())
    });
    Ok(found.map(|snapshot| snapshot.guid))
}

/// The snapshot with this GUID on a system.
async fn same_elsewhere(
    state: &AppState,
    guid: Guid,
    system: SystemId,
    dataset: Option<&DatasetName>,
    but: Option<&SnapshotName>,
) -> Answer<SnapshotName> {
    let holders = state.store.holders(&[guid]).await?;
    let datasets = holders.get(&guid).and_then(|systems| systems.get(&system));
    let candidates = datasets.into_iter().flat_map(|datasets| datasets.keys());
    let other = candidates
        .filter(|name| dataset.is_none_or(|dataset| dataset == *name))
        .find(|name| but.is_none_or(|but| but.dataset() != *name));
    let missing = || {
        let detail = format!(
            "the other system has reported no snapshot with the GUID {guid}{}",
            match dataset {
                Some(dataset) => format!(" in {dataset}"),
                None => String::new(),
            }
        );
        ApiError::at("/snapshot", ErrorCode::DatasetNotFound, detail)
            .hint("`zfs-sync why DATASET@SYSTEM` says how the replica stands")
    };
    let name = other.ok_or_else(missing)?;
    let dataset = state.store.inventory_dataset(system, name).await?.ok_or_else(missing)?;
    let snapshot =
        dataset.snapshots.into_iter().find(|snapshot| snapshot.guid == guid).ok_or_else(missing)?;
    format!("{name}@{}", snapshot.label).parse().map_err(ApiError::internal)
}

/// Which verifications
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct VerificationQuery {
    /// At most so many, newest first; 100 when absent.
    limit: Option<u64>,
}

/// Verifications, newest first
#[utoipa::path(
    get, path = "/verifications", tag = "verifications", params(VerificationQuery),
    responses((status = 200, body = Vec<Verification>)),
)]
pub(super) async fn list_verifications(
    State(state): State<AppState>,
    caller: Caller,
    Params(query): Params<VerificationQuery>,
) -> Answer<Json<Vec<Verification>>> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT).min(i64::MAX.cast_unsigned());
    let directory = Directory::load(&state).await?;
    let rows = state.store.verifications(limit).await?;
    let show = |row| views::show_verification(row, &directory, may_see_names(&caller));
    Ok(Json(rows.into_iter().map(show).collect()))
}

/// One verification
#[utoipa::path(
    get, path = "/verifications/{verification_id}", tag = "verifications",
    params(("verification_id" = uuid::Uuid, Path)), responses((status = 200, body = Verification)),
)]
pub(super) async fn find_verification(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id<VerificationId>,
) -> Answer<Json<Verification>> {
    let row = state.store.verification(id).await?.ok_or_else(|| not_found(id))?;
    shown(&state, row, &caller).await
}

/// Stops a verification
#[utoipa::path(
    post, path = "/verifications/{verification_id}/cancel", tag = "verifications",
    params(("verification_id" = uuid::Uuid, Path)), responses((status = 200, body = Verification)),
)]
pub(super) async fn cancel_verification(
    State(state): State<AppState>,
    actor: Actor,
    caller: Caller,
    Id(id): Id<VerificationId>,
) -> Answer<Json<Verification>> {
    let before = state.store.verification(id).await?.ok_or_else(|| not_found(id))?;
    if before.state.is_finished() {
        let detail = format!("the verification has ended: {}", before.state.as_str());
        return Err(ApiError::new(ErrorCode::VerificationFinished, detail));
    }
    let after = state.store.cancel_verification(id, state.now()).await?.ok_or_else(|| not_found(id))?;
    let detail = json!({ "was": before.state.as_str() });
    state.audit(&actor, "verification.cancel", format!("verification:{id}"), detail).await;
    changed(&state, &after).await;
    shown(&state, after, &caller).await
}

/// What the newest comparisons of each replica with its source say
#[utoipa::path(
    get, path = "/proofs", tag = "verifications", responses((status = 200, body = Vec<Proof>)),
)]
pub(super) async fn list_proofs(State(state): State<AppState>) -> Answer<Json<Vec<Proof>>> {
    Ok(Json(views::proofs(&state).await?))
}

/// Tells everybody whom it concerns.
pub(crate) async fn changed(state: &AppState, row: &VerificationRow) {
    let data = json!({ "verification_id": row.id, "state": row.state.as_str() });
    state.events.publish("verification_changed", data).await;
    state.wake.system(row.left.system);
    state.wake.system(row.right.system);
}
