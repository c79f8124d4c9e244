-- The moment that the inventory shows at the earliest, by the witness's clock: the look that it was taken from had not begun before. NULL: the
-- agent did not say, so that nothing is known of it.
ALTER TABLE systems ADD COLUMN inventory_looked_at bigint;
-- Until when the executor of a step that destroys may still be at it: the end that it told itself, or some time after the end of its lease.
-- NULL: it was never handed out.
ALTER TABLE transfers ADD COLUMN acts_until bigint;
-- Of leases that were given before: half an hour is what a command that destroys may take.
UPDATE transfers SET acts_until = CASE WHEN state = 'succeeded' THEN finished_at ELSE updated_at + 1860000 END
WHERE started_at IS NOT NULL;
