//! Why a replica is as it is: `DATASET@SYSTEM`.

use zfs_sync_api::{codes::ErrorCode, v1::replica::Replica};
use zfs_sync_core::{ids::SystemId, name::DatasetName};
use zfs_sync_store::{ReplicaFilter, ReplicaRow, SystemRow};

use super::{Directory, replica};
use crate::{
    error::{Answer, ApiError},
    state::AppState,
};

/// `DATASET@SYSTEM`, in its two parts; `pointer` is where it stands in the request.
pub(crate) fn selector<'a>(text: &'a str, pointer: &str) -> Answer<(DatasetName, &'a str)> {
    // From the right: no host name has an `@`, and a dataset has none either.
    let Some((dataset, system)) = text.rsplit_once('@') else {
        let detail = "expected DATASET@SYSTEM, for example backup/media@nas2";
        return Err(ApiError::at(pointer, ErrorCode::SelectorInvalid, detail));
    };
    let dataset = dataset
        .parse()
        .map_err(|error| ApiError::at(pointer, ErrorCode::NameInvalid, format!("before the @: {error}")))?;
    Ok((dataset, system))
}

/// The system with this host name or identity.
pub(crate) async fn system_named(state: &AppState, text: &str) -> Answer<Option<SystemRow>> {
    match text.parse::<SystemId>() {
        Ok(id) => Ok(state.store.system(id).await?),
        Err(_) => Ok(state.store.system_by_hostname(text).await?),
    }
}

/// Replicas of the dataset (by its name on the target or on the source) on that system, in every group.
pub(crate) async fn replicas_on(
    state: &AppState,
    dataset: &DatasetName,
    system: &SystemRow,
) -> Answer<Vec<ReplicaRow>> {
    let filter = ReplicaFilter {
        target_system: Some(system.id),
        dataset: Some(dataset.clone()),
        ..ReplicaFilter::default()
    };
    Ok(state.store.replicas(&filter).await?)
}

/// Every group's replica of the dataset (by its name on the target or on the source) on that system.
pub(crate) async fn explain(state: &AppState, text: &str) -> Answer<Vec<Replica>> {
    let (dataset, system) = selector(text, "?replica")?;
    let Some(system) = system_named(state, system).await? else {
        let detail = format!("there is no system {system}");
        return Err(ApiError::at("?replica", ErrorCode::SystemNotFound, detail)
            .hint("`zfs-sync system list` shows all"));
    };
    let rows = replicas_on(state, &dataset, &system).await?;
    if rows.is_empty() {
        let detail = format!("no group replicates {dataset} to {}", system.hostname);
        return Err(ApiError::at("?replica", ErrorCode::ReplicaNotFound, detail)
            .hint("after the @ stands the system that receives; `zfs-sync group show GROUP` lists what is replicated"));
    }
    let directory = Directory::load(state).await?;
    Ok(rows.into_iter().map(|row| replica(row, &directory)).collect())
}
