-- The witness's own certificate authority: one row, so that all witnesses of a database have the same.
CREATE TABLE authority (
    id bigint NOT NULL PRIMARY KEY CHECK (id = 1),
    -- X.509 in PEM; PKCS #8 in DER.
    certificate bytea NOT NULL,
    key bytea NOT NULL,
    created_at bigint NOT NULL
);
-- Where other agents reach this one over TLS; NULL: its agent does not listen.
ALTER TABLE systems ADD COLUMN transfer_host text;
ALTER TABLE systems ADD COLUMN transfer_port bigint;
-- Which run of the agent listens: a ticket is good for that one alone.
ALTER TABLE systems ADD COLUMN transfer_instance uuid;
-- Until when the newest certificate of this system is valid.
ALTER TABLE systems ADD COLUMN certificate_expires_at bigint;
-- How the newest attempt reached the other side: `ssh`, `tls`, and why not by what was preferred.
ALTER TABLE transfers ADD COLUMN transport text;
ALTER TABLE transfers ADD COLUMN transport_note text;
