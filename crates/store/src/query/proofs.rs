use zfs_sync_core::time::Timestamp;

use super::{
    super::Db,
    cells::Cells,
    verifications::{DIFFERS, MATCHED, snapshot},
};
use crate::{ProofRow, Result};

pub(crate) async fn proofs(db: &Db) -> Result<Vec<ProofRow>> {
    let rows = sqlx::query(
        "SELECT id, right_system_id, right_dataset, right_label, finished_at, deep, proof FROM verifications AS one \
         WHERE proof IS NOT NULL AND NOT EXISTS (SELECT 1 FROM verifications AS newer WHERE newer.proof IS NOT NULL \
         AND newer.right_system_id = one.right_system_id AND newer.right_dataset = one.right_dataset \
         AND newer.deep = one.deep AND (newer.finished_at > one.finished_at \
         OR (newer.finished_at = one.finished_at AND newer.id > one.id))) \
         ORDER BY right_system_id, right_dataset, deep DESC",
    )
    .fetch_all(db.reader())
    .await?;
    let proof = |row| {
        let cells = Cells::new(row, "verifications", "id");
        let is_same =
            |text: &str| [(MATCHED, true), (DIFFERS, false)].into_iter().find(|(name, _)| *name == text);
        Ok(ProofRow {
            verification: cells.id("id")?,
            matched: cells.named("proof", is_same)?.1,
            system: cells.id("right_system_id")?,
            dataset: cells.parse("right_dataset")?,
            snapshot: snapshot(&cells, "right_dataset", "right_label")?,
            at: cells.time("finished_at")?,
            deep: cells.get("deep")?,
        })
    };
    rows.iter().map(proof).collect()
}

pub(crate) async fn prune_verifications(db: &Db, before: Timestamp) -> Result<u64> {
    let done = sqlx::query(
        "DELETE FROM verifications WHERE finished_at < $1 AND (proof IS NULL OR EXISTS \
         (SELECT 1 FROM verifications AS newer WHERE newer.proof IS NOT NULL \
         AND newer.right_system_id = verifications.right_system_id AND newer.right_dataset = verifications.right_dataset \
         AND newer.deep = verifications.deep AND newer.finished_at > verifications.finished_at))",
    )
    .bind(before.as_millisecond())
    .execute(db.writer())
    .await?;
    Ok(done.rows_affected())
}
