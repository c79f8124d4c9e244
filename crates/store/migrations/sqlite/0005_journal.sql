-- One row for each series of numbers without gaps. Taking the next number locks the row until the transaction ends, so that
-- numbers become visible in their order.
CREATE TABLE counters (
    name TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO counters (name, value) VALUES ('events', 0), ('audit', 0);

CREATE TABLE events (
    id INTEGER NOT NULL PRIMARY KEY,
    happened_at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL
) STRICT;
CREATE INDEX events_happened ON events (happened_at);

CREATE TABLE audit (
    id INTEGER NOT NULL PRIMARY KEY,
    happened_at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    detail TEXT NOT NULL,
    request_id TEXT,
    address TEXT
) STRICT;
