use zfs_sync_core::{
    ids::{GroupId, SystemId, VerificationId},
    name::{DatasetName, Label, SnapshotName},
    time::Timestamp,
    verify::{Comparison, Outcome},
};

use super::{
    super::{Connection, Db, DbRow},
    cells::{Cells, bits, count_of, json_text, moment},
};
use crate::{
    Exchanged, NewVerification, Result, Side, SideRow, SideWord, VerificationRow, VerificationState,
    error::Constraints as _,
};

macro_rules! columns {
    () => {
        "id, group_id, requested_by, state, deep, rate, estimate, generation, attempts, comparison, result, left_system_id, left_dataset, \
         left_label, left_lease_until, left_answers, left_entries, left_bytes, right_system_id, right_dataset, right_label, \
         right_lease_until, right_answers, right_entries, right_bytes, created_at, begun_at, started_at, updated_at, finished_at"
    };
}

pub(super) fn snapshot(
    cells: &Cells<'_>,
    dataset: &'static str,
    label: &'static str,
) -> Result<SnapshotName> {
    let dataset: DatasetName = cells.parse(dataset)?;
    let name = cells.named(label, |text| {
        text.parse::<Label>().ok().and_then(|label| format!("{dataset}@{label}").parse().ok())
    })?;
    Ok(name)
}

fn read(row: &DbRow) -> Result<VerificationRow> {
    let cells = Cells::new(row, "verifications", "id");
    Ok(VerificationRow {
        id: cells.id("id")?,
        group: cells.id_option("group_id")?,
        requested_by: cells.get("requested_by")?,
        state: cells.named("state", VerificationState::from_name)?,
        deep: cells.get("deep")?,
        rate: cells.bits_option("rate")?,
        estimate: cells.bits("estimate")?,
        generation: cells.bits("generation")?,
        attempts: cells.small("attempts")?,
        comparison: cells.json_option("comparison")?,
        result: cells.json_option("result")?,
        left: SideRow {
            system: cells.id("left_system_id")?,
            snapshot: snapshot(&cells, "left_dataset", "left_label")?,
            lease_until: cells.time_option("left_lease_until")?,
            answers: cells.json_option("left_answers")?,
            entries: cells.bits("left_entries")?,
            bytes: cells.bits("left_bytes")?,
        },
        right: SideRow {
            system: cells.id("right_system_id")?,
            snapshot: snapshot(&cells, "right_dataset", "right_label")?,
            lease_until: cells.time_option("right_lease_until")?,
            answers: cells.json_option("right_answers")?,
            entries: cells.bits("right_entries")?,
            bytes: cells.bits("right_bytes")?,
        },
        created_at: cells.time("created_at")?,
        begun_at: cells.time("begun_at")?,
        started_at: cells.time_option("started_at")?,
        updated_at: cells.time("updated_at")?,
        finished_at: cells.time_option("finished_at")?,
    })
}

pub(crate) async fn create_verification(
    db: &Db,
    new: &NewVerification,
    now: Timestamp,
) -> Result<VerificationRow> {
    let ((left_system, left), (right_system, right)) = (&new.left, &new.right);
    let statement = concat!(
        "INSERT INTO verifications (id, group_id, requested_by, state, deep, rate, estimate, generation, attempts, comparison, ",
        "left_system_id, left_dataset, left_label, left_entries, left_bytes, ",
        "right_system_id, right_dataset, right_label, right_entries, right_bytes, created_at, begun_at, updated_at) ",
        "VALUES ($1, $2, $3, 'queued', $4, $5, $14, 1, 1, $6, $7, $8, $9, 0, 0, $10, $11, $12, 0, 0, $13, $13, $13) RETURNING ",
        columns!()
    );
    let row = sqlx::query(statement)
        .bind(new.id.as_uuid())
        .bind(new.group.map(|group| group.as_uuid()))
        .bind(&new.requested_by)
        .bind(new.deep)
        .bind(bits(new.rate))
        .bind(json_text(&Comparison::new(new.deep)))
        .bind(left_system.as_uuid())
        .bind(left.dataset().as_str())
        .bind(left.label().as_str())
        .bind(right_system.as_uuid())
        .bind(right.dataset().as_str())
        .bind(right.label().as_str())
        .bind(now.as_millisecond())
        .bind(new.estimate.cast_signed())
        .fetch_one(db.writer())
        .await
        .unique(|| {
            format!(
                "the verification {} exists already, or another one of its group's schedule is under way",
                new.id
            )
        })?;
    read(&row)
}

