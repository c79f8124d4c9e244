CREATE TABLE sync_groups (
    id uuid NOT NULL PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    description text,
    enabled boolean NOT NULL,
    mode text NOT NULL,
    source_of_truth uuid NOT NULL REFERENCES systems (id),
    include text NOT NULL,
    exclude text NOT NULL,
    mappings text NOT NULL,
    auto boolean NOT NULL,
    on_divergence text NOT NULL,
    extra_metadata text NOT NULL,
    sync_interval_seconds bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    revision bigint NOT NULL
);
CREATE UNIQUE INDEX sync_groups_name ON sync_groups (name);
CREATE INDEX sync_groups_source_of_truth ON sync_groups (source_of_truth);

CREATE TABLE group_members (
    group_id uuid NOT NULL REFERENCES sync_groups (id) ON DELETE CASCADE,
    system_id uuid NOT NULL REFERENCES systems (id),
    ordinal bigint NOT NULL,
    PRIMARY KEY (group_id, system_id)
);
CREATE INDEX group_members_system ON group_members (system_id);

CREATE TABLE replicas (
    group_id uuid NOT NULL REFERENCES sync_groups (id) ON DELETE CASCADE,
    target_system_id uuid NOT NULL REFERENCES systems (id) ON DELETE CASCADE,
    source text COLLATE "C" NOT NULL,
    source_system_id uuid NOT NULL REFERENCES systems (id) ON DELETE CASCADE,
    target text COLLATE "C" NOT NULL,
    state text NOT NULL,
    reason text,
    report text NOT NULL,
    newest_common_creation bigint,
    snapshot_lag bigint NOT NULL,
    since bigint NOT NULL,
    PRIMARY KEY (group_id, target_system_id, source)
);
CREATE INDEX replicas_target_system ON replicas (target_system_id);
CREATE INDEX replicas_source_system ON replicas (source_system_id);
CREATE INDEX replicas_state ON replicas (state, group_id);

CREATE TABLE sync_states (
    id uuid NOT NULL PRIMARY KEY,
    group_id uuid NOT NULL REFERENCES sync_groups (id) ON DELETE CASCADE,
    dataset text COLLATE "C" NOT NULL,
    system_id uuid NOT NULL REFERENCES systems (id) ON DELETE CASCADE,
    status text NOT NULL,
    last_sync bigint,
    last_check bigint,
    error_message text,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);
CREATE UNIQUE INDEX sync_states_subject ON sync_states (group_id, dataset, system_id);
CREATE INDEX sync_states_system ON sync_states (system_id);
CREATE INDEX sync_states_created ON sync_states (created_at, id);
