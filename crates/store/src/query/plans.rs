use std::collections::HashSet;

use zfs_sync_core::{
    group::Strategy,
    guid::Guid,
    ids::{GroupId, PlanId},
    plan::{Decision, Fingerprint, ReplicaKey},
    time::Timestamp,
};

use super::{
    super::{Connection, Db, DbRow},
    cells::{Cells, json_text},
    groups,
};
use crate::{DecisionOutcome, DecisionRow, Error, NewPlan, PlanRow, Result, error::Constraints as _};

macro_rules! plan_columns {
    () => {
        "id, group_id, dataset, home_system_id, target_system_id, strategy, proposal, fingerprint, created_at, created_by, \
         applied_at, applied_by"
    };
}

macro_rules! decision_columns {
    () => {
        "plan_id, group_id, decision, created_at, created_by, finished_at, outcome"
    };
}

fn read_plan(row: &DbRow) -> Result<PlanRow> {
    let cells = Cells::new(row, "plans", "id");
    Ok(PlanRow {
        id: cells.id("id")?,
        group: cells.id("group_id")?,
        replica: ReplicaKey {
            home: cells.id("home_system_id")?,
            dataset: cells.parse("dataset")?,
            target_system: cells.id("target_system_id")?,
        },
        strategy: cells.named("strategy", Strategy::from_name)?,
        proposal: cells.json("proposal")?,
        fingerprint: Fingerprint(cells.get("fingerprint")?),
        created_at: cells.time("created_at")?,
        created_by: cells.get("created_by")?,
        applied_at: cells.time_option("applied_at")?,
        applied_by: cells.get("applied_by")?,
    })
}

fn read_decision(row: &DbRow) -> Result<DecisionRow> {
    let cells = Cells::new(row, "decisions", "plan_id");
    let outcome: Option<&str> = cells.get("outcome")?;
    Ok(DecisionRow {
        plan: cells.id("plan_id")?,
        group: cells.id("group_id")?,
        decision: cells.json("decision")?,
        created_at: cells.time("created_at")?,
        created_by: cells.get("created_by")?,
        finished_at: cells.time_option("finished_at")?,
        outcome: outcome.is_some().then(|| cells.named("outcome", DecisionOutcome::from_name)).transpose()?,
    })
}

pub(crate) async fn insert_plan(db: &Db, plan: &NewPlan, now: Timestamp) -> Result<PlanRow> {
    let statement = concat!(
        "INSERT INTO plans (id, group_id, dataset, home_system_id, target_system_id, strategy, proposal, fingerprint, \
         created_at, created_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING ",
        plan_columns!()
    );
    let NewPlan { id, group, replica, proposal, created_by } = plan;
    let row = sqlx::query(statement)
        .bind(id.as_uuid())
        .bind(group.as_uuid())
        .bind(replica.dataset.as_str())
        .bind(replica.home.as_uuid())
        .bind(replica.target_system.as_uuid())
        .bind(proposal.strategy.as_str())
        .bind(json_text(proposal))
        .bind(&proposal.plan.fingerprint.0)
        .bind(now.as_millisecond())
        .bind(created_by)
        .fetch_one(db.writer())
        .await
        .unique(|| format!("a plan with the ID {id} exists already"))
        .reference(|| Error::NotFound { what: "sync group or system" })?;
    read_plan(&row)
}

async fn one(connection: &mut Connection, id: PlanId) -> Result<Option<PlanRow>> {
    let statement = concat!("SELECT ", plan_columns!(), " FROM plans WHERE id = $1");
    let row = sqlx::query(statement).bind(id.as_uuid()).fetch_optional(connection).await?;
    row.as_ref().map(read_plan).transpose()
}

pub(crate) async fn plan(db: &Db, id: PlanId) -> Result<Option<PlanRow>> {
    one(&mut *db.reader().acquire().await?, id).await
}

