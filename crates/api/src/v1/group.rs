//! Sync groups.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use zfs_sync_core::{
    flow::{Compression, RateLimit, Transport},
    group::{GroupMode, Mapping, MirrorDeletes, OnDivergence, Profile},
    ids::{GroupId, SystemId},
    pattern::DatasetPattern,
};

/// `POST /sync-groups`: systems by id or host name. The v1 fields `system_ids`, `directional`, `hub_system_id` are accepted too; a group
/// in that form is `one_way`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct CreateGroup {
    /// Unique.
    pub name: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How data flows: `one_way` (when absent), `many_to_one`, `chain`, `mesh`, `local`.
    #[serde(default)]
    #[schema(value_type = String)]
    pub mode: GroupMode,
    /// Members, by id or host name; of a chain in its order.
    #[serde(default)]
    pub systems: Vec<String>,
    /// The member whose history others follow, by id or host name; in `one_way`, `chain` and `local` groups the same as `hub`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_of_truth: Option<String>,
    /// The member at the centre, by id or host name: the source of truth, in `many_to_one` the target, in `mesh` the one that is
    /// preferred where several could be the source. Where it is absent, a `chain`, `mesh` or `local` group has its first member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub: Option<String>,
    /// Patterns of datasets on the source of truth.
    #[serde(default)]
    pub datasets: Vec<String>,
    /// Patterns of datasets to leave out.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// `FROM=TO` prefixes.
    #[serde(default)]
    pub mappings: Vec<String>,
    /// For single members, by id or host name, in place of `mappings`: names on that member; in `many_to_one` names on the hub of
    /// what comes from that member.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub member_mappings: BTreeMap<String, Vec<String>>,
    /// Steps start by themselves.
    #[serde(default)]
    pub auto: bool,
    /// What happens by itself on divergence: `stop` (when absent; `manual` is the same), `keep_both`, `use_source_of_truth`, `use_newest`, `use_largest`,
    /// `use_majority`, `rollback_target`. All but the first two may destroy and need `allow_destroy`.
    #[serde(default)]
    #[schema(value_type = String)]
    pub on_divergence: OnDivergence,
    /// `on_divergence` and `mirror_deletes` may destroy snapshots.
    #[serde(default)]
    pub allow_destroy: bool,
    /// Deletions on the source are carried over: `{"max_percent": 10}`, at most this share of a replica's snapshots in one run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub mirror_deletes: Option<MirrorDeletes>,
    /// A replica is renamed when its source was.
    #[serde(default)]
    pub follow_renames: bool,
    /// Which snapshots are copied: `standard`, or `classic` as the old service did. When absent it is `standard`; for a group in the old
    /// service's form, with `system_ids` and without `datasets`, it is `classic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub profile: Option<Profile>,
    /// Bandwidth of its transfers on each system that executes some, by the time of the week there: `20MiB/s`,
    /// `08:00-18:00 mon-fri 20MiB/s; 50MiB/s`; no limit when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub limit: Option<RateLimit>,
    /// Compression between systems: `off` (when absent), `auto`, or a level of zstd.
    #[serde(default)]
    #[schema(value_type = String)]
    pub compression: Compression,
    /// By what its transfers reach the other side: `auto` (when absent; TLS where it is possible, else ssh), `tls` or `ssh` alone.
    #[serde(default)]
    #[schema(value_type = String)]
    pub transport: Transport,
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
    /// For single members, all of it, in place of what was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member_mappings: Option<BTreeMap<String, Vec<String>>>,
    /// How data flows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub mode: Option<GroupMode>,
    /// What happens on divergence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub on_divergence: Option<OnDivergence>,
    /// `on_divergence` and `mirror_deletes` may destroy snapshots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_destroy: Option<bool>,
    /// Deletions on the source are carried over; null: no more, absent: as it is.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schema(value_type = Option<Object>)]
    pub mirror_deletes: Option<Option<MirrorDeletes>>,
    /// A replica is renamed when its source was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow_renames: Option<bool>,
    /// Which snapshots are copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub profile: Option<Profile>,
    /// Bandwidth; null: no limit any more, absent: as it is. Transfers that are under way heed it within seconds.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub limit: Option<Option<RateLimit>>,
    /// Compression between systems.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub compression: Option<Compression>,
    /// By what its transfers reach the other side; those that are under way end as they began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub transport: Option<Transport>,
    /// Unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Members, by id or host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub systems: Option<Vec<String>>,
    /// The member whose history others follow, by id or host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_of_truth: Option<String>,
    /// The member at the centre, by id or host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub: Option<String>,
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

/// A value that was sent, also when it is null.
#[expect(clippy::option_option, reason = "what is absent never comes here")]
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
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
    /// Whose history others follow; null in `many_to_one` and `mesh` groups, which have no such member.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub source_of_truth: Option<SystemId>,
    /// Its host name.
    pub source_of_truth_name: Option<String>,
    /// The member at the centre: the source of truth, in `many_to_one` the target, in `mesh` the preferred one.
    #[schema(value_type = uuid::Uuid)]
    pub hub: SystemId,
    /// Its host name.
    pub hub_name: String,
    /// Members, of a chain in its order.
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
    /// Prefixes of single members, by their id, in place of `mappings`.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, Vec<Object>>)]
    pub member_mappings: BTreeMap<SystemId, Vec<Mapping>>,
    /// Steps start by themselves.
    pub auto: bool,
    /// What happens on divergence.
    #[schema(value_type = String)]
    pub on_divergence: OnDivergence,
    /// `on_divergence` and `mirror_deletes` may destroy snapshots.
    #[serde(default)]
    pub allow_destroy: bool,
    /// Deletions on the source are carried over, at most `max_percent` of a replica's snapshots in one run; null: they are not.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub mirror_deletes: Option<MirrorDeletes>,
    /// A replica is renamed when its source was.
    #[serde(default)]
    pub follow_renames: bool,
    /// Which snapshots are copied.
    #[serde(default)]
    #[schema(value_type = String)]
    pub profile: Profile,
    /// Bandwidth of its transfers on each system that executes some; null: no limit.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub limit: Option<RateLimit>,
    /// Compression between systems.
    #[serde(default)]
    #[schema(value_type = String)]
    pub compression: Compression,
    /// By what its transfers reach the other side: `auto`, `tls` or `ssh`.
    #[serde(default)]
    #[schema(value_type = String)]
    pub transport: Transport,
    /// Seconds between checks.
    pub sync_interval_seconds: u64,
    /// v1: true where there is a source of truth.
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
    pub replicas: BTreeMap<String, u64>,
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