pub(crate) async fn verification(db: &Db, id: VerificationId) -> Result<Option<VerificationRow>> {
    let statement = concat!("SELECT ", columns!(), " FROM verifications WHERE id = $1");
    let row = sqlx::query(statement).bind(id.as_uuid()).fetch_optional(db.reader()).await?;
    row.as_ref().map(read).transpose()
}

pub(crate) async fn verifications(db: &Db, limit: u64) -> Result<Vec<VerificationRow>> {
    let statement =
        concat!("SELECT ", columns!(), " FROM verifications ORDER BY created_at DESC, id DESC LIMIT $1");
    let rows = sqlx::query(statement).bind(count_of(limit)).fetch_all(db.reader()).await?;
    rows.iter().map(read).collect()
}

pub(crate) async fn scheduled_verifications(
    db: &Db,
    group: GroupId,
    since: Timestamp,
) -> Result<Vec<VerificationRow>> {
    let statement = concat!(
        "SELECT ",
        columns!(),
        " FROM verifications WHERE group_id = $1 AND (created_at >= $2 OR finished_at IS NULL) ORDER BY created_at, id"
    );
    let rows = sqlx::query(statement)
        .bind(group.as_uuid())
        .bind(since.as_millisecond())
        .fetch_all(db.reader())
        .await?;
    rows.iter().map(read).collect()
}

/// The verification, locked until the transaction ends.
async fn lock(connection: &mut Connection, id: VerificationId) -> Result<Option<VerificationRow>> {
    let statement = concat!("SELECT ", columns!(), " FROM verifications WHERE id = $1", for_update!());
    let row = sqlx::query(statement).bind(id.as_uuid()).fetch_optional(connection).await?;
    row.as_ref().map(read).transpose()
}

/// What it says of the copy.
fn proof_of(row: &VerificationRow) -> Option<&'static str> {
    let proves = row.result.as_ref()?.proves()?;
    Some(if proves { MATCHED } else { DIFFERS })
}

pub(super) const MATCHED: &str = "matched";
pub(super) const DIFFERS: &str = "differs";

/// Writes all of it that changes.
async fn write(connection: &mut Connection, row: &VerificationRow) -> Result<()> {
    let answers = |side: &SideRow| side.answers.as_ref().map(json_text);
    sqlx::query(
        "UPDATE verifications SET state = $2, generation = $3, attempts = $4, comparison = $5, result = $6, \
         left_lease_until = $7, left_answers = $8, left_entries = $9, left_bytes = $10, \
         right_lease_until = $11, right_answers = $12, right_entries = $13, right_bytes = $14, \
         started_at = $15, updated_at = $16, finished_at = $17, begun_at = $18, proof = $19 WHERE id = $1",
    )
    .bind(row.id.as_uuid())
    .bind(row.state.as_str())
    .bind(row.generation.cast_signed())
    .bind(i64::from(row.attempts))
    .bind(row.comparison.as_ref().map(json_text))
    .bind(row.result.as_ref().map(json_text))
    .bind(moment(row.left.lease_until))
    .bind(answers(&row.left))
    .bind(row.left.entries.cast_signed())
    .bind(row.left.bytes.cast_signed())
    .bind(moment(row.right.lease_until))
    .bind(answers(&row.right))
    .bind(row.right.entries.cast_signed())
    .bind(row.right.bytes.cast_signed())
    .bind(moment(row.started_at))
    .bind(row.updated_at.as_millisecond())
    .bind(moment(row.finished_at))
    .bind(row.begun_at.as_millisecond())
    .bind(proof_of(row))
    .execute(connection)
    .await?;
    Ok(())
}

