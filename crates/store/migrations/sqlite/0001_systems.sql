-- Times are milliseconds since 1970 in UTC, UUIDs are 16 bytes, JSON is text, truth is 0 or 1.
CREATE TABLE systems (
    id BLOB NOT NULL PRIMARY KEY,
    hostname TEXT NOT NULL,
    platform TEXT NOT NULL,
    connectivity_status TEXT NOT NULL,
    ssh_hostname TEXT,
    ssh_user TEXT,
    ssh_port INTEGER NOT NULL,
    extra_metadata TEXT NOT NULL,
    agent_version TEXT,
    zfs_version TEXT,
    os TEXT,
    clock_offset_ms INTEGER,
    inventory_interval_ms INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    last_seen INTEGER,
    inventory_as_of INTEGER,
    inventory_sequence INTEGER,
    -- How many rows of needed_histories belong to this system.
    inventory_needed INTEGER NOT NULL DEFAULT 0,
    report_wanted_at INTEGER
) STRICT;
CREATE UNIQUE INDEX systems_hostname ON systems (hostname);

CREATE TABLE api_keys (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('admin', 'operator', 'viewer', 'system')),
    system_id BLOB REFERENCES systems (id) ON DELETE CASCADE,
    prefix TEXT NOT NULL,
    hash BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER,
    last_used_at INTEGER
) STRICT;
CREATE UNIQUE INDEX api_keys_prefix ON api_keys (prefix);
CREATE INDEX api_keys_system ON api_keys (system_id);

CREATE TABLE enrolment_tokens (
    id BLOB NOT NULL PRIMARY KEY,
    prefix TEXT NOT NULL,
    hash BLOB NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    uses INTEGER NOT NULL,
    uses_left INTEGER NOT NULL CHECK (uses_left >= 0),
    revoked_at INTEGER
) STRICT;
CREATE UNIQUE INDEX enrolment_tokens_prefix ON enrolment_tokens (prefix);

CREATE TABLE sessions (
    hash BLOB NOT NULL PRIMARY KEY,
    key_id BLOB NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_key ON sessions (key_id);
