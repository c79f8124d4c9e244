-- Finished transfers are history: they outlive their group and their systems, so nothing here refers to those.
CREATE TABLE transfers (
    id BLOB NOT NULL PRIMARY KEY,
    group_id BLOB NOT NULL,
    source_system_id BLOB NOT NULL,
    target_system_id BLOB NOT NULL,
    executor_id BLOB NOT NULL,
    source TEXT NOT NULL,
    target TEXT NOT NULL,
    step TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'leased', 'succeeded', 'failed', 'cancelled', 'stale')),
    generation INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    next_attempt_at INTEGER NOT NULL,
    lease_until INTEGER,
    cancel_requested INTEGER NOT NULL,
    cancelled_by TEXT,
    bytes INTEGER NOT NULL,
    total INTEGER,
    rate INTEGER,
    stage TEXT,
    resumed_from INTEGER,
    error_code TEXT,
    error_detail TEXT,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    updated_at INTEGER NOT NULL,
    finished_at INTEGER,
    CHECK ((state IN ('queued', 'leased')) = (finished_at IS NULL)),
    CHECK ((state = 'leased') = (lease_until IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX transfers_unfinished ON transfers (target_system_id, target) WHERE finished_at IS NULL;
CREATE INDEX transfers_due ON transfers (executor_id, next_attempt_at) WHERE state = 'queued';
CREATE INDEX transfers_leased ON transfers (lease_until) WHERE state = 'leased';
CREATE INDEX transfers_replica ON transfers (target_system_id, target, finished_at);
CREATE INDEX transfers_group_state ON transfers (group_id, state);
CREATE INDEX transfers_created ON transfers (created_at, id);