pub(crate) async fn lease_verifications(
    db: &Db,
    system: SystemId,
    max: u32,
    now: Timestamp,
    lease_until: Timestamp,
) -> Result<Vec<(VerificationRow, Side)>> {
    let open = "SELECT id FROM verifications WHERE finished_at IS NULL AND \
                ((left_system_id = $1 AND left_lease_until IS NULL) OR (right_system_id = $1 AND right_lease_until IS NULL)) \
                ORDER BY created_at, id LIMIT $2";
    // Most of the time there is none, and then nothing is locked.
    let ids = sqlx::query(open).bind(system.as_uuid()).bind(i64::from(max)).fetch_all(db.reader()).await?;
    let mut leased = Vec::new();
    for row in &ids {
        let id = Cells::new(row, "verifications", "id").id("id")?;
        let mut transaction = db.begin_write().await?;
        let Some(mut row) = lock(&mut transaction, id).await?.filter(|row| !row.state.is_finished()) else {
            continue;
        };
        for side in [Side::Left, Side::Right] {
            let of = row.side_mut(side);
            if leased.len() < max as usize && of.system == system && of.lease_until.is_none() {
                of.lease_until = Some(lease_until);
                row.state = VerificationState::Running;
                row.started_at = row.started_at.or(Some(now));
                row.updated_at = now;
                write(&mut transaction, &row).await?;
                leased.push((row.clone(), side));
            }
        }
        transaction.commit().await?;
    }
    Ok(leased)
}

pub(crate) async fn exchange_verification(
    db: &Db,
    id: VerificationId,
    word: &SideWord,
    now: Timestamp,
    lease_until: Timestamp,
) -> Result<Exchanged> {
    let mut transaction = db.begin_write().await?;
    let Some(mut row) = lock(&mut transaction, id).await? else { return Ok(Exchanged::Lost) };
    let Some(mut comparison) = row.comparison.take() else {
        return Ok(Exchanged::Over { row: Box::new(row), moved: false });
    };
    if row.generation != word.generation || row.side(word.side).lease_until.is_none() {
        return Ok(Exchanged::Lost);
    }
    let of = row.side_mut(word.side);
    of.lease_until = Some(lease_until);
    (of.entries, of.bytes) = (word.entries, word.bytes);
    if word.round == comparison.round() && word.answers.is_some() {
        of.answers.clone_from(&word.answers);
    }
    row.updated_at = now;
    let mut moved = false;
    if row.left.answers.is_some() && row.right.answers.is_some() {
        let (left, right) = (row.left.answers.take(), row.right.answers.take());
        comparison.answer(left.unwrap_or_default(), right.unwrap_or_default());
        moved = true;
    }
    let exchanged = if let Some(verdict) = comparison.verdict() {
        finish(&mut row, verdict.outcome.into(), now);
        row.result = Some(verdict.clone());
        Exchanged::Over { row: Box::new(row.clone()), moved }
    } else {
        let (round, questions) = (comparison.round(), comparison.questions().to_vec());
        row.comparison = Some(comparison);
        Exchanged::Asked { round, questions, moved }
    };
    write(&mut transaction, &row).await?;
    transaction.commit().await?;
    Ok(exchanged)
}

/// Nothing more happens to it.
fn finish(row: &mut VerificationRow, state: VerificationState, now: Timestamp) {
    row.state = state;
    row.comparison = None;
    for side in [Side::Left, Side::Right] {
        let of = row.side_mut(side);
        (of.lease_until, of.answers) = (None, None);
    }
    row.updated_at = now;
    row.finished_at = Some(now);
}

