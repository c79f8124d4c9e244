-- The hub: the source of truth of most modes, the target of many_to_one.
ALTER TABLE sync_groups RENAME COLUMN source_of_truth TO hub;
ALTER TABLE sync_groups RENAME CONSTRAINT sync_groups_source_of_truth_fkey TO sync_groups_hub_fkey;
DROP INDEX sync_groups_source_of_truth;
CREATE INDEX sync_groups_hub ON sync_groups (hub);
ALTER TABLE sync_groups ADD COLUMN member_mappings text NOT NULL DEFAULT '{}';
ALTER TABLE sync_groups ADD COLUMN allow_destroy boolean NOT NULL DEFAULT FALSE;
ALTER TABLE sync_groups ADD COLUMN mirror_deletes text;
ALTER TABLE sync_groups ADD COLUMN follow_renames boolean NOT NULL DEFAULT FALSE;
ALTER TABLE sync_groups ADD COLUMN profile text NOT NULL DEFAULT 'standard';

-- What the planner said last. It is planned again, so what an earlier version wrote need not be kept.
DROP TABLE replicas;
CREATE TABLE replicas (
    group_id uuid NOT NULL REFERENCES sync_groups (id) ON DELETE CASCADE,
    dataset text COLLATE "C" NOT NULL,
    home_system_id uuid NOT NULL REFERENCES systems (id) ON DELETE CASCADE,
    target_system_id uuid NOT NULL REFERENCES systems (id) ON DELETE CASCADE,
    source_system_id uuid NOT NULL REFERENCES systems (id) ON DELETE CASCADE,
    source text COLLATE "C" NOT NULL,
    target text COLLATE "C" NOT NULL,
    state text NOT NULL,
    reason text,
    report text NOT NULL,
    newest_common_creation bigint,
    snapshot_lag bigint NOT NULL,
    source_guid bigint,
    since bigint NOT NULL,
    PRIMARY KEY (group_id, dataset, home_system_id, target_system_id)
);
CREATE INDEX replicas_home_system ON replicas (home_system_id);
CREATE INDEX replicas_target ON replicas (target_system_id, target);
CREATE INDEX replicas_source_system ON replicas (source_system_id);
CREATE INDEX replicas_state ON replicas (state, group_id);
CREATE INDEX replicas_reason ON replicas (group_id, reason);
CREATE INDEX replicas_source_guid ON replicas (group_id, source_guid);
CREATE INDEX replicas_recovery_point ON replicas (group_id, newest_common_creation);

CREATE TABLE conflicts (
    id uuid NOT NULL PRIMARY KEY,
    group_id uuid NOT NULL REFERENCES sync_groups (id) ON DELETE CASCADE,
    dataset text COLLATE "C" NOT NULL,
    home_system_id uuid NOT NULL REFERENCES systems (id) ON DELETE CASCADE,
    target_system_id uuid NOT NULL REFERENCES systems (id) ON DELETE CASCADE,
    source_system_id uuid NOT NULL REFERENCES systems (id) ON DELETE CASCADE,
    source text COLLATE "C" NOT NULL,
    target text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('low', 'medium', 'high')),
    detail text NOT NULL,
    reason text,
    since bigint NOT NULL,
    updated_at bigint NOT NULL,
    resolved_at bigint,
    ignored_until bigint,
    ignored_by text,
    note text
);
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
    id uuid NOT NULL PRIMARY KEY,
    group_id uuid NOT NULL REFERENCES sync_groups (id) ON DELETE CASCADE,
    dataset text COLLATE "C" NOT NULL,
    home_system_id uuid NOT NULL REFERENCES systems (id) ON DELETE CASCADE,
    target_system_id uuid NOT NULL REFERENCES systems (id) ON DELETE CASCADE,
    strategy text NOT NULL,
    proposal text NOT NULL,
    fingerprint text NOT NULL,
    created_at bigint NOT NULL,
    created_by text NOT NULL,
    applied_at bigint,
    applied_by text
);
CREATE INDEX plans_group ON plans (group_id);
CREATE INDEX plans_home_system ON plans (home_system_id);
CREATE INDEX plans_target_system ON plans (target_system_id);
CREATE INDEX plans_waiting ON plans (created_at) WHERE applied_at IS NULL;

-- What was decided by applying a plan, until it is carried out.
CREATE TABLE decisions (
    plan_id uuid NOT NULL PRIMARY KEY REFERENCES plans (id) ON DELETE CASCADE,
    group_id uuid NOT NULL REFERENCES sync_groups (id) ON DELETE CASCADE,
    dataset text COLLATE "C" NOT NULL,
    home_system_id uuid NOT NULL REFERENCES systems (id) ON DELETE CASCADE,
    decision text NOT NULL,
    created_at bigint NOT NULL,
    created_by text NOT NULL,
    finished_at bigint,
    outcome text CHECK (outcome IN ('fulfilled', 'replaced', 'withdrawn'))
);
CREATE UNIQUE INDEX decisions_unfinished ON decisions (group_id, dataset, home_system_id) WHERE finished_at IS NULL;
CREATE INDEX decisions_group ON decisions (group_id);
CREATE INDEX decisions_home_system ON decisions (home_system_id);

-- Datasets that reports have changed since somebody last planned them.
CREATE TABLE changed_datasets (
    system_id uuid NOT NULL REFERENCES systems (id) ON DELETE CASCADE,
    name text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    structural boolean NOT NULL,
    since bigint NOT NULL,
    PRIMARY KEY (system_id, name)
);
CREATE INDEX changed_datasets_since ON changed_datasets (since, system_id, name);
-- Counts the reports that changed something; `changed_datasets.revision` is the count at the newest of them.
ALTER TABLE systems ADD COLUMN inventory_revision bigint NOT NULL DEFAULT 0;

-- So that an index finds the clones of a dataset by the beginning of their origin.
ALTER TABLE datasets ALTER COLUMN origin TYPE text COLLATE "C";
CREATE INDEX datasets_guid ON datasets (system_id, guid);
CREATE INDEX datasets_origin ON datasets (system_id, origin) WHERE origin IS NOT NULL;
CREATE INDEX snapshots_guid ON snapshots (guid);
