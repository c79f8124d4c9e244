-- Times are milliseconds since 1970 in UTC, JSON is text. Names have the C collation: SQLite sorts by bytes as well.
CREATE TABLE systems (
    id uuid NOT NULL PRIMARY KEY,
    hostname text COLLATE "C" NOT NULL,
    platform text NOT NULL,
    connectivity_status text NOT NULL,
    ssh_hostname text,
    ssh_user text,
    ssh_port bigint NOT NULL,
    extra_metadata text NOT NULL,
    agent_version text,
    zfs_version text,
    os text,
    clock_offset_ms bigint,
    inventory_interval_ms bigint,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    last_seen bigint,
    inventory_as_of bigint,
    inventory_sequence bigint,
    -- How many rows of needed_histories belong to this system.
    inventory_needed bigint NOT NULL DEFAULT 0,
    report_wanted_at bigint
);
CREATE UNIQUE INDEX systems_hostname ON systems (hostname);

CREATE TABLE api_keys (
    id uuid NOT NULL PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    role text NOT NULL CHECK (role IN ('admin', 'operator', 'viewer', 'system')),
    system_id uuid REFERENCES systems (id) ON DELETE CASCADE,
    prefix text COLLATE "C" NOT NULL,
    hash bytea NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint,
    revoked_at bigint,
    last_used_at bigint
);
CREATE UNIQUE INDEX api_keys_prefix ON api_keys (prefix);
CREATE INDEX api_keys_system ON api_keys (system_id);

CREATE TABLE enrolment_tokens (
    id uuid NOT NULL PRIMARY KEY,
    prefix text COLLATE "C" NOT NULL,
    hash bytea NOT NULL,
    created_by text NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    uses bigint NOT NULL,
    uses_left bigint NOT NULL CHECK (uses_left >= 0),
    revoked_at bigint
);
CREATE UNIQUE INDEX enrolment_tokens_prefix ON enrolment_tokens (prefix);

CREATE TABLE sessions (
    hash bytea NOT NULL PRIMARY KEY,
    key_id uuid NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE,
    expires_at bigint NOT NULL
);
CREATE INDEX sessions_key ON sessions (key_id);