pub(crate) async fn begin_anew(
    db: &Db,
    system: Option<SystemId>,
    most: u32,
    now: Timestamp,
) -> Result<Vec<VerificationRow>> {
    let rows = match system {
        None => {
            sqlx::query(
                "SELECT id FROM verifications WHERE finished_at IS NULL AND (left_lease_until <= $1 OR right_lease_until <= $1)",
            )
            .bind(now.as_millisecond())
            .fetch_all(db.reader())
            .await?
        }
        Some(system) => {
            sqlx::query(
                "SELECT id FROM verifications WHERE finished_at IS NULL AND \
                 ((left_system_id = $1 AND left_lease_until IS NOT NULL) OR (right_system_id = $1 AND right_lease_until IS NOT NULL))",
            )
            .bind(system.as_uuid())
            .fetch_all(db.reader())
            .await?
        }
    };
    let mut begun = Vec::new();
    for row in &rows {
        let id = Cells::new(row, "verifications", "id").id("id")?;
        let mut transaction = db.begin_write().await?;
        let Some(mut row) = lock(&mut transaction, id).await? else { continue };
        let Some(mut comparison) = row.comparison.clone() else { continue };
        let is_over = |side: &SideRow| match system {
            None => side.lease_until.is_some_and(|until| until <= now),
            Some(system) => side.system == system && side.lease_until.is_some(),
        };
        // It may have been heard of since it was found.
        if !(is_over(&row.left) || is_over(&row.right)) {
            continue;
        }
        if row.attempts >= most {
            let detail = format!("an agent was lost each of the {} times that it was begun", row.attempts);
            comparison.abandon(Outcome::Failed, "E_VERIFY_INTERRUPTED", detail);
            row.result = comparison.verdict().cloned();
            finish(&mut row, VerificationState::Failed, now);
        } else {
            row.state = VerificationState::Queued;
            row.generation += 1;
            row.attempts += 1;
            row.comparison = Some(Comparison::new(row.deep));
            for side in [Side::Left, Side::Right] {
                let of = row.side_mut(side);
                (of.lease_until, of.answers, of.entries, of.bytes) = (None, None, 0, 0);
            }
            (row.begun_at, row.updated_at) = (now, now);
        }
        write(&mut transaction, &row).await?;
        transaction.commit().await?;
        begun.push(row);
    }
    Ok(begun)
}

pub(crate) async fn give_up_verifications(
    db: &Db,
    begun_before: Timestamp,
    now: Timestamp,
) -> Result<Vec<VerificationRow>> {
    let unattended = |side: &SideRow| side.lease_until.is_none();
    let rows = sqlx::query(
        "SELECT id FROM verifications WHERE finished_at IS NULL AND begun_at < $1 \
         AND (left_lease_until IS NULL OR right_lease_until IS NULL)",
    )
    .bind(begun_before.as_millisecond())
    .fetch_all(db.reader())
    .await?;
    let mut given_up = Vec::new();
    for row in &rows {
        let id = Cells::new(row, "verifications", "id").id("id")?;
        let mut transaction = db.begin_write().await?;
        let Some(mut row) = lock(&mut transaction, id).await? else { continue };
        let Some(mut comparison) = row.comparison.clone() else { continue };
        // Somebody may have come at last.
        if row.begun_at >= begun_before || !(unattended(&row.left) || unattended(&row.right)) {
            continue;
        }
        let missing = if unattended(&row.left) { &row.left } else { &row.right };
        let detail = format!("no agent came to read {}", missing.snapshot);
        comparison.abandon(Outcome::Unproven, "E_VERIFY_NO_AGENT", detail);
        row.result = comparison.verdict().cloned();
        finish(&mut row, VerificationState::Unproven, now);
        write(&mut transaction, &row).await?;
        transaction.commit().await?;
        given_up.push(row);
    }
    Ok(given_up)
}

pub(crate) async fn cancel_verification(
    db: &Db,
    id: VerificationId,
    now: Timestamp,
) -> Result<Option<VerificationRow>> {
    let mut transaction = db.begin_write().await?;
    let Some(mut row) = lock(&mut transaction, id).await? else { return Ok(None) };
    if !row.state.is_finished() {
        finish(&mut row, VerificationState::Cancelled, now);
        write(&mut transaction, &row).await?;
        transaction.commit().await?;
    }
    Ok(Some(row))
}
