//! Groups as they are shown.

use zfs_sync_api::{
    codes::ErrorCode,
    v1::group::{Group, Member, Note},
};
use zfs_sync_core::{group::SyncGroup, ids::GroupId, inventory::Inventory, name::DatasetName, plan::Warning};
use zfs_sync_store::GroupRow;

use super::Directory;
use crate::{
    error::{Answer, ApiError},
    state::AppState,
};

/// One group, with its replicas counted as they were last planned.
pub(crate) async fn show_group(
    state: &AppState,
    row: GroupRow,
    warnings: Vec<Note>,
    directory: &Directory,
) -> Answer<Group> {
    let counts = state.store.replica_counts(Some(row.group.id)).await?;
    let definition = row.group;
    let members = definition.members.iter().map(|id| Member { id: *id, hostname: directory.hostname(*id) });
    Ok(Group {
        id: definition.id,
        description: row.description,
        enabled: definition.enabled,
        mode: definition.mode,
        source_of_truth: definition.source_of_truth,
        source_of_truth_name: directory.hostname(definition.source_of_truth),
        systems: members.collect(),
        datasets: definition.include,
        exclude: definition.exclude,
        mappings: definition.mappings,
        auto: definition.auto,
        on_divergence: definition.on_divergence,
        sync_interval_seconds: row.sync_interval_seconds,
        directional: true,
        hub_system_id: Some(definition.source_of_truth),
        system_ids: definition.members,
        extra_metadata: row.extra_metadata,
        replicas: counts.into_iter().map(|(state, count)| (state.as_str().to_owned(), count)).collect(),
        warnings,
        created_at: row.created_at,
        updated_at: row.updated_at,
        name: definition.name,
    })
}

/// The group with this identity, with every doubt about it.
pub(crate) async fn group(state: &AppState, id: GroupId) -> Answer<Group> {
    let row = state.store.group(id).await?.ok_or_else(|| {
        ApiError::new(ErrorCode::GroupNotFound, format!("Sync group not found: {id}"))
            .hint("`zfs-sync group list` shows all")
    })?;
    let inventory = state.store.inventory(row.group.source_of_truth).await?;
    let warnings = inventory.map(|inventory| doubts(&row.group, &inventory)).unwrap_or_default();
    show_group(state, row, warnings, &Directory::load(state).await?).await
}

/// What may be wrong with a group, given what its source of truth has.
pub(crate) fn doubts(group: &SyncGroup, inventory: &Inventory) -> Vec<Note> {
    let names = || inventory.datasets.keys();
    let mut notes = Vec::new();
    if !names().any(|name| group.selects(name)) {
        let detail =
            "the patterns match no dataset of the source of truth yet; they apply as soon as one appears";
        notes.push(Note { code: Warning::SelectorEmpty.code().to_owned(), detail: detail.to_owned() });
    }
    for pattern in &group.include {
        let Ok(dataset) = pattern.as_str().parse::<DatasetName>() else { continue };
        let below = |name: &&DatasetName| name.is_within(&dataset) && **name != dataset;
        let excluded = |name: &DatasetName| group.exclude.iter().any(|pattern| pattern.matches(name));
        let left_out = names().filter(below).filter(|name| !group.selects(name) && !excluded(name)).count();
        if left_out > 0 {
            let detail = format!(
                "{left_out} datasets below {dataset} are not selected; a pattern without wildcard means that dataset alone. \
                 Use `{dataset}/**` for all of them"
            );
            notes.push(Note { code: Warning::ChildrenNotSelected.code().to_owned(), detail });
        }
    }
    notes
}

/// All groups by name. Doubts are told for single groups only: finding them reads the source's whole inventory.
pub(crate) async fn groups(state: &AppState) -> Answer<Vec<Group>> {
    let directory = Directory::load(state).await?;
    let mut shown = Vec::new();
    for row in state.store.groups().await? {
        shown.push(show_group(state, row, Vec::new(), &directory).await?);
    }
    Ok(shown)
}
