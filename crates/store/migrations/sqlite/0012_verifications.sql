-- Comparisons of a snapshot on two systems. Finished ones are history: they outlive their group and their systems, so nothing here refers to those.
CREATE TABLE verifications (
    id BLOB NOT NULL PRIMARY KEY,
    group_id BLOB,
    requested_by TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'matched', 'differs', 'unproven', 'failed', 'cancelled')),
    deep INTEGER NOT NULL,
    rate INTEGER,
    estimate INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    comparison TEXT,
    result TEXT,
    -- What it says of the copy: nothing, where it was another snapshot, or could not be compared.
    proof TEXT CHECK (proof IN ('matched', 'differs')),
    left_system_id BLOB NOT NULL,
    left_dataset TEXT NOT NULL,
    left_label TEXT NOT NULL,
    left_lease_until INTEGER,
    left_answers TEXT,
    left_entries INTEGER NOT NULL,
    left_bytes INTEGER NOT NULL,
    right_system_id BLOB NOT NULL,
    right_dataset TEXT NOT NULL,
    right_label TEXT NOT NULL,
    right_lease_until INTEGER,
    right_answers TEXT,
    right_entries INTEGER NOT NULL,
    right_bytes INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    -- When it was last put back to its beginning.
    begun_at INTEGER NOT NULL,
    started_at INTEGER,
    updated_at INTEGER NOT NULL,
    finished_at INTEGER,
    CHECK ((state IN ('queued', 'running')) = (finished_at IS NULL)),
    CHECK ((comparison IS NULL) = (finished_at IS NOT NULL))
) STRICT;
CREATE INDEX verifications_left ON verifications (left_system_id) WHERE finished_at IS NULL;
CREATE INDEX verifications_right ON verifications (right_system_id) WHERE finished_at IS NULL;
CREATE INDEX verifications_created ON verifications (created_at, id);
CREATE INDEX verifications_group ON verifications (group_id, created_at);
CREATE INDEX verifications_proof ON verifications (right_system_id, right_dataset, finished_at) WHERE proof IS NOT NULL;
-- A group's schedule makes one at a time, also where several witnesses look at it.
CREATE UNIQUE INDEX verifications_scheduled ON verifications (group_id) WHERE group_id IS NOT NULL AND finished_at IS NULL;

-- What is compared by itself. `budget` is in bytes a day.
CREATE TABLE verification_schedules (
    group_id BLOB NOT NULL PRIMARY KEY REFERENCES sync_groups (id) ON DELETE CASCADE,
    every_ms INTEGER NOT NULL,
    budget INTEGER NOT NULL,
    rate INTEGER,
    updated_at INTEGER NOT NULL
) STRICT;

-- What agents say of their pools: a JSON list.
CREATE TABLE pool_health (
    system_id BLOB NOT NULL PRIMARY KEY REFERENCES systems (id) ON DELETE CASCADE,
    pools TEXT NOT NULL,
    reported_at INTEGER NOT NULL
) STRICT;
