-- GUIDs, transaction groups and sizes are unsigned 64-bit numbers, kept as the same bits in a signed one.
CREATE TABLE datasets (
    id INTEGER NOT NULL PRIMARY KEY,
    system_id BLOB NOT NULL REFERENCES systems (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    guid INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('filesystem', 'volume')),
    createtxg INTEGER NOT NULL,
    written INTEGER NOT NULL,
    used INTEGER NOT NULL,
    referenced INTEGER NOT NULL,
    available INTEGER NOT NULL,
    readonly INTEGER NOT NULL,
    mounted INTEGER NOT NULL,
    encrypted INTEGER NOT NULL,
    origin TEXT,
    partial TEXT
) STRICT;
CREATE UNIQUE INDEX datasets_system_name ON datasets (system_id, name);

CREATE TABLE snapshots (
    dataset_id INTEGER NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
    guid INTEGER NOT NULL,
    createtxg INTEGER NOT NULL,
    label TEXT NOT NULL,
    creation INTEGER NOT NULL,
    used INTEGER NOT NULL,
    referenced INTEGER NOT NULL,
    holds INTEGER NOT NULL,
    PRIMARY KEY (dataset_id, guid)
) STRICT, WITHOUT ROWID;

CREATE TABLE bookmarks (
    dataset_id INTEGER NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
    label TEXT NOT NULL,
    guid INTEGER NOT NULL,
    createtxg INTEGER NOT NULL,
    creation INTEGER NOT NULL,
    PRIMARY KEY (dataset_id, label)
) STRICT, WITHOUT ROWID;

-- Datasets that were reported with a digest whose history has not come yet.
CREATE TABLE needed_histories (
    system_id BLOB NOT NULL REFERENCES systems (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    PRIMARY KEY (system_id, name)
) STRICT, WITHOUT ROWID;
