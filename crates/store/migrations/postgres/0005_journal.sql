-- One row for each series of numbers without gaps. Taking the next number locks the row until the transaction ends, so that
-- numbers become visible in their order.
CREATE TABLE counters (
    name text COLLATE "C" NOT NULL PRIMARY KEY,
    value bigint NOT NULL
);
INSERT INTO counters (name, value) VALUES ('events', 0), ('audit', 0);

CREATE TABLE events (
    id bigint NOT NULL PRIMARY KEY,
    happened_at bigint NOT NULL,
    kind text NOT NULL,
    data text NOT NULL
);
CREATE INDEX events_happened ON events (happened_at);

CREATE TABLE audit (
    id bigint NOT NULL PRIMARY KEY,
    happened_at bigint NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    object text NOT NULL,
    detail text NOT NULL,
    request_id text,
    address text
);
