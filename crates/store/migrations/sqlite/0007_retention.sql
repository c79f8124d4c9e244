-- What a host's own snapshot tool keeps of a dataset, as its newest report says.
CREATE TABLE retention_policies (
    system_id BLOB NOT NULL REFERENCES systems (id) ON DELETE CASCADE,
    dataset TEXT NOT NULL,
    policy TEXT NOT NULL,
    PRIMARY KEY (system_id, dataset)
) STRICT, WITHOUT ROWID;
