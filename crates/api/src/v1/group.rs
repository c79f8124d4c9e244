//! Sync groups.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use zfs_sync_core::{
    group::{GroupMode, Mapping, OnDivergence},
    ids::{GroupId, SystemId},
    pattern::DatasetPattern,
};

/// `POST /sync-groups`: systems by id or host name. The v1 fields `system_ids`, `directional`, `hub_system_id` are accepted too.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct CreateGroup {
    /// Unique.
    pub name: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Members, by id or host name.
    #[serde(default)]
    pub systems: Vec<String>,
    /// The member whose history others follow, by id or host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_of_truth: Option<String>,
    /// Patterns of datasets on the source of truth.
    #[serde(default)]
    pub datasets: Vec<String>,
    /// Patterns of datasets to leave out.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// `FROM=TO` prefixes.
    #[serde(default)]
    pub mappings: Vec<String>,
    /// Steps start by themselves.
    #[serde(default)]
    pub auto: bool,
    /// `stop` (default) or `keep_both`.
    #[serde(default)]
    #[schema(value_type = String)]
    pub on_divergence: OnDivergence,
    /// True when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Seconds between checks; 3600 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_interval_seconds: Option<u64>,
    /// v1: members by id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_ids: Option<Vec<String>>,
    /// v1: one-way from a hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directional: Option<bool>,
    /// v1: the hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub_system_id: Option<String>,
    /// Free-form.
    #[serde(default, alias = "metadata", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub extra_metadata: Option<Value>,
}

/// `PUT /sync-groups/{id}`: only the fields that are sent change.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct UpdateGroup {
    /// Enabled or paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Steps start by themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto: Option<bool>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Patterns of datasets on the source of truth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datasets: Option<Vec<String>>,
    /// Patterns of datasets to leave out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude: Option<Vec<String>>,
    /// `FROM=TO` prefixes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mappings: Option<Vec<String>>,
    /// What happens on divergence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub on_divergence: Option<OnDivergence>,
    /// Unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Members, by id or host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub systems: Option<Vec<String>>,
    /// The member whose history others follow, by id or host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_of_truth: Option<String>,
    /// Seconds between checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_interval_seconds: Option<u64>,
    /// v1: members by id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_ids: Option<Vec<String>>,
    /// v1: the hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub_system_id: Option<String>,
    /// Free-form.
    #[serde(default, alias = "metadata", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub extra_metadata: Option<Value>,
}

/// `POST /sync-groups/{id}/systems`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AddMember {
    /// Who joins, by id or host name.
    pub system_id: String,
}

/// One group.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Group {
    /// Identity.
    #[schema(value_type = uuid::Uuid)]
    pub id: GroupId,
    /// Unique.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// Enabled or paused.
    pub enabled: bool,
    /// How data flows.
    #[schema(value_type = String)]
    pub mode: GroupMode,
    /// Whose history others follow.
    #[schema(value_type = uuid::Uuid)]
    pub source_of_truth: SystemId,
    /// Its host name.
    pub source_of_truth_name: String,
    /// Members.
    pub systems: Vec<Member>,
    /// Patterns.
    #[schema(value_type = Vec<String>)]
    pub datasets: Vec<DatasetPattern>,
    /// Patterns to leave out.
    #[schema(value_type = Vec<String>)]
    pub exclude: Vec<DatasetPattern>,
    /// Prefixes.
    #[schema(value_type = Vec<Object>)]
    pub mappings: Vec<Mapping>,
    /// Steps start by themselves.
    pub auto: bool,
    /// What happens on divergence.
    #[schema(value_type = String)]
    pub on_divergence: OnDivergence,
    /// Seconds between checks.
    pub sync_interval_seconds: u64,
    /// v1: always true here.
    pub directional: bool,
    /// v1: the source of truth.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub hub_system_id: Option<SystemId>,
    /// v1: members by id.
    #[schema(value_type = Vec<uuid::Uuid>)]
    pub system_ids: Vec<SystemId>,
    /// Free-form.
    #[schema(value_type = Object)]
    pub extra_metadata: Value,
    /// Replicas by state, as last planned.
    pub replicas: std::collections::BTreeMap<String, u64>,
    /// Doubts, `W_…` with a sentence.
    #[serde(default)]
    pub warnings: Vec<Note>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

/// A member of a group.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// Identity.
    #[schema(value_type = uuid::Uuid)]
    pub id: SystemId,
    /// Host name.
    pub hostname: String,
}

/// A code with a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Note {
    /// `W_…` or `R_…`.
    pub code: String,
    /// In words.
    pub detail: String,
}
