-- The hub: the source of truth of most modes, the target of many_to_one.
ALTER TABLE sync_groups RENAME COLUMN source_of_truth TO hub;
DROP INDEX sync_groups_source_of_truth;
CREATE INDEX sync_groups_hub ON sync_groups (hub);
ALTER TABLE sync_groups ADD COLUMN member_mappings TEXT NOT NULL DEFAULT '{}';
ALTER TABLE sync_groups ADD COLUMN allow_destroy INTEGER NOT NULL DEFAULT FALSE;
ALTER TABLE sync_groups ADD COLUMN mirror_deletes TEXT;
ALTER TABLE sync_groups ADD COLUMN follow_renames INTEGER NOT NULL DEFAULT FALSE;
ALTER TABLE sync_groups ADD COLUMN profile TEXT NOT NULL DEFAULT 'standard';

-- What the planner said last. It is planned again, so what an earlier version wrote need not be kept.
DROP TABLE replicas;
CREATE TABLE replicas (
    group_id BLOB NOT NULL REFERENCES sync_groups (id) ON DELETE CASCADE,
    dataset TEXT NOT NULL,
    home_system_id BLOB NOT NULL REFERENCES systems (id) ON DELETE CASCADE,
    target_system_id BLOB NOT NULL REFERENCES systems (id) ON DELETE CASCADE,
    source_system_id BLOB NOT NULL REFERENCES systems (id) ON DELETE CASCADE,
    source TEXT NOT NULL,
    target TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    report TEXT NOT NULL,
    newest_common_creation INTEGER,
    snapshot_lag INTEGER NOT NULL,
    source_guid INTEGER,
    since INTEGER NOT NULL,
    PRIMARY KEY (group_id, dataset, home_system_id, target_system_id)
) STRICT;
CREATE INDEX replicas_home_system ON replicas (home_system_id);
CREATE INDEX replicas_target ON replicas (target_system_id, target);
CREATE INDEX replicas_source_system ON replicas (source_system_id);
CREATE INDEX replicas_state ON replicas (state, group_id);
CREATE INDEX replicas_reason ON replicas (group_id, reason);
CREATE INDEX replicas_source_guid ON replicas (group_id, source_guid);
CREATE INDEX replicas_recovery_point ON replicas (group_id, newest_common_creation);

CREATE TABLE conflicts (
    id BLOB NOT NULL PRIMARY KEY,
    group_id BLOB NOT NULL REFERENCES sync_groups (id) ON DELETE CASCADE,
    dataset TEXT NOT NULL,
    home_system_id BLOB NOT NULL REFERENCES systems (id) ON DELETE CASCADE,
    target_system_id BLOB NOT NULL REFERENCES systems (id) ON DELETE CASCADE,
    source_system_id BLOB NOT NULL REFERENCES systems (id) ON DELETE CASCADE,
    source TEXT NOT NULL,
    target TEXT NOT NULL,
    kind TEXT NOT NULL,
    severity TEXT NOT NULL CHECK (severity IN ('low', 'medium', 'high')),
    detail TEXT NOT NULL,
    reason TEXT,
    since INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    resolved_at INTEGER,
    ignored_until INTEGER,
    ignored_by TEXT,
    note TEXT
) STRICT;
CREATE UNIQUE INDEX conflicts_open ON conflicts (group_id, dataset, home_system_id, target_system_id)
    WHERE resolved_at IS NULL;
CREATE INDEX conflicts_open_since ON conflicts (since, id) WHERE resolved_at IS NULL;
CREATE INDEX conflicts_resolved_since ON conflicts (group_id, since, id) WHERE resolved_at IS NOT NULL;
CREATE INDEX conflicts_resolved ON conflicts (resolved_at) WHERE resolved_at IS NOT NULL;
CREATE INDEX conflicts_home_system ON conflicts (home_system_id);
CREATE INDEX conflicts_source_system ON conflicts (source_system_id);
CREATE INDEX conflicts_target_system ON conflicts (target_system_id);

-- What a strategy would come to, kept from when it was shown until it is applied.
CREATE TABLE plans (
    id BLOB NOT NULL PRIMARY KEY,
    group_id BLOB NOT NULL REFERENCES sync_groups (id) ON DELETE CASCADE,
    dataset TEXT NOT NULL,
    home_system_id BLOB NOT NULL REFERENCES systems (id) ON DELETE CASCADE,
    target_system_id BLOB NOT NULL REFERENCES systems (id) ON DELETE CASCADE,
    strategy TEXT NOT NULL,
    proposal TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    applied_at INTEGER,
    applied_by TEXT
) STRICT;
CREATE INDEX plans_group ON plans (group_id);
CREATE INDEX plans_home_system ON plans (home_system_id);
CREATE INDEX plans_target_system ON plans (target_system_id);
CREATE INDEX plans_waiting ON plans (created_at) WHERE applied_at IS NULL;

-- What was decided by applying a plan, until it is carried out.
CREATE TABLE decisions (
    plan_id BLOB NOT NULL PRIMARY KEY REFERENCES plans (id) ON DELETE CASCADE,
    group_id BLOB NOT NULL REFERENCES sync_groups (id) ON DELETE CASCADE,
    dataset TEXT NOT NULL,
    home_system_id BLOB NOT NULL REFERENCES systems (id) ON DELETE CASCADE,
    decision TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    finished_at INTEGER,
    outcome TEXT CHECK (outcome IN ('fulfilled', 'replaced', 'withdrawn'))
) STRICT;
CREATE UNIQUE INDEX decisions_unfinished ON decisions (group_id, dataset, home_system_id) WHERE finished_at IS NULL;
CREATE INDEX decisions_group ON decisions (group_id);
CREATE INDEX decisions_home_system ON decisions (home_system_id);

-- Datasets that reports have changed since somebody last planned them.
CREATE TABLE changed_datasets (
    system_id BLOB NOT NULL REFERENCES systems (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    revision INTEGER NOT NULL,
    structural INTEGER NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (system_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX changed_datasets_since ON changed_datasets (since, system_id, name);
-- Counts the reports that changed something; `changed_datasets.revision` is the count at the newest of them.
ALTER TABLE systems ADD COLUMN inventory_revision INTEGER NOT NULL DEFAULT 0;

CREATE INDEX datasets_guid ON datasets (system_id, guid);
CREATE INDEX datasets_origin ON datasets (system_id, origin) WHERE origin IS NOT NULL;
CREATE INDEX snapshots_guid ON snapshots (guid);
