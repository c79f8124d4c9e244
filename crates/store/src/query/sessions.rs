use zfs_sync_core::{ids::KeyId, time::Timestamp};

use super::{super::Db, keys};
use crate::{Error, KeyRow, Result, SecretHash, error::Constraints as _};

pub(crate) async fn insert_session(
    db: &Db,
    hash: SecretHash,
    key: KeyId,
    expires_at: Timestamp,
) -> Result<()> {
    sqlx::query("INSERT INTO sessions (hash, key_id, expires_at) VALUES ($1, $2, $3)")
        .bind(&hash.0[..])
        .bind(key.as_uuid())
        .bind(expires_at.as_millisecond())
        .execute(db.writer())
        .await
        .unique(|| "a session with this secret exists already".to_owned())
        .reference(|| Error::NotFound { what: "key" })?;
    Ok(())
}

pub(crate) async fn session(db: &Db, hash: SecretHash, now: Timestamp) -> Result<Option<KeyRow>> {
    keys::of_session(db, &hash.0, now).await
}

pub(crate) async fn delete_session(db: &Db, hash: SecretHash) -> Result<bool> {
    let done =
        sqlx::query("DELETE FROM sessions WHERE hash = $1").bind(&hash.0[..]).execute(db.writer()).await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn prune_sessions(db: &Db, now: Timestamp) -> Result<u64> {
    let done = sqlx::query("DELETE FROM sessions WHERE expires_at <= $1")
        .bind(now.as_millisecond())
        .execute(db.writer())
        .await?;
    Ok(done.rows_affected())
}
