//! Groups as they are shown.

use std::collections::BTreeMap;

use zfs_sync_api::{
    codes::ErrorCode,
    v1::group::{Group, Member, Note},
};
use zfs_sync_core::{
    group::{GroupMode, SyncGroup},
    ids::GroupId,
    inventory::Inventory,
    name::DatasetName,
    plan::{ReplicaState, Warning},
};
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
    Ok(shown(row, counts, warnings, directory))
}

fn shown(
    row: GroupRow,
    counts: BTreeMap<ReplicaState, u64>,
    warnings: Vec<Note>,
    directory: &Directory,
) -> Group {
    let definition = row.group;
    let source_of_truth = definition.source_of_truth();
    let members = definition.members.iter().map(|id| Member { id: *id, hostname: directory.hostname(*id) });
    Group {
        id: definition.id,
        description: row.description,
        enabled: definition.enabled,
        mode: definition.mode,
        source_of_truth,
        source_of_truth_name: source_of_truth.map(|id| directory.hostname(id)),
        hub: definition.hub,
        hub_name: directory.hostname(definition.hub),
        systems: members.collect(),
        datasets: definition.include,
        exclude: definition.exclude,
        mappings: definition.mappings,
        member_mappings: definition.member_mappings,
        auto: definition.auto,
        on_divergence: definition.on_divergence,
        allow_destroy: definition.allow_destroy,
        mirror_deletes: definition.mirror_deletes,
        follow_renames: definition.follow_renames,
        profile: definition.profile,
        limit: row.limit,
        compression: row.compression,
        transport: row.transport,
        sync_interval_seconds: row.sync_interval_seconds,
        directional: source_of_truth.is_some(),
        hub_system_id: source_of_truth,
        system_ids: definition.members,
        extra_metadata: row.extra_metadata,
        replicas: counts.into_iter().map(|(state, count)| (state.as_str().to_owned(), count)).collect(),
        warnings,
        created_at: row.created_at,
        updated_at: row.updated_at,
        name: definition.name,
    }
}

/// The group with this identity, with every doubt about it.
pub(crate) async fn group(state: &AppState, id: GroupId) -> Answer<Group> {
    let row = state.store.group(id).await?.ok_or_else(|| {
        ApiError::new(ErrorCode::GroupNotFound, format!("Sync group not found: {id}"))
            .hint("`zfs-sync group list` shows all")
    })?;
    let warnings = doubts(state, &row.group).await?;
    show_group(state, row, warnings, &Directory::load(state).await?).await
}

/// What may be wrong with a group, given what the members have that its datasets are named after.
pub(crate) async fn doubts(state: &AppState, group: &SyncGroup) -> Answer<Vec<Note>> {
    let mut inventories = Vec::new();
    for home in group.homes() {
        inventories.extend(state.store.inventory(home).await?);
    }
    Ok(doubts_of(group, &inventories.iter().collect::<Vec<_>>()))
}

/// The same, from inventories that were read before.
pub(crate) fn doubts_of(group: &SyncGroup, homes: &[&Inventory]) -> Vec<Note> {
    if homes.is_empty() {
        return Vec::new();
    }
    let names = || homes.iter().flat_map(|inventory| inventory.datasets.keys());
    let mut notes = Vec::new();
    if !names().any(|name| group.selects(name)) {
        let whose = match group.mode {
            GroupMode::ManyToOne => "any source",
            GroupMode::Mesh => "the hub",
            GroupMode::OneWay | GroupMode::Chain | GroupMode::Local => "the source of truth",
        };
        let detail =
            format!("the patterns match no dataset of {whose} yet; they apply as soon as one appears");
        notes.push(Note { code: Warning::SelectorEmpty.code().to_owned(), detail });
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
    let mut summaries = state.store.replica_summaries().await?;
    let rows = state.store.groups().await?.into_iter().map(|row| {
        let counts = summaries.remove(&row.group.id).unwrap_or_default().states;
        shown(row, counts, Vec::new(), &directory)
    });
    Ok(rows.collect())
}