pub(crate) async fn apply_plan(db: &Db, id: PlanId, by: &str, now: Timestamp) -> Result<DecisionRow> {
    let mut transaction = db.begin_write().await?;
    let plan = one(&mut transaction, id).await?.ok_or(Error::NotFound { what: "plan" })?;
    // One decision about a dataset at a time: everybody who applies a plan of this group waits here.
    groups::lock(&mut transaction, plan.group).await?;
    let applied =
        sqlx::query("UPDATE plans SET applied_at = $2, applied_by = $3 WHERE id = $1 AND applied_at IS NULL")
            .bind(id.as_uuid())
            .bind(now.as_millisecond())
            .bind(by)
            .execute(&mut *transaction)
            .await?;
    if applied.rows_affected() != 1 {
        return Err(Error::Conflict { what: "the plan was applied already".to_owned() });
    }
    let decision = &plan.proposal.decision;
    sqlx::query(
        "UPDATE decisions SET finished_at = $4, outcome = 'replaced' \
         WHERE group_id = $1 AND dataset = $2 AND home_system_id = $3 AND finished_at IS NULL",
    )
    .bind(plan.group.as_uuid())
    .bind(decision.dataset.as_str())
    .bind(decision.home.as_uuid())
    .bind(now.as_millisecond())
    .execute(&mut *transaction)
    .await?;
    let statement = concat!(
        "INSERT INTO decisions (plan_id, group_id, dataset, home_system_id, decision, created_at, created_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING ",
        decision_columns!()
    );
    let row = sqlx::query(statement)
        .bind(id.as_uuid())
        .bind(plan.group.as_uuid())
        .bind(decision.dataset.as_str())
        .bind(decision.home.as_uuid())
        .bind(json_text(decision))
        .bind(now.as_millisecond())
        .bind(by)
        .fetch_one(&mut *transaction)
        .await
        .reference(|| Error::NotFound { what: "system" })?;
    transaction.commit().await?;
    read_decision(&row)
}

pub(crate) async fn decisions(db: &Db, group: GroupId) -> Result<Vec<DecisionRow>> {
    let statement = concat!(
        "SELECT ",
        decision_columns!(),
        " FROM decisions WHERE group_id = $1 AND finished_at IS NULL ORDER BY dataset, home_system_id"
    );
    let rows = sqlx::query(statement).bind(group.as_uuid()).fetch_all(db.reader()).await?;
    rows.iter().map(read_decision).collect()
}

pub(crate) async fn decisions_giving_up(db: &Db, snapshots: &[Guid]) -> Result<Vec<DecisionRow>> {
    // People have decided about a few datasets at a time, so that what stands is read whole.
    let statement = concat!("SELECT ", decision_columns!(), " FROM decisions WHERE finished_at IS NULL");
    let rows = sqlx::query(statement).fetch_all(db.reader()).await?;
    let asked: HashSet<Guid> = snapshots.iter().copied().collect();
    let gives_up =
        |row: &DecisionRow| row.decision.may_destroy.values().flatten().any(|guid| asked.contains(guid));
    let decisions = rows.iter().map(read_decision).collect::<Result<Vec<_>>>()?;
    Ok(decisions.into_iter().filter(gives_up).collect())
}

pub(crate) async fn decision(db: &Db, plan: PlanId) -> Result<Option<DecisionRow>> {
    let statement = concat!("SELECT ", decision_columns!(), " FROM decisions WHERE plan_id = $1");
    let row = sqlx::query(statement).bind(plan.as_uuid()).fetch_optional(db.reader()).await?;
    row.as_ref().map(read_decision).transpose()
}

pub(crate) async fn narrow_decision(db: &Db, plan: PlanId, left: &Decision) -> Result<bool> {
    let done = sqlx::query("UPDATE decisions SET decision = $2 WHERE plan_id = $1 AND finished_at IS NULL")
        .bind(plan.as_uuid())
        .bind(json_text(left))
        .execute(db.writer())
        .await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn finish_decision(
    db: &Db,
    plan: PlanId,
    outcome: DecisionOutcome,
    now: Timestamp,
) -> Result<bool> {
    let statement =
        "UPDATE decisions SET finished_at = $2, outcome = $3 WHERE plan_id = $1 AND finished_at IS NULL";
    let done = sqlx::query(statement)
        .bind(plan.as_uuid())
        .bind(now.as_millisecond())
        .bind(outcome.as_str())
        .execute(db.writer())
        .await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn prune_plans(db: &Db, before: Timestamp) -> Result<u64> {
    let done = sqlx::query("DELETE FROM plans WHERE applied_at IS NULL AND created_at < $1")
        .bind(before.as_millisecond())
        .execute(db.writer())
        .await?;
    Ok(done.rows_affected())
}
