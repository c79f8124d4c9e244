-- By what the transfers of a group reach the other side: `auto`, `tls`, `ssh`.
ALTER TABLE sync_groups ADD COLUMN transport TEXT NOT NULL DEFAULT 'auto';
