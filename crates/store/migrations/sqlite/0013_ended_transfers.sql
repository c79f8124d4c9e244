-- What has been destroyed on a system since a moment: asked whenever something is to be destroyed elsewhere.
CREATE INDEX transfers_ended ON transfers (target_system_id, finished_at);
