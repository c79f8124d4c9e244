-- How transfers may flow: bandwidth by the time of the week (as text), and compression between systems.
ALTER TABLE sync_groups ADD COLUMN rate_limit text;
ALTER TABLE sync_groups ADD COLUMN compression text NOT NULL DEFAULT 'off';
ALTER TABLE systems ADD COLUMN rate_limit text;
-- How a transfer flows, as its executor says (JSON); and where in its stream the attempt before began, to see whether attempts get on.
ALTER TABLE transfers ADD COLUMN flow text;
ALTER TABLE transfers ADD COLUMN began_at_byte bigint;
