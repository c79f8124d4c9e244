//! How a person decides a conflict: the one place that knows by which calls.

use anyhow::{Context as _, Result, bail, ensure};
use zfs_sync_api::{
    client::{Client, ClientError, ConflictQuery},
    v1::{conflict::Conflict, group::Group, group::UpdateGroup},
};
use zfs_sync_core::group::Strategy;

use super::{Side, cases::Decision};

/// Decides about the replica of a group that is called `target` on `nas2`.
pub(super) async fn decide(client: &Client, group: &Group, target: &str, decision: Decision) -> Result<()> {
    match decision {
        Decision::Apply(strategy) => apply(client, group, target, strategy).await,
        Decision::Refused(strategy, code) => {
            let conflict = open_conflict(client, group, target).await?;
            match client.propose_plan(conflict.id, strategy).await {
                Ok(plan) => bail!("{target}: {strategy:?} should be {code}, and is {plan:?}"),
                Err(ClientError::Refused(problem)) if problem.code == code => Ok(()),
                Err(error) => Err(error).with_context(|| format!("{target}: {strategy:?} should be {code}")),
            }
        }
        Decision::Reverse => reverse(client, group, target).await,
    }
}

async fn open_conflict(client: &Client, group: &Group, target: &str) -> Result<Conflict> {
    let query = ConflictQuery { group: Some(group.name.clone()), ..ConflictQuery::default() };
    let conflicts = client.list_conflicts(&query).await?;
    let found = conflicts.iter().find(|conflict| conflict.target == target);
    found.cloned().with_context(|| format!("no conflict about {target} among {conflicts:?}"))
}

/// Asks for a plan, and applies it as it is.
async fn apply(client: &Client, group: &Group, target: &str, strategy: Strategy) -> Result<()> {
    let conflict = open_conflict(client, group, target).await?;
    let plan = client.propose_plan(conflict.id, strategy).await;
    let plan = plan.with_context(|| format!("a plan for {target} by {strategy:?}"))?;
    ensure!(!plan.steps.is_empty(), "the plan for {target} by {strategy:?} has no step: {plan:?}");
    client.apply_plan(plan.id).await.with_context(|| format!("apply the plan for {target}: {plan:?}"))?;
    Ok(())
}

/// The copy becomes the source of truth, and what was its source follows it.
async fn reverse(client: &Client, group: &Group, target: &str) -> Result<()> {
    let name = &group.name;
    let body = UpdateGroup {
        source_of_truth: Some(Side::Target.host().to_owned()),
        datasets: Some(vec![format!("{target}/**")]),
        mappings: Some(vec![format!("{target}=tank/{name}")]),
        ..UpdateGroup::default()
    };
    client.update_group(group.id, &body).await.with_context(|| format!("reverse {name}"))?;
    Ok(())
}
