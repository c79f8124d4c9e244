-- What a host's own snapshot tool keeps of a dataset, as its newest report says.
CREATE TABLE retention_policies (
    system_id uuid NOT NULL REFERENCES systems (id) ON DELETE CASCADE,
    dataset text COLLATE "C" NOT NULL,
    policy text NOT NULL,
    PRIMARY KEY (system_id, dataset)
);
