//! What earlier versions have stored.

use std::{collections::BTreeMap, path::Path};

use sqlx::migrate::Migrator;
use tempfile::TempDir;
use zfs_sync_core::group::{GroupMode, OnDivergence, Profile, SyncGroup};
use zfs_sync_store::{GroupSettings, ReplicaFilter, ReplicaRow, Store};

use super::make::*;

/// The migrations of `backend` up to and with this one.
pub(crate) async fn migrations(backend: &str, last: &str) -> Migrator {
    let folder = TempDir::new().unwrap();
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(backend);
    for entry in all.read_dir().unwrap() {
        let file = entry.unwrap();
        if file.file_name().to_str().unwrap()[..4] <= *last {
            std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
        }
    }
    Migrator::new(folder.path()).await.unwrap()
}

/// Two systems, a group of both and its replica, as the version before the planner's tables stored them.
pub(crate) fn a_group_before_hubs(backend: &str) -> String {
    let id = |number: u128| match backend {
        "sqlite" => format!("x'{number:032x}'"),
        _ => format!("'{number:032x}'"),
    };
    let (one, two, group) = (id(1), id(2), id(0x6001));
    let system = |id: &str, name: &str| {
        format!(
            "INSERT INTO systems (id, hostname, platform, connectivity_status, ssh_port, extra_metadata, created_at, \
             updated_at) VALUES ({id}, '{name}', 'linux', 'unknown', 22, '{{}}', 1, 1);"
        )
    };
    let (first, second) = (system(&one, "nas1"), system(&two, "nas2"));
    format!(
        "{first} {second} \
         INSERT INTO sync_groups (id, name, enabled, mode, source_of_truth, include, exclude, mappings, auto, on_divergence, \
         extra_metadata, sync_interval_seconds, created_at, updated_at, revision) VALUES ({group}, 'group 1', TRUE, \
         'one_way', {one}, '[\"tank/media/**\"]', '[\"tank/media/tmp\"]', '[{{\"from\":\"tank\",\"to\":\"backup\"}}]', TRUE, \
         'keep_both', '{{}}', 3600, 1, 1, 7); \
         INSERT INTO group_members (group_id, system_id, ordinal) VALUES ({group}, {two}, 0), ({group}, {one}, 1); \
         INSERT INTO replicas (group_id, target_system_id, source, source_system_id, target, state, report, snapshot_lag, \
         since) VALUES ({group}, {two}, 'tank', {one}, 'tank', 'behind', '{{}}', 1, 1);"
    )
}

/// The group is what it was; the replica is planned anew.
pub(crate) async fn a_group_is_kept(store: &Store) {
    let row = store.group(group_id(1)).await.unwrap().unwrap();
    let expected = SyncGroup {
        mode: GroupMode::OneWay,
        hub: system_id(1),
        member_mappings: BTreeMap::new(),
        on_divergence: OnDivergence::KeepBoth,
        allow_destroy: false,
        mirror_deletes: None,
        follow_renames: false,
        profile: Profile::Standard,
        ..group(1)
    };
    assert_eq!((row.group, row.revision), (expected, 7));
    assert_eq!(store.replicas(&ReplicaFilter::default()).await.unwrap(), []);
    let replica =
        ReplicaRow::new(group_id(1), replica("tank", zfs_sync_core::plan::ReplicaState::Behind), at(1));
    assert_eq!(store.store_replicas(group_id(1), None, &[replica], at(1)).await.unwrap().len(), 1);
    let changed = SyncGroup { hub: system_id(2), ..group(1) };
    let row = store.update_group(&changed, &GroupSettings::default(), at(2)).await.unwrap();
    assert_eq!((row.group.hub, row.revision), (system_id(2), 8));
}
