-- True: the newest reports came from a client that knows no GUIDs; its snapshots are matched by name and creation time.
ALTER TABLE systems ADD COLUMN inventory_without_guids boolean NOT NULL DEFAULT FALSE;
