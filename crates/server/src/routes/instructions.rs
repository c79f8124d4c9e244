//! Instructions of the v1 contract: what the planner would do, for clients that do it themselves.

use std::collections::BTreeSet;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;
use zfs_sync_api::v1::sync::{Instruction, Instructions, SyncAction};
use zfs_sync_core::{
    group::SyncGroup,
    ids::{GroupId, SystemId},
    plan::{Action, Reason, Send, Step},
};
use zfs_sync_store::{ReplicaFilter, SystemRow};

use crate::{
    command_line,
    error::Answer,
    extract::{Id, Params},
    planning::{self, Fleet},
    state::AppState,
};

/// What is asked for
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct InstructionsQuery {
    /// Only of this group.
    #[param(value_type = Option<uuid::Uuid>)]
    sync_group_id: Option<GroupId>,
    /// Say also why nothing is instructed for the rest.
    include_diagnostics: Option<bool>,
    /// Add the older `actions` for the source.
    include_commands: Option<bool>,
}

/// What a system should send or will be sent, by its newest reports; starts nothing
#[utoipa::path(
    get, path = "/sync/instructions/{system_id}", tag = "sync",
    params(("system_id" = uuid::Uuid, Path), InstructionsQuery), responses((status = 200, body = Instructions)),
)]
pub(super) async fn get_instructions(
    State(state): State<AppState>,
    Id(asker): Id<SystemId>,
    Params(query): Params<InstructionsQuery>,
) -> Answer<Json<Instructions>> {
    let mut groups = state.store.groups_of_system(asker).await?;
    groups.retain(|row| row.group.enabled && query.sync_group_id.is_none_or(|id| id == row.group.id));
    let mut fleet = Fleet::load(&state).await?;
    let definitions: Vec<&SyncGroup> = groups.iter().map(|row| &row.group).collect();
    planning::refresh(&state, &mut fleet, &definitions).await?;
    let (mut datasets, mut actions, mut diagnostics) = (Vec::new(), Vec::new(), Vec::new());
    let mut from_groups = BTreeSet::new();
    for row in &groups {
        let filter =
            ReplicaFilter { group: Some(row.group.id), system: Some(asker), ..ReplicaFilter::default() };
        let replicas = state.store.replicas(&filter).await?;
        let steps = replicas.iter().filter_map(|replica| replica.report.step.as_ref());
        for step in steps.filter(|step| concerns(asker, step)) {
            let systems = (fleet.systems.get(&step.source_system), fleet.systems.get(&step.target_system));
            let (Action::Send(send), (Some(source), Some(target))) = (&step.action, systems) else {
                continue;
            };
            datasets.push(instruction(asker, &row.group, step, send, source, target));
            if asker == step.source_system {
                actions.push(action(&row.group, step, send, source, target));
                from_groups.insert(row.group.id.as_uuid());
            }
        }
        for replica in replicas.iter().map(|row| &row.report) {
            if let (true, Some(reason)) = (replica.step.is_none(), replica.reason) {
                let level = if matches!(reason, Reason::NoNewSnapshot | Reason::DeletesHeldBack) {
                    "info"
                } else {
                    "warning"
                };
                let message = format!("{}: {}", reason.code(), replica.next);
                diagnostics.push(json!({ "level": level, "message": message, "dataset": replica.source }));
            }
        }
    }
    if datasets.is_empty() && diagnostics.is_empty() {
        let message =
            if groups.is_empty() { "no enabled sync group has this system" } else { "nothing to do" };
        diagnostics.push(json!({ "level": "info", "message": message, "sync_groups_checked": groups.len() }));
    }
    let wants_actions = query.include_commands.unwrap_or(false);
    Ok(Json(Instructions {
        system_id: asker.as_uuid(),
        timestamp: fleet.now,
        dataset_count: datasets.len() as u64,
        datasets,
        diagnostics: query.include_diagnostics.unwrap_or(false).then_some(diagnostics),
        action_count: wants_actions.then_some(actions.len() as u64),
        actions: wants_actions.then_some(actions),
        sync_groups: wants_actions.then(|| from_groups.into_iter().collect()),
    }))
}

fn concerns(asker: SystemId, step: &Step) -> bool {
    asker == step.source_system || asker == step.target_system
}

fn base(send: &Send) -> Option<String> {
    send.base.as_ref().map(|base| base.point().label.to_string())
}

fn instruction(
    asker: SystemId,
    group: &SyncGroup,
    step: &Step,
    send: &Send,
    source: &SystemRow,
    target: &SystemRow,
) -> Instruction {
    let address = |system: &SystemRow| system.ssh_hostname.as_ref().map(ToString::to_string);
    Instruction {
        pool: step.source.pool().to_owned(),
        dataset: step.source.to_string(),
        target_pool: step.target.pool().to_owned(),
        target_dataset: step.target.to_string(),
        starting_snapshot: base(send),
        ending_snapshot: send.to.label.to_string(),
        source_ssh_hostname: address(source),
        // A script on the target skips an entry without an address; with one it would run the source's command there.
        target_ssh_hostname: if asker == step.source_system { address(target) } else { None },
        sync_group_id: group.id.as_uuid(),
        commands: command_line::of_contract(step, target).into_iter().collect(),
    }
}

fn action(group: &SyncGroup, step: &Step, send: &Send, source: &SystemRow, target: &SystemRow) -> SyncAction {
    let incremental_base = base(send);
    SyncAction {
        action_type: "sync_snapshot".into(),
        sync_group_id: group.id.as_uuid(),
        pool: step.source.pool().to_owned(),
        dataset: step.source.to_string(),
        target_system_id: step.target_system.as_uuid(),
        source_system_id: step.source_system.as_uuid(),
        snapshot_name: send.to.label.to_string(),
        snapshot_id: None,
        priority: 10,
        estimated_size: None,
        source_ssh_hostname: source.ssh_hostname.as_ref().map(ToString::to_string),
        source_ssh_user: source.ssh_user.clone(),
        source_ssh_port: source.ssh_port,
        sync_command: command_line::of_contract(step, target),
        is_incremental: incremental_base.is_some(),
        incremental_base,
    }
}
