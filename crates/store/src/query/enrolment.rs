use zfs_sync_core::{ids::EnrolmentTokenId, time::Timestamp};

use super::{
    super::{Db, DbRow},
    cells::Cells,
    keys, systems,
};
use crate::{
    EnrolError, EnrolmentTokenRow, Error, NewEnrolmentToken, NewKey, NewSystem, Result, SystemRow,
    error::Constraints as _,
};

macro_rules! columns {
    () => {
        "id, prefix, hash, created_by, created_at, expires_at, uses, uses_left, revoked_at"
    };
}

fn read(row: &DbRow) -> Result<EnrolmentTokenRow> {
    let cells = Cells::new(row, "enrolment_tokens", "id");
    Ok(EnrolmentTokenRow {
        id: cells.id("id")?,
        prefix: cells.get("prefix")?,
        hash: cells.hash("hash")?,
        created_by: cells.get("created_by")?,
        created_at: cells.time("created_at")?,
        expires_at: cells.time("expires_at")?,
        uses: cells.small("uses")?,
        uses_left: cells.small("uses_left")?,
        revoked_at: cells.time_option("revoked_at")?,
    })
}

pub(crate) async fn insert_enrolment_token(
    db: &Db,
    new: &NewEnrolmentToken,
    now: Timestamp,
) -> Result<EnrolmentTokenRow> {
    let statement = concat!(
        "INSERT INTO enrolment_tokens (id, prefix, hash, created_by, created_at, expires_at, uses, uses_left) ",
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $7) RETURNING ",
        columns!()
    );
    let row = sqlx::query(statement)
        .bind(new.id.as_uuid())
        .bind(&new.prefix)
        .bind(&new.hash.0[..])
        .bind(&new.created_by)
        .bind(now.as_millisecond())
        .bind(new.expires_at.as_millisecond())
        .bind(i64::from(new.uses))
        .fetch_one(db.writer())
        .await
        .unique(|| {
            format!("an enrolment token with the prefix `{}` or this ID exists already", new.prefix)
        })?;
    read(&row)
}

pub(crate) async fn enrolment_tokens(db: &Db) -> Result<Vec<EnrolmentTokenRow>> {
    let statement =
        concat!("SELECT ", columns!(), " FROM enrolment_tokens ORDER BY created_at DESC, id DESC");
    let rows = sqlx::query(statement).fetch_all(db.reader()).await?;
    rows.iter().map(read).collect()
}

pub(crate) async fn enrolment_token_by_prefix(db: &Db, prefix: &str) -> Result<Option<EnrolmentTokenRow>> {
    let statement = concat!("SELECT ", columns!(), " FROM enrolment_tokens WHERE prefix = $1");
    let row = sqlx::query(statement).bind(prefix).fetch_optional(db.reader()).await?;
    row.as_ref().map(read).transpose()
}

pub(crate) async fn revoke_enrolment_token(db: &Db, id: EnrolmentTokenId, now: Timestamp) -> Result<bool> {
    let done =
        sqlx::query("UPDATE enrolment_tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL")
            .bind(id.as_uuid())
            .bind(now.as_millisecond())
            .execute(db.writer())
            .await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn enrol(
    db: &Db,
    token: EnrolmentTokenId,
    system: &NewSystem,
    key: &NewKey,
    now: Timestamp,
) -> Result<SystemRow, EnrolError> {
    let mut transaction = db.begin_write().await?;
    let statement = concat!("SELECT ", columns!(), " FROM enrolment_tokens WHERE id = $1", for_update!());
    let row = sqlx::query(statement).bind(token.as_uuid()).fetch_optional(&mut *transaction).await?;
    let token = read(&row.ok_or(EnrolError::Unknown)?)?;
    if token.revoked_at.is_some() {
        return Err(EnrolError::Revoked);
    }
    if token.expires_at <= now {
        return Err(EnrolError::Expired);
    }
    if token.uses_left == 0 {
        return Err(EnrolError::Used);
    }
    sqlx::query("UPDATE enrolment_tokens SET uses_left = uses_left - 1 WHERE id = $1")
        .bind(token.id.as_uuid())
        .execute(&mut *transaction)
        .await?;
    let Some(created) = systems::insert(&mut *transaction, system, now).await? else {
        transaction.rollback().await?;
        let holder = systems::system_by_hostname(db, system.hostname.as_str()).await?;
        return Err(match holder {
            Some(holder) => EnrolError::HostnameTaken { id: holder.id },
            None => Error::Conflict { what: format!("`{}` was registered at this moment", system.hostname) }
                .into(),
        });
    };
    keys::insert(&mut *transaction, key, Some(system.id), now).await?;
    transaction.commit().await?;
    Ok(created)
}
