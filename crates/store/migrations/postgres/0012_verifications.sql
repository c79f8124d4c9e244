-- Comparisons of a snapshot on two systems. Finished ones are history: they outlive their group and their systems, so nothing here refers to those.
CREATE TABLE verifications (
    id uuid NOT NULL PRIMARY KEY,
    group_id uuid,
    requested_by text NOT NULL,
    state text NOT NULL CHECK (state IN ('queued', 'running', 'matched', 'differs', 'unproven', 'failed', 'cancelled')),
    deep boolean NOT NULL,
    rate bigint,
    estimate bigint NOT NULL,
    generation bigint NOT NULL,
    attempts bigint NOT NULL,
    comparison text,
    result text,
    -- What it says of the copy: nothing, where it was another snapshot, or could not be compared.
    proof text CHECK (proof IN ('matched', 'differs')),
    left_system_id uuid NOT NULL,
    left_dataset text COLLATE "C" NOT NULL,
    left_label text COLLATE "C" NOT NULL,
    left_lease_until bigint,
    left_answers text,
    left_entries bigint NOT NULL,
    left_bytes bigint NOT NULL,
    right_system_id uuid NOT NULL,
    right_dataset text COLLATE "C" NOT NULL,
    right_label text COLLATE "C" NOT NULL,
    right_lease_until bigint,
    right_answers text,
    right_entries bigint NOT NULL,
    right_bytes bigint NOT NULL,
    created_at bigint NOT NULL,
    -- When it was last put back to its beginning.
    begun_at bigint NOT NULL,
    started_at bigint,
    updated_at bigint NOT NULL,
    finished_at bigint,
    CHECK ((state IN ('queued', 'running')) = (finished_at IS NULL)),
    CHECK ((comparison IS NULL) = (finished_at IS NOT NULL))
);
CREATE INDEX verifications_left ON verifications (left_system_id) WHERE finished_at IS NULL;
CREATE INDEX verifications_right ON verifications (right_system_id) WHERE finished_at IS NULL;
CREATE INDEX verifications_created ON verifications (created_at, id);
CREATE INDEX verifications_group ON verifications (group_id, created_at);
CREATE INDEX verifications_proof ON verifications (right_system_id, right_dataset, finished_at) WHERE proof IS NOT NULL;
-- A group's schedule makes one at a time, also where several witnesses look at it.
CREATE UNIQUE INDEX verifications_scheduled ON verifications (group_id) WHERE group_id IS NOT NULL AND finished_at IS NULL;

-- What is compared by itself. `budget` is in bytes a day.
CREATE TABLE verification_schedules (
    group_id uuid NOT NULL PRIMARY KEY REFERENCES sync_groups (id) ON DELETE CASCADE,
    every_ms bigint NOT NULL,
    budget bigint NOT NULL,
    rate bigint,
    updated_at bigint NOT NULL
);

-- What agents say of their pools: a JSON list.
CREATE TABLE pool_health (
    system_id uuid NOT NULL PRIMARY KEY REFERENCES systems (id) ON DELETE CASCADE,
    pools text NOT NULL,
    reported_at bigint NOT NULL
);
