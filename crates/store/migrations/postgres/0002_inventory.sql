-- GUIDs, transaction groups and sizes are unsigned 64-bit numbers, kept as the same bits in a signed one.
CREATE TABLE datasets (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    system_id uuid NOT NULL REFERENCES systems (id) ON DELETE CASCADE,
    name text COLLATE "C" NOT NULL,
    digest text NOT NULL,
    guid bigint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('filesystem', 'volume')),
    createtxg bigint NOT NULL,
    written bigint NOT NULL,
    used bigint NOT NULL,
    referenced bigint NOT NULL,
    available bigint NOT NULL,
    readonly boolean NOT NULL,
    mounted boolean NOT NULL,
    encrypted boolean NOT NULL,
    origin text,
    partial text
);
CREATE UNIQUE INDEX datasets_system_name ON datasets (system_id, name);

CREATE TABLE snapshots (
    dataset_id bigint NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
    guid bigint NOT NULL,
    createtxg bigint NOT NULL,
    label text COLLATE "C" NOT NULL,
    creation bigint NOT NULL,
    used bigint NOT NULL,
    referenced bigint NOT NULL,
    holds bigint NOT NULL,
    PRIMARY KEY (dataset_id, guid)
);

CREATE TABLE bookmarks (
    dataset_id bigint NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
    label text COLLATE "C" NOT NULL,
    guid bigint NOT NULL,
    createtxg bigint NOT NULL,
    creation bigint NOT NULL,
    PRIMARY KEY (dataset_id, label)
);

-- Datasets that were reported with a digest whose history has not come yet.
CREATE TABLE needed_histories (
    system_id uuid NOT NULL REFERENCES systems (id) ON DELETE CASCADE,
    name text COLLATE "C" NOT NULL,
    PRIMARY KEY (system_id, name)
);
