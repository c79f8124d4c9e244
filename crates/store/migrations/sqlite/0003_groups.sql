CREATE TABLE sync_groups (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT,
    enabled INTEGER NOT NULL,
    mode TEXT NOT NULL,
    source_of_truth BLOB NOT NULL REFERENCES systems (id),
    include TEXT NOT NULL,
    exclude TEXT NOT NULL,
    mappings TEXT NOT NULL,
    auto INTEGER NOT NULL,
    on_divergence TEXT NOT NULL,
    extra_metadata TEXT NOT NULL,
    sync_interval_seconds INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    revision INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX sync_groups_name ON sync_groups (name);
CREATE INDEX sync_groups_source_of_truth ON sync_groups (source_of_truth);

CREATE TABLE group_members (
    group_id BLOB NOT NULL REFERENCES sync_groups (id) ON DELETE CASCADE,
    system_id BLOB NOT NULL REFERENCES systems (id),
    ordinal INTEGER NOT NULL,
    PRIMARY KEY (group_id, system_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX group_members_system ON group_members (system_id);

CREATE TABLE replicas (
    group_id BLOB NOT NULL REFERENCES sync_groups (id) ON DELETE CASCADE,
    target_system_id BLOB NOT NULL REFERENCES systems (id) ON DELETE CASCADE,
    source TEXT NOT NULL,
    source_system_id BLOB NOT NULL REFERENCES systems (id) ON DELETE CASCADE,
    target TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    report TEXT NOT NULL,
    newest_common_creation INTEGER,
    snapshot_lag INTEGER NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (group_id, target_system_id, source)
) STRICT, WITHOUT ROWID;
CREATE INDEX replicas_target_system ON replicas (target_system_id);
CREATE INDEX replicas_source_system ON replicas (source_system_id);
CREATE INDEX replicas_state ON replicas (state, group_id);

CREATE TABLE sync_states (
    id BLOB NOT NULL PRIMARY KEY,
    group_id BLOB NOT NULL REFERENCES sync_groups (id) ON DELETE CASCADE,
    dataset TEXT NOT NULL,
    system_id BLOB NOT NULL REFERENCES systems (id) ON DELETE CASCADE,
    status TEXT NOT NULL,
    last_sync INTEGER,
    last_check INTEGER,
    error_message TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX sync_states_subject ON sync_states (group_id, dataset, system_id);
CREATE INDEX sync_states_system ON sync_states (system_id);
CREATE INDEX sync_states_created ON sync_states (created_at, id);
