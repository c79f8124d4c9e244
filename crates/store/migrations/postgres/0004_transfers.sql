-- Finished transfers are history: they outlive their group and their systems, so nothing here refers to those.
CREATE TABLE transfers (
    id uuid NOT NULL PRIMARY KEY,
    group_id uuid NOT NULL,
    source_system_id uuid NOT NULL,
    target_system_id uuid NOT NULL,
    executor_id uuid NOT NULL,
    source text COLLATE "C" NOT NULL,
    target text COLLATE "C" NOT NULL,
    step text NOT NULL,
    state text NOT NULL CHECK (state IN ('queued', 'leased', 'succeeded', 'failed', 'cancelled', 'stale')),
    generation bigint NOT NULL,
    attempts bigint NOT NULL,
    next_attempt_at bigint NOT NULL,
    lease_until bigint,
    cancel_requested boolean NOT NULL,
    cancelled_by text,
    bytes bigint NOT NULL,
    total bigint,
    rate bigint,
    stage text,
    resumed_from bigint,
    error_code text,
    error_detail text,
    created_at bigint NOT NULL,
    started_at bigint,
    updated_at bigint NOT NULL,
    finished_at bigint,
    CHECK ((state IN ('queued', 'leased')) = (finished_at IS NULL)),
    CHECK ((state = 'leased') = (lease_until IS NOT NULL))
);
CREATE UNIQUE INDEX transfers_unfinished ON transfers (target_system_id, target) WHERE finished_at IS NULL;
CREATE INDEX transfers_due ON transfers (executor_id, next_attempt_at) WHERE state = 'queued';
CREATE INDEX transfers_leased ON transfers (lease_until) WHERE state = 'leased';
CREATE INDEX transfers_replica ON transfers (target_system_id, target, finished_at);
CREATE INDEX transfers_group_state ON transfers (group_id, state);
CREATE INDEX transfers_created ON transfers (created_at, id);
